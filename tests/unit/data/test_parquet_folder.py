from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.glue_folders import make_table, write_parquet

from gluetune.core.errors import DataError
from gluetune.core.tasks import TASKS, TaskSpec, get_task
from gluetune.data.sources import ParquetFolder, open_source
from gluetune.data.tables import fingerprint

COLA = get_task("cola")


def write_shards(folder: Path, task: TaskSpec, names: list[str], table: pa.Table) -> None:
    """Spread the rows of `table` over files called `names`."""
    place = folder / task.hub_config
    place.mkdir(parents=True, exist_ok=True)
    step = -(-table.num_rows // len(names))
    for position, name in enumerate(names):
        (place / name).parent.mkdir(exist_ok=True)
        pq.write_table(table.slice(position * step, step), place / name)


def found(folder: Path, task: TaskSpec = COLA, split: str = "train") -> list[str]:
    with pytest.raises(DataError) as caught:
        ParquetFolder(folder).read(task, split)
    return [finding.message for finding in caught.value.findings]


def test_every_split_of_every_task_is_read_back(tmp_path: Path) -> None:
    seen = 0
    for task in TASKS.values():
        written = {split: make_table(task, split) for split in task.splits}
        write_parquet(tmp_path, task, written)
        source = ParquetFolder(tmp_path)
        assert source.splits(task) == task.splits
        for split, table in written.items():
            assert source.read(task, split).equals(table, check_metadata=True)
            seen += 1
    assert seen == 33


@pytest.mark.parametrize(
    "names",
    [
        ["train.parquet"],
        [
            "train-00000-of-00003.parquet",
            "train-00001-of-00003.parquet",
            "train-00002-of-00003.parquet",
        ],
        ["train/0000.parquet", "train/0001.parquet"],
        ["train/train-00000-of-00002.parquet", "train/train-00001-of-00002.parquet"],
    ],
)
def test_a_split_is_read_from_one_file_shards_or_a_folder(tmp_path: Path, names: list[str]) -> None:
    table = make_table(COLA, "train", rows=10)
    write_shards(tmp_path, COLA, names, table)
    assert isinstance(open_source(str(tmp_path)), ParquetFolder)
    read = ParquetFolder(tmp_path).read(COLA, "train")
    assert read.equals(table)
    assert fingerprint(read) == fingerprint(table)


def test_splits_with_a_common_prefix_are_distinguished(tmp_path: Path) -> None:
    task = get_task("mnli")
    written = {split: make_table(task, split) for split in ("test_matched", "validation_matched")}
    write_parquet(tmp_path, task, written)
    pq.write_table(make_table(task, "train"), tmp_path / "mnli/test-00000-of-00001.parquet")
    assert ParquetFolder(tmp_path).splits(task) == ("validation_matched", "test_matched")


def test_shards_of_mixed_string_types_are_joined(tmp_path: Path) -> None:
    table = make_table(COLA, "train", rows=4)
    wide = table.set_column(0, "sentence", table["sentence"].cast(pa.large_string()))
    (tmp_path / "cola/train").mkdir(parents=True)
    pq.write_table(table.slice(0, 2), tmp_path / "cola/train/0.parquet")
    pq.write_table(wide.slice(2, 2), tmp_path / "cola/train/1.parquet")
    assert ParquetFolder(tmp_path).read(COLA, "train").equals(table)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    names = ["train-00000-of-00003.parquet", "train-00002-of-00003.parquet"]
    write_shards(tmp_path, COLA, names, make_table(COLA, "train"))
    assert found(tmp_path) == [
        f"{tmp_path / 'cola'} has 2 shards of 'train', which are numbered "
        "-of-00003. Missing: 00001."
    ]


def test_shards_of_two_versions_are_refused(tmp_path: Path) -> None:
    names = ["train-00000-of-00001.parquet", "train-00000-of-00002.parquet"]
    write_shards(tmp_path, COLA, names, make_table(COLA, "train"))
    assert found(tmp_path) == [
        f"{tmp_path / 'cola'} has 2 shards of 'train', which are numbered -of-00001. Missing: none."
    ]


def test_a_bad_row_is_reported_with_its_shard(tmp_path: Path) -> None:
    table = make_table(COLA, "train", rows=10)
    labels = [0, 1] * 3 + [7, 0, 1, 9]
    names = ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    write_shards(tmp_path, COLA, names, table.set_column(1, "label", pa.array(labels)))
    shard = tmp_path / "cola" / names[1]
    expected = "expected a class id: 0 (unacceptable), 1 (acceptable)."
    assert found(tmp_path) == [
        f"{shard}, row 2: label 7; {expected}",
        f"{shard}, row 5: label 9; {expected}",
    ]


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path, COLA, {"train": make_table(COLA, "train")})
    path = tmp_path / "cola/train-00000-of-00001.parquet"
    whole = path.read_bytes()
    for content in (b"", b"index\tsentence\n", whole[: len(whole) // 2]):
        path.write_bytes(content)
        (message,) = found(tmp_path)
        assert message.startswith(f"{path} cannot be read as Parquet: ")


def test_shards_with_different_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cola/train").mkdir(parents=True)
    for name, label in (("0", [1]), ("1", ["acceptable"])):
        table = pa.table({"sentence": ["It rains."], "label": label, "idx": [int(name)]})
        pq.write_table(table, tmp_path / f"cola/train/{name}.parquet")
    (message,) = found(tmp_path)
    assert message.startswith(f"The shards in {tmp_path / 'cola/train'} have different columns: ")


def test_a_missing_training_split_gives_the_command_to_type(tmp_path: Path) -> None:
    task = get_task("ax")
    write_parquet(tmp_path, task, {"test": make_table(task, "test")})
    with pytest.raises(DataError) as caught:
        ParquetFolder(tmp_path).read(task, "train")
    assert "'ax' has no training split" in str(caught.value)
    assert "gluetune train mnli" in str(caught.value)


def test_a_mistyped_split_suggests_the_nearest(tmp_path: Path) -> None:
    write_parquet(tmp_path, COLA, {"validation": make_table(COLA, "validation")})
    with pytest.raises(DataError, match=r"no split 'valid'.*\n.*Did you mean 'validation'\?"):
        ParquetFolder(tmp_path).read(COLA, "valid")
