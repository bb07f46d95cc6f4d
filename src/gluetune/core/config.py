"""Settings of a run, and the stated format of its files: one documented definition.

The Python API, `--help`, YAML files and the saved run all come from `TrainConfig`. Defaults are
those of Hugging Face's "Text classification on GLUE" notebook. Single fields are checked by the
model itself, names of tasks and settings that contradict each other by `make_config`; all mistakes
are reported together. What is not stated of a file's format is detected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from gluetune.core.command_lines import command_line, in_processes, options
from gluetune.core.errors import ConfigurationError, Finding, warn_renamed
from gluetune.core.files import write_text
from gluetune.core.long_texts import LongTexts
from gluetune.core.settings import Accepts, Option, Settings, flag_for, stated, validated
from gluetune.core.settings_files import dump_yaml, join_names, split_names
from gluetune.core.tasks import GLUE_TASKS, get_task, is_task, unfit_metrics
from gluetune.kinds import FORMER_NAMES, KindName
from gluetune.metrics.registry import METRICS, metrics_of

FormatName = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "fasttext", "trec", "text"]
Quoting = Literal["auto", "minimal", "single", "backslash", "none"]

_DELIMITER_NAMES = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
}


@dataclass(frozen=True)
class FileFormat:
    """How a file of rows is written, as far as it is stated. None, or `auto`, is detected.

    Attributes:
        format: csv, tsv, jsonl, json, parquet, arrow, fasttext, trec or text.
        delimiter: The character between the fields of CSV and TSV.
        quoting: minimal (double quotes, doubled inside), single (single quotes), backslash (double
            quotes, `\\"` inside), none (a quote is a character).
        header: Whether the first line names the columns. Default: it does, unless `columns` does.
        columns: Names of the columns, in their order.
    """

    format: FormatName | None = None
    delimiter: str | None = None
    quoting: Quoting = "auto"
    header: bool | None = None
    columns: tuple[str, ...] | None = None

    def over(self, below: FileFormat) -> FileFormat:
        """Return these settings, completed by those of `below`.

        A header that is stated here has names of its own: those of `below` are for files without
        one.
        """
        given = {
            name: getattr(self if getattr(self, name) != getattr(UNSTATED, name) else below, name)
            for name in (field.name for field in fields(self))
        }
        if self.header and self.columns is None:
            given["columns"] = None
        return FileFormat(**given)


UNSTATED = FileFormat()
"""Nothing is stated: all of it is detected."""


def delimiter_of(value: Any) -> Any:
    """Return the character that `tab`, `\\t`, `comma`, `semicolon`, `pipe`, `space` name."""
    if not isinstance(value, str):
        return value
    found = _DELIMITER_NAMES.get(value.lower(), value)
    if len(found) != 1 or found in "\"'\r\n":
        raise ValueError(f"one character is needed, or {', '.join(_DELIMITER_NAMES)}")
    return found


def delimiter_name(delimiter: str) -> str:
    """Return a delimiter as it is typed and printed: `tab` for a tab."""
    return {"\t": "tab", " ": "space"}.get(delimiter, delimiter)


def _path_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Precision = Literal["auto", "fp32", "bf16", "fp16"]
ComputePath = Literal["unpadded", "grouped", "padded"]
Compute = Literal["auto", "unpadded", "grouped", "padded"]


def _kind_name(value: Any) -> Any:
    """Read the former name of a kind, which saved settings may have."""
    return FORMER_NAMES.get(value, value) if isinstance(value, str) else value


Kind = Annotated[Literal["auto", KindName], BeforeValidator(_kind_name)]
HowLong = Literal["cut", "head-tail", "windows"]
Quantization = Literal["none", "4bit"]
MethodName = Literal["full", "probe", "lp-ft", "lora"]
OnBadRow = Literal["stop", "skip"]
TrackerName = Literal["tensorboard", "trackio", "mlflow", "wandb"]


def _weights_text(value: Any) -> Any:
    """Return class weights as text, "label=weight,…"; Python may also give a mapping."""
    if isinstance(value, Mapping):
        value = join_names(f"{name}={weight}" for name, weight in value.items())
    if isinstance(value, str) and value not in ("none", "balanced"):
        weights_by_label(value)
    return value


def weights_by_label(text: str) -> dict[str, float]:
    """Return the weights in "label=weight,…"; a label with a comma is quoted with its weight.

    None for `none` and `balanced`. Raises ValueError.
    """
    if text in ("none", "balanced"):
        return {}
    found = {}
    for part in split_names(text):
        name, equals, weight = part.rpartition("=")
        try:
            found[name] = float(weight)
        except ValueError:
            equals = ""
        if not equals or not name or not 0 <= found[name] < float("inf"):
            raise ValueError("must be none, balanced, or label=weight,… such as spam=5,other=1")
    return found


ClassWeights = Annotated[
    str,
    BeforeValidator(_weights_text),
    Accepts(("str", "Mapping[str, float]")),
    Option(suggestions=("none", "balanced"), example="--class-weights balanced"),
]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Source = Annotated[Name, BeforeValidator(_path_text), Accepts(("str", "PathLike[str]"))]
"""A path, or another name of a source."""
File = Annotated[
    Name,
    BeforeValidator(_path_text),
    Accepts(("str", "PathLike[str]", "DataFrame", "Dataset", "Table")),
]
"""A file of labelled text; Python functions write a table to one."""
Column = Annotated[str, StringConstraints(min_length=1)]
"""Name of a column, which may begin or end with a space."""


def _names(value: Any, *, keep_spaces: bool = False) -> Any:
    """Read "a,b" as two names; a list is taken as it is."""
    return split_names(value, keep_spaces=keep_spaces) if isinstance(value, str) else value


Columns = Annotated[tuple[Column, ...], BeforeValidator(partial(_names, keep_spaces=True))]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""Names, also as the text "a, b"."""
MetricNames = Annotated[Names, Option(suggestions=tuple(METRICS))]


