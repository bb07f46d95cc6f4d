"""Intervals that are kept in a file, so that those of the same predictions are computed once.

An entry's key is a digest of everything that an interval depends on, so a file that is out of date
is merely of no use, and one that is damaged is as good as none.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from gluetune.errors import StorageError
from gluetune.files import write_json
from gluetune.statistics.intervals import Interval, score_intervals

if TYPE_CHECKING:
    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec

_VERSION = 1
"""Of the method: another number makes every interval anew."""
_MOST_ENTRIES = 8
"""The newest are kept: a run may be evaluated on any number of files."""

_Intervals = dict[str, Interval | None]
_ENTRIES = TypeAdapter(dict[str, _Intervals])


def kept_intervals(
    path: Path, task: TaskSpec, predictions: Mapping[str, Predictions]
) -> _Intervals:
    """Return `score_intervals` of predictions, read from `path` or computed and kept there.

    Where `path` cannot be written, as in a folder of somebody else's, they are computed each time.
    """
    entries, key = _read(path), _key(task, predictions)
    if key in entries:
        return entries[key]
    made = score_intervals(task, predictions)
    newest = [*entries.items(), (key, made)][-_MOST_ENTRIES:]
    with suppress(OSError, StorageError):  # the intervals are right without the file
        write_json(path, _ENTRIES.dump_python(dict(newest), mode="json"))
    return made


def _read(path: Path) -> dict[str, _Intervals]:
    try:
        return _ENTRIES.validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}


def _key(task: TaskSpec, predictions: Mapping[str, Predictions]) -> str:
    digest = hashlib.sha256()
    # Thresholds are known to the predictions, and to a task only once it has been trained.
    digest.update(f"{_VERSION} {dataclasses.replace(task, thresholds=())!r}".encode())
    for split, found in predictions.items():
        for side in (found.labels, found.predicted):
            digest.update(f"{split} {side.dtype.str} {side.shape}".encode())
            digest.update(side.tobytes())
    return digest.hexdigest()
