"""`gluetune.export`: export a run's model to ONNX, in float32 or int8, and compare it with PyTorch.

The batch size and the sequence length of the graph are dynamic.
"""

from __future__ import annotations

import inspect
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import nn
from transformers import DataCollatorWithPadding

from gluetune.core.errors import (
    CheckpointError,
    ConfigurationError,
    Finding,
    renamed_parameters,
    require_extra,
)
from gluetune.core.files import check_writable, restore_folder, weights_digest, write_folder
from gluetune.core.inference_settings import ExportSettings, InferenceSettings
from gluetune.core.keywords import ExportKeywords
from gluetune.core.runs import ExportFolder, ExportRecord, Variant, find_run
from gluetune.core.settings import validated
from gluetune.core.tasks import get_task, is_task
from gluetune.core.text import first_line
from gluetune.data.sources import evaluation_source, place_of
from gluetune.data.tables import fingerprint
from gluetune.exporting.checks import ValidationSet, check
from gluetune.inference.devices import device_name
from gluetune.inference.exported import ExportedModel, open_session
from gluetune.inference.loader import OpenedModel, open_model
from gluetune.models.checkpoints import check_folder_name, find_checkpoint
from gluetune.models.classifiers import quiet_transformers, write_output_names
from gluetune.models.ensembles import forward_of
from gluetune.training.environment import versions

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


@renamed_parameters(tell="on_message")
def export(
    model: str | Path | Run,
    *,
    on_message: Callable[[str], object] = lambda line: None,
    **settings: Unpack[ExportKeywords],
) -> ExportRecord:
    """Export a run, a checkpoint folder or a checkpoint of the Hub to ONNX, and check it.

    Batch size and length stay dynamic. The exported files are run on the whole validation set in
    ONNX Runtime, and the comparison with PyTorch is written to `export.json`, passed or not;
    `load(…, backend="onnx")` loads only what passed.

    Args:
        model: A run's folder, a checkpoint's folder, or a Hub id.
        on_message: Called with a line before each step.
        settings: Fields of `ExportSettings`: `int8`, `output`, `max_loss`, `task`, `data`,
            `threads`, `revision`.

    Raises:
        GluetuneError: ConfigurationError if there is no task or the folder holds something else,
            CheckpointError if the architecture cannot be exported, DataError and HubError if the
            validation set cannot be read.
    """
    require_extra("onnx", "gluetune export", "onnx", "onnxscript", "onnxruntime")
    how, findings = validated(ExportSettings, settings)
    target = _target(model, settings.get("output"), settings.get("revision"))
    findings += _target_findings(target)
    if how is None or findings:
        raise ConfigurationError.of(findings)
    opened, known = _opened(model, how)
    source = evaluation_source(opened.run, known, how.data)
    there = source.splits(known)
    # A cross-validation may have none: any rows show whether the files predict the same.
    names = [name for name in known.validation_splits if name in there] or [known.train_split or ""]
    tables = {name: source.read(known, name) for name in names}
    rows, origin = ValidationSet(known, tables, opened), place_of(source, tables)
    # Locked before the long work starts: another process then fails early.
    with write_folder(target.path) as place:
        folder = ExportFolder(place)
        on_message(f"PyTorch predicts {rows.count:,} rows of {origin} …")
        reference = rows.run(opened)
        on_message("torch.onnx traces the model …")
        inputs = _write(opened, known, folder, int8=how.int8)
        checked = []
        for variant in _variants(int8=how.int8):
            on_message(f"ONNX Runtime predicts them from {folder.model(variant).name} …")
            found = rows.run(_exported(opened, known, folder, variant, inputs))
            file = folder.model(variant)
            checked.append(check(variant, file, reference, found, how.max_loss, task=known))
        record = ExportRecord(
            model=opened.name,
            weights_sha256=_weights_digest(model, how.revision),
            inputs=list(inputs),
            data=origin,
            score=reference.score,
            rows_per_second=round(reference.rows_per_second, 1),
            max_loss=how.max_loss,
            checked=checked,
            **_origin(opened, known, tables),
        )
        record.save(folder.record)
    return record


def _opened(model: str | Path | Run, how: ExportSettings) -> tuple[OpenedModel, TaskSpec]:
    """Load the model in fp32 on the CPU, and return the task whose validation set checks it."""
    spec = get_task(how.task) if how.task else None
    fixed = InferenceSettings(precision="fp32", threads=how.threads, revision=how.revision)
    opened = open_model(model, spec, fixed)
    if opened.task is None:
        raise ConfigurationError(
            f"{model} is not a run, so the data to check it on are unknown.",
            hint="Type for instance: --task mnli",
        )
    on_cpu = replace(opened, device=torch.device("cpu"))
    on_cpu.classifier.model.to(on_cpu.device)
    return on_cpu, opened.task


