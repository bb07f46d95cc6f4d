"""Keyword arguments of the public functions. Made by `python -m tools.keywords`; do not edit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from datasets import Dataset
    from pandas import DataFrame
    from pyarrow import Table


class ReadKeywords(TypedDict, total=False):
    """Settings of everything that reads labelled text."""

    text: str | None
    text_pair: str | None
    label: str | Sequence[str] | None
    format: (
        Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "fasttext", "trec", "text"]
        | None
    )
    delimiter: str | None
    quoting: Literal["auto", "minimal", "single", "backslash", "none"]
    header: bool | None
    columns: str | Sequence[str] | None
    kind: Literal["auto", "single_label", "multi_label", "regression", "ordinal"]
    metrics: str | Sequence[str] | None
    positive: str | None
    label_separator: str | None
    validation_fraction: float
    split_seed: int
    group: str | None
    on_bad_row: Literal["stop", "skip"]
    extra_metrics: str | Sequence[str] | None


class CheckKeywords(ReadKeywords, total=False):
    """Settings of `gluetune.check_files`."""

    model: str | PathLike[str]
    revision: str | None
    trust_remote_code: bool
    max_length: int | None
    long_texts: Literal["cut", "head-tail", "windows"]
    window_overlap: int
    most_windows: int


class InferenceKeywords(TypedDict, total=False):
    """Settings of everything that runs a model."""

    precision: Literal["auto", "fp32", "bf16", "fp16"]
    batch_size: int | None
    threads: int | None
    max_length: int | None
    label_order: str | Sequence[str] | None
    revision: str | None
    trust_remote_code: bool


class LoadKeywords(InferenceKeywords, total=False):
    """Settings of `gluetune.load`."""

    task: str | None
    backend: Literal["torch", "onnx", "onnx-int8"]
    uncalibrated: bool
    min_precision: float | None
    coverage: float | None


class EvaluateKeywords(InferenceKeywords, total=False):
    """Settings of `gluetune.evaluate`."""

    task: str | None
    split: str | None
    data: str | PathLike[str] | None
    extra_metrics: str | Sequence[str]


class PredictKeywords(LoadKeywords, total=False):
    """Settings of `gluetune.predict`."""

    text: str | None
    text_pair: str | None
    on_error: Literal["stop", "skip"]
    prefix: str


class ServeKeywords(LoadKeywords, total=False):
    """Settings of `gluetune.serve`."""

    host: str
    port: int
    auto_truncate: bool
    allowed_hosts: Sequence[str]
    api_key_file: str | PathLike[str] | None
    cors_origins: Sequence[str]


class ExportKeywords(TypedDict, total=False):
    """Settings of `gluetune.export`."""

    int8: bool
    output: str | PathLike[str] | None
    max_loss: float
    task: str | None
    data: str | PathLike[str] | None
    threads: int | None
    revision: str | None


class AnyRunKeywords(ReadKeywords, total=False):
    """Settings of every run, also of several tasks and seeds."""

    revision: str | None
    data: str | PathLike[str] | None
    train_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    validation_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    test_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    data_set: str | None
    train_split: str | None
    validation_split: str | None
    holdout: float
    sampling_seed: int | None
    method: Literal["full", "probe", "lp-ft", "lora"]
    learning_rate: float
    batch_size: int
    micro_batch_size: int | None
    eval_batch_size: int
    epochs: float
    weight_decay: float
    warmup: float
    class_weights: str | Mapping[str, float]
    focal_loss: float
    label_smoothing: float
    auto_settings: bool
    min_steps: int | None
    layer_decay: float
    restart_layers: int
    freeze_layers: int
    average_epochs: int
    lora_rank: int
    lora_alpha: float | None
    lora_dropout: float
    lora_targets: str | Sequence[str] | None
    quantization: Literal["none", "4bit"]
    max_length: int | None
    long_texts: Literal["cut", "head-tail", "windows"]
    window_overlap: int
    most_windows: int
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    compute: Literal["auto", "unpadded", "grouped", "padded"]
    compact_vocabulary: bool
    metric: str
    early_stopping: int | None
    new_head: bool
    label_order: str | Sequence[str] | None
    trust_remote_code: bool
    checkpoint_minutes: float
    threads: int | None
    processes: int | None
    track: Literal["tensorboard", "trackio", "mlflow", "wandb"] | None
    training_args: Mapping[str, Any]


class SuiteKeywords(AnyRunKeywords, total=False):
    """Settings of `gluetune.suite`."""

    fraction: float | None
    seeds: int | str | Sequence[int]
    tasks: str | Sequence[str] | None
    recipe: str | None
    mnli_init: bool
    jobs: int | None
    ray: str | None
    cpus_per_job: float | str | None
    gpus_per_job: float | str | None


class RunKeywords(AnyRunKeywords, total=False):
    """Settings of a run."""

    model: str | PathLike[str]
    fraction: float
    exclude: str | PathLike[str] | None
    seed: int


class SearchKeywords(RunKeywords, total=False):
    """Settings of `gluetune.search`."""

    trials: int
    timeout: float | str | None
    direction: Literal["maximize", "minimize"] | None
    sampler: str
    pruner: str
    tune_on: Literal["train", "validation"]
    jobs: int
    seeds: int
    final: bool
    ray: str | None
    cpus_per_trial: float | str | None
    gpus_per_trial: float | str | None


class TrainKeywords(RunKeywords, total=False):
    """Settings of `gluetune.train`."""

    folds: int | None
    fold: int | None
    fold_seed: int
    output: str | PathLike[str] | None
    fold_repeats: int
    final: Literal["all", "ensemble", "none"]
    jobs: int | None
