from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.glue_folders import make_table

from gluetune.core.errors import DataError
from gluetune.core.tasks import TASKS, TaskSpec, get_task
from gluetune.data.tables import (
    canonical_schema,
    canonical_table,
    fingerprint,
    hidden_labels,
    notes_of,
    with_notes,
)

COLA = get_task("cola")
STSB = get_task("stsb")
RTE = get_task("rte")


def check(table: pa.Table, task: TaskSpec = COLA, split: str = "train") -> pa.Table:
    return canonical_table(
        table, task, split, place="here.parquet", locate=lambda row: f"here.parquet, row {row + 1}"
    )


def messages(table: pa.Table, task: TaskSpec = COLA, split: str = "train") -> list[str]:
    with pytest.raises(DataError) as caught:
        check(table, task, split)
    return [finding.message for finding in caught.value.findings]


def cola(**changed: list[Any] | pa.Array) -> pa.Table:
    columns: dict[str, Any] = {
        "sentence": ["It rains.", "Rains it do.", "We left."],
        "label": [1, 0, 1],
        "idx": [0, 1, 2],
    }
    return pa.table(columns | changed)


def test_canonical_tables_of_every_task_are_unchanged_by_the_check() -> None:
    seen = 0
    for task in TASKS.values():
        for split in task.splits:
            table = make_table(task, split)
            assert check(table, task, split).equals(table)
            assert table.schema.names == [*task.text_columns, "label", "idx"]
            seen += 1
    assert seen == 33


def test_wider_types_other_orders_and_extra_columns_become_canonical() -> None:
    table = cola(
        idx=pa.array([0, 1, 2], pa.int64()),
        label=pa.array([1, 0, 1], pa.int8()),
        sentence=pa.array(["a", "b", "c"], pa.large_string()),
        genre=["x", "y", "z"],
    ).select(["genre", "idx", "label", "sentence"])
    assert check(table).schema.equals(canonical_schema(COLA))


def test_integer_scores_become_float32() -> None:
    table = make_table(STSB, "train").set_column(2, "label", pa.array([0, 5] * 6))
    assert check(table, STSB)["label"].type == pa.float32()


def test_missing_columns_are_all_named_with_the_nearest_present() -> None:
    table = cola().rename_columns(["sentense", "labels", "idx"])
    with pytest.raises(DataError) as caught:
        check(table)
    assert [str(finding) for finding in caught.value.findings] == [
        "here.parquet has no column 'sentence'.\n"
        "  Did you mean 'sentense'? Its columns: sentense, labels, idx.",
        "here.parquet has no column 'label'.\n"
        "  Did you mean 'labels'? Its columns: sentense, labels, idx.",
    ]


def test_a_column_that_occurs_twice_is_refused() -> None:
    table = pa.table([["a"], ["b"], [1], [0]], names=["sentence", "sentence", "label", "idx"])
    assert messages(table) == ["here.parquet has 2 columns called 'sentence'."]


def test_several_mistakes_are_reported_together() -> None:
    table = cola(sentence=["It rains.", None, "We left."], label=[1, 2, None], idx=[0, 1, 1])
    assert messages(table) == [
        "here.parquet, row 2: 'sentence' is null.",
        "here.parquet, row 3: 'label' is null.",
        "here.parquet, row 2: label 2; expected a class id: 0 (unacceptable), 1 (acceptable).",
        "here.parquet: 1 values of 'idx' are repeated.",
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sentence": [1, 2, 3]}, "here.parquet: column 'sentence' holds int64, not text."),
        (
            {"label": ["acceptable", "acceptable", "unacceptable"]},
            "here.parquet: column 'label' holds string; "
            "expected a class id: 0 (unacceptable), 1 (acceptable).",
        ),
        (
            {"label": [0.0, 1.0, 1.0]},
            "here.parquet: column 'label' holds double; "
            "expected a class id: 0 (unacceptable), 1 (acceptable).",
        ),
        ({"idx": ["0", "1", "2"]}, "here.parquet: 'idx' holds string, not integers."),
        (
            {"idx": [0, None, 2]},
            "1 of 'idx' are null, first here.parquet, row 2.",
        ),
        ({"idx": [0, -1, 2]}, "here.parquet: 'idx' must be between 0 and 2147483647."),
        ({"idx": [0, 1, 2**31]}, "here.parquet: 'idx' must be between 0 and 2147483647."),
        ({"sentence": ["a", " \t", "c"]}, "here.parquet, row 2: 'sentence' is empty."),
        (
            {"label": [1, -1, -1]},
            "2 labels of 'train' are hidden (-1), first here.parquet, row 2.",
        ),
    ],
)
def test_a_wrong_column_is_refused(changed: dict[str, list[Any]], message: str) -> None:
    assert messages(cola(**changed)) == [message]


