"""What a training is asked to do: one documented definition.

The Python API, `--help`, YAML files and the saved run all come from `TrainConfig`. Defaults are
those of Hugging Face's "Text classification on GLUE" notebook.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from gluetune.errors import ConfigurationError, Finding
from gluetune.files import write_text
from gluetune.tasks import get_task, is_task

Precision = Literal["auto", "fp32", "bf16", "fp16"]
ComputePath = Literal["unpadded", "grouped", "padded"]
Compute = Literal["auto", "unpadded", "grouped", "padded"]
Kind = Literal["auto", "classes", "number", "labels"]
OnBadRow = Literal["stop", "skip"]
ClassWeights = Literal["none", "balanced"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Column = Annotated[str, StringConstraints(min_length=1)]
"""Name of a column, which may begin or end with a space."""


def _listed(value: Any) -> Any:
    """Read "a,b" as two names; a list is taken as it is."""
    return value.split(",") if isinstance(value, str) else value


Columns = Annotated[tuple[Column, ...], BeforeValidator(_listed)]

MACHINE_SETTINGS = frozenset(
    {"micro_batch_size", "eval_batch_size", "checkpoint_minutes", "threads", "processes"}
)
"""Settings that decide no more of a score than its last bits: they are no part of a recipe."""


class _Loader(yaml.SafeLoader):
    """Reads 1e-6 as the number that it is in YAML 1.2; YAML 1.1 takes it for text."""


class _Dumper(yaml.SafeDumper):
    """Writes such text in quotes, so that it comes back as text."""


for _class in (_Loader, _Dumper):
    _class.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+$"),
        list("+-0123456789"),
    )


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Quote and escape what YAML takes for a line break: unquoted, it would be read as a space."""
    style = '"' if re.search("[\x85\u2028\u2029\ufeff]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


class TrainConfig(BaseModel):
    """Everything that decides a training. A field left at `auto` or null is resolved when it runs.

    `config.yaml` in a run folder is this record with every such field resolved, so that it repeats
    the run to the bit on the same machine.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )

    task: Name = Field(
        description="GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli. "
        "Of your own text: a name for it."
    )
    model: Name = Field(
        "minilm",
        description="Checkpoint: a Hub id, a folder, or `minilm` (all-MiniLM-L6-v2, offline).",
    )
    revision: Name | None = Field(
        None, description="Branch, tag or commit of the checkpoint on the Hub."
    )
    data: Name | None = Field(
        None,
        description="`sample`, a folder of GLUE files, or nothing: GLUETUNE_DATA, else the Hub.",
    )
    train_file: Name | None = Field(
        None,
        description="Your own labelled text: CSV, TSV, JSON, JSON lines, Parquet or Arrow, also "
        "with .gz or .zst.",
    )
    validation_file: Name | None = Field(
        None, description="Labelled text to validate on. Default: a part of the training file."
    )
    test_file: Name | None = Field(
        None, description="Labelled text kept apart, for `gluetune evaluate RUN --split test`."
    )
    data_set: Name | None = Field(
        None, description="A data set on the Hub in place of files: user/name, or user/name:config."
    )
    train_split: Name | None = Field(
        None, description="Split of the Hub's data set to train on. Default: train."
    )
    validation_split: Name | None = Field(
        None,
        description="Split of the Hub's data set to validate on. Default: validation, else a part "
        "of the training split.",
    )
    text: Column | None = Field(None, description="Column of the text. Default: text.")
    text_pair: Column | None = Field(None, description="Column of a second text.")
    label: Columns | None = Field(
        None,
        description="Column of the label; for several labels an example also one column for each: "
        "a,b,c. Default: label.",
    )
    kind: Kind = Field(
        "auto",
        description="What labels are: classes (one of several), number (regression), labels "
        "(several, or none). auto is told by the data, and said.",
    )
    label_separator: Column | None = Field(
        None, description="What stands between the labels of one example, e.g. ';'."
    )
    validation_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of the training file to validate on, stratified by label; the same text "
        "is never on both sides.",
    )
    split_seed: int = Field(
        42,
        ge=0,
        lt=2**32,
        description="Seed of that split alone, so that other seeds are scored on the same rows.",
    )
    group: Column | None = Field(
        None, description="Column whose rows of one value are never split, e.g. user_id."
    )
    on_bad_row: OnBadRow = Field(
        "stop", description="A row that cannot be used stops the work, or is left out and counted."
    )
    fraction: float = Field(
        1.0, gt=0, le=1, description="Share of the training set to use, stratified by label."
    )
    holdout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the training set to hold out, stratified, and to score in place of "
        "the validation set, which is then not read. `fraction` is of the rest.",
    )
    sampling_seed: int | None = Field(
        None,
        ge=0,
        lt=2**32,
        description="Seed of the rows that fraction and holdout draw. Default: the seed.",
    )
    learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate of AdamW.")
    batch_size: int = Field(16, ge=1, description="Examples per optimiser step.")
    micro_batch_size: int | None = Field(
        None,
        ge=1,
        description="Examples per forward pass. The step stays the same; memory falls. "
        "Found by itself when memory runs out.",
    )
    eval_batch_size: int = Field(32, ge=1, description="Examples per forward pass in evaluation.")
    epochs: float = Field(5.0, gt=0, description="Passes over the training set.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay of AdamW.")
    warmup: float = Field(
        0.0, ge=0, description="Warmup: a share of all steps below 1, a number of steps from 1 on."
    )
    class_weights: ClassWeights = Field(
        "none",
        description="Weigh the loss of an example by its class: balanced gives every class the "
        "same weight in sum.",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of the target spread evenly over all classes."
    )
    max_length: int | None = Field(
        None, ge=3, description="Tokens per example; longer ones are cut. Default: what fits."
    )
    seed: int = Field(
        42, ge=0, lt=2**32, description="Seed of the head, the order and the dropout."
    )
    precision: Precision = Field(
        "auto", description="auto takes bf16 where the hardware multiplies it natively, else fp32."
    )
    compute: Compute = Field(
        "auto",
        description="How padding is avoided: unpadded (the encoder sees real tokens only), grouped "
        "(parts of like length), padded (not at all). auto takes what the model allows.",
    )
    compact_vocabulary: bool = Field(
        True, description="Train only the rows of the word embeddings that occur in the data."
    )
    metric: Name = Field(
        "score",
        description="What chooses the best epoch: `score` (the task's own), one of its metrics, "
        "`loss` (the lowest), or one that your compute_metrics returns. Of your own text it is the "
        "score: accuracy, f1, f1_macro, matthews_correlation; pearson, spearman; f1_micro, "
        "f1_macro, exact_match.",
    )
    early_stopping: int | None = Field(
        None, ge=1, description="Stop after so many epochs without a better one."
    )
    new_head: bool = Field(
        False, description="Start a fresh output layer even if the checkpoint brings one."
    )
    label_order: tuple[str, ...] | None = Field(
        None, description="Class names of the checkpoint's own head, by id, where it names none."
    )
    trust_remote_code: bool = Field(
        False, description="Run Python code that the checkpoint brings. Read that code first."
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="Save a resumable state this often, besides every epoch's end."
    )
    threads: int | None = Field(None, ge=1, description="CPU threads. Default: PyTorch's choice.")
    processes: int | None = Field(
        None,
        ge=1,
        description="Processes that share every step, as torchrun started them; it stops where "
        "another number runs. Default: as many as run.",
    )
    set: dict[str, Any] = Field(
        default_factory=dict,
        description="Any other field of transformers.TrainingArguments, as name=value.",
    )
    output: Path | None = Field(
        None, description="Folder of the run. Default: runs/TASK-MODEL-sSEED-TIME."
    )

    @property
    def command(self) -> str:
        """What starts a training in as many processes, here all on one machine."""
        several = self.processes is not None and self.processes > 1
        start = f"torchrun --nproc-per-node {self.processes} -m " if several else ""
        return f"{start}gluetune train"

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
    def is_own(self) -> bool:
        """Whether it trains on the user's own labelled text."""
        return self.train_file is not None or self.data_set is not None

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


FILE_SETTINGS = ("train_file", "validation_file", "test_file")
"""Settings that name a file of the user's own text."""

_TEXT_FILE = re.compile(r"\.(csv|tsv|jsonl|ndjson|parquet|arrow)(\.gz|\.zst)?$")
"""Names of labelled text; `.json` is not among them, since settings may be JSON too."""

OWN_SETTINGS = (
    "validation_file",
    "test_file",
    "train_split",
    "validation_split",
    "text",
    "text_pair",
    "label",
    "kind",
    "label_separator",
    "validation_fraction",
    "split_seed",
    "group",
    "on_bad_row",
)
"""Settings that mean something for the user's own text only."""


def own_name(source: str) -> str:
    """Return what a task on the file or data set `source` is called; never as one of GLUE's."""
    stem = source.rstrip("/").replace("\\", "/").rpartition("/")[2].split(".")[0].split(":")[0]
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "text"
    return f"own-{name}" if is_task(name) else name


def make_config(
    values: Mapping[str, Any], *, places: Mapping[str, str] | None = None
) -> TrainConfig:
    """Check `values` and return them as a configuration.

    `places` says where a value came from, by field ("--epochs", "recipe.yaml"). Raises
    ConfigurationError that lists every mistake.
    """
    findings: list[Finding] = []
    config: TrainConfig | None = None
    try:
        config = TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        findings = [_finding(detail, places or {}) for detail in error.errors()]
    task = values.get("task")
    if values.get("train_file") is None and values.get("data_set") is None:
        if not _is_text_file(task):
            findings += _own_only_findings(values, places or {})
        findings += _task_findings(task)
    else:
        findings += _own_findings(values)
    if config is None or findings:
        raise ConfigurationError.of(findings)
    if config.is_own:
        return config
    return config.model_copy(update={"task": get_task(config.task).name})


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings in a YAML file. Raises ConfigurationError naming the file and line."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no file {path}.", hint="Check --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigurationError(
            f"{place}: {problem}.", hint="Write lines as `name: value`."
        ) from error
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"{path} holds no settings.", hint="Write lines as `name: value`, e.g. `epochs: 3`."
        )
    return {str(name).replace("-", "_"): value for name, value in values.items()}


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `name=value` and read the value as YAML does: numbers, true, lists, else text."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigurationError(f"--set {text!r} is not of the form name=value.")
    try:
        return name.strip(), yaml.load(value, Loader=_Loader)
    except yaml.YAMLError:
        return name.strip(), value


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Return `values` as YAML that `read_config` reads back as they are."""
    text: str = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text


def flag_of(field: str) -> str:
    """Return the command line's name of a field."""
    return "TASK" if field == "task" else f"--{field.replace('_', '-')}"


