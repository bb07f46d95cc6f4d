"""Load a trained model for inference: a run, a folder or a checkpoint of the Hub.

A run uses the precision, threads, batch size and length of its config.yaml, so that predictions on
the same machine are bit-identical to those of its validation.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding

from gluetune.core.config import ComputePath
from gluetune.core.errors import ConfigurationError, TrainingError
from gluetune.core.inference_settings import BackendName, InferenceSettings
from gluetune.core.runs import Run, find_run
from gluetune.core.tasks import TaskSpec
from gluetune.data.encoding import Encoded
from gluetune.inference.devices import cpu_threads, device, resolve_precision
from gluetune.inference.logits import ResolvedPrecision, compute_logits
from gluetune.inference.scoring import encoded_splits, predict_splits
from gluetune.kinds import kind_of_head
from gluetune.kinds.base import Kind
from gluetune.models.checkpoints import Checkpoint, find_checkpoint
from gluetune.models.classifiers import (
    THRESHOLDS,
    Classifier,
    load_trained,
    quiet_transformers,
    stated_task,
    stated_temperatures,
)
from gluetune.models.ensembles import Ensemble
from gluetune.models.fast.paths import computing, resolve_compute
from gluetune.models.tokenizers import check_length

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerBase

    from gluetune.core.config import TrainConfig
    from gluetune.core.records import Predictions

BATCH_SIZE = 32
"""Examples per forward pass, unless a run or the user sets it."""


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A trained model in PyTorch, with all settings that determine its predictions."""

    name: str
    run: Run | None
    task: TaskSpec | None
    """The task whose classes it predicts; None: the checkpoint's own classes."""
    classifier: Classifier
    device: torch.device
    precision: ResolvedPrecision
    path: ComputePath
    """Execution path of batches: the run's own, `padded` for any other checkpoint."""
    batch_size: int
    threads: int
    max_length: int | None
    settings: InferenceSettings
    lock: AbstractContextManager[Any] = field(default_factory=Lock, repr=False, compare=False)
    """Held during inference: the execution path is a state of the whole model."""

    @property
    def backend(self) -> BackendName:
        """Name of the backend."""
        return "torch"

    @property
    def limit(self) -> int | None:
        """Maximum tokens that the model supports, whatever `max_length` is."""
        return self.classifier.limit

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return self.classifier.tokenizer

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty for regression."""
        if self.task is not None:
            return self.task.labels
        id2label = self.classifier.model.config.id2label
        return tuple(id2label[i] for i in self.outputs) if self.kind.fewest_labels else ()

    @property
    def kind(self) -> Kind:
        """The kind of task: the task's own, or that of the checkpoint's config.json."""
        if self.task is not None:
            return self.task.kind
        config = self.classifier.model.config
        return kind_of_head(config.problem_type, config.num_labels)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The logit above which each label is predicted, from the run or the model's config."""
        if self.task is not None and self.task.thresholds:
            return self.task.thresholds
        by_name = getattr(self.classifier.model.config, THRESHOLDS, None) or {}
        return tuple(float(by_name.get(name, 0.0)) for name in self.labels) if by_name else ()

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What logits are divided by for probabilities, from the model's config."""
        return stated_temperatures(self.classifier.model.config, self.labels)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The model's output for each class."""
        return self.classifier.outputs

    def logits(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return logits of shape (examples, classes) in the order of `labels`, or (examples, 1).

        Raises TrainingError if they are not finite.
        """
        model = self.classifier.model
        with self.lock, cpu_threads(self.threads), computing(model, self.path):
            logits = compute_logits(
                model,
                encoded,
                DataCollatorWithPadding(self.tokenizer),
                batch_size=self.batch_size,
                precision=self.precision,
            )
        check_finite(logits, self.name)
        return logits[:, list(self.outputs)]

    def predict(self, task: TaskSpec, tables: Mapping[str, pa.Table]) -> dict[str, Predictions]:
        """Predict every row of canonical tables of `task`, by split; labels may be hidden."""
        with self.lock, quiet_transformers(), cpu_threads(self.threads):
            splits = encoded_splits(
                task, tables, self.tokenizer, max_length=self.max_length, outputs=self.outputs
            )
            with computing(self.classifier.model, self.path):
                return predict_splits(
                    self.classifier.model,
                    task,
                    splits,
                    DataCollatorWithPadding(self.tokenizer),
                    outputs=self.outputs,
                    batch_size=self.batch_size,
                    precision=self.precision,
                )


def open_model(
    model: str | Path | Run, task: TaskSpec | None = None, settings: InferenceSettings | None = None
) -> OpenedModel:
    """Load the model of a run, a folder, or a checkpoint of the Hub, with its trained head.

    Predictions are classes of `task`; by default, of a run's own task. For any other checkpoint the
    default is the GLUE task in its config.json, or its own classes if there is none.
    Raises RunError, CheckpointError, HubError, ConfigurationError.
    """
    settings = settings or InferenceSettings()
    run = find_run(model)
    if run is not None and task is None:
        task = run.task
    if settings.label_order and task is None:
        raise ConfigurationError(
            "--label-order maps outputs to a task's classes, and no task is given.",
            hint="Type for instance: --task mnli",
        )
    config = run.config if run is not None else None
    where = device(use_cpu=bool(config and config.training_args.get("use_cpu")))
    precision = _precision(settings, config, where)
    checkpoint = _checkpoint(model, run, config, settings)
    if task is None and run is None:
        task = stated_task(checkpoint)
    classifier = load_trained(checkpoint, task, label_order=settings.label_order)
    classifier.model.to(where).eval()
    return OpenedModel(
        name=os.fspath(model),
        run=run,
        task=task,
        classifier=classifier,
        device=where,
        precision=precision,
        path=_path(config, classifier),
        batch_size=settings.batch_size or (config.eval_batch_size if config else BATCH_SIZE),
        threads=settings.threads or (config and config.threads) or torch.get_num_threads(),
        max_length=_max_length(settings, config, classifier, checkpoint),
        settings=settings,
    )


def check_finite(logits: NDArray[np.float32], name: str) -> None:
    """Raise TrainingError if logits are not finite."""
    if not np.isfinite(logits).all():
        raise TrainingError(
            f"{name} predicts values that are not finite.",
            hint="Use --precision fp32, or train it again with a lower --learning-rate.",
        )


def _path(config: TrainConfig | None, classifier: Classifier) -> ComputePath:
    """Return the execution path: the run's own, `padded` for other checkpoints and ensembles."""
    if config is None or isinstance(classifier.model, Ensemble):
        return "padded"
    return resolve_compute(config.compute, classifier.model)


def _precision(
    settings: InferenceSettings, config: TrainConfig | None, where: torch.device
) -> ResolvedPrecision:
    precision = settings.precision
    if precision == "auto" and config is not None:
        precision = config.precision
    return resolve_precision(precision, where)


def _checkpoint(
    model: str | Path | Run,
    run: Run | None,
    config: TrainConfig | None,
    settings: InferenceSettings,
) -> Checkpoint:
    if run is not None:
        _ = run.model_path  # raises, with what to type, if there is no model yet
    trusted = settings.trust_remote_code or bool(config and config.trust_remote_code)
    return find_checkpoint(os.fspath(model), revision=settings.revision, trust_remote_code=trusted)


def _max_length(
    settings: InferenceSettings,
    config: TrainConfig | None,
    classifier: Classifier,
    checkpoint: Checkpoint,
) -> int | None:
    limit = classifier.limit
    check_length(settings.max_length, limit, checkpoint.name)
    return settings.max_length or (config and config.max_length) or limit
