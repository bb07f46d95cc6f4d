"""Lines that begin with their label: fastText's `__label__good Some text.`, TREC's `DESC:def …`.

Plain lines of text: one example a line, its two texts (where there are two) apart by a tab.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from gluetune.data.formats.csv_file import read_lines
from gluetune.data.formats.rows import BadRow, Row

PREFIX = "__label__"
"""What labels begin with in fastText's format."""
COLUMNS = ("label", "text")


class LabelFirstReader:
    """Lines of labels and a text. With a prefix a line has every label that begins with it.

    `several`: the labels of a line are a list, also where there is one.
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
        """Yield every row; empty lines at the end of the file are none."""
        empty: list[int] = []
        for line in read_lines(self._file):
            if line.text is not None and not line.text.strip():
                empty.append(line.number)
                continue
            yield from (BadRow(number, "is empty") for number in empty)
            empty.clear()
            if line.text is None:
                yield BadRow(line.number, line.problem)
            else:
                yield self._row(line.number, line.text)

    def _row(self, number: int, line: str) -> Row | BadRow:
        labels: list[str] = []
        rest = line.strip()
        while rest.startswith(self._prefix) and (self._prefix or not labels):
            label, rest = _first_word(rest)
            labels.append(label.removeprefix(self._prefix))
        if not labels:
            return BadRow(number, f"has no label: it does not begin with {self._prefix}")
        found: str | list[str] = labels if self._several else labels[0]
        return Row(number, {"label": found, "text": rest.strip()})


def _first_word(text: str) -> tuple[str, str]:
    words = text.split(None, 1)
    return words[0], words[1] if len(words) > 1 else ""


def label_share(text: str, prefix: str = "") -> float:
    """Return the share of lines that begin with a label and hold a text; without a prefix a label
    is a first word that several lines have."""
    lines = [line.split(None, 1) for line in text.split("\n") if line.strip()]
    words = Counter(line[0] for line in lines if len(line) > 1)
    if prefix:
        begun = sum(count for word, count in words.items() if word.startswith(prefix))
    else:
        begun = sum(count for count in words.values() if count > 1)
    return begun / max(1, len(lines))


def has_several_labels(file: BinaryIO) -> bool:
    """Whether a line of fastText's format has more than one label."""
    starts = (line.text.split(None, 2)[:2] for line in read_lines(file) if line.text is not None)
    return any(len(words) == 2 and words[1].startswith(PREFIX) for words in starts)


class TextReader:
    """Lines of text, as rows of the columns `columns`: as many as an example has texts."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str, columns: tuple[str, ...]) -> None:
        self.name = name
        self.columns = columns
        self._file = file

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every line. With one column a tab is part of the text."""
        for line in read_lines(self._file):
            if line.text is None:
                yield BadRow(line.number, line.problem)
                continue
            text = line.text.removesuffix("\r")
            cells = text.split("\t") if len(self.columns) > 1 else [text]
            if len(cells) != len(self.columns):
                yield BadRow(
                    line.number, f"has {len(cells) - 1} tabs; one belongs between the two texts"
                )
            else:
                yield Row(line.number, dict(zip(self.columns, cells, strict=True)))