def _metric_names() -> str:
    """Return which metrics each kind of task may have, for the help."""
    kinds = dict.fromkeys(kind for metric in METRICS.values() for kind in metric.kinds)
    return " ".join(f"{kind}: {', '.join(metrics_of(kind))}." for kind in kinds)


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Delimiter = Annotated[str, BeforeValidator(delimiter_of)]


def _written(value: Any) -> Any:
    """Return a label that YAML or Python reads as a number or a boolean as its text in the file."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else value


Label = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_written)]
"""Name of a class, as the file has it."""

MACHINE_SETTINGS = frozenset(
    {"micro_batch_size", "eval_batch_size", "checkpoint_minutes", "threads", "processes", "track"}
)
"""Settings of the machine, which change a score by rounding only: recipes have none of them."""


FILE_SETTINGS = ("train_file", "validation_file", "test_file")
"""Settings that name a file of the user's own text."""

FORMAT_SETTINGS = ("format", "delimiter", "quoting", "header", "columns")
"""Settings of the format of those files."""

DEFAULT_COLUMNS = {"text": "text", "label": "label"}
"""Default column names, by setting."""

OWN_SETTINGS = (
    "validation_file",
    "test_file",
    "train_split",
    "validation_split",
    "text",
    "text_pair",
    "label",
    *FORMAT_SETTINGS,
    "kind",
    "metrics",
    "positive",
    "label_separator",
    "validation_fraction",
    "split_seed",
    "group",
    "on_bad_row",
)
"""Settings that apply to the user's own text only."""

FOLD_SETTINGS = ("folds", "fold", "fold_seed")
"""Settings of cross-validation, which searches and suites do not have."""

ALL_ROWS = 0
"""The value of `fold` of the run on all rows."""


