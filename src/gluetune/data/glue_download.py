"""A folder in the layout of GLUE's own download (CoLA/train.tsv and so on).

The files are those that `download_glue_data.py` writes
(https://gist.github.com/W4ngatang/60c2bdb54d156a41194446737ce03e2e), as records: names, columns by
header name, and known irregularities. Labels of test files are not read: they are missing, or
hidden by GLUE.

The files are tab-separated without quoting, so a quote is a plain character. Lines end in LF or
CRLF and nothing else (texts contain U+2028 and single CRs).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from gluetune.core.errors import DataError, Findings
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import nearest
from gluetune.data.formats.format import Line, read_lines
from gluetune.data.tables import (
    HIDDEN_LABEL,
    canonical_schema,
    canonical_table,
    missing_split,
    table_findings,
)


@dataclass(frozen=True, kw_only=True)
class ListedRows:
    """The rows of a shared file that belong to a split, by a file with a list of keys."""

    files: tuple[str, ...]
    """Possible names of the list; the first one present is read. A header line is optional."""
    keys: tuple[str, ...]
    """Columns of the data file that the columns of the list refer to."""
    listed: bool
    """Whether the split has the listed rows, or the others."""


@dataclass(frozen=True, kw_only=True)
class TsvFile:
    """A tab-separated file, and its columns of texts and labels."""

    name: str
    text: tuple[str, ...]
    """Header names of the task's text columns, in the task's order."""
    label: str | None = None
    """Header name of the label; None where labels are hidden."""
    header: tuple[str, ...] = ()
    """The column names of a file without a header line."""
    broken_rows: bool = False
    """Whether the published file has rows broken by a line break, which every reader leaves out."""
    rows: ListedRows | None = None
    note: str = ""
    """A note for the user about a split read from this file."""


@dataclass(frozen=True, kw_only=True)
class TaskFolder:
    """The folder of a task, and the possible files of each split, in order of preference."""

    name: str
    files: Mapping[str, tuple[TsvFile, ...]]


def _folder(name: str, **files: TsvFile | tuple[TsvFile, ...]) -> TaskFolder:
    alternatives = {
        split: file if isinstance(file, tuple) else (file,) for split, file in files.items()
    }
    return TaskFolder(name=name, files=MappingProxyType(alternatives))


def _usual(name: str, text: tuple[str, ...], label: str, *, broken: bool = False) -> TaskFolder:
    """Return a folder of train.tsv, dev.tsv and test.tsv with the same columns."""
    labelled = TsvFile(name="train.tsv", text=text, label=label, broken_rows=broken)
    return _folder(
        name,
        train=labelled,
        validation=replace(labelled, name="dev.tsv"),
        test=TsvFile(name="test.tsv", text=text),
    )


_COLA_TRAIN = TsvFile(
    name="train.tsv",
    text=("sentence",),
    label="label",
    header=("source", "label", "star", "sentence"),
)

_COLA = _folder(
    "CoLA",
    train=_COLA_TRAIN,
    validation=replace(_COLA_TRAIN, name="dev.tsv"),
    test=TsvFile(name="test.tsv", text=("sentence",)),
)

_MRPC_TEXT = ("#1 String", "#2 String")
_MRPC_TRAIN = TsvFile(name="train.tsv", text=_MRPC_TEXT, label="Quality")
_MRPC_TEST = TsvFile(name="test.tsv", text=_MRPC_TEXT)
_MRPC_RAW = replace(_MRPC_TRAIN, name="msr_paraphrase_train.txt")
_MRPC_DEV = ListedRows(
    files=("mrpc_dev_ids.tsv", "dev_ids.tsv"), keys=("#1 ID", "#2 ID"), listed=True
)

_MRPC = _folder(
    "MRPC",
    train=(
        _MRPC_TRAIN,
        replace(_MRPC_RAW, rows=replace(_MRPC_DEV, listed=False)),
        replace(
            _MRPC_RAW,
            note="All of msr_paraphrase_train.txt is training data: "
            "there is no mrpc_dev_ids.tsv with the rows of GLUE's validation split.",
        ),
    ),
    validation=(
        replace(_MRPC_TRAIN, name="dev.tsv"),
        replace(_MRPC_RAW, rows=_MRPC_DEV),
    ),
    test=(
        _MRPC_TEST,
        replace(
            _MRPC_TEST,
            name="msr_paraphrase_test.txt",
            note="The labels in msr_paraphrase_test.txt are left out: GLUE hides them.",
        ),
    ),
)

_MNLI_TRAIN = TsvFile(name="train.tsv", text=("sentence1", "sentence2"), label="gold_label")
_MNLI_TEST = replace(_MNLI_TRAIN, label=None)

_MNLI = _folder(
    "MNLI",
    train=_MNLI_TRAIN,
    validation_matched=replace(_MNLI_TRAIN, name="dev_matched.tsv"),
    validation_mismatched=replace(_MNLI_TRAIN, name="dev_mismatched.tsv"),
    test_matched=replace(_MNLI_TEST, name="test_matched.tsv"),
    test_mismatched=replace(_MNLI_TEST, name="test_mismatched.tsv"),
)

_AX = _folder(
    "diagnostic",
    test=(
        TsvFile(name="diagnostic-full.tsv", text=("Premise", "Hypothesis"), label="Label"),
        TsvFile(name="diagnostic.tsv", text=("sentence1", "sentence2")),
    ),
)

GLUE_FOLDERS: Mapping[str, TaskFolder] = MappingProxyType(
    {
        "cola": _COLA,
        "sst2": _usual("SST-2", ("sentence",), "label"),
        "mrpc": _MRPC,
        "stsb": _usual("STS-B", ("sentence1", "sentence2"), "score"),
        "qqp": _usual("QQP", ("question1", "question2"), "is_duplicate", broken=True),
        "mnli": _MNLI,
        "qnli": _usual("QNLI", ("question", "sentence"), "label"),
        "rte": _usual("RTE", ("sentence1", "sentence2"), "label"),
        "wnli": _usual("WNLI", ("sentence1", "sentence2"), "label"),
        "ax": _AX,
    }
)
"""The folder of each task, by the task's `hub_config`."""

