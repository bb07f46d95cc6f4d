"""What is read of a text that is longer than the model takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

FIELD = "long_texts"
"""Field of config.json with a `LongTexts`, and attribute of a tokenizer that follows it."""
_HEAD = 4
"""A head is one part in so many of the tokens (Sun et al. 2019, arXiv 1905.05583)."""


@dataclass(frozen=True)
class LongTexts:
    """A way to read long texts, other than to cut them."""

    how: Literal["head-tail", "windows"]
    overlap: int = 0
    """Tokens that two neighbouring windows share."""
    most: int = 1
    """Windows of a text, at most."""

    def places(self, length: int, limit: int, special: tuple[int, int]) -> list[int]:
        """Return which tokens of a text of `length` tokens are read, in order.

        `special` are the numbers of special tokens before and after a text: each window has them.
        Every window but the last has `limit` tokens.
        """
        if length <= limit:
            return [*range(length)]
        before, after = special
        if self.how == "head-tail":
            head = max(before, limit // _HEAD)
            return [*range(head), *range(length - (limit - head), length)]
        found: list[int] = []
        end = length - after
        for number in range(min(self.most, self.count(length, limit, special))):
            start = before + number * (limit - before - after - self.overlap)
            found += range(before)
            found += range(start, min(start + limit - before - after, end))
            found += range(end, length)
        return found

    def count(self, length: int, limit: int, special: tuple[int, int]) -> int:
        """Return how many windows a whole text needs."""
        room = limit - sum(special)
        beyond = length - sum(special) - room
        return 1 if beyond <= 0 else 1 + -(-beyond // (room - self.overlap))

    def reads_all(self, length: int, limit: int, special: tuple[int, int]) -> bool:
        """Return whether a whole text is read."""
        if self.how == "head-tail":
            return length <= limit
        return self.count(length, limit, special) <= self.most

    def to_dict(self) -> dict[str, Any]:
        """Return what config.json has."""
        return asdict(self)


def long_texts_of(owner: object) -> LongTexts | None:
    """Return how a tokenizer or a model's config reads long texts; None: they are cut."""
    found = getattr(owner, FIELD, None)
    return LongTexts(**found) if isinstance(found, dict) else found


def window_of(tokenizer: object, max_length: int | None) -> int | None:
    """Return the length of the windows that a tokenizer makes; None without windows."""
    found = long_texts_of(tokenizer)
    return max_length if found is not None and found.how == "windows" else None