class TrainConfig(Settings):
    """All settings of a run. Fields left at `auto` or null are resolved when it starts.

    `config.yaml` in a run folder is this record with every such field resolved, so that it repeats
    the run bit for bit on the same machine.
    """

    former_names: ClassVar[Mapping[str, str]] = {"set": "training_args"}
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "What to train": (
            "model",
            "revision",
            "data",
            "fraction",
            "exclude",
            "holdout",
            "sampling_seed",
            "output",
        ),
        "Your own labelled text": ("train_file", "data_set", *OWN_SETTINGS),
        "Cross-validation": FOLD_SETTINGS,
        "Training": (
            "method",
            "auto_settings",
            "lora_rank",
            "lora_alpha",
            "lora_dropout",
            "lora_targets",
            "quantization",
            "learning_rate",
            "batch_size",
            "epochs",
            "weight_decay",
            "warmup",
            "max_length",
            "long_texts",
            "window_overlap",
            "most_windows",
            "seed",
            "precision",
            "metric",
            "extra_metrics",
            "early_stopping",
            "class_weights",
            "focal_loss",
            "label_smoothing",
            "min_steps",
            "layer_decay",
            "restart_layers",
            "freeze_layers",
            "average_epochs",
            "training_args",
        ),
        "The checkpoint's head and code": ("new_head", "label_order", "trust_remote_code"),
        "The machine": (
            "compute",
            "compact_vocabulary",
            "micro_batch_size",
            "eval_batch_size",
            "threads",
            "processes",
            "checkpoint_minutes",
            "track",
        ),
    }
    common: ClassVar[tuple[str, ...]] = (
        *("model", "data", "output", "train_file", "validation_file", "test_file"),
        *("text", "text_pair", "label", "kind", "metrics"),
        *("learning_rate", "batch_size", "epochs", "max_length", "seed", "early_stopping"),
        "track",
    )

    task: Annotated[
        Name,
        Option(
            suggestions=tuple(GLUE_TASKS),
            example="gluetune train cola, or --train-file FILE, or --config FILE.",
        ),
    ]
    """GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli. For your own text: a name for
    the task."""
    model: Annotated[Source, Option(aliases=("model_name_or_path",), suggestions=("minilm",))] = (
        "minilm"
    )
    """Checkpoint: a Hub id, a folder, or `minilm` (all-MiniLM-L6-v2, offline)."""
    revision: Annotated[Name | None, Option(aliases=("model_revision",))] = None
    """Branch, tag or commit of the checkpoint on the Hub."""
    data: Source | None = None
    """Source of GLUE: `sample`, or a folder of its files. Default: GLUETUNE_DATA, else the Hub."""
    train_file: File | None = None
    """Your own labelled text: CSV, TSV, JSON, JSON lines, Parquet or Arrow, also compressed (.gz,
    .zst)."""
    validation_file: File | None = None
    """Labelled text to validate on. Default: a part of the training file."""
    test_file: File | None = None
    """Labelled test set, for `gluetune evaluate RUN --split test`."""
    data_set: Annotated[Name | None, Option(aliases=("dataset_name",))] = None
    """Data set on the Hub instead of files: user/name, or user/name:config."""
    train_split: Name | None = None
    """Split of the Hub's data set to train on. Default: train."""
    validation_split: Name | None = None
    """Split of the Hub's data set to validate on. Default: validation, else a part of the training
    split."""
    text: Annotated[Column | None, Option(aliases=("text_column_name",))] = None
    """Column of the text. Default: text."""
    text_pair: Column | None = None
    """Column of a second text."""
    label: Annotated[Columns | None, Option(aliases=("label_column_name",))] = None
    """Column of the label; for multi-label data also one column per label: a,b,c. A name with a
    comma is quoted: "a, b". Default: label."""
    format: Annotated[FormatName | None, BeforeValidator(_lowered)] = None
    """File format. Default: inferred from name and content."""
    delimiter: Delimiter | None = None
    """Delimiter of CSV and TSV: one character, or tab, semicolon, pipe. Default: inferred from the
    content."""
    quoting: Quoting = "auto"
    """Quoting in CSV and TSV: minimal (double quotes, doubled inside), single (single quotes,
    doubled inside), backslash (double quotes, escaped by a backslash), none (quotes are text). auto
    is inferred from the whole file and logged."""
    header: bool | None = None
    """Whether the first line of CSV and TSV is a header. Default: it is, unless `columns` names the
    columns."""
    columns: Columns | None = None
    """Column names of a file without a header, in order: label,text. A name with a comma is quoted:
    label,"a, b"."""
    kind: Kind = "auto"
    """Kind of task: single_label (one of several classes), multi_label (any number of labels),
    regression (a number), ordinal (ordered classes). auto is inferred from the data, and logged."""
    positive: Label | None = None
    """Positive class of binary metrics such as F1. Default: the rarer class of the training file.
    """
    metrics: MetricNames | None = Field(
        default=None,
        description="Metrics whose mean is the score of your own text. "
        f"{_metric_names()} Default: the first one that `kind` has.",
    )
    label_separator: Column | None = None
    """Separator of the labels in one cell, e.g. ';'."""
    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Fraction of the training file to validate on, stratified by label. Without --group, texts
    that differ only in case and spaces stay on one side."""
    split_seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of that split alone: runs with other seeds are scored on the same rows."""
    group: Column | None = None
    """Group column, e.g. user_id: rows with the same value stay on one side of a split."""
    on_bad_row: OnBadRow = "stop"
    """On a row that cannot be read: stop, or skip it (left out and counted)."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the training set to use, stratified by label."""
    exclude: Source | None = None
    """File of training rows to leave out: the CSV of `gluetune audit`, or a line number on each
    line."""
    holdout: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the training set to hold out, stratified, and to validate on instead of the
    validation set, which is not read. `fraction` applies to the rest."""
    sampling_seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Seed of the rows drawn for `fraction` and `holdout`. Default: the seed."""
    folds: int | None = Field(default=None, ge=2)
    """Cross-validation: divide the training set into this many folds, train a model for each on
    the others, and predict it. Every row gets a prediction by a model that was not trained on it.
    The last epoch is kept."""
    fold: int | None = Field(default=None, ge=ALL_ROWS)
    """Train a single run of `folds`: the number of the fold to predict, from 1 on; 0 trains on all
    rows."""
    fold_seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of the folds alone: runs with other seeds have the same folds."""
    method: MethodName = "full"
    """How the checkpoint is fitted: full (all weights), probe (a linear head on the frozen encoder,
    fitted in seconds), lp-ft (full, starting from that head), lora (low-rank adapters; needs the
    extra `lora`)."""
    learning_rate: float = Field(default=2e-5, gt=0)
    """Peak learning rate of AdamW."""
    batch_size: Annotated[int, Option(aliases=("per_device_train_batch_size",))] = Field(
        default=16, ge=1
    )
    """Batch size: examples per optimiser step."""
    micro_batch_size: int | None = Field(default=None, ge=1)
    """Examples per forward pass of a step: less memory, the same gradient. Default: the batch size,
    halved when memory runs out."""
    eval_batch_size: Annotated[int, Option(aliases=("per_device_eval_batch_size",))] = Field(
        default=32, ge=1
    )
    """Batch size in evaluation."""
    epochs: Annotated[float, Option(aliases=("num_train_epochs",))] = Field(default=5.0, gt=0)
    """Passes over the training set."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay of AdamW."""
    warmup: Annotated[float, Option(aliases=("warmup_steps", "warmup_ratio"))] = Field(
        default=0.0, ge=0
    )
    """Warmup: below 1 a fraction of all steps, from 1 on a number of steps."""
    class_weights: ClassWeights = "none"
    """Weights of the classes in the loss: none, balanced (every class has the same total weight),
    or your own as label=weight,… (labels that are not named weigh 1)."""
    focal_loss: float = Field(default=0.0, ge=0)
    """Focal loss: exponent that lowers the weight of examples that the model is sure of, e.g. 2.
    0: the loss as it is."""
    label_smoothing: Annotated[float, Option(aliases=("label_smoothing_factor",))] = Field(
        default=0.0, ge=0, lt=1
    )
    """Label smoothing: fraction of the target spread evenly over all classes."""
    auto_settings: bool = False
    """Choose settings that are not given by the size of the model, the training rows and the
    classes, as `--recipe auto` does. The reasons are in the record."""
    min_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps at least: where there are few rows, epochs are added."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Layer-wise decay of the learning rate: each layer has this factor of the one above it. 1: all
    have the same."""
    restart_layers: int = Field(default=0, ge=0)
    """Top layers of the encoder that are initialised anew, with the pooler."""
    freeze_layers: int = Field(default=0, ge=0)
    """Lowest layers of the encoder that are not trained, nor the embeddings."""
    average_epochs: int = Field(default=0, ge=0)
    """Average the weights at the end of this many last epochs: each of these epochs is evaluated
    and kept with the mean so far."""
    lora_rank: int = Field(default=8, ge=1)
    """LoRA: rank of the adapters. The learning rate is then 5e-4 by default."""
    lora_alpha: float | None = Field(default=None, gt=0)
    """LoRA: the adapters are scaled by alpha / rank. Default: twice the rank."""
    lora_dropout: float = Field(default=0.0, ge=0, lt=1)
    """LoRA: dropout before the adapters."""
    lora_targets: Names | None = None
    """LoRA: last parts of the names of the layers that get adapters, such as query,value. Default:
    all linear layers of the model's blocks."""
    quantization: Quantization = "none"
    """Precision of the frozen weights with LoRA: none (fp32), or 4bit (QLoRA's; needs a CUDA GPU
    and bitsandbytes)."""
    max_length: Annotated[int | None, Option(aliases=("max_seq_length",))] = Field(
        default=None, ge=3
    )
    """Maximum length in tokens; longer examples are truncated. Default: the model's limit."""
    long_texts: HowLong = "cut"
    """What is read of longer texts: cut (their beginning), head-tail (the first quarter of the
    length from their beginning, the rest from their end), windows (all, in parts of the maximum
    length, whose logits are averaged)."""
    window_overlap: int = Field(default=32, ge=0)
    """Tokens that two neighbouring windows share."""
    most_windows: int = Field(default=16, ge=2)
    """Windows of a text at most; the rest is not read."""
    seed: int = Field(default=42, ge=0, lt=2**32)
    """Seed of the new head, the order of the examples and dropout."""
    precision: Precision = "auto"
    """Floating-point precision: auto is bf16 where the hardware multiplies it natively, else fp32.
    """
    compute: Compute = "auto"
    """Execution path: unpadded (the encoder sees no padding), grouped (batches split by length),
    padded. auto takes the fastest that the model allows."""
    compact_vocabulary: bool = True
    """Train only the rows of the word embeddings that occur in the data."""
    metric: Annotated[
        Name,
        Option(aliases=("metric_for_best_model",), suggestions=("score", "loss", *METRICS)),
    ] = "score"
    """Metric that chooses the best epoch: `score` (the task's own), another metric of the task,
    `loss` (the lowest), or one that your compute_metrics returns. For your own text it is also the
    score, unless `metrics` names others."""
    extra_metrics: MetricNames | None = None
    """Metrics that are also reported, and do not count towards the score. Default: for your own
    text a few that suit `kind`."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Early stopping: stop after this many epochs without a better one."""
    new_head: bool = False
    """Initialise a new output layer even if the checkpoint has one."""
    label_order: Names | None = None
    """Class names of the checkpoint's head, by id, where it names none. Of kind ordinal: the
    classes from the lowest to the highest."""
    trust_remote_code: bool = False
    """Run Python code of the checkpoint. Read that code first."""
    checkpoint_minutes: float = Field(default=10.0, gt=0)
    """Minutes between resumable checkpoints, besides the one at every epoch's end."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads. Default: PyTorch's choice."""
    processes: int | None = Field(default=None, ge=1)
    """Number of processes started by torchrun that share every step; any other number is refused.
    Default: as many as were started."""
    track: TrackerName | None = None
    """Experiment tracker that settings, losses, metrics, intervals and links are logged to."""
    training_args: Annotated[
        dict[str, Any], Option(flag="--set", metavar="NAME=VALUE", repeated=True)
    ] = Field(default_factory=dict)
    """Any other field of transformers' TrainingArguments, as name=value."""
    output: Annotated[Path | None, Option(aliases=("output_dir",))] = None
    """Folder of the run. Default: runs/TASK-MODEL-sSEED-TIME."""

    @property
    def set(self) -> dict[str, Any]:
        """The former name of `training_args`."""
        warn_renamed("TrainConfig.set", "TrainConfig.training_args")
        return self.training_args

    def command_with(self, **settings: object) -> str:
        """Return the command that starts a run in as many processes, all on one machine."""
        return in_processes(self.processes, command_line("train", **settings))

    @property
    def reading(self) -> LongTexts | None:
        """How long texts are read; None: they are cut."""
        if self.long_texts == "cut":
            return None
        if self.long_texts == "head-tail":
            return LongTexts("head-tail")
        return LongTexts("windows", self.window_overlap, self.most_windows)

    @property
    def rows_seed(self) -> int:
        """The seed of the rows that `fraction` and `holdout` draw."""
        return self.seed if self.sampling_seed is None else self.sampling_seed

    @model_validator(mode="before")
    @classmethod
    def _name_own_task(cls, values: Any) -> Any:
        """Name a task of the user's own after its file, unless it has a name."""
        if not isinstance(values, Mapping) or values.get("task") is not None:
            return values
        source = values.get("train_file") or values.get("data_set")
        return {**values, "task": own_name(str(source))} if source else values

    @property
    def is_cross_validation(self) -> bool:
        """Whether these are the settings of a run for each fold, and not of one of them."""
        return self.folds is not None and self.fold is None

    @property
    def file_format(self) -> FileFormat:
        """The settings of the file format."""
        return FileFormat(self.format, self.delimiter, self.quoting, self.header, self.columns)

    @property
    def is_own(self) -> bool:
        """Whether the run trains on the user's own labelled text."""
        return self.train_file is not None or self.data_set is not None

    def file_of(self, split: str) -> str | None:
        """Return the user's file that contains the rows of `split`; None where no file is named.

        Rows that are held out, also for validation, are rows of the training file.
        """
        files = {"validation": self.validation_file, "test": self.test_file}
        return files.get(split) or self.train_file

    def save(self, path: Path) -> None:
        """Write the configuration as YAML, without `output`: a repeat gets a folder of its own."""
        left_out = {"output"} if self.is_own else {"output", *OWN_SETTINGS}
        values = self.model_dump(mode="json", exclude=left_out, exclude_none=True)
        lines = []
        for name, value in values.items():
            description = type(self).model_fields[name].description or ""
            lines.append(f"# {' '.join(description.split())}")
            lines.append(dump_yaml({name: value}).rstrip("\n"))
        write_text(path, "\n".join(lines) + "\n")


