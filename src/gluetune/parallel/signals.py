"""Ctrl-C and SIGTERM as a request: the step is finished and saved, then training stops."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the run is to be stopped, and how. `say` prints what then happens."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.signal: signal.Signals | None = None
        self.heard = False
        """Whether this process itself was sent a signal; with several it may be another one."""
        self._say = say

    @property
    def made(self) -> bool:
        """Whether a stop was requested."""
        return self.signal is not None

    def announce(self) -> None:
        """Print that the run is about to stop."""
        self._say("Stopping after this step, with everything saved. Once more stops immediately.")

    def end(self) -> BaseException:
        """Return what to raise once everything is saved: what the signal would have raised."""
        if self.signal is signal.SIGTERM:
            return SystemExit(128 + signal.SIGTERM)
        return KeyboardInterrupt()


Handler = Callable[[int, FrameType | None], object]


@contextmanager
def listening(say: Callable[[str], None], *, alone: bool = True) -> Iterator[StopRequest]:
    """Catch the first Ctrl-C or SIGTERM as a request; a second one stops immediately.

    The request is announced immediately where the process is `alone`; several have to agree first.
    Outside the main thread, where Python takes no signals, the request is never made.
    """
    request = StopRequest(say)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    process = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            return  # a loader's worker: the terminal sends it Ctrl-C too, and it is still needed
        again, request.heard = request.heard, True
        request.signal = signal.Signals(number)
        if again:
            raise request.end()
        if alone:
            request.announce()

    with _handled_by(note, signal.SIGINT, signal.SIGTERM):
        yield request


@contextmanager
def _handled_by(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Let `handler` take signals; those that had them before take them again afterwards."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)


@contextmanager
def exiting_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, as Ctrl-C raises KeyboardInterrupt, so that blocks are left.

    Outside the main thread, where Python takes no signals, nothing is changed.
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
    """Let Ctrl-C and SIGTERM wait until the block is over: what it begins is not left half done.

    Outside the main thread, where Python takes no signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    came: list[int] = []
    try:
        with _handled_by(lambda one, frame: came.append(one), signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        for caught in dict.fromkeys(came):
            signal.raise_signal(caught)
