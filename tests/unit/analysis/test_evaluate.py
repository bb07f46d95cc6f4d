"""A score that chance does not explain raises the suspicion that labels are in another order."""

from __future__ import annotations

import pytest
from tests.support.answers import classified, random_classified

from gluetune.analysis.evaluate import _suspicion
from gluetune.core.tasks import get_task
from gluetune.statistics.intervals import score_intervals


@pytest.mark.parametrize(("task", "majority"), [("rte", 0.5), ("cola", 0.0)])
def test_turned_labels_are_pointed_out(task: str, majority: float) -> None:
    spec = get_task(task)
    right = random_classified(277, right=0.8)
    turned = classified(right.labels, 1 - right.predicted)
    told = [
        _suspicion(spec, score_intervals(spec, {"validation": found})["score"], majority)
        for found in (right, turned)
    ]
    assert told[0] == ""
    assert "below the majority class" in told[1]
    assert f"--label-order with another order of {', '.join(spec.labels)}" in told[1]


def test_a_little_below_the_majority_is_no_suspicion() -> None:
    spec = get_task("rte")
    found = random_classified(277, right=0.5, seed=3)
    assert _suspicion(spec, score_intervals(spec, {"validation": found})["score"], 0.527) == ""


def test_numbers_have_no_order_of_labels() -> None:
    assert _suspicion(get_task("stsb"), None, None) == ""
