"""Check a search before its first trial, and report all mistakes together."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.config import TrainConfig, flag_of
from gluetune.core.errors import ConfigurationError, Finding, Findings, GluetuneError, merged
from gluetune.core.settings_files import split_names
from gluetune.core.tasks import get_task
from gluetune.data.own.source import OwnSource
from gluetune.data.sources import source_of
from gluetune.experiments.search.request import SearchRequest
from gluetune.experiments.search.space import (
    Choice,
    Space,
    default_space,
    parse_space,
    read_space,
    with_parameters,
)
from gluetune.experiments.search.study import Direction, make_pruner, make_sampler, quiet_optuna
from gluetune.experiments.settings import SearchSettings, check_settings, split_settings
from gluetune.inference.devices import cpu_threads
from gluetune.metrics.registry import METRICS
from gluetune.parallel.pool import threads_each
from gluetune.training.preflight import Prepared, prepare
from gluetune.training.settings import merge_settings

if TYPE_CHECKING:
    from gluetune.parallel.ray import Cluster

Objective = Callable[[dict[str, float]], float]
HpSpace = Callable[[Any], Mapping[str, Any]]

_HELD_OUT_SHARE = 0.2
_HELD_OUT_ROWS = 2000
"""The most rows held out of train by default, a fifth of them otherwise. With 2,000 examples the
standard error of an accuracy is about one point; more would mostly cost time."""


@dataclass(frozen=True)
class Checked:
    """A search that passed its checks."""

    request: SearchRequest
    settings: SearchSettings
    found: Mapping[str, Any]
    """Resolved settings, and the data's fingerprints."""


def check(
    task: str | None,
    config: str | Path | TrainConfig | None,
    space: str | Path | Mapping[str, Any] | HpSpace | None,
    objective: str | Objective | None,
    settings: Mapping[str, Any],
    cluster: Cluster | None = None,
) -> Checked:
    """Check the arguments of `gluetune.search`. Raises one GluetuneError that lists every mistake.

    On a `cluster`, a trial uses as many threads as it has cores.
    """
    contradictions, findings = Findings(), Findings()
    own, given = split_settings(SearchSettings, settings, findings)
    checked = check_settings(SearchSettings, own, findings)
    findings.attempt(lambda: make_sampler(checked.sampler, 0, 0))
    findings.attempt(lambda: make_pruner(checked.pruner))
    contradictions.attempt(lambda: _check_together(given, objective, checked))
    parsed = findings.attempt(lambda: _space(space, given))
    base = findings.attempt(lambda: merge_settings(task, config, None, given)[0])
    if base is None:
        raise merged([*contradictions.errors, *findings.errors])
    base = _with_objective(base, objective)
    if checked.tune_on == "train" and not base.holdout:
        base = base.model_copy(update={"holdout": _share_to_hold_out(base)})
    threads = base.threads or (threads_each(checked.jobs) if checked.jobs > 1 else None)
    if cluster is not None:
        threads = base.threads or cluster.threads
    prepared = findings.attempt(lambda: _prepare(base, parsed, threads))
    if contradictions.errors or findings.errors or prepared is None:
        errors = [_as_typed(error, objective) for error in findings.errors]
        raise merged([*contradictions.errors, *errors])
    found = prepared.config
    update = {"data": found.data, "model": found.model, "positive": found.positive, "output": None}
    request = SearchRequest(
        base=base.model_copy(update=update),
        space=parsed if parsed is not None else _default_space(prepared, given),
        compute_objective=objective if callable(objective) else None,
        task=prepared.task,
        direction=checked.direction
        or _usual_direction(base.metric, objective, prepared.task.metrics),
        sampler=checked.sampler,
        pruner=checked.pruner,
    )
    check_callable_space(request)
    return Checked(request, checked, _found(prepared))


def check_callable_space(request: SearchRequest) -> None:
    """Call the user's `hp_space` once, with a trial of a temporary study, and check the result.

    Raises ConfigurationError where it returns no parameters, or invalid ones.
    """
    import optuna

    space = request.space
    if not callable(space):
        return
    with quiet_optuna():
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        parameters = space(trial)
    if not isinstance(parameters, dict) or not parameters:
        raise ConfigurationError(
            f"hp_space(trial) returned {parameters!r}.",
            hint='Return the settings by name: {"learning_rate": trial.suggest_float(…)}',
        )
    with_parameters(request.base, parameters)


