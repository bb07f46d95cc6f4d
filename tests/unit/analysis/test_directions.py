"""What a comparison says of a score of which less is better."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gluetune.analysis.comparison_pairs import _verdict
from gluetune.core.tasks import get_task
from gluetune.statistics.baseline_test import WordTest

PAIR = {"first": "A", "second": "B", "low": -0.3, "high": -0.1, "test": "t", "smallest_p": None}


@pytest.mark.parametrize(
    ("metric", "difference", "expected"),
    [
        ("accuracy", -0.2, "A is better than B by 20.0 points [10.0, 30.0]"),
        ("log_loss", -0.2, "B is better than A by 0.200 [0.100, 0.300]"),
    ],
)
def test_the_better_side_is_named(metric: str, difference: float, expected: str) -> None:
    task = replace(get_task("rte"), metrics=(metric,))
    pair = {**PAIR, "difference": difference, "visible": None}
    assert _verdict(task, pair, 0.01, 277, 1).startswith(expected)


def test_what_is_not_shown_says_which_scores_less() -> None:
    task = replace(get_task("rte"), metrics=("log_loss",))
    pair = {**PAIR, "difference": 0.2, "low": -0.1, "high": 0.5, "visible": 0.4}
    found = _verdict(task, pair, 0.3, 277, 1)
    assert "A scores 0.200 [-0.100, 0.500] less than B" in found
    assert "a difference below 0.400 would mostly go unseen" in found


@pytest.mark.parametrize(("difference", "worse"), [(0.2, True), (-0.2, False)])
def test_more_loss_than_the_bag_of_words_is_worse(difference: float, worse: bool) -> None:
    found = WordTest(difference, 0.01, "t", greater_is_better=False)
    assert found.is_worse == worse
    assert f"scores {'more' if worse else 'less'} than the bag of words" in found.sentence
    assert "where less is better" in found.sentence
