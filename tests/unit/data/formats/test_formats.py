"""A format is one record: one entry adds it, and nothing else knows its name or extension."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, get_args

import pytest
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.core.config import UNSTATED, FileFormat, FormatName
from gluetune.core.errors import ConfigurationError
from gluetune.data.formats.format import (
    COMPRESSIONS,
    BadRow,
    Fault,
    Format,
    Line,
    Row,
    read_lines,
    rows_of_lines,
)
from gluetune.data.formats.registry import FORMATS, detect, format_of, open_rows
from gluetune.inference.file_predictions import predict
from gluetune.inference.predictor import Predictor, load

PACKAGE = Path(gluetune.__file__).parent
OWNER = PACKAGE / "data" / "formats"


def test_every_format_has_a_name_that_can_be_typed_and_one_writer() -> None:
    assert set(FORMATS) == set(get_args(FormatName))
    assert all(name == one.name for name, one in FORMATS.items())
    endings = [ending for one in FORMATS.values() for ending in one.endings]
    assert len(set(endings)) == len(endings)
    for one in FORMATS.values():
        written = FORMATS[one.written_as or one.name]
        assert written.write is not None
        assert written.endings
        assert {*one.mistaken_for} <= {*FORMATS}


# Another format, in one record: paragraphs of `name: value` ---------------------------------------


class CardReader:
    """Lines such as `label: good | text: Fine.`, a card each."""

    separator = ":"

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name = name
        self.columns: tuple[str, ...] = ("label", "text")
        self._file = file

    def __iter__(self) -> Iterator[Row | BadRow]:
        return rows_of_lines(read_lines(self._file), self._row)

    def _row(self, line: Line) -> Row | BadRow:
        parts = [part.partition(": ") for part in line.text.split(" | ")]
        if not all(colon for _, colon, _ in parts):
            return BadRow(line.number, "has a part without a colon", Fault.FIELDS)
        return Row(line.number, {name: value for name, _, value in parts})


class CardWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, row: Row, more: Mapping[str, Any]) -> None:
        parts = [f"{name}: {value}" for name, value in {**row.values, **more}.items()]
        self._file.write((" | ".join(parts) + "\n").encode())

    def close(self) -> None:
        self._file.write(b"")


CARDS = Format(
    "cards",
    (".card",),
    lambda source: CardReader(source.stream, source.name),
    lambda target: CardWriter(target.stream),
    title="cards",
    recognise=lambda path, head: head.startswith(b"label: "),
    certainty=2,
)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Format:
    monkeypatch.setitem(FORMATS, CARDS.name, CARDS)
    return CARDS


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    return load(bench.train("cola", epochs=1).path)


def _write_cards(path: Path, count: int = 40) -> Path:
    kinds = ("good", "Fine and well made"), ("bad", "Poor and badly made")
    lines = [f"label: {kinds[n % 2][0]} | text: {kinds[n % 2][1]}, copy {n}." for n in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_an_added_format_is_detected_and_read(cards: Format, tmp_path: Path) -> None:
    path = _write_cards(tmp_path / "reviews.card", 2)
    assert format_of(path) is cards
    found = detect(path, UNSTATED)
    assert (found.format, found.dialect, found.notes) == (cards, None, ())
    with open_rows(path, found.format) as reader:
        rows = list(reader)
    assert rows[1] == Row(2, {"label": "bad", "text": "Poor and badly made, copy 1."})
    unnamed = _write_cards(tmp_path / "reviews", 2)
    assert detect(unnamed, UNSTATED).notes == (f"{unnamed} is read as cards.",)
    with pytest.raises(ConfigurationError, match="for delimited text"):
        detect(path, FileFormat(delimiter=";"))


def test_an_added_format_is_checked_with_its_bad_rows(cards: Format, tmp_path: Path) -> None:
    path = _write_cards(tmp_path / "reviews.card")
    assert gluetune.check_files(path).labels == {"bad": 18, "good": 18}
    path.write_text(path.read_text() + "label: good | no colon\nlabel: good | text: \n")
    found = gluetune.check_files(path)
    assert [str(one) for one in found.findings] == [
        f"{path}:41 has a part without a colon.",
        f"{path}:42 has an empty 'text'.\n"
        "  Fix the file, or leave such rows out: --on-bad-row skip",
    ]
    assert found.left_out == {
        str(path): {
            "rows with too few or too many fields": 1,
            "rows with an empty text": 1,
        }
    }


@pytest.mark.parametrize("ending", ["", *COMPRESSIONS])
def test_an_added_format_is_predicted(
    cards: Format, tmp_path: Path, predictor: Predictor, ending: str
) -> None:
    source = _write_cards(tmp_path / "in.card", 3)
    output = tmp_path / f"out.card{ending}"
    predict(predictor, source, output=output, prefix="predicted_")
    with open_rows(output, cards) as reader:
        rows = [row for row in reader if isinstance(row, Row)]
    assert [row.values["text"][-7:] for row in rows] == ["copy 0.", "copy 1.", "copy 2."]
    assert all("predicted_score" in row.values for row in rows)
    other = tmp_path / "out.csv"
    with pytest.raises(ConfigurationError, match=r"here cards\.\n.*out\.card"):
        predict(predictor, source, output=other)


# Nobody else compares names or endings ------------------------------------------------------------

_WORDS = {"text", "json"}
"""Also words for other things: a column, and a way of dumping a record."""
_PATTERN = re.compile(r"\b(csv|tsv|jsonl|ndjson)\)?\|\(?|\|\(?(csv|tsv|jsonl|ndjson)\b")
"""Formats as alternatives of a regular expression."""


def _known_to_the_formats() -> set[str]:
    endings = {ending for one in FORMATS.values() for ending in one.endings}
    return {*FORMATS, *endings, *COMPRESSIONS} - _WORDS


def comparisons(source: str) -> list[int]:
    """Return the lines on which code compares something with a format's name or ending."""
    known = _known_to_the_formats()

    def holds(node: ast.AST) -> bool:
        return any(
            isinstance(one, ast.Constant) and one.value in known
            for one in ast.walk(node)
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        )

    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            parts: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asks = node.func.attr in ("endswith", "removesuffix", "get")
            parts = list(node.args) if asks else []
        elif isinstance(node, ast.Dict):
            parts = [key for key in node.keys if key is not None]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = []
            if _PATTERN.search(node.value):
                found.append(node.lineno)
        else:
            continue
        if any(map(holds, parts)):
            found.append(node.lineno)
    return found


def test_a_comparison_is_found() -> None:
    assert comparisons('if kind == "csv": pass') == [1]
    assert comparisons('x = kind in ("jsonl", "parquet")') == [1]
    assert comparisons('if path.suffix == ".gz":\n    pass\nx = path.endswith(".tsv")') == [1, 3]
    assert comparisons('x = {".csv": 1}[path.suffix]') == [1]
    assert comparisons('x = re.compile(r"(csv|tsv)$")') == [1]
    assert comparisons('match kind:\n    case "arrow": pass') == [2]
    assert comparisons('name = f"{split}.parquet"; other = folder.glob("*.parquet")') == []


def test_only_the_formats_know_their_names_and_endings() -> None:
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(OWNER)
        for line in comparisons(path.read_text(encoding="utf-8"))
    ]
    assert wrong == []
