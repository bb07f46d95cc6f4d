"""The summary of a split, which `gluetune show` renders."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.sources import open_source
from gluetune.data.tables import hidden_labels, notes_of, require_split

HIDDEN_NAME = "hidden"
"""Display name of a hidden label."""

_MOST_BINS = 12
_MOST_STEPS = 10

_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabelCount:
    """How many examples have a class, or for regression a label in an interval."""

    name: str
    count: int
    share: float
    """Share of all examples, from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class LengthBin:
    """How many examples have `low` to `high` words, both included; None: no upper limit."""

    low: int
    high: int | None
    count: int


@dataclass(frozen=True, kw_only=True)
class ShownExample:
    """One example: its index, its texts by column, and its label by name."""

    index: int
    texts: dict[str, str]
    label: str


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The summary of a split."""

    task: TaskSpec
    split: str
    source: str
    rows: int
    labels: tuple[LabelCount, ...]
    lengths: tuple[LengthBin, ...]
    """Words per example, over all its texts."""
    median_words: float
    most_words: int
    examples: tuple[ShownExample, ...]
    seed: int
    """The seed that drew `examples`."""
    notes: tuple[str, ...]


def describe_split(
    task_name: str,
    data: str | None = None,
    split: str | None = None,
    rows: int = 10,
    seed: int | None = None,
) -> Summary:
    """Read a split of a task and return its summary.

    Args:
        task_name: Name of the task.
        data: As in `open_source`.
        split: Default: the training split, else the first one available.
        rows: How many examples to show.
        seed: Seed that draws the examples. Default: different examples at every call.

    Raises:
        ConfigurationError, DataError, HubError: where there is no such task, data or split, or it
            cannot be read.
    """
    task, source = get_task(task_name), open_source(data)
    available = source.splits(task)
    chosen = split or task.train_split or next(iter(available), task.splits[0])
    require_split(task, chosen, available, place=source.name)
    return summarise(
        task, source.read(task, chosen), split=chosen, source=source.name, rows=rows, seed=seed
    )


def summarise(
    task: TaskSpec,
    table: pa.Table,
    *,
    split: str = "",
    source: str = "",
    rows: int = 10,
    seed: int | None = None,
) -> Summary:
    """Return the summary of a canonical table with `rows` examples, drawn without replacement.

    Raises ConfigurationError when `rows` is negative.
    """
    if rows < 0:
        raise ConfigurationError(f"The number of rows to show must not be negative: {rows}.")
    words = _words(task, table)
    seed = random.randrange(2**31) if seed is None else seed
    return Summary(
        task=task,
        split=split,
        source=source,
        rows=table.num_rows,
        labels=_balance(task, table),
        lengths=_histogram(words),
        median_words=float(np.median(words)),
        most_words=int(words.max()),
        examples=_examples(task, table, rows, seed),
        seed=seed,
        notes=notes_of(table),
    )


def label_name(task: TaskSpec, label: float) -> str:
    """Return a label for display: a class name, a number for regression, or "hidden"."""
    if hidden_labels(task, np.array([label]))[0]:
        return HIDDEN_NAME
    return task.label_text(label)


def _balance(task: TaskSpec, table: pa.Table) -> tuple[LabelCount, ...]:
    labels = table[task.label_column].to_numpy()
    given = labels[~hidden_labels(task, labels)]
    counts = _by_class(task, given) if task.labels else _by_step(task, given)
    hidden = len(labels) - len(given)
    if hidden:
        counts = {name: count for name, count in counts.items() if count} | {HIDDEN_NAME: hidden}
    return tuple(
        LabelCount(name=name, count=count, share=count / len(labels))
        for name, count in counts.items()
    )


def _by_class(task: TaskSpec, labels: _Integers) -> dict[str, int]:
    counts = np.bincount(labels, minlength=task.num_labels)
    return {name: int(count) for name, count in zip(task.labels, counts, strict=True)}


def _by_step(task: TaskSpec, labels: npt.NDArray[np.float32]) -> dict[str, int]:
    low, high = task.label_range or (float(labels.min()), float(labels.max()))
    edges = np.linspace(low, high, min(max(round(high - low), 1), _MOST_STEPS) + 1)
    counts, _ = np.histogram(labels, edges)
    names = [f"{start:g} to {stop:g}" for start, stop in pairwise(edges)]
    return {name: int(count) for name, count in zip(names, counts, strict=True)}


def _words(task: TaskSpec, table: pa.Table) -> _Integers:
    """Return the number of words of each example, over all its texts."""
    counts = [
        pc.count_substring_regex(table[column], r"\S+").to_numpy() for column in task.text_columns
    ]
    total: _Integers = np.sum(counts, axis=0, dtype=np.int64)
    return total


def _histogram(words: _Integers) -> tuple[LengthBin, ...]:
    """Return at most 12 bins of one width; the last has everything beyond the 99th percentile."""
    usual = int(np.percentile(words, 99, method="higher"))
    steps = (base * 10**power for power in range(7) for base in (1, 2, 5))
    width = next(step for step in steps if usual // step < _MOST_BINS)
    last = usual // width
    counts = np.bincount(np.minimum(words // width, last))
    bins = [
        LengthBin(low=place * width, high=(place + 1) * width - 1, count=int(count))
        for place, count in enumerate(counts)
    ]
    open_ended = LengthBin(low=last * width, high=None, count=int(counts[last]))
    if words.max() >= (last + 1) * width:
        bins[last] = open_ended
    first = next(place for place, one in enumerate(bins) if one.count)
    return tuple(bins[first:])


def _examples(task: TaskSpec, table: pa.Table, rows: int, seed: int) -> tuple[ShownExample, ...]:
    drawn = random.Random(seed).sample(range(table.num_rows), min(rows, table.num_rows))
    return tuple(
        ShownExample(
            index=row[task.index_column],
            texts={column: row[column] for column in task.text_columns},
            label=label_name(task, row[task.label_column]),
        )
        for row in table.take(pa.array(drawn, pa.int64())).to_pylist()
    )