def _origin(opened: OpenedModel, task: TaskSpec, tables: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Return the record's fields on the model, the data and the environment."""
    return {
        "task": task.name,
        "own_task": None if is_task(task.name) else task,
        "outputs": list(opened.outputs),
        "max_length": opened.max_length,
        "rows": {name: len(table) for name, table in tables.items()},
        "fingerprints": {name: fingerprint(table) for name, table in tables.items()},
        "threads": opened.threads,
        "device": device_name(opened.device),
        "versions": versions() | {name: version(name) for name in _PACKAGES},
    }


def _weights_digest(model: str | Path | Run, revision: str | None) -> str:
    return weights_digest(find_checkpoint(os.fspath(model), revision=revision).folder)


def _write(
    opened: OpenedModel, task: TaskSpec, folder: ExportFolder, *, int8: bool
) -> tuple[str, ...]:
    """Write the files that a runtime needs, and return the names of the model's inputs."""
    model = opened.classifier.model
    inputs = write_onnx(
        folder.model("onnx"), model, opened.tokenizer, pairs=len(task.text_columns) == 2
    )
    model.config.save_pretrained(folder.path)
    write_output_names(folder.path, model.config)
    opened.tokenizer.save_pretrained(folder.path)
    if int8:
        write_int8(folder.model("onnx-int8"), folder.model("onnx"))
    return inputs


def _variants(*, int8: bool) -> tuple[Variant, ...]:
    return ("onnx", "onnx-int8") if int8 else ("onnx",)


def _exported(
    opened: OpenedModel,
    task: TaskSpec,
    folder: ExportFolder,
    variant: Variant,
    inputs: tuple[str, ...],
) -> ExportedModel:
    return ExportedModel(
        name=opened.name,
        backend=variant,
        run=opened.run,
        task=task,
        outputs=opened.outputs,
        inputs=inputs,
        tokenizer=opened.tokenizer,
        max_length=opened.max_length,
        batch_size=opened.batch_size,
        session=open_session(folder.model(variant), opened.threads),
    )


def _target(
    model: str | Path | Run, output: str | os.PathLike[str] | None, revision: str | None
) -> ExportFolder:
    if output is not None:
        return ExportFolder(Path(output))
    run = find_run(model)
    if run is None:
        check_folder_name(os.fspath(model), revision)
        if Path(model).is_dir():
            find_checkpoint(os.fspath(model))  # raises if it is not a checkpoint either
        raise ConfigurationError(
            f"{model} is not a run, so the export needs an output folder.",
            hint="Type for instance: --output onnx",
        )
    return ExportFolder(run.folder.onnx)


def _target_findings(target: ExportFolder) -> list[Finding]:
    """Refuse to replace a folder that is not an export."""
    place = target.path
    restore_folder(place)
    check_writable(place)
    if place.exists() and not target.record.exists() and (place.is_file() or any(place.iterdir())):
        return [Finding(f"--output {place}: it holds something else.", "Choose another folder.")]
    return []


_EXAMPLES = ("The first text.", "The second of the texts is longer than the first.")
"""Inputs for tracing. torch.export would treat a batch size or length of 0 or 1 as static."""


def write_onnx(
    path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, pairs: bool
) -> tuple[str, ...]:
    """Write `model` as ONNX and return the names of its inputs, each of shape (batch, tokens).

    Its output, `logits`, has the shape (batch, outputs). The graph is torch.export's, through
    `torch.onnx.export(dynamo=True)`. Raises CheckpointError where the architecture cannot be
    exported.
    """
    texts = [list(_EXAMPLES)] * (2 if pairs else 1)
    batch = DataCollatorWithPadding(tokenizer)(
        [
            dict(zip(encoded, values, strict=True))
            for encoded in [tokenizer(*texts)]
            for values in zip(*encoded.values(), strict=True)
        ]
    )
    names = tuple(name for name in batch if name in inspect.signature(forward_of(model)).parameters)
    arrays = tuple(batch[name].cpu() for name in names)
    model = model.cpu().eval()
    try:
        with quiet_transformers(), _quiet_exporter(), torch.inference_mode(False), torch.no_grad():
            try:
                program = _traced(_LogitsOnly(model, names, float_mask=False), arrays)
            except torch.onnx.OnnxExporterError:
                # torch 2.13 cannot decompose `1.0 - mask` of an integer mask (XLNet, T5).
                program = _traced(_LogitsOnly(model, names, float_mask=True), arrays)
            program.save(path)
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{type(model).__name__} cannot be exported to ONNX: "
            f"{first_line(error.__cause__ or error)}",
            hint="torch.onnx does not support this architecture; use it with PyTorch.",
        ) from error
    return names


def _traced(function: _LogitsOnly, arrays: tuple[torch.Tensor, ...]) -> Any:
    shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return torch.onnx.export(
        function,
        arrays,
        dynamo=True,
        input_names=list(function.names),
        output_names=["logits"],
        dynamic_shapes=((shape,) * len(arrays),),
        verbose=False,
    )


def write_int8(path: Path, source: Path) -> None:
    """Write `source` with 8-bit weights; activations are quantised dynamically.

    Weights are unsigned, by column: signed ones lose accuracy on CPUs without VNNI, where the sum
    of two products saturates (ONNX Runtime, "Quantize ONNX models", on U8S8 and `reduce_range`).
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet_exporter():
        quantize_dynamic(source, path, weight_type=QuantType.QUInt8, per_channel=True)


class _LogitsOnly(nn.Module):  # type: ignore[misc]  # torch is not followed
    """The model as a function from arrays, by position, to its logits."""

    def __init__(self, model: PreTrainedModel, names: tuple[str, ...], float_mask: bool) -> None:
        super().__init__()
        self.model = model
        self.names = names
        self.float_mask = float_mask

    def forward(self, *arrays: torch.Tensor) -> Any:
        inputs: dict[str, Any] = dict(zip(self.names, arrays, strict=True))
        if self.float_mask and "attention_mask" in inputs:
            inputs["attention_mask"] = inputs["attention_mask"].to(self.model.dtype)
        if "use_cache" in inspect.signature(forward_of(self.model)).parameters:
            inputs["use_cache"] = False  # past keys and values are not needed
        logits = self.model(**inputs)["logits"]
        return logits.reshape(logits.shape[0], -1)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence the exporters' warnings and logs."""
    loggers = [logging.getLogger(), logging.getLogger("torch.onnx")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
