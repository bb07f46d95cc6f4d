"""The bag-of-words baseline: TF-IDF with a linear model, fitted in seconds.

A fine-tuned model that does not beat it is not worth its cost. The kind of task determines the
linear model (`gluetune.kinds.linear_models`). Rows, characters and weights are limited, so that
memory is about 500 MB at most.

Features are hashed words and word bigrams. In scripts without spaces between words (Chinese,
Japanese, Thai, Khmer, …) they are character n-grams, n from 1 to 4. A text may mix both.

Predictions are cached: trials, seeds and later runs on the same data share one fit.
"""

from __future__ import annotations

import hashlib
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.core.errors import StorageError
from gluetune.core.files import cache_part, remove_oldest, write_atomically
from gluetune.data.sampling import take_fraction
from gluetune.data.tables import label_array
from gluetune.kinds.linear_models import FEW_CLASSES
from gluetune.statistics.scores import TaskScore, score_task

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gluetune.core.tasks import TaskSpec

    Arrays = dict[str, NDArray[Any]]

MOST_ROWS = 50_000
"""Training rows that are used, at most: a stratified sample of more."""
_CHARACTERS = 30_000_000
"""Characters of training rows that are used, at most."""
_FEATURES = 200_000
_WEIGHTS = 1_500_000
"""Weights of the linear model. L-BFGS uses about 200 bytes for each."""
_WEIGHTS_OF_MANY = 50_000_000
"""Weights for many classes, 4 bytes each."""
_ROWS_AT_ONCE = 5_000
_SEED = 0


def text_baseline(
    task: TaskSpec, train: pa.Table, validation: Mapping[str, pa.Table], *, balanced: bool = False
) -> TaskScore:
    """Return the score of TF-IDF of words and word bigrams with a linear model.

    Arguments are those of `predict_by_words`.
    """
    predictions = predict_by_words(task, train, validation, balanced=balanced)
    labels = {name: label_array(table, task) for name, table in validation.items()}
    return score_task(task, predictions, labels)


