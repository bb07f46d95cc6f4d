"""The inferred kind of labels: ids of classes, numbers, several labels in a cell, 0.0 as 0."""

from __future__ import annotations

import json
import random
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import own_config, write_csv
from typer.testing import CliRunner

from gluetune.cli.app import app
from gluetune.core.errors import DataError
from gluetune.data.own.source import OwnFile, OwnSource
from gluetune.data.tables import label_array
from gluetune.inference.file_checks import CheckedFiles, check_files


def write(path: Path, labels: Sequence[Any]) -> Path:
    """Write a row for each label; as JSON lines, or as CSV where the name says so."""
    rows = [{"text": f"text number {n}", "label": label} for n, label in enumerate(labels)]
    if path.suffix == ".csv":
        return write_csv(path, rows)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def checked(tmp_path: Path, labels: Sequence[Any], **settings: Any) -> CheckedFiles:
    return check_files(write(tmp_path / "a.csv", labels), **settings)


DRAW = random.Random(5)
IDS: dict[str, list[Any]] = {
    "25 from 0": [n % 25 for n in range(250)],
    "25 from 1": [1 + n % 25 for n in range(250)],
    "11, each twice": [n % 11 for n in range(22)],
    "as pandas writes them beside a gap": [f"{n % 40}.0" for n in range(200)],
    "1,000 of them": [n % 1000 for n in range(2000)],
    "many of some, few of others": [n for n in range(30) for _ in range(2 + n * n % 17)],
    "stars": [1 + n % 5 for n in range(50)],
    "stars with a fraction of zero": [f"{1 + n % 5}.0" for n in range(50)],
    "few with gaps": [(0, 4)[n % 2] for n in range(50)],
    "three ways": [n % 3 - 1 for n in range(60)],
}
NUMBERS = {
    "halves": [n % 9 / 2 for n in range(90)],
    "prices": [DRAW.randrange(10, 5000) for _ in range(200)],
    "more than classes may be": [n % 1500 for n in range(4500)],
}
UNCLEAR = {
    "ids with gaps in a small file": [one for one in range(26) if one not in (3, 17)] * 3,
    "ids of which one occurs once": [*(n % 25 for n in range(100)), 25],
    "ids that occur once": list(range(30)),
    "years": [1990 + n % 31 for n in range(620)],
    "a few years": [2010 + n % 12 for n in range(120)],
    "ages": [18 + n * n % 60 for n in range(900)],
    "prices that occur again": [(n % 40) * 50 + 99 for n in range(800)],
    "codes": [1000 + 37 * (n % 30) for n in range(600)],
}


@pytest.mark.parametrize("labels", IDS.values(), ids=IDS.keys())
def test_gapless_ids_that_repeat_are_classes(tmp_path: Path, labels: list[Any]) -> None:
    found = checked(tmp_path, labels)
    assert found.are_good, found.findings
    assert len(found.labels) == len(set(labels))
    assert any("--kind regression for regression" in one for one in found.remarks)


@pytest.mark.parametrize("labels", NUMBERS.values(), ids=NUMBERS.keys())
def test_numbers_that_cannot_be_ids_are_numbers(tmp_path: Path, labels: list[Any]) -> None:
    found = checked(tmp_path, labels)
    assert found.are_good, found.findings
    assert "a number" in found.title
    assert any("kind regression (--kind single_label for classes)" in one for one in found.remarks)


@pytest.mark.parametrize("labels", UNCLEAR.values(), ids=UNCLEAR.keys())
def test_an_ambiguous_kind_must_be_stated(tmp_path: Path, labels: list[Any]) -> None:
    (finding,) = checked(tmp_path, labels).findings
    assert f"'label' holds {len(set(labels))} different whole numbers" in finding.message
    assert finding.hint == "Type: --kind single_label, or --kind regression"
    assert checked(tmp_path, labels, kind="regression").are_good
    if min(map(labels.count, set(labels))) > 1:
        assert checked(tmp_path, labels, kind="single_label").are_good


def test_whole_numbers_are_ordered_numerically_also_with_a_point(tmp_path: Path) -> None:
    found = checked(tmp_path, IDS["as pandas writes them beside a gap"])
    assert list(found.labels)[:3] == ["0.0", "1.0", "2.0"]
    assert list(found.labels)[-1] == "39.0"


