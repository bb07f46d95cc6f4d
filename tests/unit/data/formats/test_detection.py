"""Detection of formats and dialects by name and content, on files as users have them."""

from __future__ import annotations

import gzip
import itertools
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gluetune.core.config import UNSTATED, FileFormat
from gluetune.core.errors import ConfigurationError, DataError
from gluetune.data.formats.csv_file import CsvWriter, Dialect
from gluetune.data.formats.format import BadRow, Detected, Fault, Row
from gluetune.data.formats.registry import FORMATS, detect, open_rows

_WORDS = (
    *("the", "film", "was", "really", "good", "and", "we", "laughed", "a", "lot", "at", "it"),
    *("but", "parts", "of", "it", "don't", "work"),
)


def sentence(number: int) -> str:
    draw = random.Random(number)
    return " ".join(draw.choice(_WORDS) for _ in range(draw.randint(4, 12)))


def written(path: Path, *lines: str, header: str = "") -> Path:
    text = "".join(f"{line}\n" for line in ([header] if header else []) + list(lines))
    path.write_text(text, encoding="utf-8", newline="")
    return path


def rows_of(path: Path, stated: FileFormat = UNSTATED) -> tuple[Detected, list[Row | BadRow]]:
    found = detect(path, stated)
    with open_rows(path, found.format, dialect=found.dialect) as reader:
        return found, list(reader)


def values_of(path: Path, stated: FileFormat = UNSTATED) -> list[dict[str, Any]]:
    rows = rows_of(path, stated)[1]
    assert all(isinstance(row, Row) for row in rows), rows
    return [dict(row.values) for row in rows if isinstance(row, Row)]


# Quotes ------------------------------------------------------------------------------------------


def plain_tsv(path: Path, *special: str) -> Path:
    """Write a TSV of forty rows without quoting, and `special` ones among them."""
    lines = [f"{'ab'[n % 2]}\t{sentence(n)}" for n in range(40)]
    return written(path, *lines[:20], *special, *lines[20:], header="label\ttext")


@pytest.mark.parametrize(
    "special",
    [
        ['a\t"We shall see', 'b\tsaid the clerk"'],  # one row swallows the next
        ['a\t"We shall see', "b\tplain", 'a\tsaid the clerk"'],  # and the one after it
        ['a\t"Well" said the clerk'],
        ['a\t"never closed'],
        ['a\t"never closed', 'b\t"nor is this'],
        ['a\t"Well, " he said, "no"', 'b\t"We shall see"'],
        ['a\t"', "b\tplain"],
        ['a\t""', 'b\t"" quoted twice ""'],
        ['a\t"We shall see"'],  # whole, and no other field has quotes
    ],
)
def test_quotes_of_an_unquoted_tsv_are_characters(tmp_path: Path, special: list[str]) -> None:
    path = plain_tsv(tmp_path / "talk.tsv", *special)
    found, rows = rows_of(path)
    assert found.dialect is not None
    assert found.dialect.quoting == "none"
    assert "quotes are read as plain characters" in found.notes[0]
    assert "--quoting minimal" in found.notes[0]
    expected = [line.split("\t") for line in path.read_text().splitlines()[1:]]
    assert [list(row.values.values()) for row in rows if isinstance(row, Row)] == expected


@pytest.mark.parametrize(
    "special",
    [
        ['a\t"say ""hi"" to him"'],
        ['a\t"two\nlines"'],
        ['a\t"a tab\tinside"'],
        ['a\t"two\nlines\nand ""quotes"""', 'b\t"a tab\tinside"'],
        ['a\t"commas, as Excel quotes them"', 'b\t"one, two"'],
    ],
)
def test_quotes_around_fields_of_a_spreadsheets_tsv_are_removed(
    tmp_path: Path, special: list[str]
) -> None:
    found, rows = rows_of(plain_tsv(tmp_path / "sheet.tsv", *special))
    assert found.dialect is not None
    assert found.dialect.quoting == "minimal"
    assert all(isinstance(row, Row) for row in rows)
    assert len(rows) == 40 + len(special)
    assert not any('"' in row.values["text"][:1] for row in rows if isinstance(row, Row))


