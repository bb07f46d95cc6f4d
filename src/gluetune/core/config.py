"""What a training is asked to do: one documented definition.

The Python API, `--help`, YAML files and the saved run all come from `TrainConfig`. Defaults are
those of Hugging Face's "Text classification on GLUE" notebook. What is checked beyond single fields
is in `config_checks.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from gluetune.core.command_lines import command_line, in_processes
from gluetune.core.deprecations import warn_renamed
from gluetune.core.file_formats import (
    FileFormat,
    FormatName,
    Quoting,
    delimiter_name,
    delimiter_of,
)
from gluetune.core.files import write_text
from gluetune.core.settings import Accepts, Option, Settings, flag_for
from gluetune.core.settings_files import dump_yaml, split_names
from gluetune.core.tasks import GLUE_TASKS, is_task
from gluetune.kinds import FORMER_NAMES, KindName
from gluetune.metrics.registry import METRICS, metrics_of


def _path_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


Precision = Literal["auto", "fp32", "bf16", "fp16"]
ComputePath = Literal["unpadded", "grouped", "padded"]
Compute = Literal["auto", "unpadded", "grouped", "padded"]


def _kind_name(value: Any) -> Any:
    """Read the former name of a kind, which saved settings may have."""
    return FORMER_NAMES.get(value, value) if isinstance(value, str) else value


Kind = Annotated[Literal["auto", KindName], BeforeValidator(_kind_name)]
OnBadRow = Literal["stop", "skip"]
ClassWeights = Literal["none", "balanced"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Source = Annotated[Name, BeforeValidator(_path_text), Accepts(("str", "PathLike[str]"))]
"""A place that has a path or another name."""
File = Annotated[
    Name,
    BeforeValidator(_path_text),
    Accepts(("str", "PathLike[str]", "DataFrame", "Dataset", "Table")),
]
"""A file of labelled text; Python functions write a table to one."""
Column = Annotated[str, StringConstraints(min_length=1)]
"""Name of a column, which may begin or end with a space."""


def _listed(value: Any) -> Any:
    """Read "a,b" as two names; a list is taken as it is."""
    return split_names(value, keep_spaces=True) if isinstance(value, str) else value


Columns = Annotated[tuple[Column, ...], BeforeValidator(_listed)]


def _names(value: Any) -> Any:
    return split_names(value) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
"""Names, also as the text "a, b"."""


def _metric_names() -> str:
    """Return which metrics each kind of task may have, for the help."""
    kinds = dict.fromkeys(kind for metric in METRICS.values() for kind in metric.kinds)
    return " ".join(f"{kind}: {', '.join(metrics_of(kind))}." for kind in kinds)


def _lowered(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Delimiter = Annotated[str, BeforeValidator(delimiter_of)]


def _written(value: Any) -> Any:
    """Return a label that YAML or Python has as a number, true or false as the text that it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else value


Label = Annotated[str, StringConstraints(min_length=1), BeforeValidator(_written)]
"""Name of a class, as the file has it."""

MACHINE_SETTINGS = frozenset(
    {"micro_batch_size", "eval_batch_size", "checkpoint_minutes", "threads", "processes"}
)
"""Settings that decide no more of a score than its last bits: they are no part of a recipe."""


FILE_SETTINGS = ("train_file", "validation_file", "test_file")
"""Settings that name a file of the user's own text."""

FORMAT_SETTINGS = ("format", "delimiter", "quoting", "header", "columns")
"""Settings that say how those files are written."""

DEFAULT_COLUMNS = {"text": "text", "label": "label"}
"""What columns are called where the user does not say it, by setting."""

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
    "extra_metrics",
    "positive",
    "label_separator",
    "validation_fraction",
    "split_seed",
    "group",
    "on_bad_row",
)
"""Settings that mean something for the user's own text only."""


