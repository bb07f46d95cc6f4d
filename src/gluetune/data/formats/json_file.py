"""JSON lines: one object per line; and JSON: a list of objects, read an object at a time.

The list may be a value of an object. Python's decoder needs the whole file in memory and does not
name lines. Here only brackets and strings are tokenized, and each object is decoded separately.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from gluetune.core.errors import DataError
from gluetune.data.formats.format import (
    BadRow,
    Fault,
    Format,
    NestedValues,
    Row,
    nested_names,
    read_lines,
    rows_of_lines,
)


class JsonLinesReader:
    """Reads a file of JSON lines. Its columns are those of its first readable row."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self._rows = self._read(file)
        self._ahead: list[Row | BadRow] = []
        self.columns: tuple[str, ...] = ()
        for row in self._rows:
            self._ahead.append(row)
            if isinstance(row, Row):
                self.columns = tuple(nested_names(row.values))
                break

    def __iter__(self) -> Iterator[Row | BadRow]:
        """Yield every row; empty lines at the end of the file are ignored."""
        yield from self._ahead
        yield from self._rows

    def _read(self, file: BinaryIO) -> Iterator[Row | BadRow]:
        return rows_of_lines(read_lines(file), lambda line: _row(line.number, line.text))


class JsonReader(JsonLinesReader):
    """Reads a file with a list of objects. Rows are numbered, since many may be on one line.

    Raises DataError, with the line, for a file without a list, or whose list cannot be parsed.
    """

    separator = ", item "

    def _read(self, file: BinaryIO) -> Iterator[Row | BadRow]:
        for number, text in enumerate(_JsonList(file, self.name), start=1):
            yield _row(number, text)


