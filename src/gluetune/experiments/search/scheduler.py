"""The scheduler of a search: gets trials from the study, runs them, and reports how they ended.

All of its state is on disk, so it can be killed at any moment: the study and the trials' run
folders are enough to resume.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gluetune.core import errors
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, GluetuneError, TrainingError
from gluetune.core.events import (
    Event,
    FinalRunStarted,
    JobEvent,
    Message,
    OnEvent,
    SearchStarted,
    Trial,
    TrialEnded,
    TrialStarted,
    best_trial,
)
from gluetune.core.runs import Run, RunFolder
from gluetune.experiments.search.objective import TrialCall, TrialResult, run_final, run_trial
from gluetune.experiments.search.request import SearchFolder, SearchRequest
from gluetune.experiments.search.space import suggest, with_parameters
from gluetune.experiments.search.study import (
    ERROR,
    PARAMETERS,
    get_trial,
    make_sampler,
    quiet_optuna,
    trials_of,
    unfinished,
)
from gluetune.parallel.pool import Failure, Outcome, Pool, run_all

if TYPE_CHECKING:
    import optuna


_MOST_DEATHS = 3
"""A trial whose process dies this often has failed, for example because memory runs out."""


@dataclass
class SearchScheduler:
    """Runs the trials of a search whose folder this process has locked."""

    folder: SearchFolder
    request: SearchRequest
    base: TrainConfig
    """Settings of all trials, as resolved when the search started."""
    study: optuna.Study
    on_event: OnEvent
    is_parallel: bool
    """Whether several trials run in parallel."""
    _waiting: list[int] = field(default_factory=list)
    """Trials to resume: those that a killed process left, and those whose worker died."""
    _deaths: Counter[int] = field(default_factory=Counter)

    def run_trials(self, pool: Pool, trials: int, deadline: float | None) -> None:
        """Run trials until there are `trials` of them, or until `deadline` (`time.monotonic`).

        Trials that a killed process left are resumed first, even after the deadline.
        """
        ended = tuple(trial for trial in self.trials() if trial.state != "running")
        self.on_event(SearchStarted(self.base.task, self.request.direction, trials, ended))
        self._waiting = unfinished(self.study)

        def start_next() -> bool:
            number = self._next(trials, deadline)
            if number is not None:
                self._start(pool, number)
            return number is not None

        run_all(pool, start_next, self._end_call)

    def run_finals(self, pool: Pool, seeds: int) -> list[Run]:
        """Train the best parameters on all of train with `seeds` seeds, or resume these runs.

        Raises TrainingError where a run fails, after the others have ended.
        """
        configs = self.final_configs(seeds)
        waiting = list(configs)
        failures: dict[Hashable, Failure] = {}
        select, sign = self.request.select, self.request.sign

        def start_next() -> bool:
            if not waiting:
                return False
            seed = waiting.pop(0)
            event = FinalRunStarted(seed)
            self.on_event(event)
            folder = self.folder.final(seed)
            pool.submit(event.name, run_final, configs[seed], folder, select, sign)
            return True

        def end(outcome: Outcome) -> None:
            if outcome.failure is not None:
                failures[outcome.key] = outcome.failure

        run_all(pool, start_next, end)
        if failures:
            first, failure = next(iter(failures.items()))
            raise TrainingError(
                f"The best parameters could not be trained with {first}: {failure.message}",
                hint="The trials are kept. To resume, type the same command again.",
            )
        return [Run(self.folder.final(seed)) for seed in configs]

    def final_configs(self, seeds: int) -> dict[int, TrainConfig]:
        """Return the configurations of the final runs, by seed."""
        best = self.best()
        assert best is not None, "finals follow a search that has a best trial"
        whole = {"fraction": 1.0, "holdout": 0.0, "sampling_seed": None}
        config = with_parameters(self.base.model_copy(update=whole), best.parameters)
        numbers = range(config.seed, config.seed + seeds)
        return {seed: config.model_copy(update={"seed": seed}) for seed in numbers}

    def trials(self) -> tuple[Trial, ...]:
        """Return every trial so far."""
        return read_trials(self.study, self.folder)

    def best(self) -> Trial | None:
        """Return the best finished trial so far."""
        return best_trial(self.trials(), self.request.direction)

    def keep_best_model_only(self) -> None:
        """Remove the models of all trials but the best; also those that a killed process left."""
        best = self.best()
        for trial in self.trials():
            if trial.state != "running" and (best is None or trial.number != best.number):
                shutil.rmtree(RunFolder(trial.run).model, ignore_errors=True)

    def forward(self, key: Hashable, event: Event) -> None:
        """Forward an event of a worker, under the name of its trial or final run."""
        self.on_event(JobEvent(f"trial {key}" if isinstance(key, int) else str(key), event))

    def _next(self, trials: int, deadline: float | None) -> int | None:
        """Return the next trial to run: one to resume, or a new one that the study proposes."""
        if self._waiting:
            return self._waiting.pop(0)
        number = len(trials_of(self.study))
        if number >= trials or (deadline is not None and time.monotonic() >= deadline):
            return None
        return self._propose(number)

    def _start(self, pool: Pool, number: int) -> None:
        """Start a trial; one with invalid parameters fails."""
        try:
            call = self._call(number)
        except ConfigurationError as error:
            self._end(TrialResult(number, "failed", None, str(error)))
        else:
            self.on_event(TrialStarted(self.trials()[number]))
            pool.submit(number, run_trial, call)

    def _propose(self, number: int) -> int:
        with quiet_optuna():
            self.study.sampler = self._sampler(number)
            trial = self.study.ask()
            self._suggest(trial)
        assert trial.number == number, "no other process proposes trials"
        return number

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        name, seed = self.request.sampler, self.base.seed
        return make_sampler(name, seed, number, several=self.is_parallel)

    def _suggest(self, trial: optuna.Trial) -> None:
        space = self.request.space
        parameters = space(trial) if callable(space) else suggest(space, trial)
        trial.set_user_attr(PARAMETERS, dict(parameters))

    def _call(self, number: int) -> TrialCall:
        trial = trials_of(self.study)[number]
        if PARAMETERS not in trial.user_attrs:  # killed before they were stored: propose again
            with quiet_optuna():
                self.study.sampler = self._sampler(number)
                self._suggest(get_trial(self.study, number))
            trial = trials_of(self.study)[number]
        return TrialCall(
            search=self.folder.path,
            study=self.study.study_name,
            number=number,
            config=with_parameters(self.base, trial.user_attrs[PARAMETERS]),
            folder=self.folder.trial(number),
            pruner=self.request.pruner,
            sign=self.request.sign,
            select=self.request.select,
        )

    def _end_call(self, outcome: Outcome) -> None:
        """Handle the outcome of a trial's call: end the trial, resume it, or stop the search."""
        if outcome.failure is None:
            self._end(outcome.value)
        elif outcome.failure.kind == "raised" or not isinstance(outcome.key, int):
            raise _error(f"trial {outcome.key}", outcome.failure)
        else:
            self._end_dead(outcome.key, outcome.failure)

    def _end(self, result: TrialResult) -> None:
        import optuna

        state = {
            "finished": optuna.trial.TrialState.COMPLETE,
            "pruned": optuna.trial.TrialState.PRUNED,
            "failed": optuna.trial.TrialState.FAIL,
        }[result.state]
        if result.error:
            get_trial(self.study, result.number).set_user_attr(ERROR, result.error)
        with quiet_optuna():
            value = result.value if result.state == "finished" else None
            self.study.tell(result.number, value, state)
        self.keep_best_model_only()
        best = self.best()
        is_best = best is not None and best.number == result.number
        self.on_event(TrialEnded(self.trials()[result.number], is_best))

    def _end_dead(self, number: int, failure: Failure) -> None:
        """Resume a trial whose process died from its checkpoint, up to `_MOST_DEATHS` times."""
        self._deaths[number] += 1
        if self._deaths[number] < _MOST_DEATHS:
            self._waiting.append(number)
            self.on_event(Message(f"trial {number}: {failure.message} Resuming it."))
        else:
            error = f"{failure.message} ({self._deaths[number]} times)"
            self._end(TrialResult(number, "failed", None, error))


