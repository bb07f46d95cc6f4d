"""What a training is asked to do: one documented definition.

The Python API, `--help`, YAML files and the saved run all come from `TrainConfig`. Defaults are
those of Hugging Face's "Text classification on GLUE" notebook.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from gluetune.errors import ConfigurationError, Finding
from gluetune.files import write_text
from gluetune.tasks import get_task

Precision = Literal["auto", "fp32", "bf16", "fp16"]
ComputePath = Literal["unpadded", "grouped", "padded"]
Compute = Literal["auto", "unpadded", "grouped", "padded"]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

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

    task: Name = Field(description="GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, qnli, rte, wnli.")
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
        "`loss` (the lowest), or one that your compute_metrics returns.",
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

    def save(self, path: Path) -> None:
        """Write the configuration as YAML, without `output`: a repeat gets a folder of its own."""
        values = self.model_dump(mode="json", exclude={"output"}, exclude_none=True)
        lines = []
        for name, value in values.items():
            description = type(self).model_fields[name].description or ""
            lines.append(f"# {' '.join(description.split())}")
            lines.append(dump_yaml({name: value}).rstrip("\n"))
        write_text(path, "\n".join(lines) + "\n")


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
    findings += _task_findings(values.get("task"))
    if config is None or findings:
        raise ConfigurationError.of(findings)
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


def _task_findings(task: object) -> list[Finding]:
    if not isinstance(task, str) or not task.strip():
        return []
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
            f"No {field} is given.", "Type for instance: gluetune train cola, or --config FILE."
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
