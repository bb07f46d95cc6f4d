from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.glue_folders import write_lines

from gluetune.core.errors import DataError
from gluetune.data.glue_download import read_tsv
from gluetune.data.tables import table_findings

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"), max_size=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tsv")


@given(
    rows=st.lists(st.tuples(CELL, CELL), max_size=6),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_any_cells_are_read_back(
    folder: Path, rows: list[tuple[str, str]], newline: str, bom: bool
) -> None:
    lines = ["one\ttwo", *("\t".join(row) for row in rows)]
    path = write_lines(folder / "any.tsv", lines, newline=newline, bom=bom)
    table = read_tsv(path, ["two", "one"], table_findings())
    assert list(zip(table.columns["one"], table.columns["two"], strict=True)) == rows
    assert table.lines == list(range(2, len(rows) + 2))
    assert not table.ragged


@pytest.mark.parametrize(
    "text",
    [
        '"',
        'a "b',
        "it''s",
        "line\u2028separator",
        "lone\rreturn",
        "next\x85line",
        "\ufeffmark",
        "🙂",
        "שלום",
    ],
)
def test_only_tabs_and_line_feeds_separate_cells(tmp_path: Path, text: str) -> None:
    path = write_lines(tmp_path / "x.tsv", [f"0\t{text}", f"1\t{text}"])
    table = read_tsv(path, ["text"], table_findings(), header=("id", "text"))
    assert table.columns["text"] == [text, text]


def test_the_last_line_may_lack_its_line_feed(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"a\tb\n1\t2")
    assert read_tsv(path, ["b"], table_findings()).columns == {"b": ["2"]}


def test_ragged_rows_are_left_out_with_their_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.tsv", ["a\tb", "1\t2", "1", "", "1\t2\t3", "3\t4"])
    table = read_tsv(path, ["a", "b"], table_findings())
    assert table.columns == {"a": ["1", "3"], "b": ["2", "4"]}
    assert table.ragged == [(3, 1), (4, 1), (5, 3)]
    assert [table.locate(row) for row in (0, 1)] == [f"{path}:2", f"{path}:6"]


def test_rows_that_are_not_utf8_are_found_by_line_and_byte(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes("a\nfine\ncaf\u00e9\nok\nna\u00efve\n".encode("latin-1"))
    findings = table_findings()
    assert read_tsv(path, ["a"], findings).columns == {"a": ["fine", "ok"]}
    with pytest.raises(DataError) as caught:
        findings.raise_any()
    assert [each.message for each in caught.value.findings] == [
        f"{path}:3 is not UTF-8: byte 0xe9 at position 4.",
        f"{path}:5 is not UTF-8: byte 0xef at position 3.",
    ]


def test_missing_columns_are_named_with_the_header(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "x.tsv", ["sentense\tlabel", "a\t1"])
    with pytest.raises(DataError) as caught:
        read_tsv(path, ["sentence", "idx"], table_findings())
    assert [str(each) for each in caught.value.findings] == [
        f"{path}:1 has no column 'sentence'.\n"
        "  Did you mean 'sentense'? Its header line reads: 'sentense', 'label'.",
        f"{path}:1 has no column 'idx'.\n  Its header line reads: 'sentense', 'label'.",
    ]


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.tsv cannot be read: No such file"):
        read_tsv(tmp_path / "absent.tsv", ["a"], table_findings())