CELLS = {
    "numbers and commas": (["6,9,27", "6", "9", "27,6"], "--kind multi_label --label-separator ,"),
    "pipes": (["a|b", "a", "b", "c|a"], "--kind multi_label --label-separator '|'"),
    "one pipe": (["a", "b", "a|b"], "--kind multi_label --label-separator '|'"),
    "semicolons and spaces": (["x y; z", "z", "x y", "z; w; x y"], "--label-separator ';'"),
    "always two": (["a,b", "b,c", "c,a"], "--kind multi_label --label-separator ,"),
    "slashes": (["joy/fear", "fear", "joy/anger", "anger/fear"], "--label-separator /"),
    "numbers and spaces": (["1 2", "2", "3 1", "3"], "--kind multi_label --label-separator ' '"),
    "python's lists": (["['a', 'b']", "['b']", "[]", "['c']"], "Type: --kind multi_label"),
    "json's lists": (['["a", "b"]', '["b"]', '["c", "a"]'], "Type: --kind multi_label"),
    "numpy's lists": (["['a' 'b']", "['b']", "['c']"], "Type: --kind multi_label"),
    "bare words in brackets": (["[a, b]", "[b]", "[c, d]"], "Type: --kind multi_label"),
    "sets": (["{'a', 'b'}", "{'b'}", "{'c'}"], "Type: --kind multi_label"),
}
CLASSES = {
    "names with a comma": ["Business, Finance", "Health, Fitness", "Sports"],
    "a comma in one name": ["Finance", "Business, Finance", "Sports"],
    "a tree": ["sport/football", "sport/tennis", "news/local", "news/world"],
    "questions and answers": ["q1/yes", "q1/no", "q2/yes", "q2/no"],
    "words": ["very good", "good", "very bad", "bad"],
    "both": ["yes", "no", "yes/no"],
    "brackets": ["[UNK]", "[PAD]", "[SEP]"],
    "emoji": [":-)", ":-(", ":-|"],
}


@pytest.mark.parametrize(("values", "hint"), CELLS.values(), ids=CELLS.keys())
def test_several_labels_in_a_cell_are_recognised(
    tmp_path: Path, values: list[str], hint: str
) -> None:
    path = write(tmp_path / "a.csv", values * 9)
    (finding,) = check_files(path).findings
    assert "'label' has several labels in a cell" in finding.message
    assert repr(next(one for one in values if len(one) > 2)) in finding.message
    assert hint in finding.hint
    assert check_files(path, kind="single_label").are_good, "unless they are said to be classes"


@pytest.mark.parametrize(("values", "hint"), CELLS.values(), ids=CELLS.keys())
def test_the_hint_for_several_labels_can_be_typed(
    tmp_path: Path, values: list[str], hint: str
) -> None:
    path = write(tmp_path / "a.csv", values * 9)
    (finding,) = check_files(path).findings
    typed = finding.hint.removeprefix("Type: ").split("; ")[0]
    result = CliRunner().invoke(app, ["check", str(path), *shlex.split(typed)])
    assert result.exit_code == 0, result.output
    names = check_files(path, **settings_of(typed)).labels
    alone = {one.strip("'\" ") for value in values for one in re.split(r"[][{},;|/]|' ", value)}
    if "numbers and spaces" in hint or typed.endswith("' '"):
        alone = {"1", "2", "3"}
    assert set(names) == alone - {""}


def settings_of(typed: str) -> dict[str, Any]:
    words = shlex.split(typed)
    names = [word.removeprefix("--").replace("-", "_") for word in words[::2]]
    return dict(zip(names, words[1::2], strict=True))


@pytest.mark.parametrize("values", CLASSES.values(), ids=CLASSES.keys())
def test_names_with_separators_are_classes(tmp_path: Path, values: list[str]) -> None:
    found = checked(tmp_path, values * 9)
    assert found.are_good, found.findings
    assert set(found.labels) == set(values)


def test_labels_without_the_separator_that_they_need_are_recognised(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, ["a;b", "a", "b;c"] * 9, kind="multi_label").findings
    assert "--label-separator ';'" in finding.hint


FLOATS, INTS = [0.0, 1.0, 2.0] * 8, [2, 1, 0, 0, 1, 2]


@pytest.mark.parametrize(("train", "other"), [(FLOATS, INTS), (INTS * 4, FLOATS)])
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_class_with_a_point_is_the_class_without(
    tmp_path: Path, train: list[Any], other: list[Any], ending: str
) -> None:
    path, more = (
        write(tmp_path / f"{name}.{ending}", labels)
        for name, labels in (("train", train), ("other", other))
    )
    config = own_config(path, validation_file=str(more), test_file=str(more))
    source = OwnSource(config)
    assert source.task.labels == tuple(map(str, sorted(set(train)))), "as it was written"
    for split in ("validation", "test"):
        table = source.read(source.task, split)
        assert label_array(table, source.task).tolist() == [int(one) for one in other]
    table = OwnFile(config, source.task, more).read(source.task, "validation")
    assert label_array(table, source.task).tolist() == [int(one) for one in other]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_one_file_may_have_both_spellings_of_a_class(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"a.{ending}", [0, 1, 1.0, 0.0, 2.0, 2] * 6)
    found = check_files(path, validation_fraction=0.5)
    assert found.are_good, found.findings
    assert found.labels == {"0": 6, "1": 6, "2": 6}


