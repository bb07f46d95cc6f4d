"""What a search shows while it runs: a live table of trials on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.live import Live
from rich.text import Text

from gluetune.core.records import shown
from gluetune.core.terminal import Console, Table
from gluetune.experiments.search.events import Evaluated, Stepped
from gluetune.experiments.search.outcomes import TrialRow, best_of

_SHOWN = 12
"""Trials in the live table at most: the best, and the last ones."""


class Board:
    """Shows nothing. The base of those that do; `told` is what workers' calls tell."""

    def say(self, text: str) -> None:
        """Tell one thing that the user should know."""

    def begin(self, number: int, row: TrialRow) -> None:
        """Tell that a trial begins or goes on."""

    def begin_final(self, seed: int) -> None:
        """Tell that the best setting is trained with a seed."""

    def told(self, key: Hashable, what: Any) -> None:
        """Take in what the trial `key` tells."""

    def end(self, rows: Sequence[TrialRow], number: int) -> None:
        """Tell how a trial ended."""

    def refresh(self) -> None:
        """Show what time has changed."""

    def close(self, *, keep: bool) -> None:
        """Stop showing; `keep` what stands there, where nothing else will tell it."""


class LineBoard(Board):
    """Plain lines, for files, pipes and logs."""

    def __init__(self, console: Console, direction: str) -> None:
        self.console = console
        self.direction = direction

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def begin(self, number: int, row: TrialRow) -> None:
        """Print what the trial tries."""
        again = " goes on" if row.evaluations else ""
        self.say(f"trial {number}{again}: {described(row.parameters)}")

    def begin_final(self, seed: int) -> None:
        """Print the seed."""
        self.say(f"best setting on all of train, seed {seed}")

    def told(self, key: Hashable, what: Any) -> None:
        """Print an evaluation."""
        if isinstance(what, Evaluated):
            name = f"trial {key}" if isinstance(key, int) else str(key)
            self.say(f"{name}, epoch {what.epoch:.3g}: {shown(what.value)}")

    def end(self, rows: Sequence[TrialRow], number: int) -> None:
        """Print how the trial ended, and whether it is the best."""
        best = best_of(rows, self.direction)
        row = rows[number]
        mark = ", best so far" if best is not None and best.number == number else ""
        said = f" ({row.error})" if row.error else f": {shown(row.value)}"
        self.say(f"trial {number} {row.state}{said}{mark}")


class LiveBoard(LineBoard):
    """A table that follows the trials, and lines above it."""

    def __init__(self, console: Console, direction: str, title: str, trials: int) -> None:
        super().__init__(console, direction)
        self.title = title
        self.trials = trials
        self._rows: dict[int, TrialRow] = {}
        self._steps: dict[Hashable, Stepped] = {}
        self._begun: dict[Hashable, float] = {}
        self._final: dict[str, Evaluated | None] = {}
        self._live = Live(console=console, get_renderable=self.table, auto_refresh=False)
        self._live.start()

    def begin(self, number: int, row: TrialRow) -> None:
        """Show the trial."""
        self._rows[number] = row
        self._begun[number] = time.monotonic()
        self.refresh()

    def begin_final(self, seed: int) -> None:
        """Show the seed."""
        self._final[f"seed {seed}"] = None
        self._begun[f"seed {seed}"] = time.monotonic()
        self.refresh()

    def told(self, key: Hashable, what: Any) -> None:
        """Show a step or an evaluation."""
        if isinstance(what, Stepped):
            self._steps[key] = what
        elif isinstance(key, int):
            self._rows[key] = _with(self._rows[key], what, self.direction)
        else:
            self._final[str(key)] = what
        self.refresh()

    def end(self, rows: Sequence[TrialRow], number: int) -> None:
        """Show all trials as the study has them."""
        running = {n: row for n, row in self._rows.items() if row.state == "running"}
        self._rows = {row.number: running.get(row.number, row) for row in rows}
        self._rows[number] = rows[number]
        self.refresh()

    def refresh(self) -> None:
        """Draw the table anew."""
        self._live.refresh()

    def close(self, *, keep: bool) -> None:
        """Leave the table as it stands, or take it away."""
        self._live.transient = not keep
        self._live.stop()

    def table(self) -> Table:
        """Return the table as it stands: the best trial, those that run, and the last ones."""
        rows = list(self._rows.values())
        best = best_of(rows, self.direction)
        table = trials_table(
            [row for row in rows if row is best or row in rows[-_SHOWN:]], best, self._time_of
        )
        done = sum(row.state != "running" for row in rows)
        table.title = f"{self.title}: {done} of {self.trials} trials"
        for name, what in self._final.items():
            value = "" if what is None else shown(what.value)
            table.add_row(name, self._share(name), value, "", self._clock(name))
        return table

    def _time_of(self, row: TrialRow) -> tuple[str, str]:
        if row.state != "running":
            return row.state, "" if row.seconds is None else _clock(row.seconds)
        return self._share(row.number), self._clock(row.number)

    def _share(self, key: Hashable) -> str:
        steps = self._steps.get(key)
        return f"{steps.done / steps.steps:.0%}" if steps and steps.steps else "begins"

    def _clock(self, key: Hashable) -> str:
        return _clock(time.monotonic() - self._begun[key]) if key in self._begun else ""


def trials_table(rows: Sequence[TrialRow], best: TrialRow | None, time_of: Any = None) -> Table:
    """Return trials as a table; `time_of` gives how far a trial is, and its time."""
    # Narrow, for the five settings of the default space to fit 80 columns.
    table = Table(title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("trial", "state", "value", "epoch", "time"):
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    names = list(dict.fromkeys(name for row in rows for name in row.parameters))
    for name in names:
        # Broken where the words are: five of them side by side are wider than a terminal.
        heading = Text(name.removeprefix("set.").replace("_", "\n"))
        table.add_column(heading, justify="right", overflow="fold")
    if any(row.error for row in rows):
        table.add_column("error", ratio=1)
    for row in rows:
        seconds = "" if row.seconds is None else _clock(row.seconds)
        state, clock = time_of(row) if time_of else (row.state, seconds)
        is_best = best is not None and row.number == best.number
        table.add_row(
            str(row.number),
            _marked(state, is_best=is_best),
            "" if row.value is None else f"{row.value:.4f}",
            "" if row.evaluation is None else str(row.evaluation),
            clock,
            *(Text(_short(row.parameters.get(name, ""))) for name in names),
            *([Text(row.error)] if any(one.error for one in rows) else []),
            style="bold" if is_best else None,
        )
    return table


def _marked(state: str, *, is_best: bool) -> str:
    if is_best and state == "finished":
        return "best"
    return f"{state}, best" if is_best else state


def described(parameters: Mapping[str, Any]) -> str:
    """Return parameters as one line."""
    return ", ".join(f"{name} {_short(value)}" for name, value in parameters.items())


def make_board(progress: bool, direction: str, title: str, trials: int) -> Board:
    """Return what fits where the output goes."""
    if not progress:
        return Board()
    console = Console(stderr=True)
    if console.is_terminal:
        return LiveBoard(console, direction, title, trials)
    return LineBoard(console, direction)


def _with(row: TrialRow, what: Evaluated, direction: str) -> TrialRow:
    """Return the row with one more evaluation."""
    sign = 1 if direction == "maximize" else -1
    better = what.value is not None and (row.value is None or sign * (what.value - row.value) > 0)
    value, evaluation = (what.value, what.count) if better else (row.value, row.evaluation)
    return replace(row, value=value, evaluation=evaluation, evaluations=what.count)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
