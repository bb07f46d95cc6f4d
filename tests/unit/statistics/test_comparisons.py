"""Paired tests, permutations, corrections and power against SciPy, brute force and theory."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.support.predictions import classified, estimated, random_classified, random_estimated

from gluetune.core.records import Predictions
from gluetune.core.tasks import get_task
from gluetune.kinds import MULTI_LABEL, REGRESSION
from gluetune.statistics.baseline_test import compare_with_words
from gluetune.statistics.paired_tests import (
    holm,
    mcnemar,
    paired_difference,
    permutation_test,
    smallest_visible,
)
from gluetune.statistics.scores import score_task


def _pair(only_first: int, only_second: int, both: int = 20) -> tuple[Any, Any]:
    labels = np.zeros(both + only_first + only_second, dtype=int)
    first, second = labels.copy(), labels.copy()
    second[:only_first] = 1
    first[only_first : only_first + only_second] = 1
    return classified(labels, first), classified(labels, second)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (3, 9), (12, 2), (5, 5), (0, 6)])
def test_mcnemar_is_the_sign_test_of_the_disagreements(only_first: int, only_second: int) -> None:
    test = mcnemar(*_pair(only_first, only_second))
    assert (test.only_first, test.only_second) == (only_first, only_second)
    low = min(only_first, only_second)
    tail = 2 * stats.binom.cdf(low, only_first + only_second, 0.5)
    assert test.p_value == pytest.approx(min(1.0, tail))


@pytest.mark.parametrize("task", ["sst2", "mrpc", "cola", "stsb"])
def test_a_paired_difference_is_scipys_bootstrap(task: str) -> None:
    spec = get_task(task)
    if spec.kind is REGRESSION:
        first, second = random_estimated(120, noise=0.9), random_estimated(120, noise=0.7)
    else:
        first = random_classified(120, right=0.7)
        second = classified(first.labels, random_classified(120, right=0.8, seed=0).predicted)

    def score(labels: Any, predicted: Any) -> float:
        value = score_task(spec, {"v": predicted}, {"v": labels}).score.value
        return float("nan") if value is None else value

    ours = paired_difference(spec, {"v": first}, {"v": second})
    assert ours.value == pytest.approx(
        score(second.labels, second.predicted) - score(first.labels, first.predicted), abs=1e-6
    )
    random, drawn = np.random.default_rng(0), []
    for _ in range(400):
        rows = random.integers(0, 120, 120)
        drawn.append(
            score(second.labels[rows], second.predicted[rows])
            - score(first.labels[rows], first.predicted[rows])
        )
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    assert ours.low is not None
    assert ours.high is not None
    np.testing.assert_allclose((ours.low, ours.high), (low, high), atol=0.15 * (high - low))


def test_the_same_answers_do_not_differ() -> None:
    found = random_classified(100)
    difference = paired_difference(get_task("rte"), {"v": found}, {"v": found})
    assert (difference.value, difference.low, difference.high) == (0.0, None, None)
    assert difference.p_value == 1.0


SCORES = st.lists(st.integers(0, 100).map(lambda it: it / 100), min_size=1, max_size=5)


@settings(max_examples=50, deadline=None)
@given(SCORES, SCORES)
def test_permutations_are_counted_as_by_hand(first: list[float], second: list[float]) -> None:
    scores = [*first, *second]
    real = abs(np.mean(second) - np.mean(first))
    found = []
    for chosen in combinations(range(len(scores)), len(first)):
        left = [scores[place] for place in chosen]
        right = [scores[place] for place in range(len(scores)) if place not in chosen]
        found.append(abs(np.mean(right) - np.mean(left)) >= real - 1e-12)
    test = permutation_test(first, second)
    assert test.p_value == pytest.approx(np.mean(found))
    assert test.p_value >= test.smallest_p - 1e-12


def test_three_seeds_against_three_cannot_say_much() -> None:
    test = permutation_test([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    assert test.p_value == test.smallest_p == pytest.approx(0.1)
    assert permutation_test([0.1, 0.2], [0.7, 0.8, 0.9]).smallest_p == pytest.approx(0.1)


def test_many_seeds_are_drawn_from() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(0, 1, 30), random.normal(0.5, 1, 30)
    test = permutation_test(list(first), list(second))
    assert test.p_value == pytest.approx(stats.ttest_ind(first, second).pvalue, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_its_definition(p_values: list[float]) -> None:
    """A hypothesis is rejected at a level where all smaller ones are, each at its own bound."""
    adjusted = holm(p_values)
    order = np.argsort(p_values, kind="stable")
    for level in (0.01, 0.05, 0.2, 0.5):
        rejected = set()
        for rank, place in enumerate(order):
            if p_values[place] * (len(p_values) - rank) > level:
                break
            rejected.add(place)
        assert {place for place, value in enumerate(adjusted) if value <= level} == rejected


@pytest.mark.parametrize(("count", "disagreement"), [(277, 0.2), (1043, 0.1), (408, 0.3)])
def test_the_smallest_visible_difference_is_seen_four_times_in_five(
    count: int, disagreement: float
) -> None:
    difference = smallest_visible(count, disagreement)
    random = np.random.default_rng(0)
    first = (disagreement - difference) / 2
    drawn = random.multinomial(count, [first, first + difference, 1 - disagreement], size=4000)
    p_values = [
        stats.binomtest(one, one + other, 0.5).pvalue for one, other, _ in drawn if one + other
    ]
    # The exact test is a little stricter than the approximation.
    assert 0.70 < np.mean(np.array(p_values) < 0.05) < 0.84


def test_models_that_hardly_disagree_would_have_to_disagree_more() -> None:
    """Fewer than six examples, all for one side, are no proof at 5%."""
    for disagreement in (0.0, 3 / 277):
        assert 6 / 277 < smallest_visible(277, disagreement) < 9 / 277
    assert smallest_visible(3, 0.0) == pytest.approx(1.0), "so few examples show nothing"


@pytest.mark.parametrize(
    ("task", "labels", "predicted"),
    [
        ("stsb", [2.0] * 30, list(range(30))),  # numbers that are all one
        ("stsb", list(range(30)), [2.0] * 30),
        ("cola", [1] * 30, [0, 1] * 15),  # a single class
        ("mrpc", [0] * 30, [0] * 30),  # the positive class does not occur
    ],
)
def test_what_has_no_score_is_not_compared(task: str, labels: Any, predicted: Any) -> None:
    spec = get_task(task)
    answers = (estimated if spec.kind is REGRESSION else classified)(labels, predicted)
    found = paired_difference(spec, {"v": answers}, {"v": answers}, draws=200)
    assert np.isnan(found.value)
    assert (found.low, found.high, found.p_value) == (None, None, 1.0)
    assert compare_with_words(spec, {"v": answers}, {"v": answers}) is None


def test_sets_without_any_label_are_not_compared() -> None:
    spec = replace(
        get_task("mrpc"), labels=("a", "b", "c"), metrics=("f1_micro",), kind=MULTI_LABEL
    )
    nothing = np.zeros((30, 3), dtype=np.int64)
    answers = Predictions(np.arange(30), nothing, nothing, nothing.astype(np.float32))
    assert compare_with_words(spec, {"v": answers}, {"v": answers}) is None