def predict_by_words(
    task: TaskSpec, train: pa.Table, validation: Mapping[str, pa.Table], *, balanced: bool = False
) -> dict[str, NDArray[Any]]:
    """Fit the baseline on `train`, and return its predictions for each split of `validation`.

    Tables are canonical. `balanced` weights classes as `--class-weights balanced` does.
    """
    train = _part(task, train)
    most = _most_features(task)
    columns = [TextFeatures(train[name].to_pylist(), most) for name in task.text_columns]
    features = _side_by_side([column.of_training() for column in columns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged, which a baseline need not
        labels = label_array(train, task)
        predict = task.kind.fit_words(features, labels, task.num_labels, balanced=balanced)
    return {
        name: np.concatenate([predict(part) for part in _batches(task, columns, table)])
        if len(table)
        else label_array(table, task)
        for name, table in validation.items()
    }


def _part(task: TaskSpec, train: pa.Table) -> pa.Table:
    """Return the training rows to fit."""
    import pyarrow.compute as pc

    columns = [pc.sum(pc.utf8_length(train[name])).as_py() or 0 for name in task.text_columns]
    fraction = min(1.0, MOST_ROWS / max(len(train), 1), _CHARACTERS / max(sum(columns), 1))
    return take_fraction(train, task, fraction, _SEED)


def _most_features(task: TaskSpec) -> int:
    """Return the maximum number of features per text column."""
    weights = _WEIGHTS_OF_MANY if task.num_labels > FEW_CLASSES else _WEIGHTS
    at_once = task.kind.heads_at_once(task.num_labels)
    return max(1, min(_FEATURES, weights // (at_once * len(task.text_columns))))


def _side_by_side(columns: list[Any]) -> Any:
    from scipy.sparse import hstack

    return columns[0] if len(columns) == 1 else hstack(columns, format="csr")


def _batches(task: TaskSpec, columns: list[TextFeatures], table: pa.Table) -> Iterator[Any]:
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table.slice(start, _ROWS_AT_ONCE)
        texts = (rows[name].to_pylist() for name in task.text_columns)
        yield _side_by_side([one.of(part) for one, part in zip(columns, texts, strict=True)])


_HASHED = 2**22
"""Hashed features, of which the most frequent are chosen."""
_HASHED_AT_ONCE = 5_000
_LONGEST = 100_000
"""Characters of a text that are read, at most."""
_UNSPACED = (
    "\u0e00-\u0fff"  # Thai, Lao, Tibetan
    "\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"  # Myanmar, Khmer, Tai Le, Tai Lue, Lanna
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
"""Characters of scripts without spaces, as ranges of a regular expression."""
# Characters without spaces, words, and single punctuation marks.
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")
_RUN = re.compile(rf"[{_UNSPACED}]{{3,}}")


def tokens(text: str) -> Iterator[str]:
    """Yield a text's features: words, word bigrams, and character n-grams without spaces."""
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
    """TF-IDF of one column's most frequent features, fitted on its training texts."""

    def __init__(self, texts: Sequence[str], most: int) -> None:
        """Choose at most `most` features, the most frequent ones."""
        parts = [_counted(part) for part in _blocks(texts)]
        found = sum((_occurrences(part) for part in parts), np.zeros(_HASHED, dtype=np.int64))
        frequent = np.argsort(-found, kind="stable")[:most]
        self._chosen = np.sort(frequent[found[frequent] > 0])
        self._idf = (np.log((1 + len(texts)) / (1 + found[self._chosen])) + 1).astype(np.float32)
        self._parts = parts

    def of_training(self) -> Any:
        """Return the training texts' features as a sparse matrix; callable once."""
        from scipy.sparse import vstack

        weighed = [self._weighed(self._parts.pop(0)) for _ in range(len(self._parts))]
        return vstack(weighed, format="csr")

    def of(self, texts: Sequence[str]) -> Any:
        """Return the features of other texts, few enough for memory."""
        return self._weighed(_counted(texts))

    def _weighed(self, counts: Any) -> Any:
        from sklearn.preprocessing import normalize

        chosen = counts[:, self._chosen]
        chosen.data = 1 + np.log(chosen.data)
        chosen.data *= self._idf[chosen.indices]
        return normalize(chosen, copy=False)


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _HASHED_AT_ONCE):
        yield texts[start : start + _HASHED_AT_ONCE]


def _counted(texts: Sequence[str]) -> Any:
    """Count the hashed features of each text."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=tokens, n_features=_HASHED, alternate_sign=False, norm=None, dtype=np.float32
    )
    return hashing.transform(texts)


def _occurrences(counts: Any) -> NDArray[np.int64]:
    return np.bincount(counts.indices, minlength=_HASHED)


_VERSION = 1
"""Version of the method: a change invalidates the cache."""
_MOST_FILES = 64
"""Files in the cache, at most; the newest are kept."""


def kept_baseline(
    task: TaskSpec, fingerprints: Mapping[str, str], balanced: bool, fit: Callable[[], Arrays]
) -> Arrays:
    """Return the predictions of `fit` for each split, or cached ones of the same data.

    `fingerprints` are of the training rows and of the splits. If the cache cannot be written, the
    baseline is fitted each time.
    """
    try:
        path = cache_part("baselines") / f"{_key(task, fingerprints, balanced)}.npz"
    except StorageError:
        return fit()
    if (kept := _read(path)) is not None:
        return kept
    made = fit()
    with suppress(OSError, StorageError):  # the cache is optional
        write_atomically(path, lambda temporary: _write(temporary, made))
        remove_oldest(path.parent, "*.npz", _MOST_FILES)
    return made


def _key(task: TaskSpec, fingerprints: Mapping[str, str], balanced: bool) -> str:
    same = replace(task, name="", title="", thresholds=(), metrics=(), extra_metrics=())
    parts = (_VERSION, version("scikit-learn"), same, balanced, sorted(fingerprints.items()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _read(path: Path) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _write(path: Path, arrays: Arrays) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