def _is_text_file(task: object) -> bool:
    """Whether what stands in the task's place is a file of labelled text."""
    return isinstance(task, str) and bool(_TEXT_FILE.search(task.strip().lower()))


def _task_findings(task: object) -> list[Finding]:
    if not isinstance(task, str) or not task.strip():
        return []
    if _is_text_file(task):
        return [
            Finding(
                f"'{task}' is a file, not a task.",
                f"Type: --train-file {shlex.quote(task.strip())}",
            )
        ]
    if task.strip().endswith((".json", ".yaml", ".yml")):
        return [Finding(f"'{task}' is a file, not a task.", f"Type: --config {task}")]
    try:
        spec = get_task(task.strip())
    except ConfigurationError as error:
        return list(error.findings)
    if spec.train_split is None:
        return [
            Finding(
                f"Task '{spec.name}' has no training split: it is answered by a model of "
                f"'{spec.trained_as}'.",
                f"Type: gluetune train {spec.trained_as}",
            )
        ]
    return []


def _own_only_findings(values: Mapping[str, Any], places: Mapping[str, str]) -> list[Finding]:
    """Refuse what only the user's own text can be given, where there is none."""
    return [
        Finding(
            f"{places.get(name, flag_of(name))} is for your own labelled text, and no file is "
            "given.",
            "Type for instance: --train-file reviews.csv --text review --label stars",
        )
        for name in OWN_SETTINGS
        if values.get(name) not in (None, TrainConfig.model_fields[name].default)
    ]


