"""Real GLUE files load with the official numbers of rows where they are complete."""

from __future__ import annotations

import os

import pytest
from tests.support.glue_folders import write_download

from gluetune.core.tasks import TASKS, get_task
from gluetune.data.glue_download import GlueDownload
from gluetune.data.sources import ParquetFolder, open_source
from gluetune.data.summary import summarise
from gluetune.data.tables import fingerprint

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("GLUETUNE_DATA"), reason="GLUETUNE_DATA is not set"),
]

# Splits that some copies hold only in part, for their size.
OFTEN_CUT = {("mnli", "train"), ("qnli", "train"), ("qqp", "train"), ("qqp", "validation")}


def test_every_available_split_has_its_official_number_of_rows() -> None:
    source = open_source(None)
    loaded = 0
    for task in TASKS.values():
        for split in source.splits(task):
            rows = source.read(task, split).num_rows
            if (task.hub_config, split) in OFTEN_CUT:
                assert 0 < rows <= task.rows[split], (task.name, split)
            else:
                assert rows == task.rows[split], (task.name, split)
            loaded += 1
    print(f"{loaded} splits loaded from {source.name}")
    assert loaded


def test_every_validation_split_has_all_its_labels_and_can_be_summarised() -> None:
    source = open_source(None)
    seen = 0
    for task in TASKS.values():
        for split in set(task.validation_splits) & set(source.splits(task)):
            summary = summarise(task, source.read(task, split), seed=1)
            assert all(label.count for label in summary.labels), (task.name, split)
            assert "hidden" not in {label.name for label in summary.labels}
            seen += 1
    assert seen


@pytest.mark.parametrize("name", ["cola", "rte", "stsb"])
def test_real_rows_are_read_back_from_glue_s_own_layout(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    task, source = get_task(name), open_source(None)
    if not isinstance(source, ParquetFolder) or "validation" not in source.splits(task):
        pytest.skip(f"no validation split of {name} in parquet")
    table = source.read(task, "validation")
    folder = tmp_path_factory.mktemp("glue")
    write_download(folder, task, {"validation": table})
    assert fingerprint(GlueDownload(folder).read(task, "validation")) == fingerprint(table)
