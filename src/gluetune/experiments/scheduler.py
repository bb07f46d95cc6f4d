"""Calls given to the processes of a pool, in whichever order a search or a suite wants them."""

from __future__ import annotations

from collections.abc import Callable

from gluetune.parallel.calls import Outcome
from gluetune.parallel.pool import Pool

_LOOK_SECONDS = 1.0


def run_all(pool: Pool, start_next: Callable[[], bool], end: Callable[[Outcome], None]) -> None:
    """Run calls until none is left to start and none is running.

    Args:
        pool: Where they run.
        start_next: Starts the next call, while a process is free; returns whether it could.
        end: Called with the outcome of each call; it may make more calls possible.
    """
    while True:
        while pool.free and start_next():
            pass
        if not pool.running:
            return
        outcome = pool.wait(_LOOK_SECONDS)
        if outcome is not None:
            end(outcome)
