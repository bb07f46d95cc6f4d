"""The objective of a search: a run of one configuration, and its value.

`objective` and `value_of` do not depend on the search, sampler or pruner: the result depends on the
configuration alone, so `gluetune train --config FOLDER/config.yaml` repeats a trial bit for bit.
`run_trial`, which worker processes run, reports it to the study.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gluetune.core.config import TrainConfig
from gluetune.core.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    Pruned,
    TrainingError,
)
from gluetune.core.events import OnEvent, Throttle, TrialReported, as_messages, ignore
from gluetune.core.records import EpochRecord, Record, Status
from gluetune.core.runs import Run, RunFolder
from gluetune.experiments.search.study import get_trial, make_pruner, open_storage, quiet_optuna
from gluetune.parallel.orphans import wait_until_free
from gluetune.parallel.pool import emit
from gluetune.training.run import train

if TYPE_CHECKING:
    import optuna

Select = Callable[[Mapping[str, float]], float]
"""Computes the value of an evaluation from its metrics; greater is better."""

FAILURES = (
    TrainingError,
    ConfigurationError,
    CheckpointError,
    DataError,
    ArithmeticError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors that fail one trial only: of its parameters, or in the checkpoint's code.

A full disk, an unreachable Hub or a locked folder would fail all trials: these stop the search."""


def objective(
    config: TrainConfig,
    folder: Path,
    report: Callable[[EpochRecord], None],
    *,
    select: Select | None = None,
    on_event: OnEvent = ignore,
) -> Run:
    """Train `config` in `folder`, or resume the run there; return the finished run.

    Args:
        config: The whole configuration.
        folder: The run folder.
        report: Called with every evaluation in order, including those before a resumption; it may
            raise Pruned, which marks the run as pruned.
        select: Computes the value that selects the best epoch, instead of `config.metric`.
        on_event: Called with the run's events.

    A finished run is returned as it is, and for a pruned one Pruned is raised again, both without
    calling `report`.

    Raises:
        GluetuneError: as `train`; Pruned where `report` raised it, now or before.
        KeyboardInterrupt, SystemExit: after a signal, once the state to resume from is saved.
    """
    given: dict[str, Any] = {
        "on_epoch": report,
        "select": select,
        "on_event": on_event,
        "progress": False,
    }
    wait_until_free(folder, as_messages(on_event))
    if not RunFolder(folder).record.exists():
        return train(config=config.model_copy(update={"output": folder}), **given)
    run = Run(folder)
    if run.record.status is Status.PRUNED:
        raise Pruned(f"{folder} was pruned after {len(run.record.epochs)} evaluations.")
    return run if run.record.status is Status.FINISHED else train(resume=folder, **given)


def value_of(record: Record) -> float:
    """Return a trial's value: the selection value of its best epoch; greater is better.

    Raises TrainingError where no epoch's value is defined.
    """
    values = [epoch.selection for epoch in record.epochs if epoch.selection is not None]
    if not values:
        raise TrainingError(
            f"The objective is undefined in all {len(record.epochs)} epochs of this trial."
        )
    return max(values)


@dataclass(frozen=True)
class Selector:
    """A Select that calls the user's function with metrics named with and without `eval_`.

    Raises ConfigurationError where the function reads a metric that does not exist.
    """

    compute_objective: Callable[[dict[str, float]], float]
    maximize: bool

    def __call__(self, numbers: Mapping[str, float]) -> float:
        """Return the value of an evaluation; greater is better."""
        given = {**numbers, **{f"eval_{name}": value for name, value in numbers.items()}}
        try:
            value = float(self.compute_objective(given))
        except KeyError as error:
            raise ConfigurationError(
                f"compute_objective reads {error.args[0]!r}, which no evaluation has.",
                hint=f"There are: {', '.join(numbers)}; each also with `eval_` before it.",
            ) from error
        return value if self.maximize else -value


@dataclass(frozen=True)
class TrialCall:
    """The arguments of a trial, and the study to report to. Picklable."""

    search: Path
    """The search's folder."""
    study: str
    number: int
    config: TrainConfig
    folder: Path
    """The trial's run folder."""
    pruner: str
    sign: int
    """1, or -1 for a study that minimizes: the factor from selection values to study values."""
    select: Select | None = None


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. `value` is the study's; None for a failed trial."""

    number: int
    state: Literal["finished", "pruned", "failed"]
    value: float | None
    error: str = ""


def run_trial(call: TrialCall) -> TrialResult:
    """Run or resume a trial, report its values to the study on disk, and return how it ended.

    After a signal the trial is still RUNNING in the study, to be resumed.
    """
    report = _report_to(call)
    select, on_event = call.select, Throttle(emit)
    try:
        run = objective(call.config, call.folder, report, select=select, on_event=on_event)
        return TrialResult(call.number, "finished", call.sign * value_of(run.record))
    except Pruned:
        return TrialResult(call.number, "pruned", call.sign * value_of(Run(call.folder).record))
    except FAILURES as error:
        return TrialResult(call.number, "failed", None, f"{type(error).__name__}: {error}")


def run_final(config: TrainConfig, folder: Path, select: Select | None, sign: int) -> None:
    """Train the best parameters in `folder`, or resume the run there."""
    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        emit(TrialReported(count, epoch.epoch, _value(epoch, sign)))

    objective(config, folder, report, select=select, on_event=Throttle(emit))


def _report_to(call: TrialCall) -> Callable[[EpochRecord], None]:
    """Return a function that reports an evaluation to the study; it raises Pruned to prune."""
    trial = _load_trial(call)
    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        emit(TrialReported(count, epoch.epoch, _value(epoch, call.sign)))
        if epoch.selection is None:
            return
        with warnings.catch_warnings():
            # A resumed trial reports the same values for the same evaluations again.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            trial.report(call.sign * epoch.selection, count)
        if trial.should_prune():
            raise Pruned(f"Trial {call.number} was pruned after {count} evaluations.")

    return report


def _value(epoch: EpochRecord, sign: int) -> float | None:
    return None if epoch.selection is None else sign * epoch.selection


def _load_trial(call: TrialCall) -> optuna.Trial:
    import optuna

    with quiet_optuna():
        study = optuna.load_study(
            study_name=call.study,
            storage=open_storage(call.search),
            # Nothing is sampled here; creating the default sampler would be wasted work.
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=make_pruner(call.pruner),
        )
        return get_trial(study, call.number)
