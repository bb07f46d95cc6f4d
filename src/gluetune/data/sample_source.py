"""The small data set that comes with gluetune, in GLUE's schema."""

from __future__ import annotations

import pyarrow as pa

from gluetune.data.splits import require_split
from gluetune.data.tables import canonical_table
from gluetune.tasks import TaskSpec

SAMPLE = "sample"
"""What the user types for it."""

OFFICIAL_SAMPLE = "sample:official"
"""The same, with as many test rows as the leaderboard's: what a submission needs."""
SAMPLES = (SAMPLE, OFFICIAL_SAMPLE)


class SampleSource:
    """The sample, as a source: every split of every task.

    Under the name OFFICIAL_SAMPLE its test splits have the leaderboard's number of rows; each
    begins with the rows that it has under the name SAMPLE, and all other splits are the same.
    """

    def __init__(self, name: str = SAMPLE) -> None:
        self.name = name

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return every split of `task`."""
        return task.splits

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError when the task has no such."""
        from gluetune.data.sample import generate

        require_split(task, split, task.splits, place=self.name)
        is_official = self.name == OFFICIAL_SAMPLE and split in task.test_splits
        rows = task.rows[split] if is_official else None
        return canonical_table(
            generate(task, split, rows=rows),
            task,
            split,
            place=self.name,
            locate=lambda row: f"row {row + 1}",
        )
