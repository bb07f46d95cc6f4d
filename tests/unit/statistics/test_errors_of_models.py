"""Confusion, calibration and the hardest examples, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sklearns
from sklearn.metrics import precision_recall_fscore_support
from tests.support.predictions import classified, estimated, random_classified

from gluetune.core.records import Predictions
from gluetune.core.tasks import get_task
from gluetune.kinds.single_label import softmax
from gluetune.statistics.calibration import calibration
from gluetune.statistics.confusion import class_table, confusion_matrix
from gluetune.statistics.residuals import hardest


def test_the_confusion_matrix_is_scikit_learns() -> None:
    random = np.random.default_rng(0)
    labels, predicted = random.integers(0, 3, (2, 200))
    found = classified(labels, predicted, classes=3)
    np.testing.assert_array_equal(
        confusion_matrix(labels, predicted, 3), sklearns(labels, predicted)
    )
    expected = precision_recall_fscore_support(labels, predicted)
    rows = class_table(get_task("mnli"), found)
    assert [row.name for row in rows] == ["entailment", "neutral", "contradiction"]
    for row, *values in zip(rows, *expected, strict=True):
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(tuple(values))


def test_a_class_that_nobody_names_has_no_precision() -> None:
    (first, second) = class_table(get_task("cola"), classified([0, 0, 0], [0, 0, 0]))
    assert (first.precision, first.recall, first.f1) == (1.0, 1.0, 1.0)
    assert (second.precision, second.recall, second.f1, second.support) == (None, None, None, 0)


def test_probabilities_are_a_softmax_that_does_not_overflow() -> None:
    found = softmax(np.array([[1000.0, 1000.0], [0.0, np.log(3.0)]]))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]])


def test_calibration_is_its_formula() -> None:
    chances = np.array([0.55, 0.58, 0.95, 0.97, 0.99])
    logits = np.stack([np.zeros(5), np.log(chances / (1 - chances))], axis=1)
    labels = np.array([1, 0, 1, 1, 0])
    found = Predictions(np.arange(5), labels, np.ones(5, dtype=int), logits.astype(np.float32))
    measured = calibration(found, bins=10)
    assert [(one.count, one.accuracy) for one in measured.bins] == [
        (2, 0.5),
        (3, pytest.approx(2 / 3)),
    ]
    expected = (2 * abs(0.565 - 0.5) + 3 * abs(chances[2:].mean() - 2 / 3)) / 5
    assert measured.ece == pytest.approx(expected, abs=1e-6)


def test_every_answer_is_in_one_bin() -> None:
    found = random_classified(500)
    assert sum(one.count for one in calibration(found).bins) == 500
    sure = classified([0, 1], [0, 0], sure=1e4)
    assert calibration(sure).ece == pytest.approx(0.5)


def test_the_hardest_are_the_most_confidently_wrong() -> None:
    logits = np.array([[3, 0], [0, 1], [0, 5], [2, 0]], dtype=np.float32)
    found = Predictions(np.arange(4), np.array([0, 0, 0, 1]), logits.argmax(axis=1), logits)
    assert hardest(get_task("cola"), found).tolist() == [2, 3, 1]
    assert hardest(get_task("cola"), found, 1).tolist() == [2]


def test_the_hardest_numbers_are_the_furthest_off() -> None:
    found = estimated([0, 1, 5, 3], [0.5, 4, 4.9, 3])
    assert hardest(get_task("stsb"), found, 2).tolist() == [1, 0]
