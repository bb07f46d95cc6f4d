"""Real GLUE texts as unquoted files of the user's own are read unchanged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gluetune.core.tasks import get_task
from gluetune.data.own.reading import Problems, Wanted, read_rows
from gluetune.data.sources import open_source

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not os.environ.get("GLUETUNE_DATA"), reason="GLUETUNE_DATA is not set"),
]


@pytest.mark.parametrize("name", ["cola", "sst2", "mrpc", "stsb", "qnli", "rte", "wnli"])
def test_every_row_of_an_unquoted_file_is_read_unchanged(tmp_path: Path, name: str) -> None:
    task = get_task(name)
    source = open_source(None)
    if "train" not in source.splits(task):
        pytest.skip(f"{source.name} has no {name}")
    table = source.read(task, "train").select([*task.text_columns, task.label_column])
    rows = [[str(value) for value in row.values()] for row in table.to_pylist()]
    rows = [row for row in rows if not any("\t" in cell or "\n" in cell for cell in row)]
    lines = ["\t".join(row) for row in [table.column_names, *rows]]
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    problems = Problems()
    found = read_rows(path, Wanted(task.text_columns, (task.label_column,)), problems)
    assert not problems.findings()
    assert found is not None
    assert len(found) == len(rows) > 100
    for number in range(len(task.text_columns)):
        assert found.table[f"text_{number}"].to_pylist() == [row[number] for row in rows]
