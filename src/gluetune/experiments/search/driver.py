"""The process that holds a search: it asks the study, hands trials to workers, and tells the ends.

Everything that it knows is on disk, so that it can be killed at any moment: what a study says of a
trial, and what lies in its run folder, is enough to go on.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gluetune.core import errors
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, GluetuneError, TrainingError
from gluetune.core.runs import Run, RunFolder
from gluetune.experiments.search.outcomes import TrialRow, best_of, trial_rows
from gluetune.experiments.search.settings import SearchFolder, SearchSettings
from gluetune.experiments.search.space import suggest, with_parameters
from gluetune.experiments.search.studies import (
    ERROR,
    PARAMETERS,
    make_sampler,
    quiet_optuna,
    take_up,
    trials_of,
    unfinished,
)
from gluetune.experiments.search.trials import TrialCall, TrialEnd, run_final, run_trial
from gluetune.parallel.calls import Failure

if TYPE_CHECKING:
    import optuna

    from gluetune.experiments.search.board import Board
    from gluetune.parallel.pool import Workers

_DEATHS = 3
"""A trial whose process dies so often has failed: it takes the memory that there is, for one."""
_LOOK_SECONDS = 1.0


@dataclass
class Driver:
    """One process's work on a search whose folder it holds."""

    folder: SearchFolder
    settings: SearchSettings
    base: TrainConfig
    """What trials have in common, with what was found out when the search began."""
    study: optuna.Study
    board: Board
    several: bool
    """Whether trials run side by side."""

    def run_trials(self, workers: Workers, trials: int, deadline: float | None) -> None:
        """Run trials until there are `trials`, or the clock shows `deadline`.

        Those that a killed process left come first, even after the deadline.
        """
        waiting = unfinished(self.study)
        deaths: Counter[Hashable] = Counter()
        while True:
            while workers.free and (number := self._next(waiting, trials, deadline)) is not None:
                self._start(workers, number)
            if not workers.running:
                return
            outcome = workers.wait(_LOOK_SECONDS)
            if outcome is None:
                self.board.refresh()
            elif outcome.failure is None:
                self._end(outcome.value)
            elif self._is_fatal(outcome.failure) or not isinstance(outcome.key, int):
                raise _error(f"trial {outcome.key}", outcome.failure)
            else:
                deaths[outcome.key] += 1
                self._died(outcome.key, outcome.failure, deaths[outcome.key], waiting)

    def run_finals(self, workers: Workers, seeds: int) -> list[Run]:
        """Train the best setting on all of train with `seeds` seeds, or go on with that.

        Raises TrainingError where one of them fails, after the others have ended.
        """
        configs = self.final_configs(seeds)
        waiting = list(configs)
        failures: dict[int, Failure] = {}
        while waiting or workers.running:
            while waiting and workers.free:
                seed = waiting.pop(0)
                select, sign = self.settings.select, self.settings.sign
                workers.start(
                    f"seed {seed}", run_final, configs[seed], self.folder.final(seed), select, sign
                )
                self.board.begin_final(seed)
            outcome = workers.wait(_LOOK_SECONDS)
            if outcome is not None and outcome.failure is not None:
                failures[int(str(outcome.key).split()[1])] = outcome.failure
        if failures:
            first, failure = next(iter(failures.items()))
            raise TrainingError(
                f"The best setting could not be trained with seed {first}: {failure.message}",
                hint="What was found is kept: the same command goes on from here.",
            )
        return [Run(self.folder.final(seed)) for seed in configs]

    def final_configs(self, seeds: int) -> dict[int, TrainConfig]:
        """Return the best setting on all of train, by seed."""
        best = self.best()
        assert best is not None, "finals follow a search that found something"
        whole = {"fraction": 1.0, "holdout": 0.0, "sampling_seed": None}
        config = with_parameters(self.base.model_copy(update=whole), best.parameters)
        numbers = range(config.seed, config.seed + seeds)
        return {seed: config.model_copy(update={"seed": seed}) for seed in numbers}

    def rows(self) -> tuple[TrialRow, ...]:
        """Return every trial so far."""
        return trial_rows(self.study, self.folder)

    def best(self) -> TrialRow | None:
        """Return the best finished trial so far."""
        return best_of(self.rows(), self.settings.direction)

    def keep_best_model_only(self) -> None:
        """Remove the models of trials that are not the best, if need be again after a kill."""
        best = self.best()
        for row in self.rows():
            if row.state != "running" and (best is None or row.number != best.number):
                shutil.rmtree(RunFolder(row.run).model, ignore_errors=True)

    def _next(self, waiting: list[int], trials: int, deadline: float | None) -> int | None:
        """Return the next trial to run: one that was left, or a new one that the study proposes."""
        if waiting:
            return waiting.pop(0)
        number = len(trials_of(self.study))
        if number >= trials or (deadline is not None and time.monotonic() >= deadline):
            return None
        return self._propose(number)

    def _start(self, workers: Workers, number: int) -> None:
        """Start a trial. One whose parameters are impossible has failed."""
        try:
            call = self._call(number)
        except ConfigurationError as error:
            self._end(TrialEnd(number, "failed", None, str(error)))
        else:
            self.board.begin(number, self.rows()[number])
            workers.start(number, run_trial, call)

    def _propose(self, number: int) -> int:
        with quiet_optuna():
            self.study.sampler = self._sampler(number)
            trial = self.study.ask()
            self._suggest(trial)
        assert trial.number == number, "nobody else asks"
        return number

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        name, seed = self.settings.sampler, self.base.seed
        return make_sampler(name, seed, number, several=self.several)

    def _suggest(self, trial: optuna.Trial) -> None:
        space = self.settings.space
        found = space(trial) if callable(space) else suggest(space, trial)
        trial.set_user_attr(PARAMETERS, dict(found))

    def _call(self, number: int) -> TrialCall:
        trial = trials_of(self.study)[number]
        if PARAMETERS not in trial.user_attrs:  # killed between the two: proposed once more
            with quiet_optuna():
                self.study.sampler = self._sampler(number)
                self._suggest(take_up(self.study, number))
            trial = trials_of(self.study)[number]
        return TrialCall(
            search=self.folder.path,
            study=self.study.study_name,
            number=number,
            config=with_parameters(self.base, trial.user_attrs[PARAMETERS]),
            folder=self.folder.trial(number),
            pruner=self.settings.pruner,
            sign=self.settings.sign,
            select=self.settings.select,
        )

    def _end(self, end: TrialEnd) -> None:
        import optuna

        state = {
            "finished": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }[end.ending]
        if end.error:
            take_up(self.study, end.number).set_user_attr(ERROR, end.error)
        with quiet_optuna():
            self.study.tell(end.number, end.value if end.ending == "finished" else None, state)
        self.keep_best_model_only()
        self.board.end(self.rows(), end.number)

    def _is_fatal(self, failure: Failure) -> bool:
        return failure.kind == "raised"

    def _died(self, number: int, failure: Failure, deaths: int, waiting: list[int]) -> None:
        """Take up a trial again whose process is gone, from its checkpoint; not for ever."""
        if deaths < _DEATHS:
            waiting.append(number)
            self.board.say(f"trial {number}: {failure.message} It is taken up again.")
        else:
            self._end(TrialEnd(number, "failed", None, f"{failure.message} ({deaths} times)"))


def check_callable_space(settings: SearchSettings) -> None:
    """Ask the user's `hp_space` once, of a study that nobody keeps, and check its answer.

    Raises ConfigurationError where it gives no parameters, or some that are none.
    """
    import optuna

    space = settings.space
    if not callable(space):
        return
    with quiet_optuna():
        trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
        found = space(trial)
    if not isinstance(found, dict) or not found:
        raise ConfigurationError(
            f"hp_space(trial) returned {found!r}.",
            hint='Return the settings by name: {"learning_rate": trial.suggest_float(…)}',
        )
    with_parameters(settings.base, found)


def _error(what: str, failure: Failure) -> GluetuneError:
    """Return the exception that a call ended with, as this process would have raised it."""
    kind: Any = getattr(errors, failure.type, None)
    if isinstance(kind, type) and issubclass(kind, GluetuneError):
        found: GluetuneError = kind.of(failure.findings)
        return found
    told = f"{failure.message}\n{failure.traceback}"
    return TrainingError(f"The search was stopped by {what}: {told}")
