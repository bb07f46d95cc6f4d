"""Residuals, and how far two computations of the same answers differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.kinds import MULTI_LABEL, SINGLE_LABEL
from gluetune.statistics.agreement import agreement
from gluetune.statistics.residuals import residuals

COLA = get_task("cola")


def tags(count: int, thresholds: tuple[float, ...] = ()) -> TaskSpec:
    return replace(COLA, labels=tuple("abc"[:count]), kind=MULTI_LABEL, thresholds=thresholds)


def answers(logits: list[list[float]], labels: list[float] | None = None) -> Predictions:
    array = np.array(logits, dtype=np.float32)
    predicted = array[:, 0] if array.shape[1] == 1 else array.argmax(axis=1)
    given_labels = np.zeros(len(array)) if labels is None else np.array(labels)
    return Predictions(np.arange(len(array)), given_labels, predicted, array)


@given(st.lists(st.tuples(*[st.floats(0, 5, width=16)] * 2), min_size=1, max_size=20))
def test_residuals_are_what_their_names_say(pairs: list[tuple[float, float]]) -> None:
    found = residuals(answers([[answer] for answer, _ in pairs], [label for _, label in pairs]))
    errors = [answer - label for answer, label in pairs]
    assert found.bias == pytest.approx(sum(errors) / len(errors), abs=1e-6)
    assert found.mean_absolute == pytest.approx(sum(map(abs, errors)) / len(errors), abs=1e-6)
    assert found.largest == pytest.approx(max(map(abs, errors)), abs=1e-6)
    variance = sum((error - found.bias) ** 2 for error in errors) / len(errors)
    assert found.deviation**2 == pytest.approx(variance, abs=1e-5)


def test_flips_are_counted_with_their_distance_from_a_tie() -> None:
    first = answers([[1.0, 0.9], [3.0, 0.0], [0.0, 2.0]])
    second = answers([[0.95, 1.0], [2.9, 0.0], [2.5, 2.0]])
    found = agreement(COLA, first, second)
    assert (found.examples, found.flips) == (3, 2)
    assert found.largest_difference == pytest.approx(2.5)
    assert found.widest_flip == pytest.approx(2.0)


def test_the_same_answers_agree_to_the_bit() -> None:
    same = answers([[1.0, 0.9], [3.0, 0.0]])
    found = agreement(COLA, same, same)
    assert (found.flips, found.largest_difference, found.widest_flip) == (0, 0, 0)


def sets(logits: list[list[float]], thresholds: list[float]) -> Predictions:
    array = np.array(logits, dtype=np.float32)
    given = (array > np.array(thresholds, dtype=np.float32)).astype(np.int64)
    return Predictions(np.arange(len(array)), given, given, array)


def test_a_labels_distance_is_from_its_own_threshold() -> None:
    thresholds = [2.0, -1.0]
    first = sets([[2.25, -3.0], [0.0, -0.5], [5.0, 0.0]], thresholds)
    second = sets([[1.5, -3.0], [0.0, -1.5], [4.0, 3.0]], thresholds)
    found = agreement(tags(2, tuple(thresholds)), first, second)
    assert found.flips == 2
    assert found.widest_flip == pytest.approx(0.5)


def test_one_label_that_may_be_absent_is_no_number() -> None:
    found = agreement(tags(1), sets([[1.0], [-1.0]], [0.0]), sets([[1.0], [0.25]], [0.0]))
    assert found.flips == 1
    assert found.widest_flip == pytest.approx(1.0)


def test_margins_say_what_is_predicted_and_how_far_it_is_from_changing() -> None:
    logits = np.array([[3.0, 1.0, 2.5], [1.0, 1.0, 0.0], [0.0, 0.0, 7.0]], dtype=np.float32)
    margins = SINGLE_LABEL.margins(logits)
    assert (margins > 0).argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()
    assert (margins > 0).sum(axis=1).tolist() == [1, 1, 1], "a tie has one class too"
    assert margins[0].tolist() == [0.5, -2.0, -0.5]
    several = MULTI_LABEL.margins(logits, (1.0, -1.0, 5.0))
    assert several[0].tolist() == [2.0, 2.0, -2.5]
    assert (MULTI_LABEL.margins(logits) == logits).all()


def test_numbers_have_no_flips() -> None:
    found = agreement(get_task("stsb"), answers([[1.0], [2.0]]), answers([[1.5], [2.0]]))
    assert (found.flips, found.largest_difference) == (0, 0.5)
