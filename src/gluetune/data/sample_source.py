"""The small data set that comes with gluetune, in GLUE's schema."""

from __future__ import annotations

import pyarrow as pa

from gluetune.data.splits import require_split
from gluetune.data.tables import canonical_table
from gluetune.tasks import TaskSpec

SAMPLE = "sample"
"""What the user types for it."""


class SampleSource:
    """The sample, as a source: every split of every task, at its usual size."""

    def __init__(self) -> None:
        self.name = SAMPLE

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return every split of `task`."""
        return task.splits

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError when the task has no such."""
        from gluetune.data.sample import generate

        require_split(task, split, task.splits, place=self.name)
        return canonical_table(
            generate(task, split), task, split, place=self.name, locate=lambda row: f"row {row + 1}"
        )