@pytest.mark.parametrize("score", [5.01, -0.5, float("nan"), float("inf")])
def test_a_score_outside_the_range_is_refused(score: float) -> None:
    table = make_table(STSB, "train")
    scores = [score, *table["label"].to_pylist()[1:]]
    found = messages(table.set_column(2, "label", pa.array(scores, pa.float32())), STSB)
    assert len(found) == 1
    assert found[0].startswith("here.parquet, row 1: label ")
    assert found[0].endswith("expected a number from 0 to 5.")


def test_hidden_labels_are_allowed_in_test_splits() -> None:
    assert check(cola(label=[-1, -1, -1]), split="test")["label"].to_pylist() == [-1, -1, -1]


def test_a_task_without_a_range_accepts_any_finite_score() -> None:
    free = replace(STSB, label_range=None)
    scores = [-1.0, -1e6, 1e6] * 4
    table = make_table(STSB, "train").set_column(2, "label", pa.array(scores, pa.float32()))
    assert check(table, free)["label"].to_pylist() == scores
    assert not hidden_labels(free, np.array(scores)).any()
    scores[5] = float("inf")
    table = table.set_column(2, "label", pa.array(scores, pa.float32()))
    assert messages(table, free) == ["here.parquet, row 6: label inf; expected a finite number."]


def test_no_rows_are_refused() -> None:
    assert messages(cola().slice(0, 0)) == ["here.parquet has no rows."]


def test_a_few_empty_texts_are_noted_and_many_are_refused() -> None:
    few = ["x"] * 199 + [""]
    table = cola(sentence=few, label=[1] * 200, idx=list(range(200)))
    assert notes_of(check(table)) == ("1 with an empty 'sentence', first here.parquet, row 200.",)
    many = ["x"] * 197 + [""] * 3
    table = cola(sentence=many, label=[1] * 200, idx=list(range(200)))
    assert messages(table) == [
        f"here.parquet, row {row}: 'sentence' is empty." for row in (198, 199, 200)
    ]


def test_notes_survive_slicing_and_leave_no_trace_in_the_fingerprint() -> None:
    table = cola()
    noted = with_notes(table, ["one", "two"])
    assert notes_of(noted.slice(1).take([0])) == ("one", "two")
    assert notes_of(table) == ()
    assert fingerprint(noted) == fingerprint(table)


def declared(names: Any) -> pa.Table:
    features = {"sentence": {"dtype": "string", "_type": "Value"}, "label": names}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    return cola().replace_schema_metadata(metadata)


def test_label_names_in_another_order_are_refused() -> None:
    table = declared({"names": ["acceptable", "unacceptable"], "_type": "ClassLabel"})
    assert messages(table) == [
        "here.parquet declares the labels 'acceptable', 'unacceptable', in this order; "
        "'cola' has 'unacceptable', 'acceptable'."
    ]


