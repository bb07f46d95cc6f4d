"""Lines that start with their label: fastText's `__label__good Some text.`, TREC's `DESC:def …`.

And plain lines of text: one example per line, with a tab between the two texts of a pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gluetune.data.formats.format import (
    BadRow,
    Fault,
    Format,
    Line,
    Row,
    Source,
    read_lines,
    rows_of_lines,
)

PREFIX = "__label__"
"""Prefix of labels in fastText's format."""
COLUMNS = ("label", "text")
HEAD = 2**18
"""First bytes of a file by which its format and dialect are detected."""


class LabelFirstReader:
    """Reads lines that start with labels. With a prefix, a line may have several labels.

    `several`: the labels of a line are a list, even if there is only one.
    """

    separator = ":"
    columns: tuple[str, ...] = COLUMNS

    def __init__(
        self, file: BinaryIO, name: str, prefix: str = "", *, several: bool = False
    ) -> None:
        self.name = name
        self._file = file
        self._prefix = prefix
        self._several = several

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are ignored."""
        return rows_of_lines(read_lines(self._file), self._row)

    def _row(self, line: Line) -> Row | BadRow:
        labels: list[str] = []
        rest = line.text.strip()
        while rest.startswith(self._prefix) and (self._prefix or not labels):
            label, rest = _first_word(rest)
            labels.append(label.removeprefix(self._prefix))
        if not labels:
            problem = f"has no label: it does not start with {self._prefix}"
            return BadRow(line.number, problem, Fault.NO_LABEL)
        found: str | list[str] = labels if self._several else labels[0]
        return Row(line.number, {"label": found, "text": rest.strip()})


def _first_word(text: str) -> tuple[str, str]:
    words = text.split(None, 1)
    return words[0], words[1] if len(words) > 1 else ""


def label_share(text: str, prefix: str = "") -> float:
    """Return the share of lines that start with a label, followed by text.

    Without a prefix, a label is a first word that several lines have.
    """
    lines = [line.split(None, 1) for line in text.split("\n") if line.strip()]
    words = Counter(line[0] for line in lines if len(line) > 1)
    if prefix:
        begun = sum(count for word, count in words.items() if word.startswith(prefix))
    else:
        begun = sum(count for count in words.values() if count > 1)
    return begun / max(1, len(lines))


def has_several_labels(file: BinaryIO) -> bool:
    """Whether a line of fastText's format has more than one label."""
    starts = (line.text.split(None, 2)[:2] for line in read_lines(file))
    return any(len(words) == 2 and words[1].startswith(PREFIX) for words in starts)


class TextReader:
    """Reads lines of text as rows with the given columns: one, or two for pairs."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str, columns: tuple[str, ...]) -> None:
        self.name = name
        self.columns = columns
        self._file = file

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every line. With one column, a tab is part of the text."""
        return (line.bad or self._row(line) for line in read_lines(self._file))

    def _row(self, line: Line) -> Row | BadRow:
        text = line.text.removesuffix("\r")
        cells = text.split("\t") if len(self.columns) > 1 else [text]
        if len(cells) == len(self.columns):
            return Row(line.number, dict(zip(self.columns, cells, strict=True)))
        problem = f"has {len(cells) - 1} tabs; one is needed between the two texts"
        return BadRow(line.number, problem, Fault.FIELDS)


# The formats --------------------------------------------------------------------------------------

_SURE = 0.9
"""Share of lines that start with a label above which a file has such a format."""


def whole_lines(head: bytes) -> str:
    """Return the complete lines in the first bytes of a file as text, in any encoding."""
    if len(head) == HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return head.decode("latin-1")


def _read_fasttext(source: Source) -> LabelFirstReader:
    several = False
    if source.opening is not None:
        with source.opening() as file:
            several = has_several_labels(file)
    return LabelFirstReader(source.stream, source.name, PREFIX, several=several)


def _looks_like_trec(path: Path, head: bytes) -> bool:
    return path.suffix.lower() == ".label" and label_share(whole_lines(head)) > _SURE


# Lines cannot have more columns, so all three are written as JSON lines.
FASTTEXT = Format(
    "fasttext",
    (),
    _read_fasttext,
    written_as="jsonl",
    title=f"fastText's format: labels start with {PREFIX}",
    recognise=lambda path, head: label_share(whole_lines(head), PREFIX) > _SURE,
    certainty=2,
    needs_label=True,
)
TREC = Format(
    "trec",
    (),
    lambda source: LabelFirstReader(source.stream, source.name),
    written_as="jsonl",
    title="TREC's format: the first word of a line is its label",
    recognise=_looks_like_trec,
    needs_label=True,
)
TEXT = Format(
    "text",
    (".txt",),
    lambda source: TextReader(source.stream, source.name, source.text_columns),
    written_as="jsonl",
    has_columns=False,
)
