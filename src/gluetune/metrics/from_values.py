"""Metrics of numbers, from how far each prediction is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gluetune.metrics.from_counts import distance_of_classes
from gluetune.metrics.metric import (
    ORDINAL,
    REGRESSION,
    Formula,
    Inputs,
    Measure,
    Metric,
    OfCounts,
    mean_of,
    sums,
)

if TYPE_CHECKING:
    from gluetune.metrics.metric import Floats


def _errors(inputs: Inputs) -> Floats:
    import numpy as np

    result: Floats = np.abs(inputs.predicted.astype(np.float64) - inputs.labels)
    return result


def _mae(inputs: Inputs) -> Measure:
    from sklearn.metrics import mean_absolute_error

    return Measure(float(mean_absolute_error(inputs.labels, inputs.predicted)))


def _rmse(inputs: Inputs) -> Measure:
    from sklearn.metrics import root_mean_squared_error

    return Measure(float(root_mean_squared_error(inputs.labels, inputs.predicted)))


def _squares(inputs: Inputs) -> Floats:
    result: Floats = _errors(inputs)[None] ** 2
    return result


def _root_mean(found: Floats, totals: Any) -> Floats:
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = np.sqrt(np.maximum(found[:, 0], 0) / totals)
    return result


METRICS = (
    Metric(
        name="mae",
        title="mean absolute error",
        label="MAE",
        formulas={
            REGRESSION: Formula(_mae, mean_of(_errors)),
            ORDINAL: Formula(_mae, OfCounts(distance_of_classes)),
        },
        greater_is_better=False,
        in_points=False,
    ),
    Metric(
        name="rmse",
        title="root mean squared error",
        label="RMSE",
        formulas={REGRESSION: Formula(_rmse, sums(_squares, _root_mean))},
        greater_is_better=False,
        in_points=False,
    ),
)
