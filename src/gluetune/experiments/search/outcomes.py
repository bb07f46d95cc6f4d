"""What a search shows of its trials and hands back: rows of the study, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal

from gluetune.core.runs import Run
from gluetune.experiments.search.settings import SearchFolder
from gluetune.experiments.search.studies import ERROR, PARAMETERS, trials_of

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

State = Literal["running", "finished", "pruned", "failed"]
_STATES: Mapping[str, State] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class TrialRow:
    """One trial: what it tried, how it stands, and its best evaluation so far."""

    number: int
    state: State
    value: float | None
    """Of the best evaluation, in the objective's own sense; None before the first, or of none."""
    evaluation: int | None
    """Which evaluation that was, from 1."""
    evaluations: int
    parameters: Mapping[str, Any]
    seconds: float | None
    error: str
    run: Path
    """The trial's run folder."""


@dataclass(frozen=True)
class BestRun:
    """What a search found."""

    value: float
    """The best trial's objective, at its best epoch, on the data that was tuned on."""
    parameters: Mapping[str, Any]
    number: int
    """The best trial's."""
    run: Run
    """The best trial, with its model."""
    objective: str
    direction: str
    tuned_on: str
    """`holdout`, a part of train, or `validation`."""
    folder: Path
    """The search's folder; `optuna.load_study` opens the study in it."""
    trials: tuple[TrialRow, ...]
    finals: tuple[Run, ...]
    """The best setting trained on all of train, one run for each seed."""

    @property
    def scores(self) -> tuple[float, ...]:
        """The final runs' scores on the validation set."""
        return tuple(run.score for run in self.finals if run.score is not None)

    @property
    def score(self) -> float | None:
        """Mean of the final runs' scores; None without any."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the final runs' scores; None for fewer than two."""
        return stdev(self.scores) if len(self.scores) > 1 else None

    def counted(self, state: State) -> int:
        """Return how many trials ended so."""
        return sum(trial.state == state for trial in self.trials)


def trial_rows(study: optuna.Study, folder: SearchFolder) -> tuple[TrialRow, ...]:
    """Return every trial of the study, by number."""
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    return tuple(_row(trial, folder, sign) for trial in trials_of(study))


def best_of(rows: Sequence[TrialRow], direction: str) -> TrialRow | None:
    """Return the finished trial with the best value, the first of equals; None without one."""
    finished = [row for row in rows if row.state == "finished" and row.value is not None]
    sign = 1 if direction == "maximize" else -1
    return max(finished, key=lambda row: sign * (row.value or 0.0), default=None)


def _row(trial: FrozenTrial, folder: SearchFolder, sign: int) -> TrialRow:
    told = trial.intermediate_values
    step = max(told, key=lambda step: (sign * told[step], -step), default=None)
    duration = trial.duration
    return TrialRow(
        number=trial.number,
        state=_STATES.get(trial.state.name, "running"),
        value=None if step is None else told[step],
        evaluation=step,
        evaluations=len(told),
        parameters=trial.user_attrs.get(PARAMETERS, trial.params),
        seconds=None if duration is None else duration.total_seconds(),
        error=trial.user_attrs.get(ERROR, ""),
        run=folder.trial(trial.number),
    )
