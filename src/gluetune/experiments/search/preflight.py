"""How a search is run: how long, by what, on how many workers, and what follows it.

A definition of its own beside TrainConfig, checked in the same way: all mistakes at once.

What a search would do, with every mistake that can be found before compute told at once.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gluetune.core.config import TrainConfig, flag_of
from gluetune.core.deprecations import with_new_names
from gluetune.core.errors import ConfigurationError, Finding, Findings, GluetuneError
from gluetune.core.tasks import get_task
from gluetune.data.own.source import OwnSource
from gluetune.data.sources.named import source_of
from gluetune.experiments.search.driver import check_callable_space
from gluetune.experiments.search.settings import Direction, SearchSettings
from gluetune.experiments.search.space import Choice, Space, default_space, parse_space, read_space
from gluetune.experiments.search.studies import make_pruner, make_sampler
from gluetune.inference.devices import cpu_threads
from gluetune.parallel.pool import threads_each
from gluetune.training.preflight import Prepared, prepare
from gluetune.training.settings import merge_settings

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    """Read `90`, `30m` and `1.5h` as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", str(value).strip())
    return float(match[1]) * _UNITS[match[2]] if match else value


class SearchOptions(BaseModel):
    """How a search is run. Of these, only what decides its trials is part of its identity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    trials: int = Field(20, ge=1, description="Trials in all, those of earlier runs included.")
    timeout: Annotated[float | None, BeforeValidator(_seconds)] = Field(
        None, gt=0, description="Begin no trial after this time: seconds, or 30m, or 2h."
    )
    direction: Literal["maximize", "minimize"] | None = Field(
        None, description="maximize or minimize the objective. Default: minimize `loss` only."
    )
    sampler: str = Field(
        "tpe", description="tpe, random, qmc, gp, …, or Optuna's own: 'TPESampler(NAME=VALUE)'."
    )
    pruner: str = Field(
        "median", description="median, asha, hyperband, none, …, or Optuna's own name."
    )
    tune_on: Literal["train", "validation"] = Field(
        "train",
        description="What trials are scored on: a part of train that is held out, or validation.",
    )
    jobs: int = Field(1, ge=1, description="Trials at a time, each in a process of its own.")
    seeds: int = Field(1, ge=1, description="Seeds that the best setting is trained with at last.")
    final: bool = Field(True, description="Train the best setting on all of train at last.")


def make_options(values: Mapping[str, Any]) -> SearchOptions:
    """Check how a search shall be run. Raises ConfigurationError that lists every mistake."""
    try:
        return SearchOptions.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigurationError.of([_finding(detail) for detail in error.errors()]) from error


def option_flag(name: str) -> str:
    """Return the command line's name of an option."""
    return f"--{name.replace('_', '-')}"


def _finding(detail: Any) -> Finding:
    name = str(detail["loc"][0])
    about = SearchOptions.model_fields[name]
    problem = detail["msg"][0].lower() + detail["msg"][1:]
    example = {"timeout": "30m", "direction": "maximize"}.get(name, about.default)
    return Finding(
        f"{option_flag(name)} {detail['input']}: {problem}.",
        f"{about.description} Type: {option_flag(name)} {example}",
    )


Objective = Callable[[dict[str, float]], float]
HpSpace = Callable[[Any], Mapping[str, Any]]

_HELD_OUT_SHARE = 0.2
_HELD_OUT_ROWS = 2000
"""Held out of train where nothing is said: a fifth, and no more than this. With 2,000 examples the
standard error of an accuracy is about one point; more would mostly cost time."""


@dataclass(frozen=True)
class Plan:
    """A search that nothing is known to stand against."""

    settings: SearchSettings
    options: SearchOptions
    found: Mapping[str, Any]
    """What was found out: settings as resolved, and the data's fingerprints."""


def plan_search(
    task: str | None,
    config: str | Path | TrainConfig | None,
    given: Mapping[str, Any],
    space: str | Path | Mapping[str, Any] | HpSpace | None,
    objective: str | Objective | None,
    options: Mapping[str, Any],
    cluster: Cluster | None = None,
) -> Plan:
    """Check what `gluetune.search` was given. Raises one GluetuneError that lists every mistake.

    On a `cluster`, a trial has as many threads as cores.
    """
    found = Findings()
    given = with_new_names(given, TrainConfig.former_names)
    checked = found.attempt(lambda: make_options(options))
    found.attempt(lambda: make_sampler(str(options["sampler"]), 0, 0))
    found.attempt(lambda: make_pruner(str(options["pruner"])))
    found.attempt(lambda: _check_together(given, objective, options))
    parsed = found.attempt(lambda: _space(space, given))
    base = found.attempt(lambda: merge_settings(task, config, None, given)[0])
    if base is None:
        raise found.error()
    base = _with_objective(base, objective)
    if options["tune_on"] == "train" and not base.holdout:
        base = base.model_copy(update={"holdout": _share_to_hold_out(base)})
    jobs = checked.jobs if checked is not None else 1
    threads = base.threads or (threads_each(jobs) if jobs > 1 else None)
    if cluster is not None:
        threads = base.threads or cluster.threads
    prepared = found.attempt(lambda: _prepare(base, parsed, threads))
    if found.errors or checked is None or prepared is None:
        raise _as_typed(found.error(), objective)
    settings = SearchSettings(
        base=base.model_copy(
            update={
                "data": prepared.config.data,
                "model": prepared.config.model,
                "positive": prepared.config.positive,
                "output": None,
            }
        ),
        space=parsed if parsed is not None else _default_space(prepared, given),
        compute_objective=objective if callable(objective) else None,
        task=prepared.task,
        direction=checked.direction or _usual_direction(base.metric, objective),
        sampler=checked.sampler,
        pruner=checked.pruner,
    )
    check_callable_space(settings)
    return Plan(settings, checked, _found(prepared))