def test_sets_of_numbers_may_have_both_spellings(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", [[0.0, 1.0], [1.0], [], [2.0]] * 8)
    more = write(tmp_path / "b.jsonl", [[0], [2, 1]])
    source = OwnSource(own_config(train, validation_file=str(more)))
    rows = label_array(source.read(source.task, "validation"), source.task)
    assert rows.tolist() == [[1, 0, 0], [0, 1, 1]]


@pytest.mark.parametrize("label", ["1.5", "01", "1.0.0", "3"])
def test_a_different_number_is_a_different_label(tmp_path: Path, label: str) -> None:
    train = write(tmp_path / "a.csv", ["0", "1", "2"] * 8)
    more = write(tmp_path / "b.csv", ["0", label])
    with pytest.raises(DataError, match=f"b.csv:3 has the label '{label}', which train lacks"):
        _ = OwnSource(own_config(train, validation_file=str(more))).own


@pytest.mark.parametrize("more", [{"kind": "multi_label"}, {"label_separator": ","}], ids=str)
def test_a_list_in_a_cell_is_read_with_a_separator_too(tmp_path: Path, more: Any) -> None:
    found = checked(tmp_path, ["['a', 'b']", "['b, c']", "[]"] * 9, **more)
    assert set(found.labels) == {"a", "b", "b, c"}


def counted(counts: dict[str, int]) -> list[str]:
    return [name for name, count in counts.items() for _ in range(count)]


def about_rare(found: CheckedFiles) -> list[str]:
    return [one for one in found.remarks if "rare in train" in one]


RARE = {
    "few rows": ({"a": 100, "b": 90, "c": 5}, "1 of 3 classes is rare in train: 'c' (5 rows)."),
    "one of two": ({"no": 190, "yes": 4}, "1 of 2 classes is rare in train: 'yes' (4 rows)."),
    "many rows, and yet few": (
        {"a": 4000, "b": 12, "c": 11},
        "2 of 3 classes are rare in train: 'c' (11 rows), 'b' (12 rows).",
    ),
    "more than are listed": (
        {"a": 300, **{f"c{n}": 2 + n for n in range(7)}},
        "7 of 8 classes are rare in train: 'c0' (2 rows), 'c1' (3 rows), 'c2' (4 rows), "
        "'c3' (5 rows), 'c4' (6 rows) and 2 more.",
    ),
}
USUAL = {
    "even": {"a": 20, "b": 20},
    "few of each": {f"c{n}": 3 for n in range(20)},
    "a fifth": {"a": 400, "b": 100},
    "twelve": {"a": 60, "b": 40, "c": 12},
}


@pytest.mark.parametrize("kind", ["classes", "labels"])
@pytest.mark.parametrize(("counts", "said"), RARE.values(), ids=RARE.keys())
def test_rare_classes_are_named_with_remedies(
    tmp_path: Path, counts: dict[str, int], said: str, kind: str
) -> None:
    labels: list[Any] = counted(counts)
    train = write(tmp_path / "a.jsonl", [[one] for one in labels] if kind == "labels" else labels)
    more = write(tmp_path / "b.jsonl", [["a"]] if kind == "labels" else ["a"])
    if "no" in counts:
        more = write(tmp_path / "b.jsonl", [["no"]] if kind == "labels" else ["no"])
    (remark,) = about_rare(check_files(train, more)) if kind == "classes" else [""]
    if kind == "labels":  # a tenth tunes the thresholds
        found = check_files(train, more)
        (remark,) = about_rare(found)
        assert " labels " in remark
        least = min(found.labels, key=lambda name: found.labels[name])
        assert f"'{least}' ({found.labels[least]} row" in remark
    else:
        assert remark.startswith(said)
    assert "--class-weights balanced" in remark
    assert "--metric f1_macro" in remark


@pytest.mark.parametrize("counts", USUAL.values(), ids=USUAL.keys())
def test_frequent_classes_give_no_note(tmp_path: Path, counts: dict[str, int]) -> None:
    assert not about_rare(checked(tmp_path, counted(counts)))


def test_remedies_in_use_are_not_recommended(tmp_path: Path) -> None:
    labels = counted({"a": 100, "b": 90, "c": 5})
    (remark,) = about_rare(checked(tmp_path, labels, class_weights="balanced"))
    assert "--class-weights" not in remark
    assert "--metric f1_macro" in remark
    (remark,) = about_rare(checked(tmp_path, labels, metric="f1_macro"))
    assert "--metric" not in remark
    (remark,) = about_rare(checked(tmp_path, labels, metric="f1_macro", class_weights="balanced"))
    assert remark == (
        "1 of 3 classes is rare in train: 'c' (4 rows). A model may never predict it."
    )


def test_numbers_are_not_rare(tmp_path: Path) -> None:
    assert not about_rare(checked(tmp_path, [*([1.5] * 60), 2.5, 3.5]))


MULTI_HOT: dict[str, list[Any]] = {
    "whole numbers": [[n % 2, int(n % 3 == 0), 1, int(n % 5 > 2)] for n in range(60)],
    "floats": [[float(n % 2), float(n % 3 == 0), 1.0, float(n % 5 > 2)] for n in range(60)],
    "text": [[str(n % 2), str(int(n % 3 == 0)), "1", str(int(n % 5 > 2))] for n in range(60)],
    "two places": [[n % 2, int(n % 3 == 0)] for n in range(60)],
    "none of a row": [[int(n % 4 == place) for place in range(3)] for n in range(60)],
}


@pytest.mark.parametrize("name", MULTI_HOT)
def test_lists_of_zeros_and_ones_are_the_positions_of_the_ones(tmp_path: Path, name: str) -> None:
    rows = MULTI_HOT[name]
    found = checked_lines(tmp_path, rows)
    assert found.are_good, found.findings
    expected = [str(place) for place in range(len(rows[0]))]
    assert list(found.labels) == expected
    own = OwnSource(own_config(tmp_path / "a.jsonl")).own
    texts = own.tables["train"][own.task.text_columns[0]].to_pylist()
    for text, label in zip(texts, label_array(own.tables["train"], own.task), strict=True):
        assert label.tolist() == [int(float(bit)) for bit in rows[int(text.split()[-1])]]
    assert any("zeros and ones" in remark for remark in found.remarks)


def checked_lines(tmp_path: Path, labels: Sequence[Any]) -> CheckedFiles:
    return check_files(write(tmp_path / "a.jsonl", labels))


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 1] if n % 2 else [1, 0] for n in range(60)],
        [[0, 1] if n % 2 else [0] for n in range(60)],
        [[n % 3, (n + 1) % 3] for n in range(60)],
    ],
)
def test_sets_of_ids_stay_sets(tmp_path: Path, rows: list[list[int]]) -> None:
    found = checked_lines(tmp_path, rows)
    assert found.are_good
    assert list(found.labels) == [str(one) for one in sorted({one for row in rows for one in row})]
    assert not any("zeros and ones" in remark for remark in found.remarks)


