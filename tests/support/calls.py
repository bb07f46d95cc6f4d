"""Calls for worker processes, which import functions by their module's name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from gluetune.core.errors import ConfigurationError, Finding
from gluetune.parallel.pool import emit
from gluetune.parallel.signals import stop_on_signal


def double(number: int) -> int:
    """Emit the number, and return twice the number."""
    emit(number)
    return 2 * number


def process() -> tuple[int, str | None, str | None]:
    """Return the process id, the number of threads and the visible devices."""
    return os.getpid(), os.environ.get("OMP_NUM_THREADS"), os.environ.get("CUDA_VISIBLE_DEVICES")


def die(number: signal.Signals) -> None:
    """Kill this process, as the system does when memory runs out."""
    os.kill(os.getpid(), number)


def leave() -> None:
    """Exit without Python's cleanup."""
    os._exit(7)


def fail() -> None:
    """Report two mistakes."""
    raise ConfigurationError.of([Finding("First.", "Do this."), Finding("Second.")])


def fail_strangely() -> None:
    """Raise an unexpected error."""
    raise ZeroDivisionError("by nothing")


def unpicklable() -> Any:
    """Return a value that cannot be pickled."""
    return lambda: None


def work_until_asked(folder: Path, name: str) -> None:
    """Stop as a run does: at the first request, finish and save the step."""
    with stop_on_signal(lambda text: None) as stop:
        (folder / f"{name}.started").write_text(str(os.getpid()))
        while not stop.made:
            time.sleep(0.01)
        time.sleep(0.2)  # a second request in this time would end it unsaved
        (folder / f"{name}.saved").touch()
    raise stop.end()
