from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tools.sample import DEFAULT_ROWS, generate
from tools.sample.__main__ import tables

from gluetune.core.tasks import TASKS, get_task
from gluetune.data.sources import (
    OFFICIAL_SAMPLE,
    SAMPLE_FOLDER,
    SampleSource,
    sample_rows,
)
from gluetune.data.tables import canonical_table

SHIPPED = tables()


def test_shipped_and_generated_files_have_the_same_names() -> None:
    files = {path.relative_to(SAMPLE_FOLDER) for path in SAMPLE_FOLDER.rglob("*.parquet")}
    assert files == set(SHIPPED)
    assert len(files) == 30 + 11


@pytest.mark.parametrize("name", SHIPPED, ids=str)
def test_a_shipped_file_has_the_generated_rows(name: Path) -> None:
    table = pq.read_table(SAMPLE_FOLDER / name, partitioning=None)
    assert table.equals(SHIPPED[name])


def test_the_sample_has_its_default_sizes() -> None:
    seen = 0
    for task in TASKS.values():
        for split in task.splits:
            assert sample_rows(task, split) == DEFAULT_ROWS[task.hub_config][split]
            seen += 1
    assert seen == 33


def test_official_test_splits_have_the_leaderboards_size_and_start_with_the_sample() -> None:
    official, sample = SampleSource(OFFICIAL_SAMPLE), SampleSource()
    seen = 0
    for task in TASKS.values():
        for split in task.test_splits:
            table = official.read(task, split)
            assert table.num_rows == task.rows[split]
            few = sample.read(task, split)
            assert table.slice(0, few.num_rows).equals(few)
            seen += 1
    assert seen == 12


def test_repeated_official_rows_match_the_generator() -> None:
    task = get_task("qqp")
    made = generate(task, "test", rows=task.rows["test"])
    expected: pa.Table = canonical_table(made, task, "test", place="", locate=str)
    assert SampleSource(OFFICIAL_SAMPLE).read(task, "test").equals(expected)
