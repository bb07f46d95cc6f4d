"""Folders of experiments: named by what was requested, and found again by it.

The name has a hash of the settings that differ from their defaults, so that a setting which a later
release adds renames no folder. A folder that has another name, as one by an earlier release, is
found by the request that is kept in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from gluetune.core.errors import RunError

Requested = Mapping[str, Any]
"""What decides the results of an experiment, with every default filled in, as JSON holds it."""


def digest(requested: Requested) -> str:
    """Return eight hexadecimal digits that only this request has."""
    text = json.dumps(requested, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def find_folder(named: Path, requested: Requested, read: Callable[[Path], Requested]) -> Path:
    """Return the folder of an experiment: `named` (`PLACE/PREFIX-HASH`), or one that is there.

    Args:
        named: The folder as this release names it.
        requested: What decides the experiment's results.
        read: Returns what was requested of the experiment in a folder. Raises RunError where there
            is none, or none that can be read.
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
    """Return how two requests differ: `epochs was 3 and is 5; …`."""
    ours, theirs = _flat(now), _flat(before)
    return "; ".join(
        f"{name} was {_shown(theirs.get(name))} and is {_shown(ours.get(name))}"
        for name in dict.fromkeys((*theirs, *ours))
        if theirs.get(name) != ours.get(name)
    )


def _flat(values: Requested, before: str = "") -> dict[str, Any]:
    """Return the values of nested mappings under names such as `settings.epochs`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = isinstance(value, Mapping) and not before
        flat |= _flat(value, f"{name}.") if nested else {f"{before}{name}": value}
    return {name.removeprefix("fixed.").removeprefix("settings."): flat[name] for name in flat}


def _shown(value: object) -> str:
    if value is None:
        return "not given"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
