"""Progress on standard error: one live display for terminals, and plain lines for everything else.

Both are an `on_event` of `core/events.py`, for runs, searches and suites alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from gluetune.core import events
from gluetune.core.events import Event, Trial, best_trial
from gluetune.core.records import now, shown
from gluetune.core.tables import plain
from gluetune.core.terminal import Console, Table, json_text, print_line, progress_console
from gluetune.core.text import visible_lines

_LINE_SECONDS = 15.0
"""Minimum interval between two plain lines on a run's steps."""
_ALONE = "training"
"""Name of a run's bar outside a search or a suite."""
_SPEED_SECONDS = 120.0
"""Seconds whose steps the time left is estimated from: shorter ones make it jump."""
_TRIALS = 12
"""Maximum number of trials in the live table: the best, and the last ones."""


def line_of(event: object) -> str | None:
    """Return what is printed of an event; None where it only moves a bar or a table."""
    match event:
        case events.Message():
            return event.text
        case events.EvaluationCompleted():
            return _evaluation_line(event)
        case events.TrialStarted(trial):
            verb = " resumes" if trial.evaluations else ""
            return f"{trial.name}{verb}: {describe_parameters(trial.parameters)}"
        case events.TrialEnded(trial):
            result = f" ({trial.error})" if trial.error else f": {shown(trial.value)}"
            return f"{trial.name} {trial.state}{result}{', best so far' if event.is_best else ''}"
        case events.FinalRunStarted():
            return f"best parameters on all of train, {event.name}"
        case events.JobStarted():
            return f"start   {event.name}"
        case events.JobEnded():
            return _job_line(event)
        case events.JobEvent(job, events.TrialReported() as inner):
            # The only one: of many runs, every line would be too many.
            return f"{job}, epoch {inner.epoch:.3g}: {shown(inner.value)}"
    return None


def _evaluation_line(event: events.EvaluationCompleted) -> str:
    metrics = ", ".join(f"{name} {shown(value)}" for name, value in event.metrics.items())
    loss = "" if event.train_loss is None else f", loss {event.train_loss:.4f}"
    flags = ", the same for every example" if event.is_collapsed else ""
    return f"epoch {event.epoch:.3g}: {metrics}{loss}{flags}{', best' if event.is_best else ''}"


def _job_line(event: events.JobEnded) -> str:
    seconds = "" if event.seconds is None else f" in {event.seconds:.0f} s"
    if event.state != "finished":
        return f"{event.state:7} {event.name}{seconds}: {event.error}"
    score = "undefined" if event.score is None else f"{100 * event.score:.1f}"
    return f"done    {event.name}{f'  {score}' * event.is_scored}{seconds}; {event.counts}"


class PlainDisplay:
    """Print a line for each event that has one: for files, pipes, notebooks and logs."""

    is_live = False

    def __init__(self, console: Console) -> None:
        self.console = console
        self._printed = time.monotonic()

    def on_event(self, event: Event) -> None:
        """Print the event's line; of steps, a few a minute."""
        line = line_of(event)
        if isinstance(event, events.StepCompleted):
            line = self._step_line(event)
        if line is not None:
            self.print(line)

    def print(self, text: str) -> None:
        """Print a line."""
        self.console.print(visible_lines(text), soft_wrap=True)

    def close(self) -> None:
        """Stop showing."""

    def _step_line(self, event: events.StepCompleted) -> str | None:
        if time.monotonic() - self._printed < _LINE_SECONDS:
            return None
        self._printed = time.monotonic()
        return f"step {event.step}/{event.steps}, {event.examples_per_second:.0f} examples/s"


@dataclass
class _Job:
    """A run that is training: the only one, or one of a search or a suite."""

    bar: TaskID
    started: float
    step: int = 0
    steps: int = 0
    value: float | None = None
    """The objective, of a final run."""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def share(self) -> float:
        """Completed share of the steps."""
        return self.step / self.steps if self.steps else 0.0


