"""Detection of text and label columns, and of first lines that are rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gluetune.core.config import UNSTATED, make_config
from gluetune.core.errors import DataError
from gluetune.data.formats.registry import detect
from gluetune.data.own.columns import FirstRows, FoundColumns, find_columns, row_in_place_of_names
from gluetune.data.own.source import read_own
from gluetune.inference.file_checks import check_files

_WORDS = (
    *("the", "film", "was", "good", "and", "we", "laughed"),
    *("a", "lot", "at", "parts", "of", "it"),
)


def sentence(number: int) -> str:
    draw = random.Random(number)
    return " ".join(draw.choice(_WORDS) for _ in range(draw.randint(4, 12)))


def table(columns: Sequence[str], *makers: Any, rows: int = 30) -> FirstRows:
    """Return rows whose cells are made from their number."""
    cells = [[make(n) for make in makers] for n in range(rows)]
    return FirstRows(tuple(columns), [dict(zip(columns, row, strict=True)) for row in cells])


def label(number: int) -> str:
    return ("ham", "ham", "spam")[number % 3]


def number(number: int) -> str:
    return str(number)


def date(number: int) -> str:
    return f"Mon Apr {number % 28:02} 22:19:{number % 60:02} PDT 2009"


def empty(number: int) -> str:
    return ""


@pytest.mark.parametrize(
    ("columns", "makers", "expected"),
    [
        (("sentence", "label"), (sentence, label), ("sentence", None, "label")),
        (("review", "sentiment"), (sentence, label), ("review", None, "sentiment")),
        (("Text", "Category"), (sentence, label), ("Text", None, "Category")),
        (("v1", "v2"), (label, sentence), ("v2", None, "v1")),
        (("v1", "v2", ""), (label, sentence, empty), ("v2", None, "v1")),
        (("id", "x", "y"), (number, sentence, label), ("x", None, "y")),
        (("premise", "hypothesis", "label"), (sentence, sentence, label), None),
        (("text", "body", "label"), (sentence, sentence, label), ("text", None, "label")),
        (("title", "body", "label"), (sentence, sentence, label), (None, None, "label")),
        (("text", "stars", "topic"), (sentence, label, label), ("text", None, None)),
        (("text", "a", "b"), (sentence, label, label), ("text", None, None)),
        (("a", "b"), (sentence, sentence), (None, None, None)),
        (("when", "x", "y"), (date, sentence, label), ("x", None, "y")),
        (("a", "b"), (lambda n: f"这家店的菜很好吃{n}", label), ("a", None, "b")),
        (("a", "link", "b"), (sentence, lambda n: f"https://x.org/{n}", label), ("a", None, "b")),
        (("a", "name", "b"), (sentence, lambda n: f"José{n} Núñez", label), ("a", None, "b")),
        (("sentence", "words", "label"), (number, sentence, label), ("words", None, "label")),
    ],
)
def test_columns_are_found_where_names_or_values_are_unambiguous(
    columns: Sequence[str], makers: Sequence[Any], expected: tuple[Any, ...] | None
) -> None:
    found = find_columns(table(columns, *makers))
    assert found == FoundColumns(*(expected or ("premise", "hypothesis", "label")))


def test_the_values_of_few_rows_are_not_used() -> None:
    assert find_columns(table(("v1", "v2"), label, sentence, rows=6)) == FoundColumns()


def as_first(first: Sequence[str], *makers: Any, rows: int = 30) -> FirstRows:
    return table(first, *makers, rows=rows)


@pytest.mark.parametrize(
    ("first", "makers", "reason"),
    [
        (("ham", "the cup is here now"), (label, sentence), "'ham' is also a value of 20 rows"),
        (("17", "spam", "so it is"), (number, label, sentence), "'spam' is also a value of 10"),
        (("4.25", "the cup is here now"), (number, sentence), "'4.25' is a number"),
        (("x9", "what do you think of it?"), (number, sentence), "is a sentence"),
    ],
)
def test_a_first_line_that_is_a_row_is_detected(
    first: Sequence[str], makers: Sequence[Any], reason: str
) -> None:
    found = row_in_place_of_names(as_first(first, *makers))
    assert found is not None
    assert reason in found.reason
    assert found.is_certain == ("sentence" not in reason)


@pytest.mark.parametrize(
    ("first", "makers"),
    [
        (("text", "ham"), (sentence, label)),  # one is a usual name: none of the others is a value
        (("a", "b"), (sentence, label)),
        (("0", "1"), (sentence, lambda n: str(n % 2))),  # pandas' own names
        (("", "0", "1"), (number, sentence, lambda n: str(n % 2))),
        (("id", "2019"), (sentence, number)),
    ],
)
def test_column_names_are_not_taken_for_a_row(first: Sequence[str], makers: Sequence[Any]) -> None:
    assert row_in_place_of_names(as_first(first, *makers)) is None


# The whole way -----------------------------------------------------------------------------------


def headless(path: Path, rows: int = 40, between: str = "\t") -> Path:
    lines = [f"{label(n)}{between}{sentence(n)}" for n in range(rows)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize("settings", [{}, {"label": "ham", "text": sentence(0)}])
def test_no_row_is_lost_as_a_header_line(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = headless(tmp_path / "spam.tsv")
    (finding,) = check_files(path, **settings).findings
    assert "the first line looks like a row, not like column names: 'ham'" in finding.message
    assert finding.hint.startswith("Type: --no-header --columns label,text;")
    found = check_files(path, header=False, columns="label,text")
    assert found.are_good
    assert sum(found.rows.values()) == 40
    kept = check_files(path, header=True, **(settings or {"label": "ham", "text": sentence(0)}))
    assert sum(kept.rows.values()) == 39, "the user says that it names the columns"


def test_detected_columns_are_printed_and_typed_next(tmp_path: Path) -> None:
    path = tmp_path / "spam.csv"
    lines = [f'{label(n)},"{sentence(n)}, yes",,,' for n in range(40)]
    path.write_text("v1,v2,,,\n" + "".join(f"{line}\n" for line in lines))
    found = check_files(path)
    assert found.are_good, found.findings
    assert found.columns == {"text": "v2", "label": ("v1",)}
    assert any("column 'v2' is used as --text" in one for one in found.remarks)
    assert check_files(path, text="v2").columns == {"label": ("v1",)}


def test_train_needs_named_columns_and_suggests_them(
    tmp_path: Path,
) -> None:
    path = tmp_path / "reviews.csv"
    rows = "".join(f"{sentence(n)},{label(n)}\n" for n in range(40))
    path.write_text("review,sentiment\n" + rows)
    with pytest.raises(DataError) as caught:
        read_own(make_config({"train_file": str(path)}))
    assert [finding.hint for finding in caught.value.findings] == [
        "Type: --text review",
        "Type: --label sentiment",
    ]


@pytest.mark.parametrize("header", ["v1,v2\n", ""])
def test_later_parts_of_a_file_sorted_by_label_are_inspected(tmp_path: Path, header: str) -> None:
    path = tmp_path / "sorted.csv"
    lines = [f'{"neg" if n < 2500 else "pos"},"{sentence(n)}, so"' for n in range(5000)]
    path.write_text(header + "".join(f"{line}\n" for line in lines))
    found = check_files(path)
    if header:
        assert found.columns == {"text": "v2", "label": ("v1",)}
    else:
        (finding,) = found.findings
        assert "--no-header --columns label,text" in finding.hint


def test_very_long_rows_are_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("text,label\n")
        for n in range(30):
            file.write(f"{'words and ' * 50_000}{n},{label(n)}\n")
    first = FirstRows.of(path, detect(path, UNSTATED))
    assert 5 < len(first.rows) < 15


def test_a_name_with_a_comma_is_one_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    rows = "".join(f"{sentence(n)},{label(n)}\n" for n in range(40))
    path.write_text('text,"label, one"\n' + rows)
    (finding,) = check_files(path, label="label, one").findings
    assert finding.hint == """Type: --label '"label, one"'"""
    assert check_files(path, label='"label, one"').are_good
    assert check_files(path).columns == {"label": ("label, one",)}


def test_nested_values_are_read_by_their_path(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    rows = [f'{{"review": {{"body": "{sentence(n)}"}}, "y": "{label(n)}"}}\n' for n in range(40)]
    path.write_text("".join(rows))
    found = check_files(path, text="review.body", label="y")
    assert found.are_good, found.findings
    assert sum(found.rows.values()) == 40
    assert check_files(path).columns == {"text": "review.body", "label": ("y",)}
    typed = [{"review": {"body": sentence(n), "by": n}, "y": label(n)} for n in range(40)]
    parquet = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(typed), parquet)
    found = check_files(parquet, text="review.body", label="y")
    assert found.are_good, found.findings
    assert check_files(parquet).columns == {"text": "review.body", "label": ("y",)}


@pytest.mark.parametrize("name", ["book.xlsx", "folder", "plain.txt"])
def test_an_unreadable_file_is_one_finding(tmp_path: Path, name: str) -> None:
    if name == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"PK\3\4" if name.endswith("x") else b"one line\nanother\n")
    (finding,) = check_files(tmp_path / name).findings
    assert name in finding.message
    assert finding.hint
    assert "--format tsv" not in finding.hint


def test_rows_with_wrong_quotes_suggest_quoting_none(
    tmp_path: Path,
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(
        "text,label\n" + "".join(f'it is 5" long {n},{"ab"[n % 2]}\n' for n in range(20))
    )
    found = check_files(path)
    assert not found.are_good
    assert any("--quoting none" in one for one in found.remarks)
    assert check_files(path, quoting="none").are_good
    path.write_text("text,label\n" + "".join(f"{sentence(n)},a,b\n" for n in range(20)))
    assert not any("--quoting" in one for one in check_files(path).remarks)


# What is typed word by word ----------------------------------------------------------------------


def written(path: Path, names: Sequence[str], *makers: Any, encoding: str = "utf-8") -> Path:
    lines = ["\t".join(names), *("\t".join(make(n) for make in makers) for n in range(40))]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def flags(n: int) -> str:
    return str(n % 2)


@pytest.mark.parametrize(
    ("names", "makers", "hints"),
    [
        (
            ("source", "mark", "words"),
            (label, flags, sentence),
            ["Type: --text words", "Type: --label source, or --label mark"],
        ),
        (
            ("id", "comment_text", "toxic", "an insult"),
            (number, sentence, flags, flags),
            [
                "Type: --text comment_text",
                "Type: --label toxic, or --label 'an insult'; or, for several labels an example: "
                "--label 'toxic,an insult'",
            ],
        ),
        (
            ("sentence_A", "sentence_B", "mark"),
            (sentence, sentence, flags),
            ["Type: --text sentence_A --text-pair sentence_B", "Type: --label mark"],
        ),
        (
            ("one", "other", "mark"),
            (sentence, sentence, flags),
            ["Type: --text one, or --text other", "Type: --label mark"],
        ),
    ],
)
def test_likely_columns_are_offered(
    tmp_path: Path, names: Sequence[str], makers: Sequence[Any], hints: Sequence[str]
) -> None:
    path = written(tmp_path / "a.tsv", names, *makers)
    with pytest.raises(DataError) as error:
        read_own(make_config({"train_file": str(path)}))
    assert [finding.hint for finding in error.value.findings] == hints


def long_text(n: int) -> str:
    return f"{sentence(n)} {sentence(n + 1)} {sentence(n + 2)} {sentence(n + 3)} {sentence(n + 4)}"


@pytest.mark.parametrize(
    ("columns", "makers", "expected"),
    [
        (("Title", "feedback", "label"), (sentence, long_text, label), (None, None, "label")),
        (("Title", "Review Text", "label"), (sentence, long_text, label), (None, None, "label")),
        (("title", "label"), (sentence, label), ("title", None, "label")),
        (("Review_Text", "Star Rating"), (sentence, label), ("Review_Text", None, "Star Rating")),
        (("context", "hypothesis", "label"), (sentence, sentence, label), "pair"),
        (("x", "asin", "grade"), (sentence, label, lambda n: n % 5 + 1.0), ("x", None, None)),
        (("x", "grade"), (sentence, lambda n: n % 5 + 1.0), ("x", None, "grade")),
        (("when", "x", "y"), (lambda n: f"Apr 6 22:19:{n % 5:02}", sentence, label), "x, y"),
    ],
)
def test_ambiguous_columns_are_not_chosen(
    columns: Sequence[str], makers: Sequence[Any], expected: Any
) -> None:
    known = {"pair": ("context", "hypothesis", "label"), "x, y": ("x", None, "y")}
    found = find_columns(table(columns, *makers))
    assert found == FoundColumns(*(known[expected] if isinstance(expected, str) else expected))


def test_the_encoding_is_reported_before_the_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.tsv", ("v1", "v2"), label, lambda n: f"café {n}", encoding="latin-1"
    )
    (finding,) = check_files(path).findings
    assert "not all UTF-8" in finding.message
    assert "Type: iconv -f WINDOWS-1252" in finding.hint


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.json", '[["a text", "b"]]', "item 1 is a list, not an object"),
        ("a.json", "[]", "has no usable rows"),
        ("a.jsonl", '["a text", "b"]\n', ":1 is a list, not an object"),
        ("a.csv", "\n\ntext,label\na,b\n", ":1 is the first line and names no columns"),
        ("a.csv", ",,\na,b,c\n", "names no column"),
        ("a.csv", "text,label\ra,b\r", "carriage returns alone"),
        ("a.txt", "text\tlabel\ra\tb\r", "carriage returns alone"),
    ],
)
def test_files_without_column_names_are_reported(
    tmp_path: Path, name: str, content: str, expected: str
) -> None:
    (tmp_path / name).write_bytes(content.encode())
    findings = check_files(tmp_path / name).findings
    assert any(expected in finding.message for finding in findings), findings
    assert not any("COLUMN" in finding.hint for finding in findings)
