"""The direction of a search is the better direction of its metric."""

from __future__ import annotations

import pytest

from gluetune.experiments.search.preflight import _usual_direction


@pytest.mark.parametrize(
    ("metric", "scored_by", "expected"),
    [
        ("score", ("accuracy", "f1"), "maximize"),
        ("score", ("log_loss",), "minimize"),
        ("score", None, "maximize"),
        ("loss", ("accuracy",), "minimize"),
        ("rmse", ("pearson",), "minimize"),
        ("roc_auc", ("log_loss",), "maximize"),
        ("mine", ("log_loss",), "maximize"),
    ],
)
def test_the_direction_is_the_metrics(
    metric: str, scored_by: tuple[str, ...] | None, expected: str
) -> None:
    assert _usual_direction(metric, None, scored_by) == expected


def test_a_function_is_maximized() -> None:
    assert _usual_direction("log_loss", lambda numbers: 0.0, ("log_loss",)) == "maximize"
