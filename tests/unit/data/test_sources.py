from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.glue_folders import make_table, write_download, write_parquet

from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.tasks import TASKS, get_task
from gluetune.data.glue_download import GlueDownload
from gluetune.data.sampling import hold_out
from gluetune.data.sources import (
    HubSource,
    ParquetFolder,
    SampleSource,
    Source,
    open_source,
    without_held_out,
)
from gluetune.data.tables import fingerprint
from gluetune.hub import downloads as hub

COLA = get_task("cola")
TABLES = {split: make_table(COLA, split) for split in COLA.splits}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLUETUNE_DATA", raising=False)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    write_parquet(tmp_path / "hub", COLA, TABLES)
    return tmp_path / "hub"


@pytest.fixture
def download(tmp_path: Path) -> Path:
    write_download(tmp_path / "glue_data", COLA, TABLES)
    return tmp_path / "glue_data"


def test_a_folder_is_recognised_by_its_content(parquet: Path, download: Path) -> None:
    first, second = open_source(str(parquet)), open_source(str(download))
    assert isinstance(first, ParquetFolder)
    assert isinstance(second, GlueDownload)
    assert first.name == str(parquet)
    assert second.name == str(download)


def test_the_same_rows_have_one_fingerprint_in_every_layout(parquet: Path, download: Path) -> None:
    for split, table in TABLES.items():
        prints = {
            fingerprint(open_source(str(folder)).read(COLA, split))
            for folder in (parquet, download)
        }
        assert prints == {fingerprint(table)}


def test_the_default_is_the_environment_and_then_the_hub(
    parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_source(None), HubSource)
    monkeypatch.setenv("GLUETUNE_DATA", "")
    assert isinstance(open_source(None), HubSource)
    monkeypatch.setenv("GLUETUNE_DATA", str(parquet))
    assert open_source(None).name == str(parquet)
    assert isinstance(open_source("sample"), SampleSource)


def test_a_source_s_name_opens_it_again(parquet: Path, download: Path) -> None:
    sources: list[Source] = [
        open_source(name) for name in ("sample", "nyu-mll/glue", str(parquet), str(download))
    ]
    for source in sources:
        again = open_source(source.name)
        assert (type(again), again.name) == (type(source), source.name)
    assert len({type(source) for source in sources}) == 4


def test_a_home_folder_is_expanded(parquet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(parquet.parent))
    assert open_source("~/hub").name == str(parquet)


@pytest.mark.parametrize(
    ("typed", "meant"), [("Sample", "sample"), ("sampel", "sample"), ("glue", "nyu-mll/glue")]
)
def test_an_unknown_name_suggests_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_source(typed)
    assert caught.value.findings[0].message == (
        f"--data {typed}: there is no such folder or data set."
    )
    assert f"'{meant}'" in caught.value.findings[0].hint


def test_a_mistyped_folder_suggests_its_neighbour(parquet: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"Did you mean '{parquet}'"):
        open_source(str(parquet.parent / "hubb"))


def test_an_unknown_name_in_the_environment_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GLUETUNE_DATA", "/no/such/place")
    with pytest.raises(ConfigurationError, match=r"^GLUETUNE_DATA=/no/such/place: "):
        open_source(None)


def test_a_file_in_place_of_a_folder_suggests_its_flag(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("review,stars\n")
    with pytest.raises(ConfigurationError, match="--train-file FILE"):
        open_source(str(tmp_path / "reviews.csv"))


def test_a_folder_in_neither_layout_is_refused_with_both(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="It contains: nothing"):
        open_source(str(tmp_path))
    (tmp_path / "cola").mkdir()
    for number in range(9):
        (tmp_path / f"notes{number}.txt").touch()
    with pytest.raises(DataError) as caught:
        open_source(str(tmp_path))
    text = str(caught.value)
    assert "It contains: cola/, notes0.txt" in text
    assert "and 2 more" in text
    assert "cola/train.parquet" in text
    assert "CoLA/train.tsv" in text


def test_the_hub_s_shards_are_read_once_downloaded(
    parquet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download_data_files(repo: str, folder: str) -> dict[str, list[Path]]:
        asked.append((repo, folder))
        return {
            split: [parquet / folder / f"{split}-00000-of-00001.parquet"]
            for split in ("test", "train", "validation")
        }

    monkeypatch.setattr(hub, "download_data_files", download_data_files)
    source = open_source("nyu-mll/glue")
    assert source.splits(COLA) == COLA.splits
    for split, table in TABLES.items():
        assert source.read(COLA, split).equals(table)
    assert asked == [("nyu-mll/glue", "cola")]
    with pytest.raises(DataError, match="no split 'dev' in nyu-mll/glue"):
        source.read(COLA, "dev")


def test_the_sample_has_every_split_of_every_task() -> None:
    source = open_source("sample")
    seen = 0
    for task in TASKS.values():
        assert source.splits(task) == task.splits
        for split in task.splits:
            assert source.read(task, split).num_rows
            seen += 1
    assert seen == 33
    with pytest.raises(DataError, match="no split 'dev' in sample"):
        source.read(COLA, "dev")


def test_holding_out_of_glue_keeps_equal_texts_together(tmp_path: Path) -> None:
    texts = [f"{number // 2} {(' One', 'one ')[number % 2]}" for number in range(60)]
    table = make_table(COLA, "train", rows=60).set_column(0, "sentence", pa.array(texts))
    write_parquet(tmp_path, COLA, {"train": table})
    source = open_source(str(tmp_path))
    config = make_config({"task": "cola", "data": str(tmp_path), "holdout": 0.3})
    sides = without_held_out(source, source.read(COLA, "train"), COLA, config)
    numbers = [{text.split()[0] for text in side["sentence"].to_pylist()} for side in sides]
    assert sum(map(len, sides)) == 60
    assert sum(map(len, numbers)) == 30, "no text is on both sides"


def test_holding_out_of_glue_without_repeated_texts_does_not_change(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(60)]
    table = make_table(COLA, "train", rows=60).set_column(0, "sentence", pa.array(texts))
    write_parquet(tmp_path, COLA, {"train": table})
    source = open_source(str(tmp_path))
    config = make_config({"task": "cola", "data": str(tmp_path), "holdout": 0.3})
    train = source.read(COLA, "train")
    found = without_held_out(source, train, COLA, config)
    expected = hold_out(train, COLA, 0.3, config.rows_seed)
    assert [one.equals(other) for one, other in zip(found, expected, strict=True)] == [True, True]