def test_multi_hot_cells_of_text_are_read_alike(tmp_path: Path) -> None:
    cells = [str(row) for row in MULTI_HOT["whole numbers"]]
    found = checked(tmp_path, cells, kind="multi_label")
    assert found.are_good
    assert list(found.labels) == ["0", "1", "2", "3"]


COMMAS = [f"{n % 6},{n % 10}" if n % 10 else str(n % 6) for n in range(80)]


@pytest.mark.parametrize("kind", ["auto", "multi_label"])
def test_decimal_commas_are_not_read_as_two_labels(tmp_path: Path, kind: str) -> None:
    (finding,) = checked(tmp_path, COMMAS, kind=kind).findings
    assert "decimal comma" in finding.message
    assert finding.hint.startswith("Type: --kind regression;")


def test_numbers_with_decimal_commas_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [*COMMAS, "-1,25", "0,125"])
    own = OwnSource(own_config(path, kind="regression")).own
    texts = own.tables["train"][own.task.text_columns[0]].to_pylist()
    said = [*COMMAS, "-1,25", "0,125"]
    for text, number in zip(texts, label_array(own.tables["train"], own.task), strict=True):
        assert number == pytest.approx(float(said[int(text.split()[-1])].replace(",", ".")))


def test_possible_thousands_separators_are_not_numbers(tmp_path: Path) -> None:
    found = checked(tmp_path, [*COMMAS, "1,234"], kind="regression")
    assert "'1,234'" in found.findings[0].message


def test_pairs_of_ascending_ids_are_labels(tmp_path: Path) -> None:
    cells = [f"{n % 5},{n % 5 + 1 + n % 3}" if n % 4 else str(n % 8) for n in range(80)]
    (finding,) = checked(tmp_path, cells).findings
    assert (
        finding.hint
        == "Type: --kind multi_label --label-separator ,; or --kind single_label for classes"
    )
