"""The kinds of task, by name. What depends on the kind is a part of its object, and nowhere else.

`TaskSpec.kind` is one of these. A new kind is a file here, with a line in `KINDS` and in the names
that `--kind` takes.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from gluetune.kinds.base import Kind
from gluetune.kinds.multi_label import MULTI_LABEL
from gluetune.kinds.ordinal import ORDINAL
from gluetune.kinds.regression import REGRESSION
from gluetune.kinds.single_label import SINGLE_LABEL

__all__ = [
    "FORMER_NAMES",
    "KINDS",
    "MULTI_LABEL",
    "ORDINAL",
    "REGRESSION",
    "SINGLE_LABEL",
    "Kind",
    "KindName",
    "get_kind",
    "kind_of_head",
    "kind_of_record",
]

KindName = Literal["single_label", "multi_label", "regression", "ordinal"]

KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (SINGLE_LABEL, MULTI_LABEL, REGRESSION, ORDINAL)}
)

FORMER_NAMES: Mapping[str, KindName] = MappingProxyType(
    {"classes": "single_label", "labels": "multi_label", "number": "regression"}
)
"""Former names of the kinds, which saved files may have."""


def get_kind(name: str) -> Kind:
    """Return the kind called `name`, also by its former name. Raises ValueError."""
    kind = KINDS.get(FORMER_NAMES.get(name, name))
    if kind is not None:
        return kind
    near = difflib.get_close_matches(name, KINDS, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"there is no kind '{name}'.{hint} Kinds: {', '.join(KINDS)}")


def kind_of_head(problem_type: str | None, outputs: int) -> Kind:
    """Return the kind that a checkpoint's config.json states, as transformers' heads decide it.

    Without a `problem_type` one output is a number, and more are classes.
    """
    if problem_type is None:
        return REGRESSION if outputs == 1 else SINGLE_LABEL
    return next(kind for kind in KINDS.values() if kind.problem_type == problem_type)


def kind_of_record(own_task: Mapping[str, object]) -> str:
    """Return the kind of a task in a record that does not name it, as records did at first."""
    if own_task.get("multi_label"):
        return MULTI_LABEL.name
    return (SINGLE_LABEL if own_task.get("labels") else REGRESSION).name
