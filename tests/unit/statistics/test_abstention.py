"""Thresholds of confidence: their bounds hold together, and the fewest are uncertain."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gluetune.statistics.abstention import (
    LEVELS,
    for_coverage,
    for_precision,
    lower_bound,
    risk_coverage,
)


def _drawn(rows: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return confidences, and whether predictions are correct, with those probabilities."""
    draw = np.random.default_rng(seed)
    sure = draw.beta(6, 1, rows)
    return sure, draw.random(rows) < sure


def test_the_bound_is_clopper_and_pearsons() -> None:
    assert lower_bound(10, 10, 0.95) == pytest.approx(0.05 ** (1 / 10))
    assert lower_bound(90, 100, 0.95) == pytest.approx(0.8363, abs=1e-4)  # binom.test of R
    assert lower_bound(0, 5, 0.95) == 0


def test_more_confidence_is_more_precision() -> None:
    points = risk_coverage(*_drawn(2000))
    assert len(points) == LEVELS
    assert [round(one.coverage, 2) for one in points] == [
        round(level / LEVELS, 2) for level in range(1, LEVELS + 1)
    ]
    assert points[0].precision > points[-1].precision + 0.05
    assert all(one.low < one.precision for one in points)
    assert all(one.levels == LEVELS for one in points)


def test_the_threshold_with_the_most_coverage_is_chosen() -> None:
    points = risk_coverage(*_drawn(2000))
    best = for_precision(points, 0.9)
    assert best is not None
    assert best.low >= 0.9
    others = [one for one in points if one.coverage > best.coverage]
    assert others
    assert all(one.low < 0.9 for one in others)
    assert for_precision(points, 0.9999) is None
    assert "Clopper-Pearson" in best.sentence
    assert "20 thresholds tested together" in best.sentence


def test_a_share_of_the_rows_is_at_or_above_its_threshold() -> None:
    sure, right = _drawn(500)
    found = for_coverage(sure, right, 0.8)
    assert found.rows == 400
    assert found.coverage == 0.8
    assert found.precision == right[np.argsort(-sure)[:400]].mean()
    assert found.low == pytest.approx(
        lower_bound(int(right[sure >= found.confidence].sum()), 400, 0.95)
    )
    assert "tested together" not in found.sentence


def test_few_and_equal_confidences() -> None:
    assert len(risk_coverage(np.array([0.9]), np.array([True]))) == 1
    same = risk_coverage(np.full(50, 0.7), np.arange(50) % 2 == 0)
    assert [(one.coverage, one.precision) for one in same] == [(1.0, 0.5)]
    assert for_coverage(np.full(50, 0.7), np.ones(50, bool), 0.1).coverage == 1.0


def test_the_precision_is_at_least_the_wished_one_nineteen_times_in_twenty() -> None:
    population, right = _drawn(100_000, seed=9)
    failures = tried = 0
    for seed in range(1, 101):
        chosen = for_precision(risk_coverage(*_drawn(400, seed)), 0.9)
        if chosen is not None:
            tried += 1
            failures += right[population >= chosen.confidence].mean() < 0.9
    assert tried > 50
    assert failures <= 0.05 * tried
