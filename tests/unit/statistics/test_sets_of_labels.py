"""Metrics of sets of labels are scikit-learn's; their bootstrap is one over the examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec
from gluetune.kinds import MULTI_LABEL
from gluetune.statistics.agreement import agreement
from gluetune.statistics.calibration import FEWEST, best_thresholds
from gluetune.statistics.confusion import class_table
from gluetune.statistics.intervals import score_intervals
from gluetune.statistics.paired_tests import paired_difference
from gluetune.statistics.residuals import hardest
from gluetune.statistics.scores import compute_metric, majority_baseline, score_task

TASK = TaskSpec(
    name="tags",
    title="",
    text_columns=("text",),
    labels=("a", "b", "c"),
    metrics=("f1_micro",),
    extra_metrics=("f1_macro", "exact_match"),
    kind=MULTI_LABEL,
)
_SETS = st.lists(st.tuples(*[st.tuples(st.booleans(), st.booleans())] * 3), min_size=1, max_size=20)


def predictions(count: int = 300, seed: int = 0, noise: float = 0.2) -> Predictions:
    random = np.random.default_rng(seed)
    labels = (np.random.default_rng(9).random((count, 3)) < (0.5, 0.3, 0.2)).astype(np.int64)
    wrong = random.random(labels.shape) < noise
    predicted = np.where(wrong, 1 - labels, labels)
    logits = np.where(predicted > 0, 1.0, -1.0) * random.uniform(0.1, 3, labels.shape)
    return Predictions(np.arange(count), labels, predicted, logits.astype(np.float32))


@settings(max_examples=100, deadline=None)
@given(rows=_SETS)
def test_the_metrics_are_scikit_learns(rows: Any) -> None:
    both = np.array(rows, dtype=np.int64)
    labels, predicted = both[:, :, 0], both[:, :, 1]
    exact = compute_metric("exact_match", predicted, labels).value
    assert exact == pytest.approx(accuracy_score(labels, predicted))
    occurring = np.flatnonzero(labels.any(axis=0) | predicted.any(axis=0))
    for name, average in (("f1_micro", "micro"), ("f1_macro", "macro")):
        found = compute_metric(name, predicted, labels)
        if not len(occurring):
            assert found.value is None
            assert "no label occurs" in found.reason
            continue
        # Of a single column scikit-learn would take 0 for a class, too.
        expected = f1_score(
            labels[:, occurring],
            predicted[:, occurring],
            average="binary" if len(occurring) == 1 else average,
            zero_division=0,
        )
        assert found.value == pytest.approx(expected)


def test_what_is_no_set_is_refused() -> None:
    ones = np.ones((2, 3), dtype=int)
    with pytest.raises(DataError, match=r"must be \(examples,\)"):
        compute_metric("accuracy", ones, ones)
    with pytest.raises(ConfigurationError, match="accuracy is not a metric of kind multi_label"):
        compute_metric("accuracy", ones, ones, kind="multi_label")
    with pytest.raises(DataError, match="not all 0 or 1"):
        compute_metric("f1_micro", ones, ones * 2)
    with pytest.raises(DataError, match="both must be"):
        score_task(TASK, {"validation": ones[:, :2]}, {"validation": ones})


def test_the_majority_gives_what_more_than_half_have() -> None:
    train = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0]])
    score = majority_baseline(TASK, train, {"validation": train})
    assert score.by_split["validation"]["exact_match"].value == pytest.approx(1 / 3)


def test_intervals_agree_with_a_loop_over_samples() -> None:
    found = predictions()
    intervals = score_intervals(TASK, {"validation": found}, draws=2000, method="percentile")
    random = np.random.default_rng(1)
    drawn = []
    for _ in range(2000):
        rows = random.integers(0, 300, 300)
        drawn.append(compute_metric("f1_macro", found.predicted[rows], found.labels[rows]).value)
    low, high = np.quantile(np.array(drawn, dtype=float), [0.025, 0.975])
    interval = intervals["f1_macro"]
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.01)
    assert intervals["exact_match"] is not None
    assert intervals["exact_match"].method == "wilson"
    assert intervals["score"] is not None
    assert intervals["score"].reliable


def test_a_pair_is_compared_on_the_same_examples() -> None:
    first, second = predictions(noise=0.3, seed=1), predictions(noise=0.1, seed=2)
    difference = paired_difference(TASK, {"validation": first}, {"validation": second})
    values = [
        compute_metric("f1_micro", one.predicted, one.labels).value for one in (first, second)
    ]
    assert None not in values
    assert difference.value == pytest.approx(float(values[1] or 0) - float(values[0] or 0))
    assert difference.low is not None
    assert 0 < difference.low < difference.value
    assert paired_difference(TASK, {"v": first}, {"v": first}).value == 0


def test_tables_and_the_hardest_read_sets() -> None:
    found = predictions()
    (first, *_) = class_table(TASK, found)
    assert first.support == int(found.labels[:, 0].sum())
    expected = f1_score(found.labels[:, 0], found.predicted[:, 0])
    assert first.f1 == pytest.approx(expected)
    rows = hardest(TASK, found, 5)
    assert (found.predicted[rows] != found.labels[rows]).any(axis=1).all()
    assert agreement(TASK, found, found).flips == 0
    back = Predictions.of_table(found.table())
    np.testing.assert_array_equal(back.labels, found.labels)
    np.testing.assert_array_equal(back.predicted, found.predicted)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(-6, 6)), min_size=2 * FEWEST, max_size=40)
)
def test_a_threshold_is_the_best_of_all(rows: list[tuple[bool, int]]) -> None:
    labels = np.array([[given] for given, _ in rows], dtype=np.int64)
    logits = np.array([[value / 4] for _, value in rows], dtype=np.float32)
    (limit,) = best_thresholds(labels, logits)
    if not FEWEST <= labels.sum() <= len(rows) - FEWEST:
        assert limit == 0
        return
    every = [-2.0, *np.arange(-1.6, 1.7, 0.25)]
    scores = {one: f1_score(labels, logits > one, zero_division=0) for one in every}
    inside = {one: value for one, value in scores.items() if logits.min() < one < logits.max()}
    best = max([*inside.values(), f1_score(labels, logits > 0, zero_division=0)])
    assert f1_score(labels, logits > limit, zero_division=0) == pytest.approx(best)
    if f1_score(labels, logits > 0, zero_division=0) == pytest.approx(best):
        assert limit == 0


def test_neighbours_of_float32_are_told_apart() -> None:
    low = np.float32(1)
    high = np.nextafter(low, np.float32(2), dtype=np.float32)
    labels = np.repeat([[0], [1]], 6, axis=0)
    logits = np.repeat(np.array([[low], [high]]), 6, axis=0)
    (limit,) = best_thresholds(labels, logits)
    assert ((logits > np.float32(limit)) == labels).all()
