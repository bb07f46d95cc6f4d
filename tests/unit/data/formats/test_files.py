"""Files of rows: the format of a file, plain lines, Parquet, and files that cannot be opened."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.data.formats import format as lines
from gluetune.data.formats.format import BadRow, Fault, Row
from gluetune.data.formats.registry import FORMATS, format_of, open_rows, writing_rows, written_as


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", "csv"),
        ("A.CSV", "csv"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", "text"),
    ],
)
def test_the_extension_determines_the_format(name: str, expected: str) -> None:
    assert format_of(Path(name)) is FORMATS[expected]


def test_a_stated_format_wins_and_a_stream_has_lines() -> None:
    assert format_of(Path("a.csv"), "jsonl") is FORMATS["jsonl"]
    assert format_of(io.BytesIO()) is FORMATS["text"]
    assert written_as(FORMATS["text"]) is FORMATS["jsonl"]
    assert written_as(FORMATS["csv"]) is FORMATS["csv"]


@pytest.mark.parametrize(("name", "stated"), [("a.xlsx", None), ("a", None), ("a.csv", "xls")])
def test_an_unknown_format_is_refused_with_a_list_of_formats(name: str, stated: str | None) -> None:
    with pytest.raises(ConfigurationError, match=r"csv.*jsonl.*parquet"):
        format_of(Path(name), stated)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"gone\.csv cannot be read: No such file"),
        open_rows(tmp_path / "gone.csv", FORMATS["csv"]),
    ):
        pass


@pytest.mark.parametrize("kind", ["csv", "jsonl", "text"])
def test_a_very_long_line_is_skipped(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 64)
    start = {"csv": "text\n", "jsonl": "", "text": ""}[kind]
    good = {"csv": "fine", "jsonl": '{"text": "fine"}', "text": "fine"}[kind]
    content = f"{start}{'x' * 200}\n{good}\n".encode()
    with open_rows(io.BytesIO(content), FORMATS[kind]) as reader:
        bad, row = reader
    assert isinstance(bad, BadRow)
    assert bad.problem.startswith("is longer than")
    assert isinstance(row, Row)
    assert row.values == {"text": "fine"}
    assert row.line == bad.line + 1


def test_plain_lines_have_one_text_or_two_separated_by_a_tab() -> None:
    with open_rows(io.BytesIO(b"a\tb\r\nc\n"), FORMATS["text"]) as reader:
        assert [row[1] for row in reader] == [{"text": "a\tb"}, {"text": "c"}]
    with open_rows(io.BytesIO(b"a\tb\nc\nd\te\tf\n"), FORMATS["text"], ("p", "q")) as reader:
        assert list(reader) == [
            Row(1, {"p": "a", "q": "b"}),
            BadRow(2, "has 0 tabs; one is needed between the two texts", Fault.FIELDS),
            BadRow(3, "has 2 tabs; one is needed between the two texts", Fault.FIELDS),
        ]


def test_parquet_keeps_every_column_and_type(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a", None, "c"],
            "when": pa.array([1, 2, 3], pa.timestamp("ms", "UTC")),
            "tags": [["x"], [], None],
            "kind": pa.array(["k", "k", "l"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    with (
        open_rows(tmp_path / "in.parquet", FORMATS["parquet"]) as reader,
        writing_rows(
            tmp_path / "out.parquet", FORMATS["parquet"], reader, {"score": 0.5}
        ) as writer,
    ):
        for number, row in enumerate(reader):
            assert isinstance(row, Row)
            if number != 1:
                writer.write(row, {"score": float(number)})
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.drop(["score"]).equals(table.take([0, 2]))
    assert found["score"].to_pylist() == [0.0, 2.0]


def test_parquet_streams_and_other_files_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="--file"),
        open_rows(io.BytesIO(), FORMATS["parquet"]),
    ):
        pass
    (tmp_path / "a.parquet").write_bytes(b"text\nhello\n")
    with (
        pytest.raises(DataError, match="cannot be read as Parquet"),
        open_rows(tmp_path / "a.parquet", FORMATS["parquet"]),
    ):
        pass
