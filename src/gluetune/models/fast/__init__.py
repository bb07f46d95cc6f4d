"""Fast paths through a model: each is tried, and given up for whatever it raises.

Checkpoints bring code of every kind; the slower path that a fast one replaces always works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from accelerate.utils.memory import should_reduce_batch_size

_SHOWN = 200
"""Characters of a failure's message that a reason repeats."""

T = TypeVar("T")


class UnsupportedError(Exception):
    """The faster path is not for this model; the message says why, as the end of a sentence."""


def attempt(compute: Callable[[], T]) -> tuple[T | None, str]:
    """Return what a faster path gives and an empty text, or None and the reason against it.

    A lack of memory is no reason against it, and is raised; so is what ends the process.
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
