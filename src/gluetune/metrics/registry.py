"""The metrics by name, and what follows of a task's metrics from what they are."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from gluetune.core.errors import ConfigurationError
from gluetune.metrics import correlations, from_counts, from_scores, from_values
from gluetune.metrics.metric import Metric

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for module in (from_counts, from_scores, correlations, from_values)
        for metric in module.METRICS
    }
)


def get_metric(name: str) -> Metric:
    """Return the metric called `name`. Raises ConfigurationError with the nearest name."""
    if name in METRICS:
        return METRICS[name]
    near = difflib.get_close_matches(name, METRICS, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    raise ConfigurationError(
        f"There is no metric '{name}'.", hint=f"{hint}Metrics: {', '.join(METRICS)}."
    )


def metrics_of(kind: str, *, labels: int = 2) -> tuple[str, ...]:
    """Return the names of the metrics that a kind of task of so many labels may have."""
    return tuple(
        metric.name
        for metric in METRICS.values()
        if kind in metric.kinds and (labels == 2 or not metric.two_classes_only)
    )
