"""Settings checked as a whole: names of tasks, and settings that contradict each other.

Single fields are checked by the model itself; all mistakes are reported together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gluetune.core.command_lines import command_line, options
from gluetune.core.config import OWN_SETTINGS, TrainConfig, flag_of
from gluetune.core.deprecations import warn_renamed
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.file_formats import FileFormat
from gluetune.core.settings import stated, validated
from gluetune.core.settings_files import split_names
from gluetune.core.tasks import get_task, is_task, unfit_metrics
from gluetune.kinds import FORMER_NAMES

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


def _task_findings(task: object, extra_metrics: object) -> list[Finding]:
    if not isinstance(task, str) or not task.strip():
        return []
    if _is_text_file(task):
        return [
            Finding(
                f"'{task}' is a file, not a task.",
                "Type: " + options(train_file=task.strip()),
            )
        ]
    if _SETTINGS_FILE.search(task.strip().lower()):
        return [
            Finding(f"'{task}' is a file, not a task.", "Type: " + options(config=task.strip()))
        ]
    try:
        spec = get_task(task.strip())
    except ConfigurationError as error:
        return list(error.findings)
    if spec.train_split is None:
        return [
            Finding(
                f"Task '{spec.name}' has no training split: models of "
                f"'{spec.trained_as}' predict it.",
                "Type: " + command_line("train", spec.trained_as),
            )
        ]
    given = split_names(extra_metrics) if isinstance(extra_metrics, str) else extra_metrics
    names = given if isinstance(given, list | tuple) else ()  # the field itself says what is wrong
    return unfit_metrics("extra_metrics", map(str, names), spec.kind, spec.num_labels)


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
                f"'{name}' is a task of GLUE, and {_own_text(values)} is text of your own.",
                f"Leave '{name}' out, or leave {_own_text(values)} out.",
            )
        )
    if values.get("data") is not None:
        findings.append(
            Finding("--data is for GLUE's tasks, and text of your own is given.", "Leave it out.")
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


def _own_text(values: Mapping[str, Any]) -> str:
    """Return what was typed to name the user's own text."""
    name = "train_file" if values.get("train_file") is not None else "data_set"
    given = values[name]
    return f"{flag_of(name)} {given}" if isinstance(given, str | Path) else flag_of(name)
