"""The metrics by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from gluetune.metrics import from_counts, from_scores, from_values
from gluetune.metrics.metric import Metric

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for module in (from_counts, from_scores, from_values)
        for metric in module.METRICS
    }
)


def get_metric(name: str) -> Metric:
    """Return the metric called `name`. Raises ValueError with the nearest name."""
    metric = METRICS.get(name)
    if metric is not None:
        return metric
    near = difflib.get_close_matches(name, METRICS, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"There is no metric '{name}'.{hint} Metrics: {', '.join(METRICS)}.")


def metrics_of(kind: str, *, labels: int = 2) -> tuple[str, ...]:
    """Return the names of the metrics that a kind of task of so many labels may have."""
    return tuple(
        metric.name
        for metric in METRICS.values()
        if kind in metric.kinds and (labels == 2 or not metric.two_classes_only)
    )


def hub_name(name: str) -> str:
    """Return what the Hub calls a metric; any other name is kept."""
    metric = METRICS.get(name)
    return (metric.hub_name if metric else "") or name


def short_label(name: str) -> str:
    """Return a metric's name as a narrow column shows it; any other name is kept."""
    metric = METRICS.get(name)
    return metric.label if metric else name


def is_of_one_class(name: str, classes: int) -> bool:
    """Whether a metric of so many classes is of one of them, the positive one."""
    metric = METRICS.get(name)
    return metric is not None and metric.of_one_class and classes == 2