def own_name(source: str) -> str:
    """Return the name of a task on the file or data set `source`; never the name of a GLUE task."""
    stem = source.rstrip("/").replace("\\", "/").rpartition("/")[2].split(".")[0].split(":")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "text"
    return f"own-{name}" if is_task(name) else name


def typed_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings by the names of their options, for `command_line`.

    A switch that is on by default is turned off by `--no-…`; switches that are off by default and
    settings that are None are left out.
    """
    typed: dict[str, Any] = {}
    for name, value in values.items():
        option = flag_of(name).removeprefix("--")
        if value is False and TrainConfig.model_fields[name].default is not False:
            typed[f"no_{option}"] = True
        else:
            typed[option] = delimiter_name(value) if name == "delimiter" and value else value
    return typed


def flag_of(field: str) -> str:
    """Return the command line's name of a field."""
    return "TASK" if field == "task" else flag_for(TrainConfig, field)


_FILE = re.compile(r"\.[a-z][a-z0-9]*$")
_SETTINGS_FILE = re.compile(r"\.(json|ya?ml)$")
"""A file given instead of a task: settings, else labelled text."""


def make_config(
    values: Mapping[str, Any], *, places: Mapping[str, str] | None = None
) -> TrainConfig:
    """Check `values` and return them as a configuration.

    `places` is where values of a file come from, by field ("recipe.yaml: epochs"). Raises
    ConfigurationError that lists every mistake.
    """
    if values.get("kind") in FORMER_NAMES and (places or {}).get("kind") == "kind":
        # Only as it was typed: a saved setting has its file as its place, or none.
        warn_renamed(f"kind {values['kind']}", FORMER_NAMES[values["kind"]])
    config, findings = validated(TrainConfig, values, places)
    task = values.get("task")
    if values.get("train_file") is None and values.get("data_set") is None:
        if not _is_text_file(task):
            findings += _own_only_findings(values, places or {})
        findings += _task_findings(task, values.get("extra_metrics"))
    else:
        findings += _own_findings(values)
    findings += _fold_findings(config) if config is not None else []
    if config is None or findings:
        raise ConfigurationError.of(findings)
    if config.is_own:
        return config
    return config.model_copy(update={"task": get_task(config.task).name})


