"""What a server writes down: never a text, so never an exception's message, which may quote one.

And never without bound: whoever can connect can cause lines, so each logger passes only so many.
"""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGERS = ("asyncio", "uvicorn.error", "gluetune.serving.batching")
"""The loggers that a client can make write."""
_MOST_RECORDS = 10
_WINDOW = 60.0
"""Seconds in which a logger writes at most `_MOST_RECORDS`."""


def without_message(error: BaseException) -> str:
    """Return an exception's type and where it came from."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}"


def drop_message(record: logging.LogRecord) -> bool:
    """Let a record pass, its exception without the message: a filter for anybody's logger."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.msg}: {without_message(record.exc_info[1])}", ()
        record.exc_info = record.exc_text = None
    return True


class Bounded:
    """A filter that drops messages of exceptions, and of many warnings passes a few a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = -math.inf
        self._passed = 0
        self._left_out = 0

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written; the first after a flood says how long that was."""
        if record.levelno >= logging.WARNING and not self._has_room():
            self._left_out += 1
            return False
        if self._left_out:
            count, self._left_out = self._left_out, 0
            record.msg = f"{record.getMessage()} ({count:,} records before this were left out)"
            record.args = ()
        return drop_message(record)

    def _has_room(self) -> bool:
        now = self._clock()
        if now - self._begin >= _WINDOW:
            self._begin, self._passed = now, 0
        self._passed += 1
        return self._passed <= _MOST_RECORDS


@contextmanager
def bounded_logs() -> Iterator[None]:
    """Keep messages of exceptions, and floods, out of what the loggers of a server write."""
    filters = [(logging.getLogger(name), Bounded()) for name in _LOGGERS]
    for logger, bounded in filters:
        logger.addFilter(bounded)
    try:
        yield
    finally:
        for logger, bounded in filters:
            logger.removeFilter(bounded)
