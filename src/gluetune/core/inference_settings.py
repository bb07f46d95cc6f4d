"""Settings of the verbs that run a trained model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from gluetune.core.config import Column, MetricNames, Name, Names, OnBadRow, Precision, Source
from gluetune.core.errors import Finding
from gluetune.core.settings import Option, Settings
from gluetune.core.tasks import TASKS

BackendName = Literal["torch", "onnx", "onnx-int8"]


class InferenceSettings(Settings):
    """How a model is run. None and `auto` are the run's own value, or inferred."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Inference": (
            "backend",
            "precision",
            "batch_size",
            "threads",
            "max_length",
            "label_order",
            "revision",
            "trust_remote_code",
        )
    }
    common: ClassVar[tuple[str, ...]] = ("task", "split", "data", "extra_metrics", "batch_size")

    precision: Precision = "auto"
    """Floating-point precision: auto is the run's own, else bf16 where the hardware multiplies it
    natively."""
    batch_size: int | None = Field(default=None, ge=1)
    """Examples per forward pass. Default: the run's own, or 32."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads. Default: the run's own, or PyTorch's choice."""
    max_length: int | None = Field(default=None, ge=3)
    """Maximum length in tokens; longer examples are truncated. Default: the run's own, or the
    model's limit."""
    label_order: Names | None = None
    """Class names of the model's outputs, by id, where it names none: NAME,NAME,…"""
    revision: Name | None = None
    """Branch, tag or commit of the checkpoint on the Hub."""
    trust_remote_code: bool = False
    """Run Python code of the checkpoint. Read that code first."""

    @property
    def are_default(self) -> bool:
        """Whether a run is used with its own settings."""
        fields = InferenceSettings.model_fields.items()
        return all(
            getattr(self, name) == field.default
            for name, field in fields
            if name != "trust_remote_code"
        )


Task = Annotated[Name | None, Option(suggestions=tuple(TASKS))]


class LoadSettings(InferenceSettings):
    """Settings of `load`, and of what loads a model to predict."""

    task: Task = None
    """GLUE task whose classes are predicted. Default: the run's own, or what the checkpoint's
    config.json names; else the classes of the checkpoint."""
    backend: BackendName = "torch"
    """Backend: torch, or an exported model (onnx, onnx-int8)."""
    uncalibrated: bool = False
    """Probabilities without the temperature that a cross-validation has fitted. Predictions are the
    same."""
    min_precision: float | None = Field(default=None, gt=0, lt=1)
    """Mark predictions as uncertain whose confidence is below the threshold above which at least
    this share is correct, by the out-of-fold predictions of the run."""
    coverage: float | None = Field(default=None, gt=0, le=1)
    """Mark all but this share of predictions as uncertain, by the confidence of the out-of-fold
    predictions of the run."""

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterable[Finding]:
        """Refuse two thresholds."""
        if values.get("min_precision") is None or values.get("coverage") is None:
            return ()
        both = "--min-precision and --coverage choose two thresholds."
        return (Finding(both, "Leave one of them out."),)


class EvaluateSettings(InferenceSettings):
    """Settings of `evaluate`."""

    task: Task = None
    """GLUE task to score. Default: the run's own, or what the checkpoint's config.json names."""
    split: Name | None = None
    """Split to score. Default: all validation splits of the task."""
    data: Source | None = None
    """Source of the data, as in training; for a run on your own text, another file with the same
    columns. Default: the run's own."""
    extra_metrics: MetricNames = ()
    """Metrics that are also reported, besides the task's own: NAME,NAME,… The score stays the same.
    """


class PredictSettings(Settings):
    """Settings of predictions for a file."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Files": ("text", "text_pair", "on_error", "prefix")
    }

    text: Column | None = None
    """Column of the text. Default: the task's, or text."""
    text_pair: Column | None = None
    """Column of a second text. Default: the task's, or text_pair."""
    on_error: OnBadRow = "stop"
    """On a row that cannot be read: stop, or skip it (reported and left out)."""
    prefix: str = ""
    """Prefix of the names of the new columns."""


class ExportSettings(Settings):
    """Settings of `export`."""

    int8: bool = False
    """Also export with 8-bit weights (dynamic quantisation)."""
    output: Path | None = None
    """Folder to write. Default: onnx in the run's folder."""
    max_loss: float = Field(default=0.01, ge=0, le=1)
    """Maximum loss of score by int8: 0.01 is one point."""
    task: Task = None
    """GLUE task. Default: the run's own."""
    data: Source | None = None
    """Source of the validation set. Default: the run's own."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads. Default: the run's own, or PyTorch's choice."""
    revision: Name | None = None
    """Branch, tag or commit of the checkpoint on the Hub."""
