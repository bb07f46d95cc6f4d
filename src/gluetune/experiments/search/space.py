"""The space of a search: the settings that vary, with their ranges and choices.

```yaml
learning_rate: {low: 1e-6, high: 1e-4, log: true}     a range
epochs: {low: 1, high: 5, step: 1}                    a range in steps
batch_size: [8, 16, 32]                               a choice
set.lr_scheduler_type: [linear, cosine]               any other field of TrainingArguments
```
Only the `suggest_` methods of an Optuna trial are called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Protocol, cast

from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.settings_files import read_settings
from gluetune.core.text import nearest

Value = bool | int | float | str | None
TUNABLE = (
    "learning_rate",
    "batch_size",
    "epochs",
    "weight_decay",
    "warmup",
    "max_length",
    "seed",
    "early_stopping",
    "precision",
    "micro_batch_size",
    "compact_vocabulary",
)
"""Fields of TrainConfig that may differ from trial to trial."""

_WHOLE = frozenset({"batch_size", "max_length", "seed", "early_stopping", "micro_batch_size"})
_NUMBERS = _WHOLE | {"learning_rate", "epochs", "weight_decay", "warmup"}
_TRAINER_NAMES = {
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "warmup_steps": "warmup",
}
"""Trainer's names of settings, which search spaces in notebooks use, and gluetune's."""

_SET = "set."


class Suggests(Protocol):
    """The methods of an Optuna trial that a space uses."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None, log: bool
    ) -> float:
        """Return a number from `low` to `high`."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """Return a whole number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """Return one of the choices."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; integers if `whole`."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Return the trial's value."""
        if self.whole:
            low, high, step = int(self.low), int(self.high), int(self.step or 1)
            return trial.suggest_int(name, low, high, step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def described(self) -> dict[str, Any]:
        """Return the range as in a YAML file."""
        kind = int if self.whole else float
        found: dict[str, Any] = {"low": kind(self.low), "high": kind(self.high)}
        if self.log:
            found["log"] = True
        if self.step is not None:
            found["step"] = kind(self.step)
        return found


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Return the trial's value."""
        return cast(Value, trial.suggest_categorical(name, list(self.values)))

    def described(self) -> list[Value]:
        """Return the choices as in a YAML file."""
        return list(self.values)


Space = Mapping[str, Range | Choice]


def suggest(space: Space, trial: Suggests) -> dict[str, Value]:
    """Return the trial's value of every parameter."""
    return {name: varied.suggest(trial, name) for name, varied in space.items()}


def with_parameters(base: TrainConfig, parameters: Mapping[str, Any]) -> TrainConfig:
    """Return `base` with a trial's parameters, by gluetune's names or Trainer's.

    Raises ConfigurationError for a parameter that is unknown, cannot vary by trial, or is invalid.
    """
    findings, values, fields = [], base.model_dump(), dict(base.training_args)
    for given, value in parameters.items():
        name = _TRAINER_NAMES.get(given, given)
        if finding := _name_finding(name, given):
            findings.append(finding)
        elif name.startswith(_SET):
            fields[name.removeprefix(_SET)] = value
        else:
            values[name] = value
    if findings:
        raise ConfigurationError.of(findings)
    return make_config({**values, "training_args": fields})


def read_space(path: Path) -> Space:
    """Read a space from a YAML file. Raises ConfigurationError with every mistake in it."""
    try:
        values = read_settings(path)
    except ConfigurationError as error:
        hint = error.findings[0].hint.replace("--config", "--space").replace("epochs: 3", _SHORT)
        raise ConfigurationError(error.findings[0].message, hint=hint) from error
    return parse_space(values, place=str(path))


def parse_space(values: Mapping[str, Any], *, place: str = "space") -> Space:
    """Check a space, given as in YAML, and return it.

    Raises ConfigurationError that lists every mistake: parameters that do not exist or cannot vary
    by trial, invalid bounds and choices, values that `train` would not accept.
    """
    findings: list[Finding] = []
    space: dict[str, Range | Choice] = {}
    if not values:
        findings.append(Finding(f"{place} has no parameter to search over.", _EXAMPLE))
    for given, described in values.items():
        name = _TRAINER_NAMES.get(given, given)
        found = list(_faults(name, given, described, place))
        if not found:
            varied = _varied(name, described)
            found = list(_value_faults(name, varied, place))
            space[name] = varied
        findings += found
    if findings:
        raise ConfigurationError.of(findings)
    return space


def default_space(parameters: int) -> Space:
    """Return the default space, for a model of so many parameters.

    Learning rates include those of the published recipes: 3e-4 for ELECTRA-small, 2e-5 to 1e-4 for
    base models, 5e-6 to 5e-5 for large ones (arXiv 2003.10555, 1907.11692, 2111.09543).
    """
    low, high = next(bounds for most, bounds in _LEARNING_RATES if parameters < most)
    return {
        "learning_rate": Range(low, high, log=True),
        "batch_size": Choice((16, 32)),
        "epochs": Range(2, 5, step=1),
        "warmup": Choice((0.0, 0.06, 0.1)),
        "weight_decay": Choice((0.0, 0.01, 0.1)),
    }


_LEARNING_RATES: tuple[tuple[float, tuple[float, float]], ...] = (
    (50e6, (1e-5, 3e-4)),
    (200e6, (1e-5, 1e-4)),
    (float("inf"), (5e-6, 5e-5)),
)
_SHORT = "batch_size: [16, 32]"
_EXAMPLE = "Write for instance: learning_rate: {low: 1e-6, high: 1e-4, log: true}"


def _name_finding(name: str, given: str, place: str = "hp_space") -> Finding | None:
    if name in TUNABLE or (name.startswith(_SET) and name != _SET):
        return None
    if name in TrainConfig.model_fields:
        return Finding(
            f"{place}: '{given}' cannot differ between trials.",
            f"Parameters: {', '.join(TUNABLE)}, set.NAME.",
        )
    hint = nearest(name, TUNABLE).strip() or f"Parameters: {', '.join(TUNABLE)}."
    return Finding(
        f"{place}: there is no parameter '{given}'.",
        f"{hint} Another field of TrainingArguments is written set.NAME.",
    )


def _faults(name: str, given: str, described: Any, place: str) -> Iterator[Finding]:
    """Yield what is wrong with how a parameter is described."""
    if finding := _name_finding(name, given, place):
        yield finding
    elif isinstance(described, list | tuple):
        yield from _choice_faults(f"{place}: {given}", described)
    elif isinstance(described, Mapping):
        yield from _range_faults(f"{place}: {given}", name, described)
    else:
        yield Finding(
            f"{place}: {given} = {described!r} is neither a range nor a list of choices.",
            f"Write {given}: [{described}], or leave it out and give it as a flag.",
        )


def _choice_faults(what: str, values: list[Any] | tuple[Any, ...]) -> Iterator[Finding]:
    if not values:
        yield Finding(f"{what} offers no choice.", f"{what.split(': ')[-1]}: [1, 2]")
    for value in values:
        if not isinstance(value, Value) or (isinstance(value, float) and not isfinite(value)):
            yield Finding(
                f"{what}: {value!r} is neither text nor a finite number, true, false or null."
            )
    known = [value for value in values if isinstance(value, Value)]
    if len(set(known)) < len(known):
        yield Finding(f"{what} offers a choice twice.")


def _range_faults(what: str, name: str, described: Mapping[str, Any]) -> Iterator[Finding]:
    known = ("low", "high", "log", "step")
    for key in described:
        if key not in known:
            yield Finding(f"{what}: a range has no '{key}'.", f"It has {', '.join(known)}.")
    if name in TUNABLE and name not in _NUMBERS:
        yield Finding(f"{what} is not a number, so it has no range.", "Write a list of choices.")
    numbers = {key: described.get(key) for key in ("low", "high", "step")}
    for key, value in numbers.items():
        if value is None and key != "step":
            yield Finding(f"{what} has no '{key}'.", _EXAMPLE)
        elif value is not None and not _is_number(value, whole=name in _WHOLE):
            kind = "whole" if name in _WHOLE else "finite"
            yield Finding(f"{what}: {key} = {value!r} is not a {kind} number.")
    if not isinstance(described.get("log", False), bool):
        yield Finding(f"{what}: log = {described['log']!r} is neither true nor false.")
    elif all(value is None or _is_number(value) for value in numbers.values()):
        yield from _bound_faults(what, **numbers, log=described.get("log", False))


def _bound_faults(
    what: str, low: float | None, high: float | None, step: float | None, log: bool
) -> Iterator[Finding]:
    if low is None or high is None:
        return
    if low > high:
        yield Finding(f"{what}: low = {low} is above high = {high}.")
    if log and low <= 0:
        yield Finding(f"{what}: low = {low} must be above 0 on a logarithmic scale.")
    if log and step is not None:
        yield Finding(f"{what}: log and step cannot be combined.", "Leave one of them out.")
    if step is not None and step <= 0:
        yield Finding(f"{what}: step = {step} must be above 0.")


def _is_number(value: Any, *, whole: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) if whole else isfinite(value)


def _varied(name: str, described: Any) -> Range | Choice:
    if isinstance(described, list | tuple):
        return Choice(tuple(described))
    low, high, step = described["low"], described["high"], described.get("step")
    whole = name in _WHOLE or (
        name.startswith(_SET)
        and all(value is None or isinstance(value, int) for value in (low, high, step))
    )
    return Range(low, high, described.get("log", False), step, whole)


def _value_faults(name: str, varied: Range | Choice, place: str) -> Iterator[Finding]:
    """Yield a finding for each value that `train` would not accept."""
    values = varied.values if isinstance(varied, Choice) else (varied.low, varied.high)
    for value in dict.fromkeys(values):
        if name.startswith(_SET):
            from gluetune.training.arguments import check_set

            yield from _findings(lambda value=value: check_set({name[len(_SET) :]: value}), place)  # type: ignore[misc]  # a default binds the loop's value
        else:
            given = {"task": "cola", name: value}
            yield from _findings(
                lambda given=given: make_config(given, places={name: f"{place}: {name}"}),  # type: ignore[misc]  # see above
                "",
            )


def _findings(check: Callable[[], object], place: str) -> Iterator[Finding]:
    try:
        check()
    except ConfigurationError as error:
        for one in error.findings:
            message = one.message.replace("--set ", f"{place}: set.", 1) if place else one.message
            yield Finding(message, one.hint.partition(" Type: ")[0])