def _with_objective(base: TrainConfig, objective: str | Objective | None) -> TrainConfig:
    """Set what all trials share: the metric, and the seed that draws their rows."""
    metric = objective if isinstance(objective, str) else base.metric
    return base.model_copy(update={"metric": metric, "sampling_seed": base.rows_seed})


def _share_to_hold_out(base: TrainConfig) -> float:
    """Return the default share of train that trials are scored on."""
    try:
        source = source_of(base)
        task = source.task if isinstance(source, OwnSource) else get_task(base.task)
        table = source.read(task, task.train_split or "train")
    except GluetuneError:
        return _HELD_OUT_SHARE  # the preflight reports what is wrong with the data
    return min(_HELD_OUT_SHARE, round(_HELD_OUT_ROWS / len(table), 6))


def _as_typed(error: GluetuneError, objective: str | Objective | None) -> GluetuneError:
    """Replace --metric by the flag that was typed: the objective is the metric of every trial."""
    if not isinstance(objective, str):
        return error
    return type(error).of(
        [
            Finding(*(text.replace("--metric", "--objective") for text in (one.message, one.hint)))
            for one in error.findings
        ]
    )


def _prepare(base: TrainConfig, space: Space | HpSpace | None, threads: int | None) -> Prepared:
    """Load and check what trials need, with the largest `max_length` of the space."""
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
    """Return the given space; None for the default.

    Raises ConfigurationError for an invalid space, and for parameters that are also given as flags.
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
                    f"Leave out {flag_of(name) if name in given else '--set'}, or remove it from "
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
            "Every parameter of the default space is given as a flag: there is nothing to search.",
            hint=f"Leave out one of them ({', '.join(space)}), or give a --space.",
        )
    return left


def _set_names(given: Mapping[str, Any]) -> set[str]:
    fields = given.get("training_args")
    return {f"set.{name}" for name in fields} if isinstance(fields, Mapping) else set()


def _check_together(
    given: Mapping[str, Any], objective: str | Objective | None, checked: SearchSettings
) -> None:
    """Raise ConfigurationError for settings that contradict each other."""
    findings = []
    if objective is not None and "metric" in given and given["metric"] != objective:
        findings.append(
            Finding(
                f"--metric {given['metric']} and --objective contradict each other.",
                "Leave --metric out: the objective selects the best epoch.",
            )
        )
    if checked.tune_on == "validation" and "holdout" in given:
        findings.append(
            Finding(
                "--tune-on validation and --holdout contradict each other.",
                "Leave one of them out.",
            )
        )
    metric = str(objective or given.get("metric", "score"))
    right = _usual_direction(metric, objective, _named(given.get("metrics")))
    if not callable(objective) and checked.direction in {"minimize", "maximize"} - {right}:
        findings.append(
            Finding(
                f"--direction {checked.direction}: {metric} is better when "
                f"{'less' if right == 'minimize' else 'greater'}.",
                "Leave --direction out.",
            )
        )
    if callable(objective) and checked.jobs > 1 and not _is_picklable(objective):
        findings.append(
            Finding(
                "The objective cannot be pickled for another process, which --jobs needs.",
                "Define it at the top level of a module, or use jobs=1.",
            )
        )
    if findings:
        raise ConfigurationError.of(findings)


def _named(metrics: object) -> Sequence[str]:
    """Return the names of metrics, given as one string or as several."""
    if isinstance(metrics, str):
        return split_names(metrics)
    return [str(name) for name in metrics] if isinstance(metrics, list | tuple) else []


def _usual_direction(
    metric: str, objective: str | Objective | None, scored_by: Sequence[str] | None
) -> Direction:
    """Return the better direction of a metric; that of `score` by the metrics `scored_by`."""
    if callable(objective):
        return "maximize"
    names = (scored_by or ()) if metric == "score" else (metric,)
    known = [METRICS[name].greater_is_better for name in names if name in METRICS]
    return "minimize" if metric == "loss" or not all(known) else "maximize"


def _is_picklable(function: Objective) -> bool:
    if function.__module__ == "__main__":
        return False
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True
