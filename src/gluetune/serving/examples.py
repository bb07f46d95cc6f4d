"""Examples for the page, out of the validation set that the run was scored on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from gluetune.reporting.answers import read_texts

if TYPE_CHECKING:
    import pyarrow as pa

    from gluetune.evaluation.backends import Backend
    from gluetune.tasks import TaskSpec

_COUNT = 6
_SHORT = 300
"""Characters of all its texts that an example may have, where there are enough such."""
_SEED = 0


@dataclass(frozen=True)
class Example:
    """A row of the validation set."""

    texts: tuple[str, ...]
    label: str
    """What the data say, as text: a class, a number, or labels."""


def find_examples(backend: Backend) -> tuple[list[Example], str]:
    """Return examples that show every class, or none and the reason."""
    task, run = backend.task, backend.run
    if run is None or task is None or not task.validation_splits:
        return [], "A checkpoint that is no run names no data to take examples from."
    table = read_texts(run, task, task.validation_splits[0])
    if isinstance(table, str):
        return [], table.replace("The texts are not shown", "No examples are shown")
    rows = list(_spread(task, _candidates(task, table)))
    return [_example(task, row) for row in rows], ""


def _candidates(task: TaskSpec, table: pa.Table) -> list[dict[str, Any]]:
    """Return rows in random order, the short ones alone where there are enough."""
    import numpy as np

    order = np.random.default_rng(_SEED).permutation(len(table))[: 50 * _COUNT]
    rows: list[dict[str, Any]] = table.take(order).to_pylist()
    rows = [row for row in rows if all(row[column].strip() for column in task.text_columns)]
    short = [row for row in rows if sum(len(row[name]) for name in task.text_columns) <= _SHORT]
    return short if len(short) >= _COUNT else rows


def _spread(task: TaskSpec, rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows that go round the classes or sets of labels, or from the smallest number up."""
    if task.is_regression:
        ordered = sorted(rows, key=lambda row: float(row[task.label_column]))
        step = max(1, len(ordered) - 1) / max(1, _COUNT - 1)
        places = dict.fromkeys(round(place * step) for place in range(_COUNT))
        yield from (ordered[place] for place in places if place < len(ordered))
        return
    by_class: dict[str, list[dict[str, Any]]] = (
        {} if task.multi_label else {n: [] for n in task.labels}
    )
    for row in rows:
        by_class.setdefault(task.label_text(row[task.label_column]), []).append(row)
    rounds = zip_longest(*by_class.values())
    yield from islice((row for each in rounds for row in each if row is not None), _COUNT)


def _example(task: TaskSpec, row: dict[str, Any]) -> Example:
    label = row[task.label_column]
    is_none = task.multi_label and not any(label)
    shown = "none of the labels" if is_none else task.label_text(label)
    return Example(tuple(row[name] for name in task.text_columns), shown)
