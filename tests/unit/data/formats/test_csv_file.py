"""CSV: written rows are read back, and invalid ones are reported with their line."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.errors import DataError
from gluetune.data.formats import csv_file
from gluetune.data.formats.csv_file import LONGEST_ROW, CsvReader, CsvWriter
from gluetune.data.formats.format import BadRow, Fault, Row, repeated_columns

TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), max_size=12
) | st.sampled_from(
    [
        "",
        "NA",
        "null",
        "007",
        "1e5",
        '"',
        '""',
        "a,b",
        "two\nlines",
        "\r\n",
        "\t",
        "\u2028",
        "שלום",
        "🙂",
    ]
)


def read(content: str | bytes) -> list[Row | BadRow]:
    raw = content.encode() if isinstance(content, str) else content
    return list(CsvReader(io.BytesIO(raw), "f.csv"))


def problems(content: str | bytes) -> list[tuple[int, str]]:
    return [(row.line, row.problem) for row in read(content) if isinstance(row, BadRow)]


def rows(content: str | bytes) -> list[dict[str, str]]:
    return [dict(row.values) for row in read(content) if isinstance(row, Row)]


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6), st.sampled_from(["\n", "\r\n"]))
def test_rows_of_the_standard_librarys_writer_are_read_back(
    table: list[tuple[str, str]], ending: str
) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerows([("first", "second"), *table])
    assert rows(file.getvalue()) == [{"first": a, "second": b} for a, b in table]


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=6))
def test_written_rows_are_read_back_here_and_by_the_standard_library(
    table: list[tuple[str, str]],
) -> None:
    file = io.BytesIO()
    writer = CsvWriter(file, ["first", "second"])
    for number, (first, second) in enumerate(table):
        writer.write(Row(number, {"first": first}), {"second": second})
    written = file.getvalue()
    assert rows(written) == [{"first": a, "second": b} for a, b in table]
    again = csv.reader(io.StringIO(written.decode(), newline=""), strict=True)
    assert list(again)[1:] == [[a, b] for a, b in table]


def test_a_single_empty_cell_is_a_row() -> None:
    file = io.BytesIO()
    writer = CsvWriter(file, ["only"])
    writer.write(Row(2, {"only": ""}), {})
    assert rows(file.getvalue()) == [{"only": ""}]


def test_lines_are_counted_through_quoted_line_breaks() -> None:
    found = read('a,b\n"x\ny",1\nshort\nz,2\n')
    assert found == [
        Row(2, {"a": "x\ny", "b": "1"}),
        BadRow(4, "has 1 field, the header 2", Fault.FIELDS),
        Row(5, {"a": "z", "b": "2"}),
    ]


@pytest.mark.parametrize(
    ("line", "problem", "fault"),
    [
        ("one", "has 1 field, the header 2", Fault.FIELDS),
        ("1,2,3", "has 3 fields, the header 2", Fault.FIELDS),
        ('say "hi",2', "has a quote inside field 1, which does not start with one", Fault.QUOTE),
        ('"a"b,2', "has text after the closing quote of field 1", Fault.QUOTE),
        ('1,"open', "opens a quote that is not closed", Fault.QUOTE),
        ("a\0b,2", "has a NUL at position 2", Fault.NUL),
        ("", "is empty", Fault.EMPTY_LINE),
    ],
)
def test_a_bad_row_is_named_and_the_next_is_read(line: str, problem: str, fault: Fault) -> None:
    assert read(f"a,b\n{line}\nx,y\n") == [BadRow(2, problem, fault), Row(3, {"a": "x", "b": "y"})]


def test_bytes_that_are_not_utf_8_are_reported_with_their_position() -> None:
    found = problems(b"a,b\nx,caf\xe9\n")
    assert found == [(2, "is not UTF-8: byte 0xe9 at position 6")]


def fed(content: bytes, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the characters that go through the parser while a file is read."""
    counted = [0]
    feed = csv_file._Fields.feed

    def counting(fields: csv_file._Fields, line: str) -> bool:
        counted[0] += len(line)
        return feed(fields, line)

    monkeypatch.setattr(csv_file._Fields, "feed", counting)
    read(content)
    return counted[0]


@pytest.mark.parametrize(
    ("first", "repeated"),
    [
        ('"', '""'),  # open to the end, each line with a quote that closes nothing
        ('x,"', 'y""""z'),
        ('"a', "b"),
        ('"', '"""'),  # every line opens what the next one closes
        ('"', '",x"'),
        ("x,y", '1,"open'),
        ('"', '"",""'),
    ],
)
def test_each_line_is_parsed_a_few_times_at_most(
    first: str, repeated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = f"a,b\n{first}\n{f'{repeated}{chr(10)}' * 4000}".encode()
    assert 0 < fed(content, monkeypatch) <= 3 * len(content)


def test_repeated_names_are_read_and_reported() -> None:
    reader = CsvReader(io.BytesIO(b"a,,,b,b\n1,,,2,3\n"), "f.csv")
    assert reader.columns == ("a", "", "", "b", "b")
    (row,) = reader
    assert isinstance(row, Row)
    assert row.values["a"] == "1"
    (finding,) = repeated_columns(reader, ["a", "b"])
    assert finding.message == "f.csv:1 has 2 columns called 'b'."


def test_an_open_quote_does_not_read_the_rest_of_a_large_file() -> None:
    longer = "x,y\n" * (LONGEST_ROW // 4 + 10)
    found = read(f'a,b\n1,"open\n{longer}')
    assert found[0] == BadRow(2, "opens a quote that is not closed", Fault.QUOTE)
    assert len(found) == 1 + LONGEST_ROW // 4 + 10


def test_empty_lines_at_the_end_and_a_byte_order_mark_are_ignored() -> None:
    assert read("\ufeffa,b\r\n1,2\r\n\r\n\r\n") == [Row(2, {"a": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "f.csv is empty"),
        (b"\xff\xfea\0", "f.csv:1 is not UTF-8"),
        (b'a,"b\n', "f.csv:1 opens a quote that is not closed"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        CsvReader(io.BytesIO(content), "f.csv")
