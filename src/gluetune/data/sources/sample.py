"""The small data set that comes with gluetune, in GLUE's schema.

The package ships it as Parquet files, in the layout of `nyu-mll/glue`. Their generator is
`tools/sample` in the repository.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gluetune.core.tasks import TaskSpec
from gluetune.data.sources.parquet_folder import ParquetFolder
from gluetune.data.sources.splits import require_split

SAMPLE = "sample"
"""What the user types for it."""

OFFICIAL_SAMPLE = "sample:official"
"""The same, with as many test rows as the leaderboard's: what a submission needs."""
SAMPLES = (SAMPLE, OFFICIAL_SAMPLE)

SAMPLE_FOLDER = Path(__file__).parent / "sample_data"
"""Where the package keeps every split: `<hub_config>/<split>.parquet`."""

OFFICIAL_FOLDER = SAMPLE_FOLDER / "official"
"""Test splits with up to as many different rows as the leaderboard's have."""


class SampleSource:
    """The sample, as a source: every split of every task.

    Under the name OFFICIAL_SAMPLE its test splits have the leaderboard's number of rows, where
    need be by repetition; each begins with the rows that it has under the name SAMPLE, and all
    other splits are the same.
    """

    def __init__(self, name: str = SAMPLE) -> None:
        self.name = name

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return every split of `task`."""
        return task.splits

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError when the task has no such."""
        require_split(task, split, task.splits, place=self.name)
        if self.name == OFFICIAL_SAMPLE and split in task.test_splits:
            distinct = ParquetFolder(OFFICIAL_FOLDER).read(task, split)
            return _repeated(distinct, task, task.rows[split])
        return ParquetFolder(SAMPLE_FOLDER).read(task, split)


def sample_rows(task: TaskSpec, split: str) -> int:
    """Return how many rows `split` has under the name SAMPLE."""
    return int(pq.read_metadata(SAMPLE_FOLDER / task.hub_config / f"{split}.parquet").num_rows)


def _repeated(table: pa.Table, task: TaskSpec, rows: int) -> pa.Table:
    """Return a canonical table of `rows` rows: those of `table`, as often as it takes."""
    copies = pa.concat_tables([table] * -(-rows // table.num_rows)).slice(0, rows)
    place = copies.schema.get_field_index(task.index_column)
    return copies.set_column(
        place, copies.schema.field(place), pa.array(range(rows), copies.schema.field(place).type)
    )
