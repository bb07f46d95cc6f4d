"""What a trial tells while it runs, from whichever process it runs in."""

from __future__ import annotations

import time
from dataclasses import dataclass

from gluetune.parallel.calls import tell

_SECONDS = 0.5
"""Steps are told at most this often."""


@dataclass(frozen=True)
class Evaluated:
    """An evaluation is done: the `count`th, at `epoch`."""

    count: int
    epoch: float
    value: float | None
    """In the objective's own sense."""


@dataclass(frozen=True)
class Stepped:
    """Training is at step `done` of `steps`."""

    done: int
    steps: int


class TellingReporter:
    """A training's Reporter that tells its steps; its words stay in the run's own record."""

    def __init__(self) -> None:
        self._steps = 0
        self._told = 0.0

    def say(self, text: str) -> None:
        """Tell nothing: of many trainings at once, words would hide the table."""

    def begin(self, steps: int, done: int) -> None:
        """Tell where the training begins."""
        self._steps = steps
        tell(Stepped(done, steps))

    def advance(self, done: int, rate: float) -> None:
        """Tell the step, unless one was told just now."""
        if time.monotonic() - self._told >= _SECONDS:
            self._told = time.monotonic()
            tell(Stepped(done, self._steps))

    def end(self) -> None:
        """Tell nothing."""
