"""Labels that are probably wrong: planted ones are found, and right ones are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gluetune.kinds import MULTI_LABEL, ORDINAL, REGRESSION, SINGLE_LABEL, Kind
from gluetune.kinds.label_errors import confident_learning


def _classes(size: int, rows: int = 600) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return labels, and logits that mostly agree with them."""
    draw = np.random.default_rng(1)
    labels = np.arange(rows) % size
    logits = draw.normal(0, 1, (rows, size))
    logits[np.arange(rows), labels] += 4
    return labels, logits


@pytest.mark.parametrize("kind", [SINGLE_LABEL, ORDINAL])
@pytest.mark.parametrize("size", [2, 5, 40])
def test_planted_errors_of_classes_are_found(kind: Kind, size: int) -> None:
    labels, logits = _classes(size)
    flipped = np.random.default_rng(4).choice(600, 30, replace=False)
    given = labels.copy()
    given[flipped] = (given[flipped] + 1) % size
    found = kind.label_errors(given, logits)
    planted = np.isin(np.arange(600), flipped)
    assert (found.suspect & planted).sum() >= 0.5 * planted.sum(), "its estimate is low"
    assert (found.suspect & ~planted).sum() <= 0.1 * found.suspect.sum()
    assert found.scores.min() >= 0
    assert found.scores.max() <= 1
    lowest = np.argsort(found.scores)[: len(flipped)]
    assert planted[lowest].mean() >= 0.8
    both = found.suspect & planted
    assert (found.suggested[both] == labels[both]).mean() >= 0.9


def test_an_unsure_class_is_not_suspect_as_a_whole() -> None:
    """A class that is predicted with low probability: each class is held to its own mean."""
    draw = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    chances = np.where(labels == 0, 0.95, 0.45) + draw.normal(0, 0.02, 400)
    own = np.stack([np.where(labels == 0, chances, 1 - chances)] * 2, axis=1)
    own[:, 1] = 1 - own[:, 0]
    found = confident_learning(labels, own)
    assert not found.suspect[:200].any()
    assert found.suspect[200:].mean() < 0.05, "though most are predicted as the other class"


def test_an_example_by_hand() -> None:
    """Two classes of three rows: the mean confidences are 0.7 and 0.6."""
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.9, 0.3, 0.1, 0.2, 0.9])
    found = confident_learning(labels, np.stack([first, 1 - first], axis=1))
    # Row 2 has 0.7 of class 1, at least 0.6, and row 5 has 0.9 of class 0, at least 0.7.
    assert found.suspect.tolist() == [False, False, True, False, False, True]
    assert found.suggested.tolist() == [0, 0, 1, 1, 1, 0]
    assert found.scores.tolist() == pytest.approx([0.9, 0.9, 0.3, 0.9, 0.8, 0.1])


def test_planted_errors_of_several_labels_are_found() -> None:
    draw = np.random.default_rng(2)
    labels = (draw.random((500, 3)) < 0.4).astype(np.int64)
    logits = 5 * labels - 2.5 + draw.normal(0, 0.7, labels.shape)
    given = labels.copy()
    given[::25, 1] = 1 - given[::25, 1]
    found = MULTI_LABEL.label_errors(given, logits)
    planted = np.arange(500) % 25 == 0
    assert (found.suspect & planted).sum() >= 0.9 * planted.sum()
    assert (found.suspect & ~planted).sum() <= 2
    assert np.array_equal(found.suggested[planted & found.suspect], labels[planted & found.suspect])
    assert np.array_equal(found.suggested[~found.suspect], given[~found.suspect])


def test_far_numbers_are_found_whatever_the_unit() -> None:
    draw = np.random.default_rng(3)
    predicted = draw.normal(50, 20, 300)
    labels = predicted + draw.normal(5, 1, 300)
    labels[[7, 70]] += (30, -30)
    for unit in (1, 1e6):
        found = REGRESSION.label_errors(labels * unit, predicted[:, None] * unit)
        assert {7, 70} <= {*np.flatnonzero(found.suspect)}
        assert found.suspect.sum() <= 5
        assert {*np.argsort(found.scores)[:2]} == {7, 70}
    same = REGRESSION.label_errors(np.ones(5), np.ones((5, 1)))
    assert not same.suspect.any()


def test_nothing_is_suspect_where_everything_agrees() -> None:
    labels, logits = _classes(3)
    found = SINGLE_LABEL.label_errors(labels, logits * 10)
    assert found.suspect.sum() <= 1
    every = SINGLE_LABEL.label_errors(np.zeros(10, dtype=int), np.eye(2)[np.zeros(10, dtype=int)])
    assert not every.suspect.any(), "a class without rows is not suggested"