@pytest.mark.parametrize(
    "names",
    [
        {"names": ["unacceptable", "acceptable"], "_type": "ClassLabel"},
        {"names": {"1": "acceptable", "0": "unacceptable"}, "_type": "ClassLabel"},
        {"dtype": "int64", "_type": "Value"},
    ],
)
def test_label_names_in_the_task_s_order_or_none_are_accepted(names: Any) -> None:
    assert check(declared(names)).num_rows == 3


def test_metadata_of_another_tool_is_ignored() -> None:
    for raw in (b"not json", b"[]", b"{}", b"null"):
        assert check(cola().replace_schema_metadata({b"huggingface": raw})).num_rows == 3


NASTY = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    texts=st.lists(NASTY, min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=4),
    start=st.integers(0, 3),
)
def test_the_fingerprint_depends_only_on_the_rows(
    texts: list[str], cuts: list[int], start: int
) -> None:
    size = len(texts)
    table = pa.table(
        {
            "sentence": pa.array(texts, pa.string()),
            "label": pa.array(range(size), pa.int64()),
            "idx": pa.array(range(size), pa.int32()),
        }
    )
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    pieces = [table.slice(low, high - low) for low, high in pairwise(edges)]
    wider = table.set_column(0, "sentence", table["sentence"].cast(pa.large_string()))
    wider = wider.set_column(2, "idx", wider["idx"].cast(pa.int64()))
    padded = pa.concat_tables([wider.slice(0, 1)] * start + [wider])
    expected = fingerprint(table)
    assert fingerprint(pa.concat_tables(pieces)) == expected
    assert fingerprint(wider.select(["idx", "sentence", "label"])) == expected
    assert fingerprint(padded.combine_chunks().slice(start)) == expected
    assert fingerprint(table) == whole_columns_hashed(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluetune.data.tables._HASHED_ROWS", 2)
        assert fingerprint(table) == expected


def whole_columns_hashed(table: pa.Table) -> str:
    """Return the fingerprint as it is defined, a column at a time."""
    digest = hashlib.sha256(str(len(table)).encode())
    for name in sorted(table.column_names):
        digest.update(b"\0column\0" + name.encode() + b"\0")
        values = table[name].to_pylist()
        if isinstance(values[0], str):
            raw = [text.encode() for text in values]
            digest.update(np.array([len(text) for text in raw], dtype="<i8").tobytes())
            digest.update(b"".join(raw))
        else:
            digest.update(np.array(values, dtype="<i8").tobytes())
    return digest.hexdigest()


@given(texts=st.lists(NASTY, min_size=2, max_size=6), other=NASTY, place=st.integers(0, 5))
def test_a_different_row_gives_a_different_fingerprint(
    texts: list[str], other: str, place: int
) -> None:
    changed = list(texts)
    changed[place % len(texts)] = other
    same = changed == texts
    tables = [pa.table({"sentence": each}) for each in (texts, changed)]
    assert (fingerprint(tables[0]) == fingerprint(tables[1])) == same


def test_the_fingerprint_depends_on_cells_order_labels_indices_and_names() -> None:
    prints = [
        fingerprint(table)
        for table in (
            cola(),
            cola(sentence=["It rains.Rains it do.", "", "We left."]),
            cola(label=[0, 1, 1]),
            cola(idx=[0, 1, 3]),
            cola().take([1, 0, 2]),
            cola().rename_columns(["text", "label", "idx"]),
            cola().slice(0, 2),
            cola().slice(0, 0),
            cola(label=pa.array([1.0, 0.0, 1.0], pa.float32())),
        )
    ]
    assert len(set(prints)) == len(prints) == 9


def test_the_fingerprint_of_known_rows_does_not_change() -> None:
    assert fingerprint(check(cola())) == (
        "1406a3a206c9f71d9886c2ba737c75814d765486df454811cb552727a86bad0f"
    )
    negative_zero = pa.table({"label": pa.array(np.array([-0.0], np.float32))})
    assert fingerprint(negative_zero) == fingerprint(pa.table({"label": pa.array([0.0])}))
