from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.glue_folders import make_table, write_parquet

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.tasks import get_task
from gluetune.data.summary import describe_split, label_name, summarise
from gluetune.data.tables import canonical_schema, with_notes

COLA = get_task("cola")
STSB = get_task("stsb")
RTE = get_task("rte")


def cola(sentences: list[str], labels: list[int] | None = None) -> pa.Table:
    labels = labels or [1] * len(sentences)
    columns = [sentences, labels, list(range(len(sentences)))]
    return pa.table(columns, schema=canonical_schema(COLA))


def test_the_balance_counts_every_class_and_hidden_labels() -> None:
    table = cola(["a"] * 8, [0, 0, 1, 1, 1, 1, 1, 1])
    counts = [(each.name, each.count, each.share) for each in summarise(COLA, table).labels]
    assert counts == [("unacceptable", 2, 0.25), ("acceptable", 6, 0.75)]
    counts = [
        (each.name, each.count, each.share)
        for each in summarise(COLA, cola(["a"] * 4, [-1, 1, -1, -1])).labels
    ]
    assert counts == [("acceptable", 1, 0.25), ("hidden", 3, 0.75)]


def test_a_class_that_does_not_occur_is_shown_with_zero() -> None:
    counts = {each.name: each.count for each in summarise(COLA, cola(["a"])).labels}
    assert counts == {"unacceptable": 0, "acceptable": 1}


def test_scores_are_counted_by_step_of_the_range() -> None:
    text = ["a"] * 6
    scores = [0.0, 0.5, 1.0, 3.999, 4.0, 5.0]
    table = pa.table([text, text, scores, list(range(6))], schema=canonical_schema(STSB))
    counts = {each.name: each.count for each in summarise(STSB, table).labels}
    assert counts == {"0 to 1": 2, "1 to 2": 1, "2 to 3": 0, "3 to 4": 1, "4 to 5": 2}


def test_scores_without_a_range_are_counted_between_the_extremes() -> None:
    free = replace(STSB, label_range=None)
    for scores, counts in (
        ([-1.0, 0.5, 0.9], {"-1 to -0.05": 1, "-0.05 to 0.9": 2}),
        ([2.0, 2.0, 2.0], {"2 to 2": 3}),
    ):
        table = pa.table([["a"] * 3, ["a"] * 3, scores, range(3)], schema=canonical_schema(STSB))
        assert {each.name: each.count for each in summarise(free, table).labels} == counts


def test_a_wide_range_of_scores_is_shown_in_ten_steps() -> None:
    free = replace(STSB, label_range=(0.0, 1e6))
    columns = [["a"] * 3, ["a"] * 3, [0.0, 5.0, 1e6], range(3)]
    counts = [
        each.count
        for each in summarise(free, pa.table(columns, schema=canonical_schema(STSB))).labels
    ]
    assert counts == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_words_are_counted_over_all_texts_of_an_example() -> None:
    pair = [["one two  three ", "a"], ["four", "b"], [0, 1], [0, 1]]
    summary = summarise(RTE, pa.table(pair, schema=canonical_schema(RTE)))
    assert (summary.median_words, summary.most_words) == (3.0, 4)
    assert [(each.low, each.high, each.count) for each in summary.lengths] == [
        (2, 2, 1),
        (3, 3, 0),
        (4, 4, 1),
    ]


@given(counts=st.lists(st.integers(0, 600), min_size=1, max_size=60))
def test_the_histogram_counts_every_example_once(counts: list[int]) -> None:
    bins = summarise(COLA, cola(["w " * count for count in counts])).lengths
    assert 1 <= len(bins) <= 12
    for each in bins:
        high = each.high if each.high is not None else max(counts)
        assert each.count == sum(each.low <= count <= high for count in counts)
    assert sum(each.count for each in bins) == len(counts)
    assert bins[0].count > 0


def test_one_very_long_example_does_not_flatten_the_histogram() -> None:
    counts = [5, 7, 9, 11] * 100 + [5_000]
    bins = summarise(COLA, cola(["w " * count for count in counts])).lengths
    assert len(bins) == 7
    assert (bins[-1].low, bins[-1].high, bins[-1].count) == (11, None, 101)


def test_examples_are_drawn_without_replacement_and_repeat_by_seed() -> None:
    table = make_table(RTE, "train", rows=30)
    first, again, other = (summarise(RTE, table, seed=seed) for seed in (4, 4, 5))
    assert first.examples == again.examples != other.examples
    assert len({each.index for each in first.examples}) == 10
    for each in first.examples:
        row = table.slice(each.index, 1).to_pylist()[0]
        assert each.texts == {column: row[column] for column in RTE.text_columns}
        assert each.label == RTE.labels[row["label"]]


def test_the_seed_of_an_unseeded_draw_repeats_it() -> None:
    table = make_table(RTE, "train", rows=200)
    first = summarise(RTE, table)
    assert summarise(RTE, table, seed=first.seed).examples == first.examples


@pytest.mark.parametrize(("rows", "shown"), [(0, 0), (3, 3), (12, 12), (99, 12)])
def test_at_most_all_examples_are_shown(rows: int, shown: int) -> None:
    assert len(summarise(RTE, make_table(RTE, "train"), rows=rows).examples) == shown


def test_a_negative_number_of_examples_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not be negative: -1"):
        summarise(RTE, make_table(RTE, "train"), rows=-1)


def test_labels_are_named() -> None:
    assert label_name(RTE, 1) == "not_entailment"
    assert label_name(RTE, -1) == label_name(STSB, -1.0) == "hidden"
    assert label_name(STSB, 3.8) == "3.80"


def test_a_split_is_read_and_described(tmp_path: Path) -> None:
    tables = {split: make_table(RTE, split) for split in RTE.splits}
    write_parquet(tmp_path, RTE, tables)
    summary = describe_split("RTE", str(tmp_path), rows=2, seed=1)
    assert (summary.split, summary.source, summary.rows) == ("train", str(tmp_path), 12)
    assert describe_split("rte", str(tmp_path), "test").labels[0].name == "hidden"
    with pytest.raises(DataError, match="Did you mean 'validation'"):
        describe_split("rte", str(tmp_path), "validate")


def test_without_a_training_split_the_first_split_is_described(tmp_path: Path) -> None:
    task = get_task("ax")
    write_parquet(tmp_path, task, {"test": make_table(task, "test")})
    assert describe_split("ax", str(tmp_path)).split == "test"
    with pytest.raises(DataError, match="no training split"):
        describe_split("ax", str(tmp_path), "train")


def test_notes_of_the_source_are_passed_on() -> None:
    table = with_notes(make_table(RTE, "train"), ["2 rows left out."])
    assert summarise(RTE, table).notes == ("2 rows left out.",)
