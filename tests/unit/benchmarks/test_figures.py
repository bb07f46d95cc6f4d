from __future__ import annotations

import statistics

import pytest
from benchmarks.speed.figures import (
    absolute_difference,
    geometric_mean,
    relative_difference,
    share_of_gemm,
    speedups,
    spread,
)


def test_a_spread_is_a_median_and_a_range() -> None:
    assert spread([3.0, 1.0, 10.0]) == (3.0, 1.0, 10.0)
    assert spread([1.0, 2.0]) == (1.5, 1.0, 2.0)
    with pytest.raises(statistics.StatisticsError):
        spread([])


def test_speedups_are_taken_within_a_round() -> None:
    # The machine was twice as slow in round 1: the ratio does not notice.
    assert speedups({0: 6.0, 1: 12.0}, {0: 2.0, 1: 4.0}) == [3.0, 3.0]


def test_rounds_of_only_one_contestant_are_left_out() -> None:
    assert speedups({0: 6.0, 2: 8.0}, {1: 2.0, 2: 4.0}) == [2.0]
    assert speedups({0: 6.0}, {}) == []


def test_the_mean_of_a_ratio_and_its_inverse_is_one() -> None:
    assert geometric_mean([4.0, 0.25]) == pytest.approx(1.0)
    assert geometric_mean([2.0, 8.0]) == pytest.approx(4.0)


def test_the_share_of_gemm_counts_six_operations_in_training_and_two_in_evaluation() -> None:
    done = {"parameters": 1000, "tokens": 50, "seconds": 2.0, "rate": 600_000.0}
    assert share_of_gemm(training=True, **done) == pytest.approx(0.25)  # type: ignore[arg-type]  # one dict for both
    assert share_of_gemm(training=False, **done) == pytest.approx(0.25 / 3)  # type: ignore[arg-type]


def test_the_largest_relative_difference_is_relative_to_the_reference() -> None:
    assert relative_difference([2.0, 4.0], [2.1, 3.0]) == pytest.approx(0.25)
    assert relative_difference([-2.0], [-1.0]) == 0.5
    assert relative_difference([0.0], [0.5]) == 0.5
    assert relative_difference([1.0, 2.0], [1.0, 2.0]) == 0.0


@pytest.mark.parametrize(("left", "right"), [([], []), ([1.0], []), ([1.0], [1.0, 2.0])])
def test_losses_that_do_not_pair_up_have_no_difference(
    left: list[float], right: list[float]
) -> None:
    assert relative_difference(left, right) is None


def test_the_largest_absolute_difference_of_logits() -> None:
    assert absolute_difference([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.5], [2.0, 4.0]]) == 1.0
    assert absolute_difference([[1.0]], [[1.0, 2.0]]) is None
    assert absolute_difference([[1.0]], [[1.0], [2.0]]) is None
    assert absolute_difference([], []) is None
