"""The lines of a file as bytes, numbered, with what is no text told apart."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

LONGEST_LINE = 16 * 2**20
"""Bytes. A longer line would have to be held in memory whole; it is passed over."""


class Line(NamedTuple):
    """One line without its line feed: its text, or (where that is None) why it has none."""

    number: int
    text: str | None
    problem: str = ""


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a UTF-8 file; LF alone ends a line. A byte order mark is taken away."""
    number = 0
    while raw := file.readline(LONGEST_LINE):
        number += 1
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            _pass_over(file)
            yield Line(number, None, f"is longer than {LONGEST_LINE >> 20} MiB")
            continue
        yield _line(number, raw.removesuffix(b"\n"))


def _line(number: int, raw: bytes) -> Line:
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        return Line(number, None, f"is not UTF-8: byte 0x{byte:02x} at position {error.start + 1}")
    if "\0" in text:
        return Line(number, None, f"holds a NUL at position {text.index(chr(0)) + 1}")
    return Line(number, text)


def _pass_over(file: BinaryIO) -> None:
    while (raw := file.readline(LONGEST_LINE)) and not raw.endswith(b"\n"):
        pass
