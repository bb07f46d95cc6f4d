"""A data set of the Hub is read as its files: shards in order, any format."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.hub_server import Hub
from tests.support.own_files import reviews, write_csv

from gluetune.core.config import make_config
from gluetune.core.errors import DataError, HubError
from gluetune.data.own.source import OwnSource
from gluetune.data.tables import fingerprint, notes_of

ROWS = reviews(60)


@pytest.fixture
def folder(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of the data set someone/reviews."""
    hub.use_in_process(monkeypatch)
    hub.datasets["someone/reviews"] = tmp_path / "repository"
    (tmp_path / "repository" / "data").mkdir(parents=True)
    return tmp_path / "repository"


def tables(name: str = "someone/reviews", **settings: Any) -> dict[str, pa.Table]:
    return OwnSource(make_config({"data_set": name, **settings})).own.tables


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def shards(path: Path, count: int, rows: list[dict[str, Any]]) -> None:
    """Write rows as so many files of like length."""
    each = -(-len(rows) // count)
    for number in range(count):
        part = rows[number * each : (number + 1) * each]
        name = f"{path.stem}-{number:05d}-of-{count:05d}{path.suffix}"
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(part), path.with_name(name))
        else:
            path.with_name(name).write_text(lines(part))


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_shards_are_read_as_one_file(folder: Path, ending: str, tmp_path: Path) -> None:
    shards(folder / "data" / f"train.{ending}", 3, ROWS)
    shards(folder / "data" / f"validation.{ending}", 2, ROWS[:9])
    (tmp_path / "train.jsonl").write_text(lines(ROWS))
    (tmp_path / "validation.jsonl").write_text(lines(ROWS[:9]))
    files = {f"{side}_file": str(tmp_path / f"{side}.jsonl") for side in ("train", "validation")}
    whole = OwnSource(make_config(files)).own.tables
    found = tables()
    assert {name: len(table) for name, table in found.items()} == {"train": 60, "validation": 9}
    assert [fingerprint(found[name]) for name in found] == [fingerprint(whole[n]) for n in found]


@pytest.mark.parametrize("inside", ["data", "."])
def test_csv_and_compressed_files_are_read_in_data_or_at_the_top(folder: Path, inside: str) -> None:
    write_csv(folder / inside / "train.csv", ROWS)
    (folder / inside / "dev.csv.gz").write_bytes(
        gzip.compress(write_csv(folder / "dev", ROWS[:7]).read_bytes())
    )
    (folder / "dataset_infos.json").write_text("{}")
    (folder / "README.md").write_text("# Reviews")
    found = tables()
    assert found["train"]["text"].to_pylist() == [row["text"] for row in ROWS]
    assert found["validation"]["text"].to_pylist() == [row["text"] for row in ROWS[:7]]


def test_parquet_is_preferred_and_a_configuration_is_chosen_by_name(
    folder: Path,
) -> None:
    (folder / "films").mkdir()
    write_csv(folder / "films" / "train.csv", ROWS[:20])
    shards(folder / "films" / "train.parquet", 1, ROWS[:40])
    write_csv(folder / "train.csv", ROWS)
    assert sum(map(len, tables("someone/reviews:films").values())) == 40
    assert sum(map(len, tables().values())) == 60


def test_a_mistake_in_a_shard_is_reported_with_its_line(folder: Path) -> None:
    shards(folder / "data" / "train.jsonl", 2, ROWS)
    second = folder / "data" / "train-00001-of-00002.jsonl"
    bad = {"text": " ", "label": "neg"}
    second.write_text(lines([*ROWS[30:40], bad, *ROWS[40:], {**ROWS[0], "label": "pos"}]))
    with pytest.raises(DataError, match=r"train-00001-of-00002\.jsonl:11 has an empty 'text'"):
        tables()
    found = tables(on_bad_row="skip", validation_fraction=0.01)
    assert sum(map(len, found.values())) == 61
    messages = " ".join(notes_of(found["train"]))
    place = r"train-00001-of-00002\.jsonl:32, which repeats \S+/train-00000-of-00002\.jsonl:1\."
    assert re.search(place, messages), messages


def test_shards_with_different_columns_or_classes_are_refused(folder: Path) -> None:
    shards(folder / "data" / "train.parquet", 2, ROWS)
    second = folder / "data" / "train-00001-of-00002.parquet"
    pq.write_table(pa.table({"text": ["a"], "stars": ["b"]}), second)
    with pytest.raises(DataError, match=r"00001-of-00002\.parquet has no column 'label'"):
        tables()
    feature = {"label": {"names": ["neg", "pos"], "_type": "ClassLabel"}}
    declared = json.dumps({"info": {"features": feature}}).encode()
    table = pa.Table.from_pylist([{**row, "label": 0} for row in ROWS[30:]])
    pq.write_table(table.replace_schema_metadata({b"huggingface": declared}), second)
    with pytest.raises(DataError, match="declares different classes than"):
        tables()


def test_missing_splits_and_repositories_without_data_are_reported(folder: Path) -> None:
    (folder / "README.md").write_text("# Reviews")
    with pytest.raises(DataError, match=r"There are no data files in folder '\.' of"):
        tables()
    write_csv(folder / "train.csv", ROWS)
    with pytest.raises(DataError, match=r"no split 'trian'\. Its splits: train\."):
        tables(train_split="trian")
    shards(folder / "data" / "train.parquet", 2, ROWS)
    (folder / "data" / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(DataError, match=r"has 1 of its 2 files"):
        tables()


def test_the_fingerprint_in_a_shards_name_is_not_part_of_the_split(folder: Path) -> None:
    """`datasets` before 2.14 pushed train-00000-of-00002-93aa4bd5b2d0e8a1.parquet."""
    shards(folder / "data" / "train.parquet", 2, ROWS)
    for number, digits in enumerate(("f3aa4bd5b2d0e8a1", "03aa4bd5b2d0e8a1")):
        file = folder / "data" / f"train-{number:05d}-of-00002.parquet"
        file.rename(file.with_stem(f"{file.stem}-{digits}"))
    found = tables(validation_fraction=0.1)
    rows = [row for table in found.values() for row in table.to_pylist()]
    rows.sort(key=lambda row: row["idx"])
    assert [row["text"] for row in rows] == [row["text"] for row in ROWS]


@pytest.mark.parametrize("inside", ["data", "."])
def test_cached_files_are_read_without_the_hub(folder: Path, hub: Hub, inside: str) -> None:
    write_csv(folder / inside / "train.csv", ROWS)
    online = tables()
    hub.fail(".*", status=503)
    assert fingerprint(tables()["train"]) == fingerprint(online["train"])
    with pytest.raises(HubError, match="The copy in the local cache is incomplete"):
        tables("someone/reviews:films")