def _fold_findings(config: TrainConfig) -> list[Finding]:
    """Refuse settings that contradict cross-validation."""
    if config.folds is None:
        given = options(fold=config.fold)
        return [Finding(f"{given} goes with --folds.", f"Type: {given} --folds 5")] * bool(given)
    findings = []
    if config.fold is not None and config.fold > config.folds:
        findings.append(
            Finding(
                f"{options(fold=config.fold)}: there are {config.folds} folds.",
                f"Type: {options(fold=config.folds)}",
            )
        )
    why = {
        "holdout": "every row is in a fold, so none can be held out",
        "early_stopping": "the last epoch is kept: one that is chosen by the rows that are scored "
        "would flatter the score",
        "processes": "each fold is trained by one process",
    }
    defaults = {"processes": 1}
    return findings + [
        Finding(
            f"{options(**{name: getattr(config, name)})} and --folds: {reason}.", "Leave it out."
        )
        for name, reason in why.items()
        if getattr(config, name) not in (None, 0.0, defaults.get(name))
    ]


def make_file_format(settings: Mapping[str, Any]) -> FileFormat:
    """Check settings that say how a file is written, and return them as one.

    Raises ConfigurationError that lists every mistake.
    """
    return make_config({"train_file": "any", **settings}).file_format


def _is_text_file(task: object) -> bool:
    """Whether a file of labelled text is given instead of a task."""
    name = task.strip().lower() if isinstance(task, str) else ""
    return _FILE.search(name) is not None and _SETTINGS_FILE.search(name) is None