def test_ambiguous_quotes_are_removed_with_a_note(tmp_path: Path) -> None:
    found, rows = rows_of(plain_tsv(tmp_path / "either.tsv", 'a\t"We shall, yes"'))
    assert "--quoting none" in found.notes[0]
    assert isinstance(rows[20], Row)
    assert rows[20].values["text"] == "We shall, yes"
    stated = FileFormat(quoting="none")
    assert values_of(tmp_path / "either.tsv", stated)[20]["text"] == '"We shall, yes"'


@pytest.mark.parametrize("header", ["label\ttext", '"label"\t"text"'])
def test_a_column_that_is_quoted_throughout_is_quoted(tmp_path: Path, header: str) -> None:
    lines = [f'{n}\t"{sentence(n)}"' for n in range(9)]
    values = values_of(written(tmp_path / "all.tsv", *lines, header=header))
    assert [row["text"] for row in values] == [sentence(n) for n in range(9)]


def test_stated_quoting_wins_over_the_file(tmp_path: Path) -> None:
    special = ['a\t"We shall see', 'b\tsaid the clerk"']
    path = plain_tsv(tmp_path / "talk.tsv", *special)
    values = values_of(path, FileFormat(quoting="minimal"))
    assert values[20]["text"] == "We shall see\nb\tsaid the clerk"
    assert len(values) == 41


def test_a_row_that_spans_rows_is_refused_in_a_quoted_file(
    tmp_path: Path,
) -> None:
    quoted = [f'a\t"{n} ""x"""' for n in range(9)]
    path = plain_tsv(tmp_path / "both.tsv", *quoted, 'a\t"We shall see', 'b\tsaid the clerk"')
    found, rows = rows_of(path)
    assert found.dialect is not None
    assert found.dialect.quoting == "minimal"
    (bad,) = [row for row in rows if isinstance(row, BadRow)]
    assert bad == BadRow(
        31,
        "opens a quote that line 32 closes, although each of these lines is a row by itself",
        Fault.QUOTE,
    )


def test_quoting_is_detected_by_the_whole_file(tmp_path: Path) -> None:
    lines = [f"{'ab'[n % 2]}\t{sentence(n)}" for n in range(30_000)]
    path = written(tmp_path / "long.tsv", *lines, 'a\t"Well" he said', header="label\ttext")
    assert path.stat().st_size > 2**20
    found, _ = rows_of(path)
    assert found.dialect is not None
    assert found.dialect.quoting == "none"


def test_quotes_after_a_backslash(tmp_path: Path) -> None:
    lines = [f'"{sentence(n)} \\"x, y\\" and \\\\ too",{"ab"[n % 2]}' for n in range(20)]
    path = written(tmp_path / "export.csv", *lines, header="text,label")
    assert values_of(path)[3]["text"] == f'{sentence(3)} "x, y" and \\ too'


def test_a_backslash_at_the_end_of_a_quoted_field_escapes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "paths.csv", '"C:\\",a', '"D:\\",b', header="text,label")
    assert [row["text"] for row in values_of(path)] == ["C:\\", "D:\\"]


def test_single_quotes_around_fields(tmp_path: Path) -> None:
    doubled = [sentence(n).replace("'", "''") for n in range(20)]
    lines = [f"Web;'{doubled[n]}; and ''{n}''; \"so\"'" for n in range(20)]
    path = written(tmp_path / "articles.csv", *lines, header="label;text")
    found, rows = rows_of(path)
    assert found.dialect is not None
    assert (found.dialect.delimiter, found.dialect.quoting) == (";", "single")
    assert isinstance(rows[2], Row)
    assert rows[2].values["text"] == f"{sentence(2)}; and '2'; \"so\""