class LiveDisplay(PlainDisplay):
    """Draw what is running, with progress and time, below lines of what is completed.

    rich draws it from a thread of its own: what is drawn is read and changed under one lock, and
    nothing is printed while that is held.
    """

    is_live = True

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._lock = threading.RLock()
        self._started = time.monotonic()
        self._search: events.SearchStarted | None = None
        self._suite: events.SuiteStarted | None = None
        self._trials: dict[int, Trial] = {}
        self._jobs: dict[str, _Job] = {}
        self._finals: list[str] = []
        self._ended: set[str] = set()
        self._counts = ""
        self._best: dict[str, float] = {}
        self._bars = self._make_bars(several=False)
        self._live: Live | None = None

    def on_event(self, event: Event) -> None:
        """Draw the event, or print its line above what is drawn."""
        if isinstance(event, events.ExperimentEnded):
            # Nothing else will print the trials of a search that was interrupted.
            self.close(keep=not event.completed and self._search is not None)
        with self._lock:
            self._apply(event)
            is_drawn = bool(self._jobs or self._search or self._suite)
        if is_drawn and self._live is None:
            self._start()
        elif not is_drawn:
            self.close()
        line = None if isinstance(event, _DRAWN) else line_of(event)
        if line is not None:
            self.print(line)

    def close(self, *, keep: bool = False) -> None:
        """Stop drawing; `keep` leaves the last drawing on the screen."""
        if self._live is not None:
            self._live.transient = not keep
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """Return what is drawn now."""
        with self._lock:
            if self._search is not None:
                return self._search_table(self._search)
            if self._suite is None:
                return self._bars.get_renderable()
            left = len(self._suite.costs) - len(self._ended)
            best = "".join(f", {task} {100 * score:.1f}" for task, score in self._best.items())
            best = best.replace(",", "; best so far:", 1)
            footer = f"{self._counts}; {left} left{self._time_left()}{best}"
            return Group(self._bars.get_renderable(), Text(footer, style="dim"))

    def _start(self) -> None:
        self._live = Live(
            get_renderable=self.render, console=self.console, refresh_per_second=2, transient=True
        )
        self._live.start()

    def _make_bars(self, *, several: bool) -> Progress:
        """Return the bars: one of the only run, or a shorter one for each of several."""
        name = TextColumn("{task.description}", markup=False)
        rate = TextColumn("{task.fields[rate]}", markup=False)
        time_left = (MofNCompleteColumn(), rate, TimeRemainingColumn(), TextColumn("left"))
        if not several:
            loss = TextColumn("{task.fields[loss]}", markup=False)
            bar = BarColumn(bar_width=6)
            columns = (name, bar, TimeElapsedColumn(), loss, *time_left)
            return Progress(*columns, console=self.console, speed_estimate_period=_SPEED_SECONDS)
        message = TextColumn(
            "{task.fields[message]}",
            markup=False,
            table_column=Column(overflow="ellipsis", no_wrap=True),
        )
        return Progress(
            *(name, TimeElapsedColumn(), *time_left, message),
            console=self.console,
            speed_estimate_period=_SPEED_SECONDS,
        )

    def _apply(self, event: Event) -> None:
        """Change what is drawn."""
        match event:
            case events.SearchStarted():
                self._started, self._search = time.monotonic(), event
                self._trials = {trial.number: trial for trial in event.ended}
                self._ended = {trial.name for trial in event.ended}
            case events.SuiteStarted():
                self._started, self._suite = time.monotonic(), event
                self._ended = set(event.ended)
                self._counts = f"{len(event.ended)} of {len(event.costs)} finished"
                self._bars = self._make_bars(several=True)
            case events.TrialStarted(trial):
                self._trials[trial.number] = trial
                self._job(trial.name)
            case events.FinalRunStarted():
                self._job(event.name)
                self._finals.append(event.name)
            case events.JobStarted(name):
                self._job(name)
            case events.TrialEnded(trial):
                self._trials[trial.number] = trial
                self._end(trial.name)
            case events.JobEnded():
                self._counts = event.counts
                self._keep_best(event)
                self._end(event.name)
            case events.ExperimentEnded():
                self._search = self._suite = None
                self._jobs.clear()
            case events.JobEvent(job, inner):
                self._apply_run(job, inner)
            case _:
                self._apply_run(_ALONE, event)

    def _keep_best(self, event: events.JobEnded) -> None:
        """Keep the best score of each task, of which GLUE's are all better where greater."""
        if event.score is not None:
            task = event.name.rpartition("-s")[0]
            self._best[task] = max(event.score, self._best.get(task, event.score))

    def _end(self, name: str) -> None:
        self._ended.add(name)
        self._forget(name)

    def _apply_run(self, name: str, event: Event) -> None:
        if name in self._ended:
            return  # of a worker whose last events come late
        if isinstance(event, events.RunStarted | events.StepCompleted):
            self._move(self._job(name), event)
        elif isinstance(event, events.TrialReported):
            self._report(name, event)
        elif isinstance(event, events.TrainingCompleted | events.RunEnded):
            if name == _ALONE:
                self._forget(name)
        elif name in self._jobs and (line := line_of(event)) is not None:
            self._bars.update(self._jobs[name].bar, message=visible_lines(line).strip())

    def _job(self, name: str) -> _Job:
        if name not in self._jobs:
            bar = self._bars.add_task(name, total=None, rate="", loss="", message="")
            self._jobs[name] = _Job(bar, time.monotonic())
        return self._jobs[name]

    def _forget(self, name: str) -> None:
        job = self._jobs.pop(name, None)
        if job is not None:
            self._bars.remove_task(job.bar)

    def _move(self, job: _Job, event: events.RunStarted | events.StepCompleted) -> None:
        job.step, job.steps = event.step, event.steps
        if isinstance(event, events.RunStarted):
            # Reset: steps restored from a checkpoint say nothing about speed.
            self._bars.reset(job.bar, total=event.steps, completed=event.step)
        else:
            rate = f"{event.examples_per_second:.0f} examples/s"
            loss = "" if event.loss is None else f"loss {event.loss:.3f}"
            is_alone = self._suite is None and event.epoch is not None
            self._bars.update(
                job.bar,
                total=event.steps,
                completed=event.step,
                description=f"epoch {event.epoch:.2f}" if is_alone else None,
                rate=rate,
                loss=loss,
            )

    def _report(self, name: str, event: events.TrialReported) -> None:
        for number, trial in self._trials.items():
            if trial.name == name and self._search is not None:
                self._trials[number] = _with_report(trial, event, self._search.direction)
                return
        self._job(name).value = event.value

    def _search_table(self, search: events.SearchStarted) -> Table:
        """Return the best trial, those that run, the last ones, and the final runs."""
        trials = list(self._trials.values())
        best = best_trial(trials, search.direction)
        recent = trials[-_TRIALS:]
        table = trials_table([t for t in trials if t is best or t in recent], best, self._state)
        best_so_far = "" if best is None else f", best so far {shown(best.value)}"
        done = len(self._ended)
        table.title = (
            f"{search.title}: {done} of {search.trials} trials{best_so_far}{self._time_left()}"
        )
        for name in self._finals:
            value, time_ = "", ""
            if job := self._jobs.get(name):
                value, time_ = ("" if job.value is None else shown(job.value)), _clock(job.seconds)
            table.add_row(name, self._percent(name), value, "", time_)
        return table

    def _state(self, trial: Trial) -> tuple[str, str]:
        job = self._jobs.get(trial.name)
        if trial.state != "running" or job is None:
            return trial.state, "" if trial.seconds is None else _clock(trial.seconds)
        return self._percent(trial.name), _clock(job.seconds)

    def _percent(self, name: str) -> str:
        job = self._jobs.get(name)
        return f"{job.share:.0%}" if job is not None and job.steps else "starts"

    def _time_left(self) -> str:
        """Estimate the remaining time from the jobs that ended in this process."""
        costs, before = self._costs()
        ended = sum(cost for name, cost in costs.items() if name in self._ended - before)
        running = sum(costs.get(name, 0.0) * job.share for name, job in self._jobs.items())
        left = sum(cost for name, cost in costs.items() if name not in self._ended) - running
        done = ended + running
        if done <= 0 or left <= 0:
            return ""
        return f", about {_clock((time.monotonic() - self._started) * left / done)} left"

    def _costs(self) -> tuple[Mapping[str, float], set[str]]:
        """Return the cost of each job or trial, and which had ended before."""
        if self._suite is not None:
            return self._suite.costs, set(self._suite.ended)
        assert self._search is not None, "a run alone has a bar of its own"
        names = [f"trial {number}" for number in range(self._search.trials)]
        return dict.fromkeys(names, 1.0), {trial.name for trial in self._search.ended}