class JsonLinesWriter:
    """Writes rows as JSON lines in UTF-8."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        """Write one object."""
        line = json.dumps({**row.values, **more}, ensure_ascii=False)
        self._file.write(line.encode() + b"\n")

    def close(self) -> None:
        """Nothing is left to write."""


def _row(number: int, text: str) -> Row | BadRow:
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        problem = f"is not JSON: {error.msg} at position {error.pos + 1}"
        return BadRow(number, problem, Fault.NOT_JSON)
    except (ValueError, RecursionError) as error:
        return BadRow(number, f"is not JSON that can be read: {error}", Fault.NOT_JSON)
    if not isinstance(values, dict):
        return BadRow(number, f"is {_type(values)}, not an object", Fault.UNREADABLE)
    if "\\ud" in text.lower() and not _is_unicode(values):
        problem = "has half of a surrogate pair, which is not a character"
        return BadRow(number, problem, Fault.UNREADABLE)
    is_nested = any(type(value) is dict for value in values.values())
    return Row(number, NestedValues(values) if is_nested else values)


def _is_unicode(values: Mapping[str, Any]) -> bool:
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{repeated}' occurs twice")
    return values


def _type(value: Any) -> str:
    types = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return types.get(type(value), "a number")


_CHUNK = 2**20
_LONGEST = 16 * 2**20
"""Characters of the longest object. A bracket that is open for longer is an unclosed one."""
_SPACE = " \t\r\n"
_MARK = re.compile(r'["{}\[\],]')
_END_OF_STRING = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class _JsonList:
    """The elements of a list, as text."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def __iter__(self) -> Iterator[str]:
        """Yield every element. Raises DataError where the list cannot be parsed."""
        first = self._next()
        if first not in ("[", "{"):
            what = f"starts with {first!r}" if first else "is empty"
            raise self._error(f"{what}: a list of objects is needed, [{{...}}, {{...}}]")
        self._take(1)
        yield from self._elements() if first == "[" else self._list_in_object()
        if self._next():
            raise self._error("there is more text after the list")

    def _elements(self) -> Iterator[str]:
        """Yield the elements of a list, after its opening bracket."""
        if self._next() == "]":
            self._take(1)
            return
        yield self._element(",]")
        while (mark := self._next()) == ",":
            self._take(1)
            yield self._element(",]")
        if mark != "]":
            raise self._error(
                "the list is not closed" if not mark else f"{mark!r} is not expected here"
            )
        self._take(1)

    def _list_in_object(self) -> Iterator[str]:
        """Yield the elements of the only list of objects in an object: {"data": [...]}."""
        found: str | None = None
        keys: list[str] = []
        mark = ","
        while mark == ",":
            keys.append(self._key())
            if self._next() != "[":
                self._element(",}")
            else:
                self._take(1)
                holds_rows = self._next() == "{"
                if holds_rows and found is not None:
                    raise self._error(
                        f"{found} and {keys[-1]} are both lists of objects; one is needed"
                    )
                found = keys[-1] if holds_rows else found
                elements = self._elements()
                yield from elements if holds_rows else ()
                for _ in elements:
                    pass
            mark = self._next()
            if mark not in (",", "}"):
                raise self._error(
                    "the object is not closed" if not mark else f"{mark!r} is not expected here"
                )
            self._take(1)
        if found is None:
            raise self._error(
                f"it is an object, and none of its values is a list of objects: {', '.join(keys)}"
            )

    def _key(self) -> str:
        """Consume a key and its colon, and return the key as written."""
        if self._next() != '"':
            raise self._error("a key is needed here, in double quotes")
        line = self._line
        while (end := _END_OF_STRING.match(self._text, self._at + 1)) is None:
            self._more(len(self._text), line)
        key = self._take(end.end() - self._at)
        if self._next() != ":":
            raise self._error(f"a colon is needed after {key:.60}")
        self._take(1)
        return key

    def _element(self, ends: str) -> str:
        """Return the text up to one of `ends`."""
        self._next()
        line, depth, at = self._line, 0, self._at
        while True:
            found = _MARK.search(self._text, at)
            if found is None:
                at = self._more(len(self._text), line)
                continue
            mark, at = found[0], found.end()
            if mark == '"':
                while (end := _END_OF_STRING.match(self._text, at)) is None:
                    self._more(len(self._text), line)
                at = end.end()
            elif mark in "{[":
                depth += 1
            elif mark in "}]" and depth:
                depth -= 1
            elif mark in ends and not depth:
                return self._take(found.start() - self._at)
            elif mark in "}]":
                raise self._error("a closing bracket has no opening one")

    def _next(self) -> str:
        """Return the next character that is not a space, or "" at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in _SPACE:
                self._take(1)
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._fill():
                return ""

    def _more(self, at: int, line: int) -> int:
        """Read more of an element and return where to continue. Raises DataError at the end."""
        if at - self._at > _LONGEST or not self._fill():
            self._line = line
            raise self._error("an object that starts here is not closed")
        return at

    def _fill(self) -> bool:
        """Read one more chunk; return False at the end of the file."""
        if self._ended:
            return False
        raw = self._file.read(_CHUNK)
        self._ended = not raw
        try:
            self._text += self._decode.decode(raw, final=self._ended)
        except UnicodeDecodeError as error:
            line = self._line + error.object[: error.start].count(b"\n")
            line += self._text.count("\n", self._at)
            raise DataError(
                f"{self._name}:{line} is not UTF-8: byte 0x{error.object[error.start]:02x}."
            ) from error
        return not self._ended

    def _take(self, count: int) -> str:
        """Consume characters and return them; the buffer is trimmed now and then."""
        text = self._text[self._at : self._at + count]
        self._line += text.count("\n")
        self._at += count
        if self._at > _CHUNK:
            self._text, self._at = self._text[self._at :], 0
        return text

    def _error(self, problem: str) -> DataError:
        return DataError(
            f"{self._name}:{self._line} is not JSON that can be read: {problem}.",
            hint="Write a list of objects (in pandas: to_json with orient='records'), or one "
            "object per line in a .jsonl file.",
        )


# The formats --------------------------------------------------------------------------------------


def _looks_like_list(path: Path, head: bytes) -> bool:
    return re.match(r"\[\s*[{\]]", _beginning(head)) is not None


def _looks_like_lines(path: Path, head: bytes) -> bool:
    """Whether the first line is an object, followed by another."""
    first, _, rest = _beginning(head).partition("\n")
    if not (first.startswith("{") and rest.lstrip().startswith("{")):
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _beginning(head: bytes) -> str:
    return head.decode("utf-8-sig", "replace").lstrip()


JSON_LINES = Format(
    "jsonl",
    (".jsonl", ".ndjson"),
    lambda source: JsonLinesReader(source.stream, source.name),
    lambda target: JsonLinesWriter(target.stream),
    title="JSON lines: one object per line",
    recognise=_looks_like_lines,
    certainty=2,
    mistaken_for=("json",),
    holds_lists=True,
    holds_objects=True,
)
JSON = Format(
    "json",
    (".json",),
    lambda source: JsonReader(source.stream, source.name),
    written_as="jsonl",  # an interrupted list could not be read
    title="JSON: a list of objects",
    recognise=_looks_like_list,
    certainty=2,
    mistaken_for=("jsonl",),
)
