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
    kind: Literal["auto", "classes", "number", "labels"]
    positive: str | None
    label_separator: str | None
    validation_fraction: float
    split_seed: int
    group: str | None
    on_bad_row: Literal["stop", "skip"]


class CheckKeywords(ReadKeywords, total=False):
    """Settings of `gluetune.check_files`."""

    model: str | PathLike[str]
    revision: str | None
    trust_remote_code: bool
    max_length: int | None


class SuiteKeywords(ReadKeywords, total=False):
    """Settings of `gluetune.suite`."""

    revision: str | None
    train_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    validation_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    test_file: str | PathLike[str] | DataFrame | Dataset | Table | None
    data_set: str | None
    train_split: str | None
    validation_split: str | None
    holdout: float
    sampling_seed: int | None
    learning_rate: float
    batch_size: int
    micro_batch_size: int | None
    eval_batch_size: int
    epochs: float
    weight_decay: float
    warmup: float
    class_weights: Literal["none", "balanced"]
    label_smoothing: float
    max_length: int | None
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
    training_args: Mapping[str, Any]


class SearchKeywords(SuiteKeywords, total=False):
    """Settings of `gluetune.search`."""

    model: str | PathLike[str]
    data: str | PathLike[str] | None
    fraction: float
    seed: int


class TrainKeywords(SearchKeywords, total=False):
    """Settings of `gluetune.train`."""

    output: str | PathLike[str] | None
