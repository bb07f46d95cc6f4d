"""One row of a task before it has an index: its texts and its label."""

from __future__ import annotations

from typing import NamedTuple


class Example(NamedTuple):
    """The texts in the order of the task's text columns, and the class id or the score."""

    texts: tuple[str, ...]
    label: float
