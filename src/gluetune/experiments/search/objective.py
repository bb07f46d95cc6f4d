"""The objective: a configuration's run in a folder of its own, its value, and the trial it is.

`objective` and `value_of` know no search, sampler or pruner: the result depends on the
configuration alone, so a trial is repeated, bit for bit, by `gluetune train --config
FOLDER/config.yaml`. `run_trial` reports it to the study; a process of the pool runs that.
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
from gluetune.parallel.calls import emit
from gluetune.parallel.orphans import wait_until_free
from gluetune.training.run import train

if TYPE_CHECKING:
    import optuna

Select = Callable[[Mapping[str, float]], float]
"""From an evaluation's numbers to its value, of which greater is better."""

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
"""What fails a trial, by its parameters or in the checkpoint's code, and lets the others run.

A full disk, a Hub that is away or a locked folder would fail them all: these stop the search."""


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
        report: Called with every evaluation in order, those before a resumption too; it may raise
            Pruned, which closes the run's record as pruned.
        select: In place of `config.metric`, the value that chooses the best epoch.
        on_event: Called with the run's events.

    A finished run is returned as it is, and one that is pruned raises Pruned again: neither
    reports anything.

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
    """Return a trial's value: the selection value of its best epoch, greater is better.

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
    """A Select made of the user's function, which reads names with or without Trainer's `eval_`.

    Raises ConfigurationError where the function reads a number that does not exist.
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
    """What decides a trial, and where it is reported; picklable."""

    search: Path
    """The search's folder."""
    study: str
    number: int
    config: TrainConfig
    folder: Path
    """The trial's run folder."""
    pruner: str
    sign: int
    """What a selection value is multiplied by for the study."""
    select: Select | None = None


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended. `value` is in the study's sense; None of one that failed."""

    number: int
    state: Literal["finished", "pruned", "failed"]
    value: float | None
    error: str = ""


def run_trial(call: TrialCall) -> TrialResult:
    """Run or resume a trial, reporting its values to the study on disk, and return how it ended.

    A signal leaves the trial running in the study, to be resumed.
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
    """Train the best parameters, or resume that."""
    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        emit(TrialReported(count, epoch.epoch, _value(epoch, sign)))

    objective(config, folder, report, select=select, on_event=Throttle(emit))


def _report_to(call: TrialCall) -> Callable[[EpochRecord], None]:
    """Return what reports an evaluation to the study, and raises Pruned where its pruner says."""
    trial = _load_trial(call)
    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        emit(TrialReported(count, epoch.epoch, _value(epoch, call.sign)))
        if epoch.selection is None:
            return
        with warnings.catch_warnings():
            # Of a trial that is resumed: the same values for the same evaluations.
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
            # Nothing is sampled any more; the default sampler would be made anew for nothing.
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=make_pruner(call.pruner),
        )
        return get_trial(study, call.number)
