"""Fast execution paths of a model: each falls back to a slower one on any error.

Checkpoints may have any code; the slower path that a fast one replaces always works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

_SHOWN = 200
"""Characters of an error's message that a reason quotes."""

T = TypeVar("T")


class UnsupportedError(Exception):
    """The model does not support the faster path; the message is the end of a sentence."""


def attempt(compute: Callable[[], T]) -> tuple[T | None, str]:
    """Return the result of a faster path and "", or None and the reason why it fails.

    Out-of-memory errors are raised, and so is what ends the process.
    """
    try:
        return compute(), ""
    except UnsupportedError as error:
        return None, str(error)
    except Exception as error:  # a model's code may raise anything, and the slower path works
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            raise
        if should_reduce_batch_size(error):
            raise
        message = " ".join(str(error).split())[:_SHOWN]
        return None, f"it fails with {type(error).__name__}" + (message and f" ({message})")