# Delimiters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "txt", "data", ""])
@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_another_delimiter_is_detected_and_noted(
    tmp_path: Path, ending: str, delimiter: str, line_end: str
) -> None:
    path = tmp_path / f"rows.{ending}".rstrip(".")
    lines = [f"{sentence(n)}, yes{delimiter}{'ab'[n % 2]}" for n in range(30)]
    text = line_end.join([f"text{delimiter}label", *lines, ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found, rows = rows_of(path)
    assert found.dialect is not None
    assert found.dialect.delimiter == delimiter
    assert any("with the delimiter" in note for note in found.notes)
    assert isinstance(rows[4], Row)
    assert rows[4].values == {"text": f"{sentence(4)}, yes", "label": "a"}


def test_a_compressed_file_is_inspected_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress("".join(["text;label\n", *["a, b;c\n"] * 9]).encode()))
    found, _ = rows_of(path)
    assert found.dialect is not None
    assert found.dialect.delimiter == ";"


def test_commas_stay_commas_where_rows_are_broken(tmp_path: Path) -> None:
    lines = ["a; b,c"] * 6 + ["alone; here"] * 3
    found, rows = rows_of(written(tmp_path / "rows.csv", *lines, header="text,label"))
    assert found.notes == ()
    assert [row.problem for row in rows if isinstance(row, BadRow)] == [
        "has 1 field, the header 2"
    ] * 3


def test_a_tab_at_the_end_of_every_row_is_a_column_without_a_name(tmp_path: Path) -> None:
    lines = [f"{sentence(n)}\ta\t" for n in range(9)]
    with_name = written(tmp_path / "one.tsv", *lines, header="text\tlabel")
    found, rows = rows_of(with_name)
    assert found.dialect is not None
    assert found.dialect.surplus == 1
    assert "every row ends in an empty field" in found.notes[0]
    assert all(isinstance(row, Row) and row.values["label"] == "a" for row in rows)
    many = written(tmp_path / "many.csv", *[f"{sentence(n)},a,,," for n in range(9)], header="x,y")
    assert rows_of(many)[0].notes[0].endswith("ends in 3 empty fields without a name, left out.")
    without = written(tmp_path / "two.tsv", *lines)
    stated = FileFormat(columns=("text", "label"))
    assert [row["text"] for row in values_of(without, stated)] == [sentence(n) for n in range(9)]
    some = written(tmp_path / "some.tsv", *lines, "x\ta", header="text\tlabel")
    assert any(isinstance(row, BadRow) for row in rows_of(some)[1]), "not all rows have it"


# Header lines ------------------------------------------------------------------------------------


def test_columns_of_a_file_without_a_header_line_are_given_or_numbered(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.tsv", "a\tone", "b\ttwo")
    given = FileFormat(columns=("label", "text"))
    assert values_of(path, given) == [
        {"label": "a", "text": "one"},
        {"label": "b", "text": "two"},
    ]
    assert values_of(path, FileFormat(header=False))[0] == {"column_1": "a", "column_2": "one"}
    renamed = FileFormat(header=True, columns=("label", "text"))
    assert values_of(path, renamed) == [{"label": "b", "text": "two"}]


def test_a_wrong_number_of_column_names_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "rows.tsv", "a\tone", "b\ttwo")
    with pytest.raises(DataError, match=r"has 2 fields, but --columns names 3: a, b, c"):
        rows_of(path, FileFormat(columns=("a", "b", "c")))


# Other formats -----------------------------------------------------------------------------------


def test_json_is_detected_by_its_content(tmp_path: Path) -> None:
    objects = [{"text": sentence(n), "label": "ab"[n % 2]} for n in range(9)]
    lines = "".join(f"{json.dumps(one)}\n" for one in objects)
    for name, text in (
        ("lines.json", lines),
        ("list.jsonl", json.dumps(objects)),
        ("list.ndjson", "\n " + json.dumps(objects, indent=2)),
        ("lines", "\n" + lines),
        ("lines.txt", lines),
        ("list", json.dumps(objects)),
    ):
        (tmp_path / name).write_text(text)
        found, rows = rows_of(tmp_path / name)
        assert [row.values for row in rows if isinstance(row, Row)] == objects, name
        assert "is read as JSON" in found.notes[0]
    (tmp_path / "list.json").write_text(json.dumps(objects))
    assert detect(tmp_path / "list.json", UNSTATED) == Detected(FORMATS["json"])
    (tmp_path / "one.json").write_text(json.dumps(objects[0]))
    assert detect(tmp_path / "one.json", UNSTATED).format is FORMATS["json"], "one object is no row"


def test_values_inside_objects_are_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"review": {"body": "b", "by": {"age": 3}}, "a.b": 1, "label": "x"}\n{}\n')
    with open_rows(path, FORMATS["jsonl"]) as reader:
        assert reader.columns == (
            *("review", "review.body", "review.by", "review.by.age", "a.b", "label"),
        )
        first, second = (row for row in reader if isinstance(row, Row))
    assert first.values["review.body"] == "b"
    assert first.values.get("review.by.age") == 3
    assert first.values.get("a.b") == 1
    assert first.values.get("review.no") is None
    assert second.values.get("review.body") is None
    assert "review.body" not in dict(first.values), "written again, it is as it was"


