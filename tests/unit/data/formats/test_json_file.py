"""JSON lines: written objects are read back, and invalid ones are reported with their line."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.config import UNSTATED
from gluetune.core.errors import DataError
from gluetune.data.formats.format import BadRow, Row
from gluetune.data.formats.json_file import JsonLinesReader, JsonLinesWriter
from gluetune.data.formats.registry import FORMATS, detect, open_rows

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
def test_written_objects_are_read_back(objects: list[dict[str, object]]) -> None:
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
        ("[1]", "is a list, not an object"),
        ('"text"', "is text, not an object"),
        ("null", "is null, not an object"),
        ("true", "is true or false, not an object"),
        ("7", "is a number, not an object"),
        ('{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        (r'{"a": "\ud800"}', "has half of a surrogate pair"),
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


def test_the_columns_are_those_of_the_first_readable_row() -> None:
    reader = JsonLinesReader(io.BytesIO(b'oops\n{"b": 1, "a": 2}\n{"c": 3}\n'), "f.jsonl")
    assert reader.columns == ("b", "a")
    assert [row.line for row in reader] == [1, 2, 3]


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read(r'{"a": "\ud83d\ude42"}') == [Row(1, {"a": "🙂"})]


ROWS = [
    {"text": f'a "quoted", {{text}} [{n}] é', "label": n % 2, "in": {"a": [n]}} for n in range(9)
]
WRAPPED: dict[str, Any] = {
    "alone": {"data": ROWS},
    "behind others": {
        "version": "1.1",
        "n": [1, [2], "x"],
        "info": {"a": [{"b": 1}]},
        "rows": ROWS,
    },
    "before others": {"rows": ROWS, "next": None, "done": True, "empty": [], "texts": ["a", "b"]},
    "under a key with signs": {'"]}:,': ROWS},
}


@pytest.mark.parametrize("name", WRAPPED)
@pytest.mark.parametrize("indent", [None, 1])
def test_the_one_list_in_an_object(tmp_path: Path, name: str, indent: int | None) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(WRAPPED[name], indent=indent), encoding="utf-8")
    found = detect(path, UNSTATED)
    with open_rows(path, found.format) as reader:
        assert [row.values for row in reader if isinstance(row, Row)] == ROWS


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"train": ROWS, "test": ROWS}, '"train" and "test" are both lists of objects'),
        ({"text": {"0": "a"}, "label": {"0": 1}}, 'none of its values .*: "text", "label"'),
        ({"train": [["a", "b"]]}, "none of its values"),
        ({}, "a key is needed"),
    ],
)
def test_objects_without_one_list(tmp_path: Path, content: Any, expected: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=expected), open_rows(path, FORMATS["json"]) as reader:
        list(reader)


def test_an_object_truncated_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    whole = json.dumps({"n": [1], "data": ROWS[:2], "more": {"a": 1}})
    for length in range(1, len(whole)):
        path.write_text(whole[:length], encoding="utf-8")
        with pytest.raises(DataError), open_rows(path, FORMATS["json"]) as reader:
            list(reader)
