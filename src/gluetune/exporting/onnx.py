"""`gluetune.export`: a run's model as ONNX, with the record of how it answers."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from gluetune.data.sources import asked_source, place_of
from gluetune.data.tables import fingerprint
from gluetune.errors import ConfigurationError, Finding
from gluetune.evaluation.devices import device_name
from gluetune.evaluation.exported import ExportedModel, open_session
from gluetune.evaluation.opening import OpenedModel, Settings, open_model, open_run
from gluetune.exporting.checks import ValidationSet, check
from gluetune.exporting.onnx_files import write_int8, write_onnx
from gluetune.exports import ExportFolder, ExportRecord, Variant
from gluetune.extras import require_extra
from gluetune.files import check_writable, restore_folder, weights_digest, write_folder
from gluetune.modeling.checkpoints import check_folder_name, find_checkpoint
from gluetune.modeling.classifiers import write_output_names
from gluetune.tasks import get_task, is_task
from gluetune.training.environment import versions

if TYPE_CHECKING:
    from gluetune.runs import Run
    from gluetune.tasks import TaskSpec

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export(
    model: str | Path | Run,
    *,
    int8: bool = False,
    output: str | Path | None = None,
    task: str | None = None,
    data: str | None = None,
    max_loss: float = 0.01,
    threads: int | None = None,
    revision: str | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> ExportRecord:
    """Export a run, a checkpoint folder or a checkpoint of the Hub to ONNX, and check it.

    Batch and length stay open. The files are asked the whole validation set through ONNX Runtime,
    and what they answered stands in `export.json` beside them, good or not; `load(…,
    backend="onnx")` runs only what passed.

    Args:
        model: A run's folder, a checkpoint's folder, or a Hub id.
        int8: Also write 8-bit weights (ONNX Runtime's dynamic quantisation).
        output: The folder to write; `onnx` in the run's folder by default.
        task: The task, where the model is no run.
        data: Where the validation set is; the run's own source by default.
        max_loss: What int8 may lose of the score (0.01 is one point).
        threads: CPU threads of both sides; a run's own, else PyTorch's choice.
        tell: Called with a line before each part of the work.

    Raises:
        GluetuneError: ConfigurationError where there is no task or the folder holds something
            else, CheckpointError where the architecture cannot be exported, DataError and HubError
            where the validation set cannot be read.
    """
    require_extra("onnx", "gluetune export", "onnx", "onnxscript", "onnxruntime")
    target = _target(model, output, revision)
    _check_target(target, max_loss)
    spec = get_task(task) if task else None
    opened = open_model(model, spec, Settings(precision="fp32", threads=threads, revision=revision))
    if opened.task is None:
        raise ConfigurationError(
            f"{model} is no run, so nothing says on which data it is to be checked.",
            hint="Type for instance: --task mnli",
        )
    asked = opened.task
    opened = replace(opened, device=torch.device("cpu"))
    opened.classifier.model.to(opened.device)
    source = asked_source(opened.run, asked, data)
    tables = {name: source.read(asked, name) for name in asked.validation_splits}
    rows, origin = ValidationSet(asked, tables, opened), place_of(source, tables)
    # From here on nobody else writes there: what takes long is not done for nothing.
    with write_folder(target.path) as place:
        tell(f"PyTorch answers {rows.count:,} rows of {origin} …")
        reference = rows.ask(opened)
        folder = ExportFolder(place)
        tell("torch.onnx traces the model …")
        inputs = _write(opened, asked, folder, int8=int8)
        checked = []
        for variant in _variants(int8=int8):
            tell(f"ONNX Runtime answers them from {folder.model(variant).name} …")
            found = rows.ask(_exported(opened, asked, folder, variant, inputs))
            file = folder.model(variant)
            checked.append(check(variant, file, reference, found, max_loss, task=asked))
        record = ExportRecord(
            model=opened.name,
            weights_sha256=_weights_digest(model, revision),
            task=asked.name,
            own_task=None if is_task(asked.name) else asked,
            outputs=list(opened.outputs),
            inputs=list(inputs),
            max_length=opened.max_length,
            data=origin,
            rows={name: len(table) for name, table in tables.items()},
            fingerprints={name: fingerprint(table) for name, table in tables.items()},
            score=reference.score,
            rows_per_second=round(reference.rows_per_second, 1),
            max_loss=max_loss,
            threads=opened.threads,
            device=device_name(opened.device),
            versions=versions() | {name: version(name) for name in _PACKAGES},
            checked=checked,
        )
        record.save(folder.record)
    return record


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
        kind=variant,
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
    model: str | Path | Run, output: str | Path | None, revision: str | None
) -> ExportFolder:
    if output is not None:
        return ExportFolder(Path(output))
    run = open_run(model)
    if run is None:
        check_folder_name(os.fspath(model), revision)
        if Path(model).is_dir():
            find_checkpoint(os.fspath(model))  # what is no checkpoint either is told as that
        raise ConfigurationError(
            f"{model} is no run, so nothing says where its export belongs.",
            hint="Type for instance: --output onnx",
        )
    return ExportFolder(run.folder.onnx)


def _check_target(target: ExportFolder, max_loss: float) -> None:
    """Refuse to replace what is no export, and a loss that is no part of a score."""
    findings = []
    place = target.path
    restore_folder(place)
    check_writable(place)
    if place.exists() and not target.record.exists() and (place.is_file() or any(place.iterdir())):
        findings.append(
            Finding(f"--output {place}: it holds something else.", "Choose another folder.")
        )
    if not 0 <= max_loss <= 1:
        findings.append(
            Finding(f"--max-loss {max_loss:g}: it is a part of the score, from 0 to 1.")
        )
    if findings:
        raise ConfigurationError.of(findings)
