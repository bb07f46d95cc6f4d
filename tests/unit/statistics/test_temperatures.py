"""Temperatures: fitted to the likelihood, cross-fitted, and without effect on predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gluetune.kinds import MULTI_LABEL, ORDINAL, REGRESSION, SINGLE_LABEL, Kind
from gluetune.statistics.calibration import (
    cross_fitted,
    fit_temperatures,
    reliability,
    with_temperatures,
)


def _drawn(kind: Kind, temperature: float, rows: int = 4000) -> tuple[Any, Any]:
    """Return logits and labels that are drawn from the logits divided by a temperature."""
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 3, (rows, 4)).astype(np.float32)
    chances = kind.probabilities(logits / temperature)
    if kind is MULTI_LABEL:
        return logits, (draw.random(logits.shape) < chances).astype(np.int64)
    return logits, (draw.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=3)


@pytest.mark.parametrize("kind", [SINGLE_LABEL, ORDINAL, MULTI_LABEL])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_data_is_found(kind: Kind, temperature: float) -> None:
    logits, labels = _drawn(kind, temperature)
    found = fit_temperatures(kind, logits, labels)
    assert len(found) == (4 if kind is MULTI_LABEL else 1)
    assert found == pytest.approx((temperature,) * len(found), rel=0.12)
    scaled = with_temperatures(logits, found)
    thresholds = (0.3,) * 4 if kind is MULTI_LABEL else ()
    cut = tuple(with_temperatures(np.array(thresholds), found).tolist()) if thresholds else ()
    names = tuple("abcd")
    before = kind.predictions(names, logits, thresholds)
    after = kind.predictions(names, scaled, cut)
    assert [one.labels for one in before] == [one.labels for one in after]
    assert np.array_equal(kind.decode(logits), kind.decode(scaled))


def test_probabilities_are_better_after_calibration() -> None:
    for kind in (SINGLE_LABEL, MULTI_LABEL):
        logits, labels = _drawn(kind, 2.5)
        folds = np.arange(len(labels)) % 5
        before = reliability(kind, logits, labels)
        after = reliability(kind, cross_fitted(kind, logits, labels, folds), labels)
        assert before is not None
        assert after is not None
        assert after.ece < 0.3 * before.ece
        assert after.brier < before.brier
        assert after.log_loss < before.log_loss


def test_a_fold_does_not_fit_its_own_temperature() -> None:
    logits, labels = _drawn(SINGLE_LABEL, 1.0, rows=300)
    folds = np.arange(300) % 3
    scaled = cross_fitted(SINGLE_LABEL, logits, labels, folds)
    mine = folds == 1
    changed = labels.copy()
    changed[mine] = (changed[mine] + 1) % 4
    again = cross_fitted(SINGLE_LABEL, logits, changed, folds)
    assert np.array_equal(scaled[mine], again[mine])
    assert not np.array_equal(scaled[~mine], again[~mine])


def test_few_rows_or_no_errors_give_no_extreme_temperature() -> None:
    logits = np.array([[4.0, 0.0], [0.0, 4.0]] * 5)
    (found,) = fit_temperatures(SINGLE_LABEL, logits, np.array([0, 1] * 5))
    assert 0.3 < found < 1
    given = np.zeros((40, 2), dtype=np.int64)
    given[:2, 0] = 1
    given[:20, 1] = 1
    first, second = fit_temperatures(MULTI_LABEL, np.ones((40, 2)), given)
    assert first == 1
    assert second != 1


def test_numbers_have_no_temperature() -> None:
    logits, labels = np.zeros((3, 1)), np.zeros(3)
    assert fit_temperatures(REGRESSION, logits, labels) == ()
    assert reliability(REGRESSION, logits, labels) is None
    assert with_temperatures(logits, ()) is logits
