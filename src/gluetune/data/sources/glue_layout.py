"""The files of GLUE's own download as records: names, columns, and what is known to be odd.

As written by `download_glue_data.py`
(https://gist.github.com/W4ngatang/60c2bdb54d156a41194446737ce03e2e). Columns are given by header
name. Test files carry no labels, or labels that GLUE hides, so theirs are not read.

Reads tab-separated files as GLUE writes them: no quoting, so a quote is a character.

Lines end in LF or CRLF; nothing else ends a line (texts contain U+2028 and lone CRs). UTF-8, with
or without a byte order mark.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from gluetune.core.errors import DataError, Findings
from gluetune.core.text import nearest


@dataclass(frozen=True, kw_only=True)
class ListedRows:
    """Which rows of a shared file belong to a split, by a file that lists the keys of some."""

    files: tuple[str, ...]
    """Names that the list goes by; the first one present is read. A header line is optional."""
    keys: tuple[str, ...]
    """Columns of the data file that the list's columns repeat."""
    listed: bool
    """Whether the split is the rows in the list, or the others."""


@dataclass(frozen=True, kw_only=True)
class TsvFile:
    """One tab-separated file: where a split's texts and labels stand in it."""

    name: str
    text: tuple[str, ...]
    """Header names of the task's text columns, in the task's order."""
    label: str | None = None
    """Header name of the label; None where labels are hidden."""
    header: tuple[str, ...] = ()
    """The column names of a file that has no header line."""
    broken_rows: bool = False
    """Whether the published file has rows cut by a line break, which every reader leaves out."""
    rows: ListedRows | None = None
    note: str = ""
    """Something the user should know about a split read from this file."""


@dataclass(frozen=True, kw_only=True)
class TaskFolder:
    """The folder of one task, and for each split the files it may be in, preferred first."""

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
            "no mrpc_dev_ids.tsv beside it says which rows are GLUE's validation split.",
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


_ABSENT = -1


@dataclass(frozen=True)
class TsvColumns:
    """The wanted columns of a file, and the line (from 1) that each row stands on."""

    path: Path
    columns: dict[str, list[str]]
    lines: list[int] = field(default_factory=list)
    ragged: list[tuple[int, int]] = field(default_factory=list)
    """Rows left out because they are too short or too long: line, number of columns."""
    width: int = 0
    """Columns that a row should have."""
    first_line: int = 1
    """Line of the first row: 2 where there is a header."""

    def locate(self, row: int) -> str:
        """Return the place of a row, as `file:line`."""
        return f"{self.path}:{self.lines[row]}"


def read_tsv(
    path: Path, wanted: Sequence[str], findings: Findings, *, header: Sequence[str] = ()
) -> TsvColumns:
    """Return the columns `wanted` of `path`; `header` names the columns if no line does.

    Rows that are no UTF-8 are added to `findings`. Raises DataError when the file is empty, cannot
    be opened, or lacks a column.
    """
    lines = _numbered_lines(path)
    names = list(header) or _header(lines, path, findings)
    positions = [_position(name, names, path, findings) for name in wanted]
    if _ABSENT in positions:
        findings.raise_any()
    columns: dict[str, list[str]] = {name: [] for name in wanted}
    table = TsvColumns(path, columns, width=len(names), first_line=1 if header else 2)
    targets = list(zip(columns.values(), positions, strict=True))
    for number, raw in lines:
        text = _decoded(raw, number, path, findings)
        if text is None:
            continue
        cells = text.split("\t")
        if len(cells) != len(names):
            table.ragged.append((number, len(cells)))
            continue
        table.lines.append(number)
        for values, position in targets:
            values.append(cells[position])
    return table


def _numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _header(lines: Iterator[tuple[int, bytes]], path: Path, findings: Findings) -> list[str]:
    number, raw = next(lines, (1, b""))
    return (_decoded(raw, number, path, findings) or "").split("\t")


def _decoded(raw: bytes, number: int, path: Path, findings: Findings) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        findings.add(
            f"{path}:{number} is not UTF-8: byte 0x{raw[error.start]:02x} "
            f"at position {error.start + 1}."
        )
        return None


def _position(name: str, names: Sequence[str], path: Path, findings: Findings) -> int:
    if name in names:
        return names.index(name)
    found = ", ".join(repr(column) for column in names)
    findings.add(
        f"{path}:1 has no column '{name}'.",
        hint=f"{nearest(name, names)}Its header line reads: {found}.",
    )
    return _ABSENT