def _task_findings(task: object, extra_metrics: object) -> Iterator[Finding]:
    if not isinstance(task, str) or not task.strip():
        return
    if _is_text_file(task) or _SETTINGS_FILE.search(task.strip().lower()):
        name = "train_file" if _is_text_file(task) else "config"
        typed = options(**{name: task.strip()})
        yield Finding(f"'{task}' is a file, not a task.", f"Type: {typed}")
        return
    try:
        spec = get_task(task.strip())
    except ConfigurationError as error:
        yield from error.findings
        return
    if spec.train_split is None:
        yield Finding(
            f"Task '{spec.name}' has no training split: models of '{spec.trained_as}' predict it.",
            "Type: " + command_line("train", spec.trained_as),
        )
        return
    given = split_names(extra_metrics) if isinstance(extra_metrics, str) else extra_metrics
    names = given if isinstance(given, list | tuple) else ()  # the field itself says what is wrong
    yield from unfit_metrics("extra_metrics", map(str, names), spec.kind, spec.num_labels)


def _own_only_findings(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Finding]:
    """Refuse what only the user's own text can be given, where there is none."""
    task = values.get("task")
    own = "--train-file reviews.csv --text review --label stars"
    hint = f"Type for instance: {own}"
    if isinstance(task, str) and is_task(task.strip()):
        hint = f"Leave it out, since '{task}' is GLUE's; or instead of '{task}' type: {own}"
    return [
        Finding(
            f"{stated(TrainConfig, name, values[name], places)}: this is for your own labelled "
            "text, and no file is given.",
            hint,
        )
        for name in OWN_SETTINGS
        if values.get(name) not in (None, TrainConfig.model_fields[name].default)
    ]


