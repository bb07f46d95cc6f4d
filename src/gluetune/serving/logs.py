"""Filters of a server's logs: exceptions without their messages, and a bounded number of records.

A message may quote a client's text. Clients can cause records, so each logger writes only so many.
"""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGERS = ("asyncio", "uvicorn.error", "gluetune.serving.batching")
"""Loggers in which clients can cause records."""
_MOST_RECORDS = 10
_WINDOW = 60.0
"""Seconds in which a logger writes at most `_MOST_RECORDS`."""


def without_message(error: BaseException) -> str:
    """Return an exception's type and traceback, without its message."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}"


def drop_message(record: logging.LogRecord) -> bool:
    """Replace a record's exception by its type and traceback: a filter that passes every record."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.msg}: {without_message(record.exc_info[1])}", ()
        record.exc_info = record.exc_text = None
    return True


class Bounded:
    """A filter that drops messages of exceptions, and limits the warnings per minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = -math.inf
        self._passed = 0
        self._left_out = 0

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record; the first after a flood counts the dropped ones."""
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
    """Filter the loggers of a server inside the block."""
    filters = [(logging.getLogger(name), Bounded()) for name in _LOGGERS]
    for logger, bounded in filters:
        logger.addFilter(bounded)
    try:
        yield
    finally:
        for logger, bounded in filters:
            logger.removeFilter(bounded)
