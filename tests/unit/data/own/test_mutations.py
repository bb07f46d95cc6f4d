"""A good file changed at random: it gives exactly the rows of another reader, or a located finding.

The other reader goes by characters, is written here from RFC 4180 and what the README promises, and
shares no code with ours.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gluetune.data.own.reading import Problems, Wanted, read_rows

GOOD = (
    "text,label,more\n"
    "a plain one,pos,1\r\n"
    '"quoted, with ""words""",neg,2\n'
    '"two\nlines",pos,\n'
    "émojis 😀 too,neg,4\n"
    'last,pos,"5"\n'
).encode()
WANTED = Wanted(("text",), ("label",))
_BYTES = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"x",
    b'""',
    b"\r\n",
    b"\xe9",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\n\n",
]


class _BrokenError(Exception):
    pass


def strict_rows(content: bytes) -> list[tuple[str, str]] | None:
    """Return text and label of each row; None where the file is not as it should be."""
    try:
        return _rows(_records(content.decode("utf-8-sig")))
    except (_BrokenError, UnicodeDecodeError):
        return None


def _records(text: str) -> list[list[str]]:
    """Return the fields of every record; an empty line is a record of one empty field."""
    if "\0" in text:
        raise _BrokenError
    records: list[list[str]] = []
    record: list[str] = []
    at = 0
    while at <= len(text):
        if text[at : at + 1] == '"':
            field, at = _quoted(text, at + 1)
            ends = next((end for end in ("\r\n", "\n", ",", "\r") if text.startswith(end, at)), "")
            if at < len(text) and (not ends or (ends == "\r" and at + 1 < len(text))):
                raise _BrokenError
        else:
            stop = min(
                (p for p in (text.find(",", at), text.find("\n", at)) if p >= 0), default=len(text)
            )
            field, at = text[at:stop], stop
            if '"' in field:
                raise _BrokenError
            ends = text[at : at + 1]
            if ends != ",":
                field = field.removesuffix("\r")
        record.append(field)
        at += len(ends) or 1
        if ends != ",":
            records.append(record)
            record = []
            if at > len(text) or (at == len(text) and ends):
                break
    return records


def _quoted(text: str, at: int) -> tuple[str, int]:
    field = ""
    while True:
        stop = text.find('"', at)
        if stop < 0:
            raise _BrokenError
        field += text[at:stop]
        if text[stop + 1 : stop + 2] != '"':
            return field, stop + 1
        field += '"'
        at = stop + 2


def _rows(records: list[list[str]]) -> list[tuple[str, str]]:
    header, *rows = records
    while rows and len(rows[-1]) == 1 and not rows[-1][0].strip("\r"):
        rows.pop()
    if len(set(header)) != len(header) or not {"text", "label"} <= set(header) or not rows:
        raise _BrokenError
    if any(len(row) != len(header) for row in rows):
        raise _BrokenError
    found = [(row[header.index("text")], row[header.index("label")]) for row in rows]
    if any(not part.strip() for row in found for part in row):
        raise _BrokenError
    return found


def mutated(seed: int) -> bytes:
    """Return the good file with one to three changes."""
    draw = random.Random(seed)
    content = GOOD
    for _ in range(draw.randint(1, 3)):
        at, other = sorted(draw.randrange(len(content) + 1) for _ in range(2))
        what = draw.choice(("insert", "replace", "delete", "repeat", "cut", "flip"))
        if what == "insert":
            content = content[:at] + draw.choice(_BYTES) + content[at:]
        elif what == "replace":
            content = content[:at] + draw.choice(_BYTES) + content[at + 1 :]
        elif what == "delete":
            content = content[:at] + content[min(other, at + 3) :]
        elif what == "repeat":
            content = content[:other] + content[at:other] + content[other:]
        elif what == "cut":
            content = content[: max(at, len(content) // 2)]
        elif at < len(content):
            byte = content[at] ^ (1 << draw.randrange(8))
            content = content[:at] + bytes([byte]) + content[at + 1 :]
    return content


def test_both_readers_read_the_valid_file(tmp_path: Path) -> None:
    assert ours(tmp_path / "good.csv", GOOD)[0] == strict_rows(GOOD)
    assert len(strict_rows(GOOD) or ()) == 5


def ours(path: Path, content: bytes) -> tuple[list[tuple[str, str]] | None, list[str]]:
    """Return the rows, and the messages of what was found."""
    path.write_bytes(content)
    problems = Problems()
    raw = read_rows(path, WANTED, problems)
    told = [finding.message for finding in problems.findings()]
    if raw is None:
        return None, told
    labels = [label for (label,) in raw.table["labels"].to_pylist()]
    return list(zip(raw.table["text_0"].to_pylist(), labels, strict=True)), told


@pytest.mark.parametrize("part", range(4))
def test_two_thousand_mutations_give_the_rows_or_a_located_finding(
    tmp_path: Path, part: int
) -> None:
    path = tmp_path / "rows.csv"
    good = bad = 0
    for seed in range(part * 500, part * 500 + 500):
        content = mutated(seed)
        expected = strict_rows(content)
        rows, told = ours(path, content)
        if expected is not None:
            assert (rows, told) == (expected, []), content
            good += 1
        else:
            assert told, content
            assert all(message.startswith(str(path)) for message in told), told
            bad += 1
    assert good > 30
    assert bad > 100
