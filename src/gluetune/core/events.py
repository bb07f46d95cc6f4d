"""Events of runs, searches and suites, which a display shows and a caller logs.

The process that works calls one function, `on_event`, for each event. An event of a run inside a
search or a suite, whichever process trains it, is wrapped in a `JobEvent` that names the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


class Event:
    """Base of events."""


OnEvent = Callable[[Event], object]


@dataclass(frozen=True)
class Message(Event):
    """A line for the user."""

    text: str


@dataclass(frozen=True)
class RunStarted(Event):
    """Training starts at `step` of `steps`: 0, or where a checkpoint resumes."""

    steps: int
    step: int = 0


@dataclass(frozen=True)
class StepCompleted(Event):
    """Training has completed `step` of `steps`."""

    step: int
    steps: int
    examples_per_second: float
    epoch: float | None = None
    loss: float | None = None
    """Mean loss of the last steps that were logged."""


@dataclass(frozen=True)
class EvaluationCompleted(Event):
    """An epoch, or a part of one, was evaluated."""

    epoch: float
    metrics: Mapping[str, float | None]
    """By displayed name; None where undefined."""
    train_loss: float | None = None
    is_collapsed: bool = False
    """Whether the model predicts the same for every example."""
    is_best: bool = False


@dataclass(frozen=True)
class TrainingCompleted(Event):
    """The last step is done; the best model is still to be saved and scored again."""


@dataclass(frozen=True)
class RunEnded(Event):
    """A run has ended. `status` is its record's: finished, pruned, interrupted or failed."""

    status: str


TrialState = Literal["running", "finished", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial of a search: its parameters, state, and best evaluation so far."""

    number: int
    state: TrialState
    value: float | None
    """The objective at the best evaluation; None before the first, or where undefined."""
    evaluation: int | None
    """Which evaluation that was, from 1."""
    evaluations: int
    parameters: Mapping[str, Any]
    seconds: float | None
    error: str
    run: Path
    """The trial's run folder."""

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"trial {self.number}"


@dataclass(frozen=True)
class SearchStarted(Event):
    """A search starts or resumes: `trials` in all, of which `ended` need no more training."""

    title: str
    direction: str
    trials: int
    ended: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class TrialStarted(Event):
    """A trial starts; one that has evaluations resumes."""

    trial: Trial


@dataclass(frozen=True)
class TrialReported(Event):
    """A trial, or a final run, has reported evaluation `step` (from 1) to the study."""

    step: int
    epoch: float
    value: float | None
    """The objective; None where undefined."""


@dataclass(frozen=True)
class TrialEnded(Event):
    """A trial is finished, pruned or failed."""

    trial: Trial
    is_best: bool


@dataclass(frozen=True)
class FinalRunStarted(Event):
    """The best parameters are trained on all of train with a seed."""

    seed: int

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"seed {self.seed}"


@dataclass(frozen=True)
class SuiteStarted(Event):
    """A suite, or a cross-validation, starts or resumes."""

    costs: Mapping[str, float]
    """Relative cost of every job, by name."""
    ended: frozenset[str] = frozenset()
    """Jobs that need no more training."""


@dataclass(frozen=True)
class JobStarted(Event):
    """A job of a suite starts or resumes."""

    name: str


@dataclass(frozen=True)
class JobEnded(Event):
    """A job of a suite is finished, has failed, or is blocked by one that failed."""

    name: str
    state: Literal["finished", "failed", "blocked"]
    counts: str
    """How many jobs of the suite are in which state."""
    score: float | None = None
    error: str = ""
    seconds: float | None = None
    is_scored: bool = True
    """Whether there were rows to score it on."""


@dataclass(frozen=True)
class ExperimentEnded(Event):
    """A search or a suite has ended; `completed` unless it was interrupted or failed."""

    completed: bool


@dataclass(frozen=True)
class JobEvent(Event):
    """An event of a run inside a search or a suite."""

    job: str
    event: Event


def ignore(event: Event) -> None:
    """Do nothing: an `on_event` that ignores every event."""


def fan_out(*listeners: OnEvent | None) -> OnEvent:
    """Return an `on_event` that calls each of `listeners` in turn."""
    given = [one for one in listeners if one is not None]

    def on_event(event: Event) -> None:
        for listener in given:
            listener(event)

    return on_event


def as_messages(on_event: OnEvent) -> Callable[[str], None]:
    """Return a function that emits a text as a Message."""

    def emit(text: str) -> None:
        on_event(Message(text))

    return emit


@dataclass
class Throttle:
    """An `on_event` that passes on at most one StepCompleted in `seconds`, and all else."""

    on_event: OnEvent
    seconds: float = 0.5
    _last: float = field(default=0.0, init=False)

    def __call__(self, event: Event) -> None:
        """Pass the event on, or drop it."""
        if isinstance(event, StepCompleted):
            if time.monotonic() - self._last < self.seconds:
                return
            self._last = time.monotonic()
        self.on_event(event)


def best_trial(trials: Sequence[Trial], direction: str) -> Trial | None:
    """Return the finished trial with the best value, the first of equals; None without one."""
    finished = [one for one in trials if one.state == "finished" and one.value is not None]
    sign = 1 if direction == "maximize" else -1
    return max(finished, key=lambda one: sign * (one.value or 0.0), default=None)