_DRAWN = (
    events.TrialStarted,
    events.TrialEnded,
    events.FinalRunStarted,
    events.JobStarted,
    events.JobEvent,
)
"""Events that the live display draws instead of printing their line."""


def trials_table(trials: Sequence[Trial], best: Trial | None, state_of: Any = None) -> Table:
    """Return trials as a table; `state_of` returns the progress and the time of a trial."""
    # Narrow, so that the five settings of the default space fit 80 columns.
    table = Table(title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("trial", "state", "value", "epoch", "time"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    names = list(dict.fromkeys(name for trial in trials for name in trial.parameters))
    for name in names:
        # Broken between words: five headings in full are wider than a terminal.
        heading = Text(name.removeprefix("set.").replace("_", "\n"))
        table.add_column(heading, justify="right", overflow="fold")
    has_errors = any(trial.error for trial in trials)
    if has_errors:
        table.add_column("error", ratio=1)
    for trial in trials:
        seconds = "" if trial.seconds is None else _clock(trial.seconds)
        state, clock = state_of(trial) if state_of else (trial.state, seconds)
        is_best = best is not None and trial.number == best.number
        table.add_row(
            str(trial.number),
            _marked(state, is_best=is_best),
            "" if trial.value is None else shown(trial.value),
            "" if trial.evaluation is None else str(trial.evaluation),
            clock,
            *(Text(_short(trial.parameters.get(name, ""))) for name in names),
            *([Text(trial.error)] if has_errors else []),
            style="bold" if is_best else None,
        )
    return table


def describe_parameters(parameters: Mapping[str, Any]) -> str:
    """Return parameters as one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in parameters.items())


def print_event(event: Event) -> None:
    """Print an event as one line of JSON on standard output."""
    print_line(json_text({"time": now(), **_event_values(event)}))


def print_result_event(value: Any) -> None:
    """Print a result as the last of the events."""
    print_line(json_text({"time": now(), "event": "Result", "result": plain(value)}))


def _event_values(event: Event) -> dict[str, Any]:
    if isinstance(event, events.JobEvent):
        return {"job": event.job, **_event_values(event.event)}
    return {"event": type(event).__name__, **plain(event)}


@contextmanager
def open_display(progress: bool, on_event: events.OnEvent | None = None) -> Iterator[Display]:
    """Show events where the output goes, and pass them on to `on_event`."""
    display = None
    if progress:
        console = progress_console()
        display = LiveDisplay(console) if console.is_terminal else PlainDisplay(console)
    try:
        yield Display(
            events.fan_out(None if display is None else display.on_event, on_event),
            is_live=display is not None and display.is_live,
        )
    finally:
        if display is not None:
            display.close()


@dataclass(frozen=True)
class Display:
    """Where events go, and whether they are drawn on a terminal."""

    emit: events.OnEvent
    is_live: bool

    def say(self, text: str) -> None:
        """Emit a message."""
        self.emit(events.Message(text))


def _with_report(trial: Trial, event: events.TrialReported, direction: str) -> Trial:
    """Return the trial with one more evaluation."""
    sign = 1 if direction == "maximize" else -1
    value, step = trial.value, trial.evaluation
    if event.value is not None and (value is None or sign * (event.value - value) > 0):
        value, step = event.value, event.step
    return replace(trial, value=value, evaluation=step, evaluations=event.step)


def _marked(state: str, *, is_best: bool) -> str:
    if is_best and state == "finished":
        return "best"
    return f"{state}, best" if is_best else state


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
