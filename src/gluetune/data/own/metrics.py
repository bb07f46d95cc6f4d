"""The metrics of a task of the user's own, and its positive class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gluetune.core.command_lines import options
from gluetune.core.tasks import unfit_metrics
from gluetune.core.text import nearest
from gluetune.metrics.registry import get_metric, is_of_one_class, metrics_of

if TYPE_CHECKING:
    from gluetune.core.config import TrainConfig
    from gluetune.data.own.problems import Problems
    from gluetune.kinds.base import Kind


def resolve_metrics(
    config: TrainConfig, kind: Kind, names: Sequence[str], problems: Problems
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the metrics that the score is the mean of, and the extra metrics.

    By default the score is the first of the kind's default metrics, and the others are extra
    metrics. Returns None where the requested ones are invalid (see `problems`).
    """
    known, default = metrics_of(kind.name, labels=len(names)), kind.default_metrics
    requested = config.metrics or (() if config.metric == "score" else (config.metric,))
    flag = "metrics" if config.metrics else "metric"
    unfit = unfit_metrics(flag, requested, kind, len(names))
    unfit += unfit_metrics("extra_metrics", config.extra_metrics or (), kind, len(names))
    for finding in unfit:
        problems.add(finding.message, finding.hint)
    if unfit or not _agree(requested, problems):
        return None
    scored = requested or default[:1]
    if not requested:
        problems.remark(
            f"The score is {scored[0]}, the default of kind {kind} (`gluetune train` takes "
            f"--metrics for others: {', '.join(name for name in known if name not in scored)})."
        )
    extra = default if config.extra_metrics is None else config.extra_metrics
    return scored, tuple(dict.fromkeys(name for name in extra if name not in scored))


def _agree(names: Sequence[str], problems: Problems) -> bool:
    """Reject a mean of metrics with different better directions or scales, and repeated metrics."""
    sides = {(get_metric(name).greater_is_better, get_metric(name).in_points) for name in names}
    if len(sides) < 2 and len(set(names)) == len(names):
        return True
    if len(sides) < 2:
        problems.add(f"--metrics {','.join(names)}: a metric is named twice.", "Name each once.")
        return False
    problems.add(
        f"--metrics {','.join(names)}: the score is their mean, and they do not have the same "
        "better direction and scale.",
        f"Type: --metrics {names[0]} --extra-metrics {','.join(names[1:])}",
    )
    return False


def resolve_positive(
    config: TrainConfig,
    kind: Kind,
    names: Sequence[str],
    metrics: Sequence[str],
    problems: Problems,
) -> bool | None:
    """Return whether the task has a positive class; None where the requested one is invalid.

    `metrics` are all reported metrics.
    """
    requested = config.positive
    if not any(is_of_one_class(name, len(names)) for name in metrics):
        if requested is None:
            return False
        problems.add(*_no_positive(config, kind, names, metrics[0]))
        return None
    if requested is None or requested in names:
        return True
    quotes = " In YAML write it in quotes." if requested in ("true", "false") else ""
    problems.add(
        f"{options(positive=requested)}: there is no such class.",
        f"{nearest(requested, names)}Classes: {', '.join(names)}.{quotes}",
    )
    return None


def _no_positive(
    config: TrainConfig, kind: Kind, names: Sequence[str], metric: str
) -> tuple[str, str]:
    """Return why --positive has no meaning here, and what to type."""
    typed = f"{options(positive=str(config.positive))}"
    of_one = [name for name in metrics_of(kind.name) if is_of_one_class(name, 2)]
    if not of_one or kind.cell == "names":
        return f"{typed}: a task of kind {kind} has no positive class.", "Leave --positive out."
    if len(names) != 2:
        reason = f"there are {len(names)} classes, and a positive class is one of two."
        return f"{typed}: {reason}", "Leave --positive out."
    default = ", the default score," if not config.metrics and config.metric == "score" else ""
    return (
        f"{typed}: {metric}{default} is of both classes, and {of_one[0]} is of one.",
        f"Type: --metric {of_one[0]} {typed}, or leave --positive out.",
    )