def _own_findings(values: Mapping[str, Any]) -> Iterator[Finding]:
    """Refuse settings that contradict the user's own text."""
    has_file, has_set = (values.get(name) is not None for name in ("train_file", "data_set"))
    if has_file and has_set:
        yield Finding("--train-file and --data-set are both given.", "Leave one of them out.")
    name = values.get("task")
    if isinstance(name, str) and is_task(name.strip()):
        yield Finding(
            f"'{name}' is a task of GLUE, and {_own_text(values)} is text of your own.",
            f"Leave '{name}' out, or leave {_own_text(values)} out.",
        )
    if values.get("data") is not None:
        yield Finding("--data is for GLUE's tasks, and text of your own is given.", "Leave it out.")
    for field, other, is_given in (
        ("test_file", "--train-file", has_set),
        ("validation_file", "--train-file", has_set),
        ("train_split", "--data-set", not has_set),
        ("validation_split", "--data-set", not has_set),
    ):
        if is_given and values.get(field) is not None:
            yield Finding(f"{flag_of(field)} goes with {other} only.", "Leave it out.")


def _own_text(values: Mapping[str, Any]) -> str:
    """Return what was typed to name the user's own text."""
    name = "train_file" if values.get("train_file") is not None else "data_set"
    given = values[name]
    return f"{flag_of(name)} {given}" if isinstance(given, str | Path) else flag_of(name)
