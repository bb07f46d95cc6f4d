"""Ctrl-C and SIGTERM as a request to stop: the step is finished and saved, then training stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the run is to be stopped, and by which signal. `log` prints what happens next."""

    def __init__(self, log: Callable[[str], None] = lambda text: None) -> None:
        self.signal: signal.Signals | None = None
        self.is_received = False
        """Whether this process received a signal; of several processes, another one may have."""
        self._log = log

    @property
    def made(self) -> bool:
        """Whether a stop was requested."""
        return self.signal is not None

    def announce(self) -> None:
        """Print that the run is about to stop."""
        self._log("Stopping after this step, with everything saved. Once more stops immediately.")

    def end(self) -> BaseException:
        """Return the exception to raise once everything is saved: the one of the signal."""
        if self.signal is signal.SIGTERM:
            return SystemExit(128 + signal.SIGTERM)
        return KeyboardInterrupt()


Handler = Callable[[int, FrameType | None], object]


@contextmanager
def stop_on_signal(log: Callable[[str], None], *, alone: bool = True) -> Iterator[StopRequest]:
    """Handle the first Ctrl-C or SIGTERM as a request to stop; a second one stops immediately.

    Args:
        log: Prints what happens next.
        alone: Whether the process announces a request immediately; several have to agree first.

    Outside the main thread, where Python handles no signals, no request is ever made.
    """
    request = StopRequest(log)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    process = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            return  # a data loader: the terminal sends it Ctrl-C too, and it is still needed
        again, request.is_received = request.is_received, True
        request.signal = signal.Signals(number)
        if again:
            raise request.end()
        if alone:
            request.announce()

    with _handled_by(note, signal.SIGINT, signal.SIGTERM):
        yield request


@contextmanager
def _handled_by(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals by `handler` while the block runs, then by the former handlers again."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, as Ctrl-C raises KeyboardInterrupt, so that blocks clean up.

    Does nothing outside the main thread, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    with _handled_by(leave, signal.SIGTERM):
        yield


@contextmanager
def deferring_signals() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM to the end of the block, so that it is never interrupted.

    Does nothing outside the main thread, where Python handles no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    received: list[int] = []
    try:
        with _handled_by(lambda one, frame: received.append(one), signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        for number in dict.fromkeys(received):
            signal.raise_signal(number)