def read_trials(study: optuna.Study, folder: SearchFolder) -> tuple[Trial, ...]:
    """Return every trial of the study, by number."""
    sign = 1 if study.direction.name == "MAXIMIZE" else -1
    return tuple(_trial(frozen, folder, sign) for frozen in trials_of(study))


def _trial(frozen: optuna.trial.FrozenTrial, folder: SearchFolder, sign: int) -> Trial:
    values = frozen.intermediate_values
    step = max(values, key=lambda step: (sign * values[step], -step), default=None)
    states: dict[str, Any] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
    return Trial(
        number=frozen.number,
        state=states.get(frozen.state.name, "running"),
        value=None if step is None else values[step],
        evaluation=step,
        evaluations=len(values),
        parameters=frozen.user_attrs.get(PARAMETERS, frozen.params),
        seconds=None if frozen.duration is None else frozen.duration.total_seconds(),
        error=frozen.user_attrs.get(ERROR, ""),
        run=folder.trial(frozen.number),
    )


def _error(what: str, failure: Failure) -> GluetuneError:
    """Return the exception of a call, as this process would have raised it."""
    kind: Any = getattr(errors, failure.type, None)
    if isinstance(kind, type) and issubclass(kind, GluetuneError):
        found: GluetuneError = kind.of(failure.findings)
        return found
    return TrainingError(
        f"The search was stopped by {what}: {failure.message}\n{failure.traceback}"
    )
