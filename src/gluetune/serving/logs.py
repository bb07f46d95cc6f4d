"""What a server writes down: never a text, so never an exception's message, which may quote one."""

from __future__ import annotations

import logging
import traceback


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
