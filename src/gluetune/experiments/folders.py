"""Folders of experiments: named by a hash of their request, and found again by the request.

The hash is of the settings that differ from their defaults, so a setting that a later release adds
renames no folder. A folder with another name, such as one of an earlier release, is found by the
request in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gluetune.core.errors import RunError

Requested = Mapping[str, Any]
"""The settings that determine an experiment's results, defaults included, as JSON values."""


def digest(requested: Requested) -> str:
    """Return a hash of a request: eight hexadecimal digits."""
    text = json.dumps(requested, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def find_folder(named: Path, requested: Requested, read: Callable[[Path], Requested]) -> Path:
    """Return the folder of an experiment: `named`, or an existing one with the same request.

    Args:
        named: The folder as this release names it: `PARENT/PREFIX-HASH`.
        requested: The settings that determine the experiment's results.
        read: Returns the request of the experiment in a folder. Raises RunError where there is no
            readable one.
    """
    if named.exists():
        return named
    return next(_same(named, requested, read), named)


def _same(named: Path, requested: Requested, read: Callable[[Path], Requested]) -> Iterator[Path]:
    prefix = named.name.rpartition("-")[0]
    for path in sorted(named.parent.glob(f"{prefix}-????????")):
        try:
            if read(path) == requested:
                yield path
        except RunError:
            continue


def differences(before: Requested, now: Requested) -> str:
    """Describe how two requests differ: `epochs was 3 and is 5; …`."""
    ours, theirs = _flat(now), _flat(before)
    return "; ".join(
        f"{name} was {_shown(theirs.get(name))} and is {_shown(ours.get(name))}"
        for name in dict.fromkeys((*theirs, *ours))
        if theirs.get(name) != ours.get(name)
    )


def _flat(values: Requested, before: str = "") -> dict[str, Any]:
    """Flatten nested mappings to names such as `settings.epochs`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and not before
        flat |= _flat(value, f"{name}.") if nested else {f"{before}{name}": value}
    return {name.removeprefix("fixed.").removeprefix("settings."): flat[name] for name in flat}


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
