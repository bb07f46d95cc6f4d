"""Values inside objects: `review.body` is the value `body` of the object `review`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


class NestedValues(dict[str, Any]):
    """The values of a row, those inside objects by their path. They are no keys of their own."""

    def __missing__(self, name: str) -> Any:
        """Return the value inside an object; only a key by that very name goes before it."""
        outer, _, inner = name.partition(".")
        value = dict.get(self, outer)
        if not inner or not isinstance(value, dict):
            raise KeyError(name)
        return NestedValues(value)[inner]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value, also inside an object."""
        try:
            return self[name]
        except KeyError:
            return default


def nested_names(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Yield the names of the values, and of those inside an object after it."""
    for name, value in values.items():
        yield before + name
        if isinstance(value, Mapping):
            yield from nested_names(value, f"{before}{name}.")
