"""From examples to splits: sizes, disjointness, repeatability, and the Arrow table.

What a (task, split, rows, seed) holds never changes between machines or Python versions, except
with the data set itself. The first text of an example decides which of train, validation and test
it may appear in, so that no first text is in two of them, whatever the sizes and seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import cycle, islice
from types import MappingProxyType
from typing import TYPE_CHECKING
from zlib import crc32

from tools.sample.acceptability import cola
from tools.sample.coreference import wnli
from tools.sample.diagnostics import ax
from tools.sample.draw import Draw
from tools.sample.example import Example
from tools.sample.inference import mnli, mnli_mismatched
from tools.sample.paraphrase import mrpc, qqp
from tools.sample.reading import qnli, rte
from tools.sample.sentiment import sst2
from tools.sample.similarity import stsb

from gluetune.core.errors import DataError
from gluetune.core.tasks import TaskSpec

if TYPE_CHECKING:
    import pyarrow as pa

DISTINCT_ROWS = 16_384
"""A split has at most this many different examples; beyond it, they come round again."""

_HIDDEN_LABEL = -1
_ATTEMPTS = 1_000
"""How often in a row an example may be refused before the split counts as exhausted."""

Sampler = Callable[[Draw], Example]

_SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "cola": cola,
        "sst2": sst2,
        "mrpc": mrpc,
        "stsb": stsb,
        "qqp": qqp,
        "mnli": mnli,
        "qnli": qnli,
        "rte": rte,
        "wnli": wnli,
        "ax": ax,
    }
)
"""By `hub_config`, so that tasks which share their data share it here."""

_SPLIT_SAMPLERS: Mapping[tuple[str, str], Sampler] = MappingProxyType(
    {
        ("mnli", "validation_mismatched"): mnli_mismatched,
        ("mnli", "test_mismatched"): mnli_mismatched,
    }
)
"""Splits that are drawn from elsewhere than the rest of their task."""


def _sizes(train: int, validation: int = 256, test: int = 128) -> Mapping[str, int]:
    return MappingProxyType({"train": train, "validation": validation, "test": test})


def _mnli_sizes(train: int, validation: int = 256, test: int = 128) -> Mapping[str, int]:
    return MappingProxyType(
        {
            "train": train,
            "validation_matched": validation,
            "validation_mismatched": validation,
            "test_matched": test,
            "test_mismatched": test,
        }
    )


DEFAULT_ROWS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "cola": _sizes(3072),
        "sst2": _sizes(1024),
        "mrpc": _sizes(2048),
        "stsb": _sizes(2048),
        "qqp": _sizes(1024),
        "mnli": _mnli_sizes(2048),
        "qnli": _sizes(1024),
        "rte": _sizes(2048),
        "wnli": _sizes(640, 128),
        "ax": MappingProxyType({"test": 256}),
    }
)
"""Rows of every split, by `hub_config` and split, when no number is given."""


def generate(task: TaskSpec, split: str, *, rows: int | None = None, seed: int = 0) -> pa.Table:
    """Return one split of the sample as a table in the Hub's schema.

    Columns: the task's text columns (string), its label column (int64; float32 for regression)
    and its index column (int32, 0 to rows - 1). Labels of test splits are hidden: -1. Up to
    DISTINCT_ROWS no example occurs twice, where the task has that many. A shorter split is the
    start of a longer one with the same seed.

    Raises DataError for a split or a task that the sample does not have, and for negative `rows`.
    """
    rows = _checked_rows(task, split, rows)
    examples = list(islice(cycle(_distinct_examples(task, split, rows, seed)), rows))
    return _table(task, split, examples)


def _checked_rows(task: TaskSpec, split: str, rows: int | None) -> int:
    if task.hub_config not in _SAMPLERS:
        raise DataError(
            f"The sample has no data for the task '{task.name}'.",
            hint=f"It has: {', '.join(_SAMPLERS)}.",
        )
    if split not in task.splits:
        raise DataError(
            f"The task '{task.name}' has no split '{split}'.",
            hint=f"Its splits: {', '.join(task.splits)}.",
        )
    if rows is None:
        return DEFAULT_ROWS[task.hub_config][split]
    if rows < 0:
        raise DataError(
            f"A split cannot have {rows} rows (sample, {task.name}, {split}).",
            hint="Ask for 0 rows or more.",
        )
    return rows


def _distinct_examples(task: TaskSpec, split: str, rows: int, seed: int) -> list[Example]:
    """Return up to `rows` different examples; fewer at the limit, or when the task runs dry."""
    stream = _examples(task, split, seed)
    seen: dict[tuple[str, ...], Example] = {}
    refused = 0
    while len(seen) < min(rows, DISTINCT_ROWS) and refused < _ATTEMPTS:
        example = next(stream)
        fresh = example.texts not in seen
        refused = 0 if fresh else refused + 1
        if fresh:
            seen[example.texts] = example
    return list(seen.values())


def _examples(task: TaskSpec, split: str, seed: int) -> Iterator[Example]:
    """Yield examples without end, those only that belong to this split's part of the data."""
    sampler = _SPLIT_SAMPLERS.get((task.hub_config, split), _SAMPLERS[task.hub_config])
    draw = Draw(f"{task.hub_config}/{split}/{seed}")
    part = split.partition("_")[0]
    while True:
        example = sampler(draw)
        if _part(example.texts[0]) == part:
            yield example


def _part(text: str) -> str:
    """Return the part of the data that a first text belongs to: half of all texts are train's."""
    return ("train", "validation", "train", "test")[crc32(text.encode()) % 4]


def _table(task: TaskSpec, split: str, examples: list[Example]) -> pa.Table:
    import pyarrow as pa

    labels = [example.label for example in examples]
    if split in task.test_splits:
        labels = [_HIDDEN_LABEL] * len(examples)
    columns = {
        column: pa.array([example.texts[place] for example in examples], pa.string())
        for place, column in enumerate(task.text_columns)
    }
    columns[task.label_column] = pa.array(labels, task.kind.column_type(task.num_labels))
    columns[task.index_column] = pa.array(range(len(examples)), pa.int32())
    return pa.table(columns)
