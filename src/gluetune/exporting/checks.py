"""Compare an exported model's predictions with PyTorch's on the validation set."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gluetune.core.records import shown
from gluetune.core.runs import Checked, Variant
from gluetune.data.encoding import Encoded
from gluetune.inference.scoring import encoded_splits, predictions_of, score_predictions
from gluetune.kinds import kind_of_head

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from gluetune.core.tasks import TaskSpec
    from gluetune.inference.backends import Backend

TOLERANCE = 1e-4
"""Largest difference of float32 logits, relative to the largest logit (at least 1)."""

_WARM_UP = 64
"""Rows that are predicted before timing starts: first calls allocate."""


@dataclass(frozen=True)
class BackendResult:
    """The logits of one backend on all splits, its score and its throughput."""

    logits: NDArray[np.float32]
    score: float | None
    rows_per_second: float


class ValidationSet:
    """The rows that every backend predicts, encoded once."""

    def __init__(self, task: TaskSpec, tables: Mapping[str, pa.Table], backend: Backend) -> None:
        self.task = task
        plain = tuple(range(task.num_labels))  # logits come in the task's order from a backend
        self.splits = encoded_splits(
            task, tables, backend.tokenizer, max_length=backend.max_length, outputs=plain
        )

    @property
    def count(self) -> int:
        """Number of rows in all splits."""
        return sum(len(split.labels) for split in self.splits.values())

    def run(self, backend: Backend) -> BackendResult:
        """Run `backend` on every row."""
        encoded = {name: _in_memory(split.encoded) for name, split in self.splits.items()}
        first = next(iter(encoded.values()))
        backend.logits(_head(first, _WARM_UP))
        begin = time.perf_counter()
        found = {name: backend.logits(split) for name, split in encoded.items()}
        seconds = time.perf_counter() - begin
        logits = np.concatenate(list(found.values()))
        predictions = {
            name: predictions_of(split, found[name], self.task)
            for name, split in self.splits.items()
        }
        score = score_predictions(self.task, predictions).score
        return BackendResult(logits, score, len(logits) / seconds)


def check(
    variant: Variant,
    file: Path,
    reference: BackendResult,
    found: BackendResult,
    max_loss: float,
    *,
    task: TaskSpec | None = None,
) -> Checked:
    """Compare the result of an exported file with PyTorch's.

    float32 must agree to `TOLERANCE` on every logit, so that only labels near a tie can change.
    int8 must keep the score to within `max_loss`.
    """
    difference = float(np.abs(found.logits - reference.logits).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(reference.logits).max()))
    before, after = (_margins(one.logits, task) for one in (reference, found))
    changed, beyond = _changed(before, after, 2 * allowed)
    if variant == "onnx":
        good = difference <= allowed and not beyond
        verdict = (
            f"the largest logit difference is {difference:.1e}, and {allowed:.1e} is allowed"
            f"{f'; {beyond} labels changed' if beyond else ''}"
        )
    else:
        good, verdict = _score_kept(reference.score, found.score, max_loss)
    size = sum(part.stat().st_size for part in file.parent.glob(f"{file.name}*"))
    return Checked(
        variant=variant,
        megabytes=round(size / 1e6, 1),
        largest_difference=difference,
        changed=changed,
        changed_beyond_ties=beyond,
        score=found.score,
        rows_per_second=round(found.rows_per_second, 1),
        good=good,
        verdict=verdict,
    )


def _score_kept(before: float | None, after: float | None, max_loss: float) -> tuple[bool, str]:
    if before is None or after is None:
        return False, f"the score is undefined (before {shown(before)}, after {shown(after)})"
    loss = before - after
    return loss <= max_loss, (
        f"the score goes from {before:.4f} to {after:.4f}, and a loss of {max_loss:g} is allowed"
    )


def _margins(logits: NDArray[np.float32], task: TaskSpec | None) -> NDArray[np.float64]:
    """Return each label's distance from the decision boundary; see `Kind.margins`.

    Without a task rows have one class each, or a number if they have one logit.
    """
    if task is None:
        return kind_of_head(None, logits.shape[1]).margins(logits)
    return task.kind.margins(logits, task.thresholds)


def _changed(
    reference: NDArray[np.floating], found: NDArray[np.floating], margin: float
) -> tuple[int, int]:
    """Return how many rows changed a label, and how many of them changed one that was not tied.

    A label is predicted above 0: see `Kind.margins`. Two logits are tied if they differ by at most
    `margin`.
    """
    other = (reference > 0) != (found > 0)
    no_tie = other & (np.abs(reference) > margin)
    return int(other.any(axis=1).sum()), int(no_tie.any(axis=1).sum())


def _in_memory(encoded: Encoded) -> Encoded:
    """Return the examples as a list: reading Arrow row by row must not be timed."""
    columns = [name for name in encoded.examples.column_names if name != "labels"]
    rows = encoded.examples.select_columns(columns).to_list()
    return replace(encoded, examples=rows)


def _head(encoded: Encoded, count: int) -> Encoded:
    return replace(encoded, examples=encoded.examples[:count], lengths=encoded.lengths[:count])
