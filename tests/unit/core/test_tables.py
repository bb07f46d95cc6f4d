"""A table is a value; each surface has one renderer for it."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.cells import cell_len
from tests.support.html_pages import HOSTILE, Page

from gluetune.core.tables import Between, Column, Ranking, Table, plain
from gluetune.core.terminal import Console, _shortened

SCORES = Table.of(
    "Scores",
    (
        "metric",
        Column("value", "number", missing="undefined"),
        Column("95% interval", "interval", key="interval"),
        Column("examples", "count"),
    ),
    [
        ("accuracy", 0.5, Between(0.25, 0.75), 1200),
        ("f1", None, Between(0.1, 0.9, reliable=False), 7),
    ],
    notes=["* unreliable: few examples"],
)


def printed(table: Table, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).show(table)
    return out.getvalue()


def test_a_terminal_shows_values_and_notes() -> None:
    told = printed(SCORES)
    line = next(line for line in told.splitlines() if "accuracy" in line)
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells == ["accuracy", "0.5000", "0.2500 to 0.7500", "1,200"]
    assert "│ undefined │" in told
    assert "0.1000 to 0.9000 *" in told
    assert told.endswith("* unreliable: few examples\n")


def test_a_page_and_markdown_show_the_same_values() -> None:
    page = SCORES.to_html("run 1")
    assert (
        '<th scope="row"><bdi>accuracy</bdi></th><td class="number"><bdi>0.5000</bdi></td>' in page
    )
    assert 'aria-label="Scores run 1"' in page
    assert SCORES.to_markdown().splitlines() == [
        "| metric | value | 95% interval | examples |",
        "| --- | ---: | ---: | ---: |",
        "| accuracy | 0.5000 | 0.2500 to 0.7500 | 1,200 |",
        "| f1 | undefined | 0.1000 to 0.9000 \\* | 7 |",
    ]


def test_records_are_plain_values() -> None:
    first, second = json.loads(json.dumps(SCORES.to_dict()))["rows"]
    assert first == {
        "metric": "accuracy",
        "value": 0.5,
        "interval_low": 0.25,
        "interval_high": 0.75,
        "examples": 1200,
    }
    assert second["value"] is None
    frame = SCORES.to_pandas()
    assert list(frame.columns) == list(first)
    assert frame["examples"].tolist() == [1200, 7]
    assert list(Table.of("x", SCORES.columns, []).to_pandas().columns) == list(first)


def test_any_text_stays_text_on_every_surface() -> None:
    text = f"{HOSTILE}[b]|`\x1b[2J"
    table = Table.of(text, (text, text), [(text, text)], notes=[text])
    page = Page(table.to_html())
    assert page.tags == Page(Table.of("a", "ab", [("a", "b")], notes=["c"]).to_html()).tags
    assert "\x1b" not in table.to_html()
    assert "\x1b" not in printed(table)
    assert "[b]" in printed(table, 400)
    row = table.to_markdown().splitlines()[-1]
    assert row.replace("\\|", "").count("|") == 3
    assert "\\<" in row


def test_a_long_ranked_table_shows_the_first_of_its_ranking() -> None:
    rows = [(f"class {number}", number / 100) for number in range(60)]
    order = tuple(reversed(range(60)))
    table = Table.of(
        "Classes",
        ("class", Column("F1", "number")),
        rows,
        ranking=Ranking("with the lowest F1", order),
    )
    told = printed(table)
    assert "Classes, the 20 with the lowest F1 of 60" in told
    assert "40 more are in the JSON" in told
    lines = [line for line in told.splitlines() if line.startswith("│")]
    assert len(lines) == 20
    assert "class 59" in lines[0]
    assert Page(table.to_html()).tags.count("tr") == 51
    assert len(table.records()) == 60


def test_where_a_table_does_not_fit_the_narrow_one_is_shown() -> None:
    narrow = Table.of("narrow", ("a",), [("x",)])
    wide = Table.of("wide", tuple("a" * 30 for _ in range(3)), [("x", "y", "z")], narrow=narrow)
    assert "wide" in printed(wide, 120)
    assert "narrow" in printed(wide, 80)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_names_give_way_to_numbers(width: int) -> None:
    table = Table.of(
        "Classes",
        (Column("class", shorten=True), Column("examples", "count"), Column("other", shorten=True)),
        [("a long name of a class, number 1 " * 3, 12345, "another long name " * 4)],
    )
    told = printed(table, width)
    assert all(cell_len(line) <= width for line in told.splitlines())
    assert "12,345" in told


def test_a_shortened_name_keeps_both_ends() -> None:
    assert _shortened("the same beginning, number 17", 16) == "the same…mber 17"
    assert cell_len(_shortened("类" * 30, 15)) <= 15
    assert _shortened("short", 16) == "short"


def test_heads_of_numbers_break_before_anything_is_cut() -> None:
    heads = ("", "matthews_correlation", "f1 of 'a rather long label'", "protocol")
    columns = (heads[0], Column(heads[1], "number"), Column(heads[2], "number"), heads[3])
    told = printed(Table.of("x", columns, [("run", 0.5, 0.25, "words " * 20)]))
    assert "matthews_" in told
    assert "correlation" in told
    assert "0.5000" in told
    assert all(cell_len(line) <= 80 for line in told.splitlines())


def test_plain_values_have_no_nan_and_no_arrays() -> None:
    assert plain({"a": np.array([1.0, np.nan]), "b": (Between(0.0, 1.0),)}) == {
        "a": [1.0, None],
        "b": [{"low": 0.0, "high": 1.0, "reliable": True}],
    }
