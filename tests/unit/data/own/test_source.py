"""A user's file as a task: labels as written, one seeded split, no row lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.own_files import own_config, reviews, write_csv

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.data.own.source import OwnFile, OwnSource
from gluetune.data.sampling import held_out
from gluetune.data.sources import without_held_out
from gluetune.data.tables import fingerprint, first_rows, label_array, notes_of
from gluetune.kinds import MULTI_LABEL, REGRESSION


def source_of(path: Path, **settings: Any) -> OwnSource:
    return OwnSource(own_config(path, **settings))


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def labelled(path: Path, labels: list[Any], **settings: Any) -> OwnSource:
    rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]
    write = write_csv if path.suffix == ".csv" else jsonl
    return source_of(write(path, rows), **settings)


def test_a_file_makes_a_task_with_its_splits(tmp_path: Path) -> None:
    source = source_of(write_csv(tmp_path / "reviews.csv", reviews()), validation_fraction=0.25)
    task = source.task
    assert (task.name, task.text_columns, task.label_column) == ("reviews", ("text",), "label")
    assert (task.labels, task.metrics) == (("neg", "pos"), ("accuracy",))
    train, validation = (source.read(task, split) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (30, 10)
    assert label_array(validation, task).sum() == 5, "stratified"
    lines = [*train["idx"].to_pylist(), *validation["idx"].to_pylist()]
    assert sorted(lines) == list(range(2, 42)), "every row once, by its line"
    assert not task.is_published


def test_the_same_file_and_seed_give_the_same_split(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", reviews())
    prints = [
        fingerprint(source_of(path, **more).read(source_of(path).task, "validation"))
        for more in ({}, {"seed": 7}, {"split_seed": 7})
    ]
    assert prints[0] == prints[1], "another training seed is scored on the same rows"
    assert prints[0] != prints[2]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["b", "a"], ("a", "b")),
        (["10", "9"], ("9", "10")),
        (["007", "1"], ("007", "1")),
        (["NA", "None", "null", "1e5"], ("1e5", "NA", "None", "null")),
        (["+", "-"], ("+", "-")),
        (["1.0", "2.0"], ("1.0", "2.0")),
    ],
)
def test_classes_are_named_as_written(
    tmp_path: Path, labels: list[str], names: tuple[str, ...]
) -> None:
    assert labelled(tmp_path / "a.csv", labels * 4).task.labels == names


def test_whole_numbers_and_text_are_different_labels_in_typed_files(tmp_path: Path) -> None:
    assert labelled(tmp_path / "a.jsonl", [1, 2] * 4).task.labels == ("1", "2")
    assert labelled(tmp_path / "b.jsonl", [True, False] * 4).task.labels == ("false", "true")
    with pytest.raises(DataError, match=r"several types: whole number .*:1. and text .*:2"):
        _ = labelled(tmp_path / "c.jsonl", [1, "1"] * 4).task


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["1", "2", "3", "4", "5"], "single_label"),
        (["0.5", "1", "2"], "regression"),
        ([str(n) for n in range(40)], "single_label"),
        ([f"{n}.5" for n in range(40)], "regression"),
        (["1e-3", "2e-3"], "regression"),
        (["x", "1.5"], "single_label"),
    ],
)
def test_the_kind_is_inferred_from_the_data_and_reported(
    tmp_path: Path, labels: list[str], kind: str
) -> None:
    source = labelled(tmp_path / "a.csv", labels * 3)
    assert source.own.labels.kind.name == kind
    notes = " ".join(notes_of(source.read(source.task, "train")))
    assert f"default of kind {kind}" in notes


def test_digits_of_other_scripts_are_names(tmp_path: Path) -> None:
    """Python reads them as numbers, Arrow does not; no one file is read in two ways."""
    assert labelled(tmp_path / "a.jsonl", ["\u0663", "\u0664"] * 9).task.labels == (
        "\u0663",
        "\u0664",
    )
    assert len(labelled(tmp_path / "b.jsonl", [" 1.5\x1f", "\u20032"] * 9).task.labels) == 0


def test_stars_can_be_classes_or_numbers(tmp_path: Path) -> None:
    stars = ["1", "2", "3", "4", "5"] * 4
    assert labelled(tmp_path / "a.csv", stars, kind="single_label").task.num_labels == 5
    task = labelled(tmp_path / "a.csv", stars, kind="regression").task
    assert task.kind is REGRESSION
    assert (task.metrics, task.extra_metrics) == (("pearson",), ("spearman", "mae"))


def test_several_labels_are_a_list_text_or_columns(tmp_path: Path) -> None:
    sets = [["a", "b"], [], ["b"], ["a"]] * 5
    as_list = jsonl(
        tmp_path / "l.jsonl", [{"text": f"t{n}", "label": one} for n, one in enumerate(sets)]
    )
    as_text = write_csv(
        tmp_path / "t.csv",
        [{"text": f"t{n}", "label": "; ".join(one)} for n, one in enumerate(sets)],
    )
    as_columns = write_csv(
        tmp_path / "c.csv",
        [
            {"text": f"t{n}", "a": int("a" in one), "b": "yes" if "b" in one else "no"}
            for n, one in enumerate(sets)
        ],
    )
    found = [
        source_of(as_list),
        source_of(as_text, label_separator=";"),
        source_of(as_columns, label="a,b"),
    ]
    for source in found:
        assert source.task.labels == ("a", "b")
        assert source.task.kind is MULTI_LABEL
        tables = source.own.tables.values()  # a tenth of train tunes the thresholds
        rows = {
            text: tuple(label)
            for table in tables
            for text, label in zip(
                table["text"].to_pylist(), label_array(table, source.task), strict=True
            )
        }
        assert rows == {f"t{n}": (int("a" in one), int("b" in one)) for n, one in enumerate(sets)}


def test_class_names_that_datasets_declares_are_kept_in_their_order(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "maybe"])}
    )
    rows = {"text": [f"t{n}" for n in range(12)], "label": [0, 1] * 6}
    datasets.Dataset.from_dict(rows, features).to_parquet(tmp_path / "a.parquet")
    source = source_of(tmp_path / "a.parquet")
    assert source.task.labels == ("no", "maybe")
    assert set(label_array(source.read(source.task, "train"), source.task)) == {0, 1}


def test_a_metric_can_be_chosen_and_an_invalid_one_is_reported(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", reviews())
    task = source_of(path, metric="f1_macro").task
    assert (task.metrics, task.extra_metrics) == (
        ("f1_macro",),
        ("accuracy", "matthews_correlation"),
    )
    with pytest.raises(DataError, match=r"--metric f1_marco.*\n.*Did you mean 'f1_macro'"):
        _ = source_of(path, metric="f1_marco").task
    three = write_csv(tmp_path / "b.csv", reviews(labels=("a", "b", "c")))
    with pytest.raises(DataError, match="f1 is for two classes"):
        _ = source_of(three, metric="f1").task


def test_separate_files_for_validation_and_test(tmp_path: Path) -> None:
    paths = {
        name: write_csv(tmp_path / f"{name}.csv", reviews(count))
        for name, count in (("train", 20), ("valid", 8), ("test", 6))
    }
    source = source_of(
        paths["train"], validation_file=str(paths["valid"]), test_file=str(paths["test"])
    )
    rows = {split: len(source.read(source.task, split)) for split in source.splits(source.task)}
    assert rows == {"train": 20, "validation": 8, "test": 6}
    more = OwnFile(own_config(paths["train"]), source.task, paths["test"])
    assert len(more.read(source.task, "validation")) == 6
    with pytest.raises(DataError, match="has no split 'dev'"):
        source.read(source.task, "dev")


def test_columns_can_have_any_name(tmp_path: Path) -> None:
    rows = [{"label": f"t{n}", "idx": "ab"[n % 2], "labels": "x"} for n in range(20)]
    source = source_of(write_csv(tmp_path / "a.csv", rows), text="label", label="idx")
    names = source.read(source.task, "train").column_names
    assert names == ["label", "idx", "idx_"]
    with pytest.raises(ConfigurationError, match="'label' is given twice"):
        _ = source_of(tmp_path / "a.csv", text="label").task


def test_arrow_tables_of_one_content_have_one_fingerprint(tmp_path: Path) -> None:
    rows = reviews()
    write_csv(tmp_path / "a.csv", rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    tables = [
        source_of(tmp_path / name).read(source_of(tmp_path / name).task, "train").drop(["idx"])
        for name in ("a.csv", "a.parquet")
    ]
    assert fingerprint(tables[0]) == fingerprint(tables[1])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1, max_size=80),
    fraction=st.floats(0.05, 0.95),
    seed=st.integers(0, 9),
)
def test_no_group_is_on_both_sides_and_every_class_is_trained_on(
    rows: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    strata, users = (np.array(values, dtype=np.int32) for values in zip(*rows, strict=True))
    groups = first_rows(users.astype(np.uint64))
    held = held_out(strata, groups, fraction, seed)
    assert not set(groups[held]) & set(groups[~held])
    assert not held.all()
    assert (held == held_out(strata, groups, fraction, seed)).all()


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=90),
    fraction=st.floats(0.02, 0.95),
    seed=st.integers(0, 9),
)
def test_a_split_is_independent_of_the_chunks_of_draws(
    rows: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    strata, users = (np.array(values, dtype=np.int32) for values in zip(*rows, strict=True))
    groups = first_rows(users.astype(np.uint64))
    first = sorted(set(groups.tolist()))
    draw = dict(zip(first, np.random.PCG64(seed).random_raw(len(first)).tolist(), strict=True))
    expected = set()
    for stratum in set(strata[first].tolist()):
        order = sorted((row for row in first if strata[row] == stratum), key=draw.__getitem__)
        reached = np.cumsum([(groups == row).sum() for row in order])
        if len(order) > 1:
            count = 1 + int(np.abs(reached[:-1] - fraction * reached[-1]).argmin())
            expected.update(order[:count])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluetune.data.sampling._CHUNK_ROWS", 7)
        held = held_out(strata, groups, fraction, seed)
    assert set(groups[held].tolist()) == expected
    assert held.tolist() == [row in expected for row in groups.tolist()]


def test_a_split_is_stratified_to_the_nearest_row() -> None:
    strata = np.repeat(np.arange(3, dtype=np.int32), [900, 90, 10])
    held = held_out(strata, np.arange(1000, dtype=np.int32), 0.1, 42)
    assert [int(held[strata == one].sum()) for one in range(3)] == [90, 9, 1]


def test_the_draw_does_not_change_with_versions() -> None:
    held = held_out(np.zeros(12, dtype=np.int32), np.arange(12, dtype=np.int32), 0.25, 42)
    assert np.flatnonzero(held).tolist() == [4, 8, 10]


def test_a_group_and_the_same_text_stay_together(tmp_path: Path) -> None:
    rows = [{"text": f"text {n // 3}", "label": "ab"[n % 2], "user": n % 5} for n in range(60)]
    path = write_csv(tmp_path / "a.csv", rows)
    for column, more in (("text", {}), ("user", {"group": "user"})):
        source = source_of(path, validation_fraction=0.3, **more)
        sides = [
            {rows[line - 2][column] for line in source.read(source.task, split)["idx"].to_pylist()}
            for split in ("train", "validation")
        ]
        assert not sides[0] & sides[1]
        assert sides[1]


@pytest.mark.parametrize("label", [lambda n: "ab"[n % 2], lambda n: n / 7, lambda n: ["a", "b"]])
@pytest.mark.parametrize("column", ["user", "text"])
def test_holding_out_of_train_keeps_groups_whole(
    tmp_path: Path, column: str, label: Callable[[int], Any]
) -> None:
    rows = [{"text": f"text {n // 2}", "label": label(n), "user": n % 12} for n in range(120)]
    more = {"group": "user"} if column == "user" else {}
    config = own_config(jsonl(tmp_path / "a.jsonl", rows), holdout=0.3, **more)
    source = source_of(tmp_path / "a.jsonl", holdout=0.3, **more)
    train = source.read(source.task, "train")
    sides = without_held_out(source, train, source.task, config)
    assert sum(map(len, sides)) == len(train)
    stays, held = ({rows[line - 1][column] for line in side["idx"].to_pylist()} for side in sides)
    assert stays
    assert held
    assert not stays & held
    assert 0.1 < len(sides[1]) / len(train) < 0.5


VARIANTS = {
    "case": ("Claim the prize", "CLAIM THE PRIZE"),
    "spaces": ("see you at", "  See you\tat\u00a0"),
    "line feeds": ("one two", "one\r\n\r\ntwo\n"),
    "composed and decomposed": ("caf\u00e9 cr\u00e8me", "cafe\u0301 cre\u0300me"),
    "full width": ("ABC 12", "\uff21\uff22\uff23\u3000\uff11\uff12"),
    "sharp s": ("die STRASSE", "die stra\u00dfe"),
}


def variants(names: tuple[str, str], count: int = 40) -> list[dict[str, Any]]:
    """Rows of which each second one is the one before it, written in another way."""
    return [
        {"text": f"{n // 2} {names[n % 2]}", "label": ("spam", "ham")[n // 2 % 2]}
        for n in range(count)
    ]


@pytest.mark.parametrize("names", VARIANTS.values(), ids=VARIANTS.keys())
@pytest.mark.parametrize("pair", [False, True], ids=["one text", "a pair"])
@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_no_split_divides_two_spellings_of_a_text(
    tmp_path: Path, names: tuple[str, str], pair: bool, kind: str
) -> None:
    rows = variants(names)
    more: dict[str, Any] = {"kind": kind, "validation_fraction": 0.3}
    if pair:
        rows = [{**row, "first": " The SAME "[: 9 + n % 2]} for n, row in enumerate(rows)]
        more |= {"text": "first", "text_pair": "text"}
    path = jsonl(tmp_path / "a.jsonl", rows)
    source = source_of(path, holdout=0.3, **more)
    tables = dict(source.own.tables)
    config = own_config(path, holdout=0.3, **more)
    tables["train"], tables["held out"] = without_held_out(
        source, tables["train"], source.task, config
    )
    sides = [
        {int(text.split()[0]) for text in table["text"].to_pylist()} for table in tables.values()
    ]
    assert len(sides) == (4 if kind == "labels" else 3)
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20
    assert not [one for one in source.own.problems.remarks if "are also in train" in one]
    (repeats,) = [one for one in source.own.problems.remarks if "repeat" in one]
    assert f"{len(source.own.tables['train']) // 2} rows of train repeat" in repeats


def test_texts_of_a_pair_are_compared_one_by_one(tmp_path: Path) -> None:
    rows = [
        {"text": left, "second": right, "label": "ab"[n % 2]}
        for n in range(20)
        for left, right in ((f"{n} a b", "c"), (f"{n} a", "b c"))
    ]
    source = source_of(jsonl(tmp_path / "a.jsonl", rows), text_pair="second")
    assert not [one for one in source.own.problems.remarks if "repeat" in one]


TOGETHER = "rows with the same text or --group stay together"
SHARES = {
    "large groups": (
        [{"text": f"t{n}", "label": "ab"[n % 2], "user": n % 8} for n in range(40)],
        {"group": "user"},
        (10, TOGETHER),
    ),
    "few texts": (
        [{"text": f"t{n % 8}", "label": "ab"[n % 2]} for n in range(40)],
        {},
        (10, TOGETHER),
    ),
    "many small classes": (
        [{"text": f"t{n}", "label": f"class {n // 4}"} for n in range(40)],
        {},
        (10, "every class with several rows gives at least one"),
    ),
}


@pytest.mark.parametrize(("rows", "more", "said"), SHARES.values(), ids=SHARES.keys())
def test_a_different_share_than_requested_is_reported_with_numbers(
    tmp_path: Path, rows: list[dict[str, Any]], more: dict[str, Any], said: tuple[int, str]
) -> None:
    path = jsonl(tmp_path / "a.jsonl", rows)
    source = source_of(path, **more)
    (remark,) = [one for one in source.own.problems.remarks if "held out" in one]
    count, why = said
    share = f"{count} of 40 rows ({count / 40:.1%}) are held out for validation"
    assert remark == f"{share}, not the 10.0% requested: {why}."
    assert remark in notes_of(source.read(source.task, "train"))
    more = {**more, "holdout": 0.1, "validation_fraction": 0.5}
    source = source_of(path, **more)
    train = source.read(source.task, "train")
    stays, held = without_held_out(source, train, source.task, own_config(path, **more))
    share = f"{len(held)} of {len(train)} rows ({len(held) / len(train):.1%}) are held out of train"
    assert notes_of(held) == (f"{share}, not the 10.0% requested: {why}.",)
    assert notes_of(stays) == notes_of(train)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("count", [40, 44, 300])
def test_the_requested_share_gives_no_note(tmp_path: Path, fraction: float, count: int) -> None:
    source = source_of(
        write_csv(tmp_path / "a.csv", reviews(count)), validation_fraction=fraction, holdout=0.2
    )
    assert not [one for one in source.own.problems.remarks if "held out" in one]
    config = own_config(tmp_path / "a.csv", validation_fraction=fraction, holdout=0.2)
    train = source.read(source.task, "train")
    assert notes_of(without_held_out(source, train, source.task, config)[1]) == ()
