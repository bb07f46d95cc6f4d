"""Reads a folder in the layout of GLUE's own download (CoLA/train.tsv and so on)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from gluetune.core.errors import Findings
from gluetune.core.tasks import TASKS, TaskSpec
from gluetune.core.text import nearest
from gluetune.data.sources.glue_layout import (
    GLUE_FOLDERS,
    ListedRows,
    TaskFolder,
    TsvColumns,
    TsvFile,
    read_tsv,
)
from gluetune.data.sources.splits import missing_split
from gluetune.data.tables import HIDDEN_LABEL, canonical_schema, canonical_table, table_findings

_NO_FOLDER = TaskFolder(name="", files={})

EXPECTED = "<Task>/train.tsv, dev.tsv, test.tsv (CoLA/train.tsv), as download_glue_data.py writes"
"""The layout in words, for the error about a folder that is in none."""


class GlueDownload:
    """A folder in the layout of GLUE's own download, as a source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name = str(self._folder)

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` that have a file here, in the task's order."""
        return tuple(split for split in task.splits if self._file(task, split))

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`; a row's index is its place in the file, from 0.

        Raises DataError with everything wrong in it. Rows that the published file is known to
        have broken are left out and counted in the table's notes.
        """
        layout = GLUE_FOLDERS.get(task.hub_config, _NO_FOLDER)
        folder = self._folder / layout.name
        file = self._file(task, split)
        if file is None:
            raise missing_split(task, split, self.splits(task), place=str(folder))
        return _read_file(folder, file, task, split)

    def _file(self, task: TaskSpec, split: str) -> TsvFile | None:
        layout = GLUE_FOLDERS.get(task.hub_config, _NO_FOLDER)
        folder = self._folder / layout.name
        for file in layout.files.get(split, ()):
            if (folder / file.name).is_file() and (not file.rows or _list_of(folder, file.rows)):
                return file
        return None


def is_glue_download(folder: Path) -> bool:
    """Whether `folder` holds a split of any task in this layout."""
    source = GlueDownload(folder)
    return any(source.splits(task) for task in TASKS.values())


def _read_file(folder: Path, file: TsvFile, task: TaskSpec, split: str) -> pa.Table:
    findings, path = table_findings(), folder / file.name
    keys = file.rows.keys if file.rows else ()
    label = (file.label,) if file.label else ()
    table = read_tsv(path, [*file.text, *label, *keys], findings, header=file.header)
    notes = [file.note] if file.note else []
    if file.broken_rows:
        notes += _note_of_ragged(table)
    else:
        _find_ragged(table, findings)
    labels = _labels(table, file.label, task, findings)
    texts = [table.columns[name] for name in file.text]
    index = [line - table.first_line for line in table.lines]
    schema = canonical_schema(task)
    columns = zip([*texts, labels, index], schema.types, strict=True)
    whole = pa.table([pa.array(values, kind) for values, kind in columns], schema=schema)
    rows = _chosen_rows(table, folder, file.rows, findings)
    return canonical_table(
        whole.take(pa.array(rows, pa.int64())),
        task,
        split,
        place=str(path),
        locate=lambda row: table.locate(rows[row]),
        findings=findings,
        notes=notes,
    )


def _find_ragged(table: TsvColumns, findings: Findings) -> None:
    widths = dict(table.ragged)
    findings.add_rows(
        [line for line, _ in table.ragged],
        lambda line: f"{table.path}:{line} has {widths[line]} columns, not {table.width}.",
    )


def _note_of_ragged(table: TsvColumns) -> list[str]:
    if not table.ragged:
        return []
    first, width = table.ragged[0]
    return [
        f"{len(table.ragged)} rows left out: they do not have {table.width} columns, "
        f"first {table.path}:{first} with {width}."
    ]


def _labels(
    table: TsvColumns, column: str | None, task: TaskSpec, findings: Findings
) -> list[int] | list[float]:
    if column is None:
        return [HIDDEN_LABEL] * len(table.lines)
    cells = table.columns[column]
    if task.is_regression:
        return [_number(cell, table.locate(row), findings) for row, cell in enumerate(cells)]
    ids = {name: index for index, name in enumerate(task.labels)}
    ids |= {str(index): index for index in range(task.num_labels)}
    unknown = [row for row, cell in enumerate(cells) if cell not in ids]
    findings.add_rows(unknown, lambda row: _unknown_label(cells[row], table.locate(row), task))
    # Any id will do for an unknown label: it is a finding, and no table comes of it.
    return [ids.get(cell, 0) for cell in cells]


def _number(cell: str, place: str, findings: Findings) -> float:
    try:
        return float(cell)
    except ValueError:
        findings.add(f"{place}: '{cell}' is not a number.")
        return 0.0


def _unknown_label(cell: str, place: str, task: TaskSpec) -> str:
    return (
        f"{place}: there is no label '{cell}'. {nearest(cell, task.labels)}"
        f"Labels: {', '.join(task.labels)}, or their ids from 0."
    )


def _list_of(folder: Path, rows: ListedRows) -> Path | None:
    return next((folder / name for name in rows.files if (folder / name).is_file()), None)


def _chosen_rows(
    table: TsvColumns, folder: Path, chosen: ListedRows | None, findings: Findings
) -> list[int]:
    """Return the positions of the rows that belong to the split: all, unless a list says which."""
    everything = range(len(table.lines))
    path = _list_of(folder, chosen) if chosen else None
    if chosen is None or path is None:
        return list(everything)
    keys = list(zip(*(table.columns[key] for key in chosen.keys), strict=True))
    listed = _listed_keys(path, chosen.keys, set(keys), findings)
    return [row for row in everything if (keys[row] in listed) == chosen.listed]


def _listed_keys(
    path: Path, names: tuple[str, ...], known: set[tuple[str, ...]], findings: Findings
) -> set[tuple[str, ...]]:
    """Return the keys in the file `path`; each must be `known` to the data file it divides."""
    table = read_tsv(path, names, findings, header=names)
    _find_ragged(table, findings)
    rows = list(zip(*table.columns.values(), strict=True))
    findings.add_rows(
        [row for row, key in enumerate(rows) if key not in known and key != names],
        lambda row: f"{table.locate(row)}: no row of the data has the key {' '.join(rows[row])}.",
    )
    return set(rows)
