"""The one door to the terminal: text stays text, on every encoding, whoever prints it."""

from __future__ import annotations

import ast
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import rich.console
from rich.text import Text

import gluetune
from gluetune.cli.app import app, main
from gluetune.core.terminal import Console, Table, json_text, tolerate_encodings

HOSTILE = [
    "[b]bold[/b]",
    "[red]",
    "[/]",
    "[/red]",
    "[link=x]",
    ":smile:",
    "a[0]",
    "\\[b]",
    "[@click=x]",
]
PACKAGE = Path(gluetune.__file__).parent


def printed(*values: object, **options: object) -> str:
    out = io.StringIO()
    Console(file=out, width=200, force_terminal=True, color_system=None).print(*values, **options)
    return out.getvalue()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_string_is_printed_as_it_is(text: str) -> None:
    assert printed(text) == f"{text}\n"
    assert printed(Text(text)) == f"{text}\n"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("console", [Console, rich.console.Console])
def test_every_part_of_a_table_is_text(text: str, console: type[rich.console.Console]) -> None:
    table = Table(title=f"title {text}", caption=f"caption {text}")
    table.add_column(f"head {text}")
    table.add_row(f"cell {text}")
    grid = Table.grid()
    grid.add_row(f"grid {text}")
    out = io.StringIO()
    shown = console(file=out, width=200)
    shown.print(table)
    shown.print(grid)
    for part in ("title", "head", "cell", "caption", "grid"):
        assert f"{part} {text}" in out.getvalue()


@pytest.mark.parametrize("control", ["\x1b", "\x9b", "\u202e", "\u2066", "\u200b", "\udcff"])
def test_controls_are_seen_wherever_they_are(control: str) -> None:
    table = Table(title=f"x{control}")
    table.add_column(f"x{control}")
    table.add_row(f"x{control}")
    table.add_row(Text(f"x{control}"))
    for value in (f"a{control}b", Text(f"a{control}b"), Text("a", "bold").append(control), table):
        assert control not in printed(value)


def test_style_comes_from_text_alone() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard")
    console.print(Text("x", "bold"), "[bold]12")
    assert "\x1b[1mx" in out.getvalue()
    assert "[bold]12" in out.getvalue()


def sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "core" / "terminal.py":
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_nothing_is_printed_through_another_door() -> None:
    elsewhere = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if problem := opens_another_door(node):
                elsewhere.append(f"{path.relative_to(PACKAGE)}:{node.lineno}: {problem}")  # type: ignore[attr-defined]  # those that are named have a line
    assert elsewhere == []


def opens_another_door(node: ast.AST) -> str:
    """Return what a node does that only gluetune.core.terminal may do."""
    if isinstance(node, ast.Import):
        return " ".join(name.name for name in node.names if name.name.startswith("rich"))
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
        names = {name.name for name in node.names}
        forbidden = names & {"Console", "Table", "Panel", "Markdown", "print", "get_console"}
        return ", ".join(forbidden) or ("rich.markup" if node.module == "rich.markup" else "")
    if isinstance(node, ast.Call):
        return _bad_call(node)
    return ""


def _bad_call(call: ast.Call) -> str:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    keywords = {each.arg: each.value for each in call.keywords}
    if isinstance(call.func, ast.Name) and name == "print":
        return "print()"
    if name in ("from_markup", "secho"):
        return name
    if name in ("Live", "Progress") and "console" not in keywords:
        return f"{name} with a console of its own"
    if name == "TextColumn" and not isinstance(call.args[0], ast.Constant):
        return "TextColumn takes markup"
    markup = keywords.get("markup")
    return "markup" if isinstance(markup, ast.Constant) and markup.value else ""


def test_the_walk_finds_what_it_looks_for() -> None:
    code = """
import rich
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Shown
print("x")
Text.from_markup("x")
Live(get_renderable=f)
TextColumn(name)
console.print("x", markup=True)
"""
    found = [opens_another_door(node) for node in ast.walk(ast.parse(code))]
    assert len([each for each in found if each]) == 9


@contextmanager
def streams(monkeypatch: pytest.MonkeyPatch, encoding: str) -> Iterator[io.BytesIO]:
    """Replace standard output and error by such with a poor encoding."""
    written = io.BytesIO()
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(written, encoding=encoding, errors="strict", write_through=True)
        monkeypatch.setattr(sys, name, stream)
    yield written


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_text_is_printed_on_any_encoding(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    with streams(monkeypatch, encoding) as written:
        tolerate_encodings()
        console = Console(width=40)
        table = Table(title="\u4e2d\u6587 \u2026")
        table.add_column("\u2192", no_wrap=True, overflow="ellipsis")
        table.add_row("x" * 80)
        console.print(table)
        console.print("\u00e9 \U0001f600 \udcff", Text("\u00b1\u2588"))
    text = written.getvalue().decode(encoding)
    assert "\\u4e2d\\u6587" in text
    assert "x..." in text or "x\u2026" in text
    assert "\\U0001f600" in text
    assert "\u2503" not in text


def test_columns_stay_columns_on_any_encoding() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    table = Table("", "\u0441\u043b\u043e\u0432\u043e")
    table.add_row("\u597d", Text.assemble(("\u5766\u2026", "red"), (" end", "bold")))
    table.add_row("plain", "\u043f\u043b\u043e\u0445\u043e " * 20)
    Console(file=stream, width=80).print(table)
    stream.flush()
    lines = stream.buffer.getvalue().decode("ascii").splitlines()
    assert len({len(line) for line in lines}) == 1, lines
    assert len(lines[0]) <= 80
    assert any("\\u597d" in line and "\\u5766... end" in line for line in lines)


def test_json_stays_json_on_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"labels": ["fr\u00f6hlich", "\U0001f600"]}
    assert "fr\u00f6hlich" in json_text(value)
    with streams(monkeypatch, "ascii"):
        assert json_text(value).isascii()
        assert json.loads(json_text(value, indent=2)) == value


VERBS = sorted(str(each.callback.__name__) for each in app.registered_commands if each.callback)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["[/]"],
        ["--[b]"],
        ["show", "[/red]"],
        ["show", "caf\u00e9"],
        ["predict", "[/]", "x"],
        ["train", "--train-file", "[b]x[/b].csv"],
        ["train", "cola", "--epochs", "[/]"],
        *([verb, "--help"] for verb in VERBS),
    ],
    ids=" ".join,
)
def test_every_verb_speaks_ascii(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    with streams(monkeypatch, "ascii") as written, pytest.raises(SystemExit):
        main(words)
    text = written.getvalue().decode("ascii")
    assert "Traceback" not in text
    named = [word for word in words if "[" in word]
    assert all(word in text for word in named)