def _own_findings(values: Mapping[str, Any]) -> list[Finding]:
    """Refuse settings that contradict the user's own text."""
    findings = []
    if values.get("train_file") is not None and values.get("data_set") is not None:
        findings.append(
            Finding("--train-file and --data-set are both given.", "Leave one of them out.")
        )
    name = values.get("task")
    if isinstance(name, str) and is_task(name.strip()):
        findings.append(
            Finding(
                f"'{name}' is GLUE's, and text of your own is given too.",
                "Leave it out, or give your task another name.",
            )
        )
    if values.get("data") is not None:
        findings.append(
            Finding("--data says where GLUE lies; text of your own is given.", "Leave it out.")
        )
    of_files = {"validation_file", "test_file"} if values.get("data_set") is not None else set()
    of_hub = {"train_split", "validation_split"} if values.get("data_set") is None else set()
    findings += [
        Finding(f"{flag_of(field)} goes with {other} only.", "Leave it out.")
        for fields, other in ((of_files, "--train-file"), (of_hub, "--data-set"))
        for field in sorted(fields)
        if values.get(field) is not None
    ]
    return findings


def _finding(detail: Any, places: Mapping[str, str]) -> Finding:
    field = str(detail["loc"][0]) if detail["loc"] else ""
    place = places.get(field, field)
    if detail["type"] == "extra_forbidden":
        known = [name for name in TrainConfig.model_fields if name != "output"]
        near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
        hint = f"Did you mean '{near[0]}'?" if near else f"Settings: {', '.join(known)}."
        return Finding(f"{place}: there is no setting '{field}'.", hint)
    if detail["type"] == "missing":
        return Finding(
            f"No {field} is given.",
            "Type for instance: gluetune train cola, or --train-file FILE, or --config FILE.",
        )
    problem = detail["msg"][0].lower() + detail["msg"][1:]
    return Finding(f"{place} = {detail['input']!r}: {problem}.", _example(field))


def _example(field: str) -> str:
    """Say what a setting is, and how it is typed."""
    about = TrainConfig.model_fields.get(field)
    if about is None or about.description is None:
        return ""
    value = "VALUE" if about.default is None else about.default
    return f"{about.description} Type: {flag_of(field)} {value}"
