"""How a suite tells what it does: a live table on a terminal, else a line for each event."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.text import Text

from gluetune.core.runs import Run
from gluetune.core.suite_records import JobRecord, JobState
from gluetune.core.terminal import Console, Table
from gluetune.core.text import visible
from gluetune.experiments.suite.jobs import Said, Step
from gluetune.rendering.suite_tables import counts
from gluetune.rendering.tables import points


class SuiteProgress(Protocol):
    """Who is told what becomes of the jobs."""

    def started(self, job: JobRecord) -> None:
        """Hear that a job runs."""

    def finished(self, job: JobRecord, run: Run | None) -> None:
        """Hear that a job is done."""

    def failed(self, job: JobRecord) -> None:
        """Hear that a job failed, or cannot start."""

    def told(self, key: Hashable, value: Any) -> None:
        """Hear what a running job tells."""

    def say(self, text: str) -> None:
        """Tell one thing that the user should know."""


class SilentProgress:
    """Tells nothing."""

    def started(self, job: JobRecord) -> None:
        """Tell nothing."""

    def finished(self, job: JobRecord, run: Run | None) -> None:
        """Tell nothing."""

    def failed(self, job: JobRecord) -> None:
        """Tell nothing."""

    def told(self, key: Hashable, value: Any) -> None:
        """Tell nothing."""

    def say(self, text: str) -> None:
        """Tell nothing."""


class LinesProgress:
    """Prints a line for each job that starts or ends: for pipes and logs."""

    def __init__(self, console: Console, jobs: Sequence[JobRecord]) -> None:
        self.console = console
        self.jobs = jobs
        self._since: dict[str, float] = {}

    def started(self, job: JobRecord) -> None:
        """Print that a job runs."""
        self._since[job.name] = time.monotonic()
        self.say(f"start   {job.name}")

    def finished(self, job: JobRecord, run: Run | None) -> None:
        """Print a job's score and time, and how many are done."""
        self.say(f"done    {job.name}  {_score(run)}{self._seconds(job)}; {counts(self.jobs)}")

    def failed(self, job: JobRecord) -> None:
        """Print why a job failed."""
        self.say(f"{job.state.value:7} {job.name}{self._seconds(job)}: {job.error}")

    def told(self, key: Hashable, value: Any) -> None:
        """Print nothing: a line for each step would be too many."""

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(visible(text), markup=False, highlight=False, soft_wrap=True)

    def _seconds(self, job: JobRecord) -> str:
        since = self._since.get(job.name)
        return "" if since is None else f" in {time.monotonic() - since:.0f} s"


class LiveProgress(LinesProgress):
    """Shows the running jobs in a table, below the lines of those that are over."""

    def __init__(self, console: Console, jobs: Sequence[JobRecord]) -> None:
        super().__init__(console, jobs)
        self._steps: dict[str, Step] = {}
        self._said: dict[str, str] = {}
        self.live = Live(
            get_renderable=self._table, console=console, refresh_per_second=2, transient=True
        )

    def started(self, job: JobRecord) -> None:
        """Show the job in the table."""
        self._since[job.name] = time.monotonic()
        self._steps.pop(job.name, None)
        self._said.pop(job.name, None)

    def told(self, key: Hashable, value: Any) -> None:
        """Show the step, or the last that was said."""
        if isinstance(value, Step):
            self._steps[str(key)] = value
        elif isinstance(value, Said):
            self._said[str(key)] = value.text

    def _table(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name, justify in (("job", "left"), ("step", "right"), ("examples/s", "right")):
            table.add_column(name, justify=justify, no_wrap=True)
        table.add_column("seconds", justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True)
        for job in self.jobs:
            if job.state is JobState.RUNNING:
                table.add_row(*self._row(job))
        left = sum(job.state in (JobState.WAITING, JobState.RUNNING) for job in self.jobs)
        return Group(table, Text(f"{counts(self.jobs)}; {left} left", style="dim"))

    def _row(self, job: JobRecord) -> tuple[str, ...]:
        step = self._steps.get(job.name)
        return (
            job.name,
            f"{step.done}/{step.steps}" if step else "",
            f"{step.rate:.0f}" if step and step.rate else "",
            f"{time.monotonic() - self._since.get(job.name, time.monotonic()):.0f}",
            visible(self._said.get(job.name, "")),
        )


@contextmanager
def showing(jobs: Sequence[JobRecord], *, progress: bool) -> Iterator[SuiteProgress]:
    """Give what fits where the output goes, for as long as the block lasts."""
    if not progress:
        yield SilentProgress()
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LinesProgress(console, jobs)
        return
    shown = LiveProgress(console, jobs)
    with shown.live:
        yield shown


def _score(run: Run | None) -> str:
    return "" if run is None else points(run.score)