class TrainConfig(Settings):
    """Everything that decides a training. A field left at `auto` or null is resolved when it runs.

    `config.yaml` in a run folder is this record with every such field resolved, so that it repeats
    the run to the bit on the same machine.
    """

    former_names: ClassVar[Mapping[str, str]] = {"set": "training_args"}
    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "What to train": (
            "model",
            "revision",
            "data",
            "fraction",
            "holdout",
            "sampling_seed",
            "output",
        ),
        "Your own labelled text": ("train_file", "data_set", *OWN_SETTINGS),
        "Training": (
            "learning_rate",
            "batch_size",
            "epochs",
            "weight_decay",
            "warmup",
            "max_length",
            "seed",
            "precision",
            "metric",
            "early_stopping",
            "class_weights",
            "label_smoothing",
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
        ),
    }

    task: Annotated[
        Name,
        Option(
            suggestions=tuple(GLUE_TASKS),
            example="gluetune train cola, or --train-file FILE, or --config FILE.",
        ),
    ] = Field(
        description="GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli. "
        "Of your own text: a name for it."
    )
    model: Annotated[Source, Option(aliases=("model_name_or_path",), suggestions=("minilm",))] = (
        Field(
            default="minilm",
            description="Checkpoint: a Hub id, a folder, or `minilm` (all-MiniLM-L6-v2, offline).",
        )
    )
    revision: Annotated[Name | None, Option(aliases=("model_revision",))] = Field(
        default=None, description="Branch, tag or commit of the checkpoint on the Hub."
    )
    data: Source | None = Field(
        default=None,
        description="`sample`, a folder of GLUE files, or nothing: GLUETUNE_DATA, else the Hub.",
    )
    train_file: File | None = Field(
        default=None,
        description="Your own labelled text: CSV, TSV, JSON, JSON lines, Parquet or Arrow, also "
        "with .gz or .zst.",
    )
    validation_file: File | None = Field(
        default=None,
        description="Labelled text to validate on. Default: a part of the training file.",
    )
    test_file: File | None = Field(
        default=None,
        description="Labelled text kept apart, for `gluetune evaluate RUN --split test`.",
    )
    data_set: Annotated[Name | None, Option(aliases=("dataset_name",))] = Field(
        default=None,
        description="A data set on the Hub in place of files: user/name, or user/name:config.",
    )
    train_split: Name | None = Field(
        default=None, description="Split of the Hub's data set to train on. Default: train."
    )
    validation_split: Name | None = Field(
        default=None,
        description="Split of the Hub's data set to validate on. Default: validation, else a part "
        "of the training split.",
    )
    text: Annotated[Column | None, Option(aliases=("text_column_name",))] = Field(
        default=None, description="Column of the text. Default: text."
    )
    text_pair: Column | None = Field(default=None, description="Column of a second text.")
    label: Annotated[Columns | None, Option(aliases=("label_column_name",))] = Field(
        default=None,
        description="Column of the label; for several labels an example also one column for each: "
        'a,b,c. A name with a comma is quoted: "a, b". Default: label.',
    )
    format: Annotated[FormatName | None, BeforeValidator(_lowered)] = Field(
        default=None,
        description="Format of the files: csv, tsv, jsonl, json, parquet, arrow, fasttext, trec, "
        "text. Default: what their names and content say.",
    )
    delimiter: Delimiter | None = Field(
        default=None,
        description="The character between columns of CSV and TSV, or tab, semicolon, pipe. "
        "Default: found by looking.",
    )
    quoting: Quoting = Field(
        default="auto",
        description="What quotes in CSV and TSV are: minimal (around fields, doubled inside), "
        "single (the same with single quotes), backslash (around fields, a backslash before those "
        "inside), none (characters). auto is found by looking at the whole file, and said.",
    )
    header: bool | None = Field(
        default=None,
        description="Whether the first line of CSV and TSV names the columns. Default: it does, "
        "unless `columns` names them.",
    )
    columns: Columns | None = Field(
        default=None,
        description="Names of the columns of a file without a header line, in order: label,text. "
        'A name with a comma is quoted: label,"a, b".',
    )
    kind: Kind = Field(
        default="auto",
        description="Kind of task: single_label (one of several classes), multi_label (any number "
        "of labels), regression (a number), ordinal (ordered classes). auto is inferred from the "
        "data, and logged.",
    )
    positive: Label | None = Field(
        default=None,
        description="Of two classes the one that f1 and average_precision are of. Default: the "
        "rarer one of the training file.",
    )
    metrics: Names | None = Field(
        default=None,
        description="Metrics whose mean is the score of your own text. "
        f"{_metric_names()} Default: the first one that `kind` has.",
    )
    extra_metrics: Names | None = Field(
        default=None,
        description="Metrics that are also reported, and do not count towards the score. Default: "
        "a few that suit `kind`.",
    )
    label_separator: Column | None = Field(
        default=None, description="What stands between the labels of one example, e.g. ';'."
    )
    validation_fraction: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Share of the training file to validate on, stratified by label. Without "
        "--group, the same text, case and spaces aside, is never on both sides.",
    )
    split_seed: int = Field(
        default=42,
        ge=0,
        lt=2**32,
        description="Seed of that split alone, so that other seeds are scored on the same rows.",
    )
    group: Column | None = Field(
        default=None, description="Column whose rows of one value are never split, e.g. user_id."
    )
    on_bad_row: OnBadRow = Field(
        default="stop",
        description="A row that cannot be used stops the work, or is left out and counted.",
    )
    fraction: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the training set to use, stratified by label.",
    )
    holdout: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of the training set to hold out, stratified, and to score in place of "
        "the validation set, which is then not read. `fraction` is of the rest.",
    )
    sampling_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="Seed of the rows that fraction and holdout draw. Default: the seed.",
    )
    learning_rate: float = Field(default=2e-5, gt=0, description="Peak learning rate of AdamW.")
    batch_size: Annotated[int, Option(aliases=("per_device_train_batch_size",))] = Field(
        default=16, ge=1, description="Examples per optimiser step."
    )
    micro_batch_size: int | None = Field(
        default=None,
        ge=1,
        description="Examples per forward pass. The step stays the same; memory falls. "
        "Found by itself when memory runs out.",
    )
    eval_batch_size: Annotated[int, Option(aliases=("per_device_eval_batch_size",))] = Field(
        default=32, ge=1, description="Examples per forward pass in evaluation."
    )
    epochs: Annotated[float, Option(aliases=("num_train_epochs",))] = Field(
        default=5.0, gt=0, description="Passes over the training set."
    )
    weight_decay: float = Field(default=0.01, ge=0, description="Decoupled weight decay of AdamW.")
    warmup: Annotated[float, Option(aliases=("warmup_steps", "warmup_ratio"))] = Field(
        default=0.0,
        ge=0,
        description="Warmup: a share of all steps below 1, a number of steps from 1 on.",
    )
    class_weights: ClassWeights = Field(
        default="none",
        description="Weigh the loss of an example by its class: balanced gives every class the "
        "same weight in sum.",
    )
    label_smoothing: Annotated[float, Option(aliases=("label_smoothing_factor",))] = Field(
        default=0.0, ge=0, lt=1, description="Share of the target spread evenly over all classes."
    )
    max_length: Annotated[int | None, Option(aliases=("max_seq_length",))] = Field(
        default=None,
        ge=3,
        description="Tokens per example; longer ones are cut. Default: what fits.",
    )
    seed: int = Field(
        default=42, ge=0, lt=2**32, description="Seed of the head, the order and the dropout."
    )
    precision: Precision = Field(
        default="auto",
        description="auto takes bf16 where the hardware multiplies it natively, else fp32.",
    )
    compute: Compute = Field(
        default="auto",
        description="How padding is avoided: unpadded (the encoder sees real tokens only), grouped "
        "(parts of like length), padded (not at all). auto takes what the model allows.",
    )
    compact_vocabulary: bool = Field(
        default=True,
        description="Train only the rows of the word embeddings that occur in the data.",
    )
    metric: Annotated[Name, Option(aliases=("metric_for_best_model",))] = Field(
        default="score",
        description="What chooses the best epoch: `score` (the task's own), one of its metrics, "
        "`loss` (the lowest), or one that your compute_metrics returns. Of your own text it is "
        "also the score, unless `metrics` names others.",
    )
    early_stopping: int | None = Field(
        default=None, ge=1, description="Stop after so many epochs without a better one."
    )
    new_head: bool = Field(
        default=False, description="Start a fresh output layer even if the checkpoint brings one."
    )
    label_order: Names | None = Field(
        default=None,
        description="Class names of the checkpoint's own head, by id, where it names none. Of kind "
        "ordinal the classes, from the lowest to the highest.",
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code that the checkpoint brings. Read that code first.",
    )
    checkpoint_minutes: float = Field(
        default=10.0,
        gt=0,
        description="Save a resumable state this often, besides every epoch's end.",
    )
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads. Default: PyTorch's choice."
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        description="Processes that share every step, as torchrun started them; it stops where "
        "another number runs. Default: as many as run.",
    )
    training_args: Annotated[
        dict[str, Any], Option(flag="--set", metavar="NAME=VALUE", repeated=True)
    ] = Field(
        default_factory=dict,
        description="Any other field of TrainingArguments (transformers), as name=value.",
    )
    output: Annotated[Path | None, Option(aliases=("output_dir",))] = Field(
        default=None, description="Folder of the run. Default: runs/TASK-MODEL-sSEED-TIME."
    )

    @property
    def set(self) -> dict[str, Any]:
        """The former name of `training_args`."""
        warn_renamed("TrainConfig.set", "TrainConfig.training_args")
        return self.training_args

    def command_with(self, **settings: object) -> str:
        """Return what starts a training in as many processes, here all on one machine."""
        return in_processes(self.processes, command_line("train", **settings))

    @property
    def rows_seed(self) -> int:
        """The seed of the rows that `fraction` and `holdout` draw."""
        return self.seed if self.sampling_seed is None else self.sampling_seed

    @model_validator(mode="before")
    @classmethod
    def _name_own_task(cls, values: Any) -> Any:
        """Call a task of the user's own after its file, unless the user has a name for it."""
        if not isinstance(values, Mapping) or values.get("task") is not None:
            return values
        source = values.get("train_file") or values.get("data_set")
        return {**values, "task": own_name(str(source))} if source else values

    @property
    def file_format(self) -> FileFormat:
        """What is said of how the files are written."""
        return FileFormat(self.format, self.delimiter, self.quoting, self.header, self.columns)

    @property
    def is_own(self) -> bool:
        """Whether it trains on the user's own labelled text."""
        return self.train_file is not None or self.data_set is not None

    def file_of(self, split: str) -> str | None:
        """Return the user's file that has the rows of `split`; None where no file is named.

        Rows that are held out, for validation too, are of the training file.
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
    """Return what a task on the file or data set `source` is called; never as one of GLUE's."""
    stem = source.rstrip("/").replace("\\", "/").rpartition("/")[2].split(".")[0].split(":")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "text"
    return f"own-{name}" if is_task(name) else name


def typed_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings under the names of the options that say them, for `command_line`.

    A switch that is off, and is not so by default, is said by another option, `--no-…`; one that
    is off by default, and a setting that is None, are said by leaving them out.
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
