"""Plain lines of text: one example a line, its two texts (where there are two) apart by a tab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from gluetune.data.rows.lines import read_lines
from gluetune.data.rows.row import BadRow, Row


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
