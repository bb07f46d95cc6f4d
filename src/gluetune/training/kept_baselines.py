"""Bag-of-words predictions, kept: trials, seeds and repeats on the same data share one fit."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.errors import StorageError
from gluetune.files import cache_part, write_atomically

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gluetune.tasks import TaskSpec

    Arrays = dict[str, NDArray[Any]]

_VERSION = 1
"""Of the method: another number fits every baseline anew."""
_MOST_FILES = 64
"""The newest are kept."""


def kept_baseline(
    task: TaskSpec, fingerprints: Mapping[str, str], balanced: bool, fit: Callable[[], Arrays]
) -> Arrays:
    """Return the predictions that `fit` makes for each split, or those kept of the same data.

    `fingerprints` are of the training rows and of the splits. Where the cache cannot be written,
    the baseline is fitted each time.
    """
    try:
        path = cache_part("baselines") / f"{_key(task, fingerprints, balanced)}.npz"
    except StorageError:
        return fit()
    if (kept := _read(path)) is not None:
        return kept
    made = fit()
    with suppress(OSError, StorageError):  # the predictions are right without the file
        write_atomically(path, lambda temporary: _write(temporary, made))
        _remove_oldest(path.parent)
    return made


def _key(task: TaskSpec, fingerprints: Mapping[str, str], balanced: bool) -> str:
    same = replace(task, name="", title="", thresholds=(), metrics=(), beside=())
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


def _remove_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime)
    for path in files[:-_MOST_FILES]:
        path.unlink(missing_ok=True)
