"""How a training tells what it does: a live bar on a terminal, else plain lines, or nothing."""

from __future__ import annotations

import time
from typing import Any, Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gluetune.core.records import EpochRecord, shown
from gluetune.core.tasks import TaskSpec
from gluetune.core.terminal import Console
from gluetune.core.text import visible_lines

_LINE_SECONDS = 15.0
"""At most one plain line in this time."""


class Reporter(Protocol):
    """Where a training's words go."""

    def say(self, text: str) -> None:
        """Tell one thing that the user should know."""

    def begin(self, steps: int, done: int) -> None:
        """Start counting: `done` of `steps` lie behind us."""

    def advance(self, done: int, rate: float) -> None:
        """Report that `done` steps lie behind us, at `rate` examples per second."""

    def end(self) -> None:
        """Take the bar away."""


class Silent:
    """Tells nothing."""

    def say(self, text: str) -> None:
        """Tell nothing."""

    def begin(self, steps: int, done: int) -> None:
        """Tell nothing."""

    def advance(self, done: int, rate: float) -> None:
        """Tell nothing."""

    def end(self) -> None:
        """Tell nothing."""


class Lines:
    """Tells in plain lines, a few a minute: for files, pipes and logs."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._steps = 0
        self._told = 0.0

    def say(self, text: str) -> None:
        """Print a line."""
        text = visible_lines(text)
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, steps: int, done: int) -> None:
        """Remember the total."""
        self._steps = steps
        self._told = time.monotonic()

    def advance(self, done: int, rate: float) -> None:
        """Print a line, unless one was printed just now."""
        if time.monotonic() - self._told >= _LINE_SECONDS:
            self._told = time.monotonic()
            self.say(f"step {done}/{self._steps}, {rate:.0f} examples/s")

    def end(self) -> None:
        """Nothing to take away."""


class Bar:
    """Shows a live bar with the rate and the time left, and prints lines above it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._progress: Progress | None = None

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        console = self._progress.console if self._progress else self.console
        console.print(visible_lines(text), markup=False, highlight=False)

    def begin(self, steps: int, done: int) -> None:
        """Show the bar."""
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:.0f} examples/s"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self.console,
            transient=True,
        )
        self._progress.start()
        self._progress.add_task("training", total=steps, completed=done, rate=0.0)

    def advance(self, done: int, rate: float) -> None:
        """Move the bar."""
        if self._progress:
            self._progress.update(self._progress.task_ids[0], completed=done, rate=rate)

    def end(self) -> None:
        """Take the bar away."""
        if self._progress:
            self._progress.stop()
            self._progress = None


def make_reporter(progress: bool | Reporter) -> Reporter:
    """Return what fits where the output goes; a reporter is taken as it is."""
    if not isinstance(progress, bool):
        return progress
    if not progress:
        return Silent()
    console = Console(stderr=True)
    return Bar(console) if console.is_terminal else Lines(console)


class ProgressCallback(TrainerCallback):
    """Passes the trainer's steps on to a reporter."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self._first_step = 0
        self._seconds = 0.0
        self._resumed_at = 0.0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Show the bar."""
        self._first_step = state.global_step
        self.reporter.begin(state.max_steps, state.global_step)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock, which does not run during evaluation."""
        self._resumed_at = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the bar."""
        seconds = self._seconds + time.monotonic() - self._resumed_at
        steps = state.global_step - self._first_step
        examples = steps * args.train_batch_size * args.world_size
        self.reporter.advance(state.global_step, examples / seconds)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop the clock."""
        self._seconds += time.monotonic() - self._resumed_at

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the bar away."""
        self.reporter.end()


def epoch_line(epoch: EpochRecord, best: bool, task: TaskSpec) -> str:
    """Return one line on an epoch of `task`: its scores, and whether it is the best so far."""
    metrics = epoch.validation.metrics
    several = len(metrics) > 1
    parts = [
        f"{f'{split} ' if several else ''}{task.metric_title(name)} {shown(value)}"
        for split, values in metrics.items()
        for name, value in values.items()
    ] + [f"{name} {shown(value)}" for name, value in epoch.extra.items()]
    loss = "" if epoch.train_loss is None else f", loss {epoch.train_loss:.4f}"
    flags = (", one class for everything" if epoch.collapsed else "") + (", best" if best else "")
    return f"epoch {epoch.epoch:.3g}: {', '.join(parts)}{loss}{flags}"
