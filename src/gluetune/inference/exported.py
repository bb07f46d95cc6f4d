"""Load a model that `gluetune export` has made into ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding

from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, Finding, RunError, require_extra
from gluetune.core.files import restore_folder, weights_digest
from gluetune.core.inference_settings import InferenceSettings
from gluetune.core.runs import (
    ExportFolder,
    ExportRecord,
    Run,
    RunFolder,
    Variant,
    find_run,
    read_export,
)
from gluetune.core.tasks import TaskSpec
from gluetune.data.encoding import Encoded
from gluetune.inference.loader import BATCH_SIZE, check_finite
from gluetune.inference.logits import by_window
from gluetune.kinds.base import Kind
from gluetune.models.checkpoints import Checkpoint, check_folder_name
from gluetune.models.classifiers import stated_temperatures
from gluetune.models.tokenizers import load_config, load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PRECISIONS: dict[Variant, str] = {"onnx": "fp32", "onnx-int8": "int8"}


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """A `Backend` in ONNX Runtime, with all settings that determine its predictions."""

    name: str
    backend: Variant
    run: Run | None
    task: TaskSpec
    outputs: tuple[int, ...]
    inputs: tuple[str, ...]
    tokenizer: PreTrainedTokenizerBase
    max_length: int | None
    batch_size: int
    session: Any
    """An onnxruntime.InferenceSession, which several threads may call."""
    temperatures: tuple[float, ...] = ()
    """What logits are divided by for probabilities."""

    @property
    def limit(self) -> int | None:
        """Maximum tokens that the model supports: the length that it was exported with."""
        return self.max_length

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty for regression."""
        return self.task.labels

    @property
    def kind(self) -> Kind:
        """The kind of task that the model was trained for."""
        return self.task.kind

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The logit above which each label is predicted, as in PyTorch's model."""
        return self.task.thresholds

    @property
    def precision(self) -> str:
        """`fp32` or `int8`."""
        return _PRECISIONS[self.backend]

    def logits(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return logits of shape (examples, classes) in the order of `labels`, or (examples, 1).

        Raises TrainingError if they are not finite.
        """
        if encoded.window is not None:
            return by_window(encoded, self.logits)
        collate = DataCollatorWithPadding(self.tokenizer, return_tensors="np")
        order = np.argsort(-encoded.lengths, kind="stable")
        logits = np.empty((len(order), len(self.outputs)), dtype=np.float32)
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            batch = collate(encoded.rows(rows))
            (found,) = self.session.run(
                None, {name: batch[name].astype(np.int64) for name in self.inputs}
            )
            logits[rows] = found[:, list(self.outputs)]
        check_finite(logits, self.name)
        return logits


def open_exported(
    model: str | Path | Run,
    variant: Variant,
    task: TaskSpec | None = None,
    settings: InferenceSettings | None = None,
) -> ExportedModel:
    """Load a run's export, or the folder of an export.

    Raises ConfigurationError for settings that an exported model has fixed, and RunError if there
    is no export, if it was made from other weights than the run's, or if its check failed.
    """
    require_extra("onnx", f"--backend {variant}", "onnxruntime")
    settings = settings or InferenceSettings()
    check_folder_name(os.fspath(model))
    folder = find_export(model)
    record = read_export(folder.record)
    _check_settings(record, task, settings)
    run = find_run(model)
    _check_made(record, folder, variant, run)
    trusted = settings.trust_remote_code or bool(run and run.config.trust_remote_code)
    checkpoint = Checkpoint(str(folder.path), folder.path, trust_remote_code=trusted)
    config = load_config(checkpoint)
    spec = record.spec
    threads = settings.threads or (run and run.config.threads) or torch.get_num_threads()
    return ExportedModel(
        name=os.fspath(model),
        backend=variant,
        run=run,
        task=spec,
        outputs=tuple(record.outputs),
        inputs=tuple(record.inputs),
        tokenizer=load_tokenizer(checkpoint, config),
        max_length=record.max_length,
        batch_size=settings.batch_size or (run and run.config.eval_batch_size) or BATCH_SIZE,
        session=open_session(folder.model(variant), threads),
        temperatures=stated_temperatures(config, spec.labels),
    )


def open_session(file: Path, threads: int) -> Any:
    """Return an onnxruntime.InferenceSession for an ONNX file, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # its warnings are about nodes, not about the user's input
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def find_export(model: str | Path | Run) -> ExportFolder:
    """Return the folder of a run's export, or `model` itself if it is one."""
    path = Path(model)
    inside = RunFolder(path).onnx
    for place in (path, inside):
        restore_folder(place)
    return ExportFolder(path if ExportFolder(path).record.exists() else inside)


def _check_settings(
    record: ExportRecord, task: TaskSpec | None, settings: InferenceSettings
) -> None:
    fixed: Sequence[tuple[str, object, bool]] = (
        ("--precision", settings.precision, settings.precision not in ("auto", "fp32")),
        ("--max-length", settings.max_length, settings.max_length not in (None, record.max_length)),
        ("--label-order", settings.label_order, settings.label_order is not None),
        ("--revision", settings.revision, settings.revision is not None),
        ("--task", task and task.name, task is not None and task.name != record.task),
    )
    wrong = [
        Finding(f"{flag} {value}: this is fixed in an exported model.", f"Leave {flag} out.")
        for flag, value, is_wrong in fixed
        if is_wrong
    ]
    if wrong:
        raise ConfigurationError.of(wrong)


def _check_made(
    record: ExportRecord, folder: ExportFolder, variant: Variant, run: Run | None
) -> None:
    int8 = variant == "onnx-int8"
    again = command_line("export", run.path if run else "RUN", onnx=True, int8=int8)
    checked = record.of(variant)
    if checked is None or not folder.model(variant).is_file():
        raise RunError(f"{folder.path} has no {folder.model(variant).name}.", hint=f"Type: {again}")
    if run is not None and weights_digest(run.model_path) != record.weights_sha256:
        raise RunError(
            f"{folder.path} was exported from other weights than the run's.",
            hint=f"Type: {again}",
        )
    if not checked.good:
        raise RunError(
            f"{folder.model(variant)} failed its check: {checked.verdict}",
            hint=f"Type: {again}" + " --max-loss VALUE" * (variant == "onnx-int8"),
        )
