"""One trial: the objective, told to the study as it goes; what a worker process is given to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gluetune.core.config import TrainConfig
from gluetune.core.errors import (
    CheckpointError,
    ConfigurationError,
    DataError,
    Pruned,
    TrainingError,
)
from gluetune.core.records import EpochRecord
from gluetune.core.runs import Run
from gluetune.experiments.search.events import Evaluated, TellingReporter
from gluetune.experiments.search.objective import Select, objective, value_of
from gluetune.experiments.search.studies import make_pruner, open_storage, quiet_optuna, take_up
from gluetune.parallel.calls import tell

if TYPE_CHECKING:
    import optuna

Ending = Literal["finished", "pruned", "failed"]

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
"""What fails a trial, by its settings or in the checkpoint's code, and lets the others go on.

A full disk, a Hub that is away or a locked folder would fail them all: these stop the search."""


@dataclass(frozen=True)
class TrialCall:
    """What decides a trial, and where it is told of; picklable."""

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
class TrialEnd:
    """How a trial ended. `value` is in the study's sense; None of one that failed."""

    number: int
    ending: Ending
    value: float | None
    error: str = ""


def run_trial(call: TrialCall) -> TrialEnd:
    """Run or go on with a trial, telling its values to the study on disk, and say how it ended.

    A signal leaves the trial running in the study, to be taken up again.
    """
    report = _report_to(call)
    try:
        run = objective(
            call.config, call.folder, report, select=call.select, progress=TellingReporter()
        )
        return TrialEnd(call.number, "finished", call.sign * value_of(run.record))
    except Pruned:
        return TrialEnd(call.number, "pruned", call.sign * value_of(Run(call.folder).record))
    except FAILURES as error:
        return TrialEnd(call.number, "failed", None, f"{type(error).__name__}: {error}")


def run_final(config: TrainConfig, folder: Path, select: Select | None, sign: int) -> None:
    """Train the best setting, or go on with that."""

    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        tell(Evaluated(count, epoch.epoch, _value(epoch, sign)))

    objective(config, folder, report, select=select, progress=TellingReporter())


def _report_to(call: TrialCall) -> Callable[[EpochRecord], None]:
    """Return what tells an evaluation to the study, and raises Pruned where its pruner says so."""
    trial = _trial(call)
    count = 0

    def report(epoch: EpochRecord) -> None:
        nonlocal count
        count += 1
        tell(Evaluated(count, epoch.epoch, _value(epoch, call.sign)))
        if epoch.selection is None:
            return
        with warnings.catch_warnings():
            # Of a trial that is taken up again: the same values for the same evaluations.
            warnings.filterwarnings("ignore", message="The reported value is ignored")
            trial.report(call.sign * epoch.selection, count)
        if trial.should_prune():
            raise Pruned(f"Trial {call.number} was pruned after {count} evaluations.")

    return report


def _value(epoch: EpochRecord, sign: int) -> float | None:
    return None if epoch.selection is None else sign * epoch.selection


def _trial(call: TrialCall) -> optuna.Trial:
    import optuna

    with quiet_optuna():
        study = optuna.load_study(
            study_name=call.study,
            storage=open_storage(call.search),
            # Nothing is sampled any more; the default sampler would be made anew for nothing.
            sampler=optuna.samplers.RandomSampler(seed=0),
            pruner=make_pruner(call.pruner),
        )
        return take_up(study, call.number)