def test_fasttext_and_trec(tmp_path: Path) -> None:
    lines = [f"__label__{'ab'[n % 2]} {sentence(n)}" for n in range(20)]
    path = written(tmp_path / "train.txt", *lines)
    assert values_of(path)[1] == {"label": "b", "text": sentence(1)}
    several = written(tmp_path / "tags.txt", *lines, "__label__a __label__c two of them")
    assert values_of(several)[0]["label"] == ["a"]
    assert values_of(several)[-1] == {"label": ["a", "c"], "text": "two of them"}
    label = [f"{('DESC:manner', 'HUM:ind')[n % 2]} How did {sentence(n)} ?" for n in range(20)]
    trec = written(tmp_path / "TREC_10.label", *label)
    assert values_of(trec)[0] == {"label": "DESC:manner", "text": f"How did {sentence(0)} ?"}


def test_lines_of_text_are_texts_where_no_label_is_needed(tmp_path: Path) -> None:
    path = written(tmp_path / "lines.txt", *[f"{sentence(n)}\tx" for n in range(9)])
    assert detect(path, UNSTATED, labelled=False) == Detected(FORMATS["text"])
    assert detect(path, UNSTATED).format is FORMATS["tsv"]
    plain = written(tmp_path / "plain.txt", *map(sentence, range(9)))
    with pytest.raises(DataError, match="has plain lines of text, without labels"):
        detect(plain, UNSTATED)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("book.xlsx", b"PK\3\4", "is an Excel workbook"),
        ("book.xls", b"\xd0\xcf\x11\xe0", "is an Excel workbook"),
        ("old.csv", b"\xd0\xcf\x11\xe0", "is an Excel workbook"),
        ("book.csv", b"PK\3\4", "is a ZIP archive or an Excel workbook"),
        ("rows.zip", b"PK\3\4", "is a ZIP archive"),
        ("rows.what", b"some lines\nof text\n", "has no known file extension"),
    ],
)
def test_other_kinds_of_files_are_named_in_the_error(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, ConfigurationError), match=message):
        detect(tmp_path / name, UNSTATED)


def test_the_error_for_a_folder_lists_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder without files"):
        detect(tmp_path, UNSTATED)
    for name in ("README", "b.csv", "a.csv"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=r"is a folder\. Its files: a\.csv, b\.csv, README"):
        detect(tmp_path, UNSTATED)


