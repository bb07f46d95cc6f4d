"""TF-IDF of words and of pairs of neighbours, hashed: memory is bounded whatever the vocabulary.

Scripts that put no spaces between words (Chinese, Japanese, Thai, Khmer, …) have runs of characters
in their place: one to four in a row. A text may mix both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HASHED = 2**22
"""Columns before the most frequent are chosen."""
_ROWS_AT_ONCE = 5_000
_LONGEST = 100_000
"""Characters of a text that are read."""
_UNSPACED = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"  # Myanmar, Khmer, Tai Le, Tai Lue, Lanna
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Characters of scripts without spaces, as ranges of a regular expression."""
# Words, every sign by itself, so that a text of signs alone has features too, and characters.
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
_RUN = re.compile(rf"[{_UNSPACED}]{{3,}}")


def tokens(text: str) -> Iterator[str]:
    """Yield a text's features: words, pairs of them, and runs of characters without spaces."""
    lowered = text[:_LONGEST].lower()
    words = _TOKEN.findall(lowered)
    yield from words
    for pair in pairwise(words):
        yield " ".join(pair)
    for run in _RUN.findall(lowered):
        for size in (3, 4):
            for start in range(len(run) - size + 1):
                yield run[start : start + size]


class TextFeatures:
    """TF-IDF of one column's most frequent features, learnt from its training texts."""

    def __init__(self, texts: Sequence[str], most: int) -> None:
        """Choose at most `most` features, the most frequent ones."""
        parts = [_counted(part) for part in _blocks(texts)]
        found = sum((_occurrences(part) for part in parts), np.zeros(_HASHED, dtype=np.int64))
        frequent = np.argsort(-found, kind="stable")[:most]
        self._chosen = np.sort(frequent[found[frequent] > 0])
        self._idf = (np.log((1 + len(texts)) / (1 + found[self._chosen])) + 1).astype(np.float32)
        self._parts = parts

    def of_training(self) -> Any:
        """Return the training texts' features as a sparse matrix, once."""
        from scipy.sparse import vstack

        weighed = [self._weighed(self._parts.pop(0)) for _ in range(len(self._parts))]
        return vstack(weighed, format="csr")

    def of(self, texts: Sequence[str]) -> Any:
        """Return the features of other texts, few enough to be held together."""
        return self._weighed(_counted(texts))

    def _weighed(self, counts: Any) -> Any:
        from sklearn.preprocessing import normalize

        chosen = counts[:, self._chosen]
        chosen.data = 1 + np.log(chosen.data)
        chosen.data *= self._idf[chosen.indices]
        return normalize(chosen, copy=False)


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        yield texts[start : start + _ROWS_AT_ONCE]


def _counted(texts: Sequence[str]) -> Any:
    """Return how often each hashed feature occurs in each text."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=tokens, n_features=_HASHED, alternate_sign=False, norm=None, dtype=np.float32
    )
    return hashing.transform(texts)


def _occurrences(counts: Any) -> NDArray[np.int64]:
    return np.bincount(counts.indices, minlength=_HASHED)