def _with_objective(base: TrainConfig, objective: str | Objective | None) -> TrainConfig:
    """Put in what all trials have in common: the metric, and the seed of the rows they draw."""
    metric = objective if isinstance(objective, str) else base.metric
    return base.model_copy(update={"metric": metric, "sampling_seed": base.rows_seed})


def _share_to_hold_out(base: TrainConfig) -> float:
    """Return the share of train that trials are scored on, where the user names none."""
    try:
        source = source_of(base)
        task = source.task if isinstance(source, OwnSource) else get_task(base.task)
        table = source.read(task, task.train_split or "train")
    except GluetuneError:
        return _HELD_OUT_SHARE  # the preflight tells what is wrong with the data
    return min(_HELD_OUT_SHARE, round(_HELD_OUT_ROWS / len(table), 6))


def _as_typed(error: GluetuneError, objective: str | Objective | None) -> GluetuneError:
    """Name the flag that was typed: the objective is the metric of every trial."""
    if not isinstance(objective, str):
        return error
    return type(error).of(
        [
            Finding(*(text.replace("--metric", "--objective") for text in (one.message, one.hint)))
            for one in error.findings
        ]
    )


def _prepare(base: TrainConfig, space: Space | HpSpace | None, threads: int | None) -> Prepared:
    """Load and check what trials need, at the longest inputs that they may ask for."""
    with cpu_threads(threads):
        if space is None or callable(space) or "max_length" not in space:
            return prepare(base)
        varied = space["max_length"]
        lengths = varied.values if isinstance(varied, Choice) else (varied.high,)
        longest = max((int(one) for one in lengths if one is not None), default=None)
        return prepare(base.model_copy(update={"max_length": longest}))


def _found(prepared: Prepared) -> dict[str, Any]:
    config = prepared.config
    return {
        "resolved": {
            "precision": config.precision,
            "threads": config.threads,
            "revision": config.revision,
        },
        "fingerprints": dict(prepared.data.fingerprints),
    }


def _space(
    space: str | Path | Mapping[str, Any] | HpSpace | None, given: Mapping[str, Any]
) -> Space | HpSpace | None:
    """Return the space that is asked for; None where the default is.

    Raises ConfigurationError, too, for parameters that are in it and given as flags.
    """
    if space is None or callable(space):
        return space
    parsed = parse_space(space) if isinstance(space, Mapping) else read_space(Path(space))
    both = [name for name in parsed if name in given or name in _set_names(given)]
    if both:
        raise ConfigurationError.of(
            [
                Finding(
                    f"{name} is in the space, and given as a setting of all trials.",
                    f"Leave {flag_of(name) if name in given else '--set'} out, or the line of "
                    "the space.",
                )
                for name in both
            ]
        )
    return parsed


def _default_space(prepared: Prepared, given: Mapping[str, Any]) -> Space:
    space = default_space(prepared.classifier.parameters)
    left = {name: varied for name, varied in space.items() if name not in given}
    if not left:
        raise ConfigurationError(
            "Every parameter of the default space is given as a flag: nothing is left to search.",
            hint=f"Leave one of them out ({', '.join(space)}), or give a --space.",
        )
    return left


def _set_names(given: Mapping[str, Any]) -> set[str]:
    fields = given.get("training_args")
    return {f"set.{name}" for name in fields} if isinstance(fields, Mapping) else set()


def _check_together(
    given: Mapping[str, Any], objective: str | Objective | None, options: Mapping[str, Any]
) -> None:
    """Raise ConfigurationError for what is possible alone, and not together."""
    findings = []
    if objective is not None and "metric" in given and given["metric"] != objective:
        findings.append(
            Finding(
                f"--metric {given['metric']} and --objective are two answers to one question.",
                "Leave --metric out: an epoch is chosen by the objective.",
            )
        )
    if options["tune_on"] == "validation" and "holdout" in given:
        findings.append(
            Finding(
                "--tune-on validation and --holdout contradict each other.",
                "Leave one of them out.",
            )
        )
    metric = str(objective or given.get("metric", "score"))
    right = _usual_direction(metric, objective)
    if not callable(objective) and options["direction"] in {"minimize", "maximize"} - {right}:
        findings.append(
            Finding(
                f"--direction {options['direction']}: {metric} is better when "
                f"{'less' if right == 'minimize' else 'greater'}.",
                "Leave --direction out.",
            )
        )
    if callable(objective) and options["jobs"] not in (1, "1") and not _can_be_sent(objective):
        findings.append(
            Finding(
                "The objective cannot be handed to another process, which --jobs needs.",
                "Define it at the top of a module of its own, or take jobs=1.",
            )
        )
    if findings:
        raise ConfigurationError.of(findings)


def _usual_direction(metric: str, objective: str | Objective | None) -> Direction:
    return "minimize" if metric == "loss" and not callable(objective) else "maximize"


def _can_be_sent(function: Objective) -> bool:
    if function.__module__ == "__main__":
        return False
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True