def test_column_settings_are_refused_for_formats_with_names(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(ConfigurationError, match="--columns is for delimited text"):
        detect(tmp_path / "rows.jsonl", FileFormat(columns=("a",)))


# Every dialect -----------------------------------------------------------------------------------

_CELL = st.one_of(
    st.sampled_from(["", '"', "'", '""', "''", "\\", '\\"', "a\tb", "a;b", "a,b", "a|b", "\ufeff"]),
    st.sampled_from(["two\nlines", "cr\r\nlf", "\r", 'ends in "', "it's", "NA", "😀", "\u2028"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
)
_QUOTINGS = ("minimal", "single", "backslash", "none")


@pytest.mark.parametrize(
    ("delimiter", "quoting", "header"), list(itertools.product(",;|\t", _QUOTINGS, (True, False)))
)
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    table=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=5),
    line_end=st.sampled_from(["\n", "\r\n"]),
    mark=st.booleans(),
)
def test_rows_written_in_a_dialect_are_read_back(
    tmp_path: Path,
    delimiter: str,
    quoting: Any,
    header: bool,
    table: list[tuple[str, str]],
    line_end: str,
    mark: bool,
) -> None:
    if quoting == "none":  # has no room for what divides fields and rows
        table = [
            tuple(cell.translate(dict.fromkeys(map(ord, f"\r\n{delimiter}"))) for cell in row)  # type: ignore[misc]  # two of them
            for row in table
        ]
        table = [(f"x{first}", second) for first, second in table]  # an empty line is no row
    path, names = tmp_path / "rows.csv", ("first", "second")
    dialect = Dialect(delimiter, quoting, header=header)
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbf" * mark)
        writer = CsvWriter(file, names, dialect)
        for number, row in enumerate(table):
            writer.write(Row(number, dict(zip(names, row, strict=True))), {})
    if line_end == "\r\n" and not any(
        "\n" in cell or "\r" in cell for row in table for cell in row
    ):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    columns = None if header else names
    stated = FileFormat("csv", delimiter, quoting, header, columns)
    if not header and not mark and table[0][0].startswith("\ufeff"):
        return  # a byte order mark by its place
    assert [tuple(row.values()) for row in values_of(path, stated)] == table


# What programs for tables write ------------------------------------------------------------------


@pytest.mark.parametrize("first", ["sep=;", "\ufeffsep=;", '"sep=;"', "SEP=;\r"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a"])
def test_a_first_line_with_the_delimiter_is_not_a_header(
    tmp_path: Path, first: str, name: str
) -> None:
    path = written(
        tmp_path / name, "text;label", *[f"{sentence(n)};{'ab'[n % 2]}" for n in range(30)],
        header=first,
    )  # fmt: skip
    rows = rows_of(path)[1]
    assert [row.values for row in rows if isinstance(row, Row)] == [
        {"text": sentence(n), "label": "ab"[n % 2]} for n in range(30)
    ]
    assert rows[0].line == 3


@pytest.mark.parametrize("delimiter", ["\t", ",", " ", "|"])
def test_a_first_line_may_give_any_delimiter(tmp_path: Path, delimiter: str) -> None:
    path = written(
        tmp_path / "a.csv",
        delimiter.join(("text", "label")),
        *[f'"{sentence(n)}"{delimiter}a' for n in range(9)],
        header=f"sep={delimiter}",
    )
    assert values_of(path) == [{"text": sentence(n), "label": "a"} for n in range(9)]


def test_files_without_a_header_may_give_the_delimiter(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", *[f"{sentence(n)};a" for n in range(9)], header="sep=;")
    stated = FileFormat(header=False, columns=("text", "label"))
    assert values_of(path, stated) == [{"text": sentence(n), "label": "a"} for n in range(9)]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
@pytest.mark.parametrize("delimiter", ["\t", ",", ";", " "])
@pytest.mark.parametrize("quoted", [True, False])
def test_rows_with_a_number_before_them_as_r_writes(
    tmp_path: Path, name: str, delimiter: str, quoted: bool
) -> None:
    if delimiter == " " and not quoted:
        return
    quote = '"' if quoted else ""

    def line(*cells: str) -> str:
        return delimiter.join(f"{quote}{cell}{quote}" for cell in cells)

    path = written(
        tmp_path / name,
        *[line(str(n + 1), sentence(n), "ab"[n % 2]) for n in range(30)],
        header=line("text", "label"),
    )
    found, _ = rows_of(path)
    assert values_of(path) == [
        {"": str(n + 1), "text": sentence(n), "label": "ab"[n % 2]} for n in range(30)
    ]
    assert any("without a name" in note for note in found.notes)


def test_a_comma_in_every_text_is_not_read_as_row_names(tmp_path: Path) -> None:
    lines = [f"{sentence(n)}, {sentence(n + 1)},a" for n in range(30)]
    rows = rows_of(written(tmp_path / "a.csv", *lines, header="text,label"))[1]
    assert all(isinstance(row, BadRow) for row in rows)


def test_repeated_numbers_are_not_row_names(tmp_path: Path) -> None:
    lines = [f"{n % 3}\t{sentence(n)}\ta" for n in range(30)]
    rows = rows_of(written(tmp_path / "a.tsv", *lines, header="text\tlabel"))[1]
    assert all(isinstance(row, BadRow) for row in rows)