_NO_FOLDER = TaskFolder(name="", files={})

EXPECTED = "<Task>/train.tsv, dev.tsv, test.tsv (CoLA/train.tsv), as download_glue_data.py writes"
"""The layout, for the error about a folder of unknown layout."""


class GlueDownload:
    """A folder in the layout of GLUE's own download, as a source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name: str = str(self._folder)

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` that have a file here, in the task's order."""
        return tuple(split for split in task.splits if self._file(task, split))

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`; a row's index is its position in the file, from 0.

        Rows that are known to be broken in the published file are left out and counted in the
        table's notes. Raises DataError with everything wrong in it.
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
    if not task.labels:
        return [_number(cell, table.locate(row), findings) for row, cell in enumerate(cells)]
    ids = {name: index for index, name in enumerate(task.labels)}
    ids |= {str(index): index for index in range(task.num_labels)}
    unknown = [row for row, cell in enumerate(cells) if cell not in ids]
    findings.add_rows(unknown, lambda row: _unknown_label(cells[row], table.locate(row), task))
    # Any id for an unknown label: it is a finding, so no table is returned.
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
    """Return the positions of the split's rows: all, unless a list selects some."""
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
    """Return the keys in the file `path`; each must be one of the `known` keys of the data file."""
    table = read_tsv(path, names, findings, header=names)
    _find_ragged(table, findings)
    rows = list(zip(*table.columns.values(), strict=True))
    findings.add_rows(
        [row for row, key in enumerate(rows) if key not in known and key != names],
        lambda row: f"{table.locate(row)}: no row in the data has the key {' '.join(rows[row])}.",
    )
    return set(rows)


# Tab-separated files ------------------------------------------------------------------------------

_ABSENT = -1


@dataclass(frozen=True)
class TsvColumns:
    """The wanted columns of a file, and the line (from 1) of each row."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int] = field(default_factory=list)
    ragged: list[tuple[int, int]] = field(default_factory=list)
    """Rows left out because they are too short or too long: line and number of columns."""
    width: int = 0
    """Number of columns that a row should have."""
    first_line: int = 1
    """Line of the first row: 2 where there is a header."""

    def locate(self, row: int) -> str:
        """Return the place of a row, as `file:line`."""
        return f"{self.path}:{self.lines[row]}"


def read_tsv(
    path: Path, wanted: Sequence[str], findings: Findings, *, header: Sequence[str] = ()
) -> TsvColumns:
    """Return the columns `wanted` of `path`; `header` names the columns of a file without a header.

    Lines that are not UTF-8 are added to `findings`. Raises DataError when the file is empty,
    cannot be opened, or lacks a column.
    """
    try:
        with path.open("rb") as file:
            lines = _readable(read_lines(file, allow_nul=True), path, findings)
            names = list(header) or next(lines, Line(1, "")).text.split("\t")
            positions = [_position(name, names, path, findings) for name in wanted]
            if _ABSENT in positions:
                findings.raise_any()
            columns: dict[str, list[str]] = {name: [] for name in wanted}
            table = TsvColumns(path, columns, width=len(names), first_line=1 if header else 2)
            targets = list(zip(columns.values(), positions, strict=True))
            for line in lines:
                cells = line.text.split("\t")
                if len(cells) != len(names):
                    table.ragged.append((line.number, len(cells)))
                    continue
                table.lines.append(line.number)
                for values, position in targets:
                    values.append(cells[position])
            return table
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _readable(lines: Iterable[Line], path: Path, findings: Findings) -> Iterator[Line]:
    """Yield the valid lines without their carriage returns; add the others to `findings`."""
    for line in lines:
        if line.bad is not None:
            findings.add(f"{path}:{line.number} {line.bad.problem}.")
        else:
            yield line._replace(text=line.text.removesuffix("\r"))


def _position(name: str, names: Sequence[str], path: Path, findings: Findings) -> int:
    if name in names:
        return names.index(name)
    found = ", ".join(repr(column) for column in names)
    findings.add(
        f"{path}:1 has no column '{name}'.",
        hint=f"{nearest(name, names)}Its header line reads: {found}.",
    )
    return _ABSENT
