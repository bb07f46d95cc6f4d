"""A seeded source of choices that repeats on every machine and Python version.

Only `random.Random.random()` is used: its sequence for a given seed is the one that Python
promises to keep (https://docs.python.org/3/library/random.html#notes-on-reproducibility), while
the algorithms behind `choice`, `sample` and `shuffle` may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices drawn in an order that the seed alone determines."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed).random

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the `options`, each as likely as the next."""
        return options[int(self._random() * len(options))]

    def chance(self, probability: float) -> bool:
        """Return True with the given `probability`."""
        return self._random() < probability

    def number(self, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`, both included."""
        return low + int(self._random() * (high - low + 1))

    def distinct(self, options: Sequence[T], count: int) -> list[T]:
        """Return `count` different members of `options` (which has no repeats), in any order."""
        pool = list(options)
        return [pool.pop(int(self._random() * len(pool))) for _ in range(count)]

    def other(self, options: Sequence[T], *taken: T) -> T:
        """Return one of the `options` that is none of those `taken`."""
        return self.pick([option for option in options if option not in taken])
