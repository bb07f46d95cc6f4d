"""JSON lines: objects come back as they were, and what is none is named by its line."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.data.rows.json_file import JsonLinesReader, JsonLinesWriter
from gluetune.data.rows.row import BadRow, Row

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
)


def read(content: str | bytes) -> list[Row | BadRow]:
    raw = content.encode() if isinstance(content, str) else content
    return list(JsonLinesReader(io.BytesIO(raw), "f.jsonl"))


@given(st.lists(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), VALUES)))
def test_objects_that_are_written_come_back(objects: list[dict[str, object]]) -> None:
    file = io.BytesIO()
    writer = JsonLinesWriter(file)
    for values in objects:
        writer.write(Row(1, values), {})
    found = read(file.getvalue())
    assert [row.values for row in found if isinstance(row, Row)] == objects
    assert [json.loads(line) for line in file.getvalue().decode().split("\n")[:-1]] == objects


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "is not JSON: "),
        ("[1]", "holds a list, not an object"),
        ('"text"', "holds text, not an object"),
        ("null", "holds null, not an object"),
        ("true", "holds true or false, not an object"),
        ("7", "holds a number, not an object"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        (r'{"a": "\ud800"}', "holds half of a surrogate pair"),
        ("[" * 100_000, "is not JSON that can be read"),
        ("", "is empty"),
    ],
)
def test_a_bad_row_is_named_and_the_next_is_read(line: str, problem: str) -> None:
    first, bad, last = read(f'{{"a": "x"}}\n{line}\n{{"a": "y"}}\n')
    assert (first, last) == (Row(1, {"a": "x"}), Row(3, {"a": "y"}))
    assert isinstance(bad, BadRow)
    assert bad.line == 2
    assert problem in bad.problem


def test_the_columns_are_those_of_the_first_row_that_can_be_read() -> None:
    reader = JsonLinesReader(io.BytesIO(b'oops\n{"b": 1, "a": 2}\n{"c": 3}\n'), "f.jsonl")
    assert reader.columns == ("b", "a")
    assert [row.line for row in reader] == [1, 2, 3]


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read(r'{"a": "\ud83d\ude42"}') == [Row(1, {"a": "🙂"})]
