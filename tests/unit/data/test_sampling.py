from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import get_task
from gluetune.data.sampling import hold_out, take_fraction
from gluetune.data.tables import canonical_schema, notes_of, with_notes

MNLI = get_task("mnli")
STSB = get_task("stsb")

FRACTION = st.floats(0, 1, exclude_min=True)


def mnli(labels: list[int]) -> pa.Table:
    text = [f"row {row}" for row in range(len(labels))]
    return pa.table([text, text, labels, range(len(labels))], schema=canonical_schema(MNLI))


@given(labels=st.lists(st.integers(-1, 2), max_size=80), fraction=FRACTION, seed=st.integers(0, 99))
def test_each_class_keeps_its_share_and_rows_their_order(
    labels: list[int], fraction: float, seed: int
) -> None:
    table = mnli(labels)
    part = take_fraction(table, MNLI, fraction, seed)
    index = part["idx"].to_pylist()
    assert index == sorted(set(index))
    assert part.equals(table.take(pa.array(index, pa.int64())))
    kept = Counter(part["label"].to_pylist())
    for label, count in Counter(labels).items():
        assert kept[label] == max(1, round(fraction * count))


@given(
    labels=st.lists(st.integers(0, 2), max_size=80),
    fractions=st.tuples(FRACTION, FRACTION),
    seed=st.integers(0, 99),
)
def test_a_smaller_fraction_is_part_of_a_larger_one(
    labels: list[int], fractions: tuple[float, float], seed: int
) -> None:
    small, large = (
        set(take_fraction(mnli(labels), MNLI, fraction, seed)["idx"].to_pylist())
        for fraction in sorted(fractions)
    )
    assert small <= large


def test_the_draw_repeats_and_depends_on_the_seed() -> None:
    table = mnli([0, 1, 2] * 100)
    first, again, other = (take_fraction(table, MNLI, 0.1, seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_the_draw_of_a_seed_does_not_change() -> None:
    part = take_fraction(mnli([0, 1, 2] * 10), MNLI, 0.2, 42)
    assert part["idx"].to_pylist() == [4, 8, 15, 17, 27, 28]


def test_a_fraction_of_1_returns_the_table_itself() -> None:
    table = with_notes(mnli([0, 1, 2, 2, 1]), ["a note"])
    assert take_fraction(table, MNLI, 1, 0).equals(table)
    assert notes_of(take_fraction(table, MNLI, 0.5, 0)) == ("a note",)


def test_regression_is_stratified() -> None:
    scores = np.linspace(0, 5, 1_000, dtype=np.float32) ** 2 / 5
    text = [str(row) for row in range(1_000)]
    table = pa.table([text, text, scores, range(1_000)], schema=canonical_schema(STSB))
    part = take_fraction(table, STSB, 0.1, 3)["label"].to_numpy()
    assert len(part) == 100
    deciles = np.searchsorted(np.quantile(scores, np.linspace(0, 1, 11)[1:-1]), part, side="right")
    assert np.bincount(deciles).tolist() == [10] * 10


def test_equal_scores_are_one_stratum() -> None:
    text = [str(row) for row in range(30)]
    table = pa.table([text, text, [2.5] * 30, range(30)], schema=canonical_schema(STSB))
    assert take_fraction(table, STSB, 0.1, 3).num_rows == 3


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_an_invalid_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigurationError, match=r"--fraction 0\.1"):
        take_fraction(mnli([0, 1]), MNLI, fraction, 0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not be negative: -1"):
        take_fraction(mnli([0, 1]), MNLI, 0.5, -1)


@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=80),
    share=st.floats(0, 1, exclude_min=True, exclude_max=True),
    seed=st.integers(0, 99),
)
def test_held_out_and_remaining_rows_are_all_rows_and_both_have_every_class(
    labels: list[int], share: float, seed: int
) -> None:
    counts = Counter(labels)
    table = mnli(labels)
    if max(counts.values()) == 1:
        with pytest.raises(ConfigurationError, match="too few to hold any out"):
            hold_out(table, MNLI, share, seed)
        return
    stays, held = hold_out(table, MNLI, share, seed)
    index, held_index = stays["idx"].to_pylist(), held["idx"].to_pylist()
    assert index == sorted(index)
    assert held_index == sorted(held_index)
    assert sorted(index + held_index) == list(range(len(labels)))
    for label, count in counts.items():
        wanted = min(max(1, round(share * count)), count - 1)
        assert Counter(held["label"].to_pylist())[label] == wanted
        assert Counter(stays["label"].to_pylist())[label] == count - wanted >= 1


def test_rows_of_a_regression_are_held_out_by_deciles() -> None:
    scores = [row / 20 for row in range(100)]
    text = [f"row {row}" for row in range(100)]
    table = pa.table([text, text, scores, range(100)], schema=canonical_schema(STSB))
    stays, held = hold_out(table, STSB, 0.2, 1)
    assert (len(stays), len(held)) == (80, 20)
    assert Counter(int(score * 2) for score in held["label"].to_pylist()) == dict.fromkeys(
        range(10), 2
    )


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_an_invalid_share_is_refused(share: float) -> None:
    with pytest.raises(ConfigurationError, match="above 0 and below 1"):
        hold_out(mnli([0, 0, 1, 1]), MNLI, share, 1)


@given(labels=st.lists(st.integers(0, 2), min_size=3, max_size=80), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_samples_on_disk_equal_those_in_memory(labels: list[int], seed: int) -> None:
    table = with_notes(mnli([*labels, 0, 0]), ["a note"])

    def parts() -> list[pa.Table]:
        return [take_fraction(table, MNLI, 0.4, seed), *hold_out(table, MNLI, 0.3, seed)]

    in_memory = parts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gluetune.data.sampling._SMALL", 0)
        patch.setattr("gluetune.data.sampling.BATCH", 7)
        on_disk = parts()
    for one, other in zip(in_memory, on_disk, strict=True):
        assert one.equals(other, check_metadata=True)
