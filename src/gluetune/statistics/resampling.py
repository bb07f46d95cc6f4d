"""A split's metrics on thousands of bootstrap samples of its examples, without a loop over them.

Classification metrics depend on how often each pair of label and answer occurs, so a sample is one
multinomial draw of those counts. Correlations are computed from each sample's weights; a sample's
ranks are running sums of the weights in order of value, ties sharing their mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gluetune.tasks import ONE_CLASS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.tasks import TaskSpec

    Floats = NDArray[np.float64]
    _Metrics = Mapping[str, Callable[[Any, int], Any]]

_MOST_CLASSES_IN_A_CUBE = 8
"""Classes up to which all triples of label and two answers are counted, also those that do not
occur."""
_CELLS_AT_ONCE = 4_000_000
"""Numbers in one block of weights: 32 MB."""


@dataclass(frozen=True)
class Resampled:
    """One metric of one split, over its bootstrap samples."""

    split: str
    metric: str
    value: float
    count: int
    """Examples."""
    drawn: Floats
    """The metric on each sample; NaN where it is undefined."""
    left_out: Floats
    """The metric without an example, for each kind of example."""
    weights: Floats
    """How many examples there are of each kind."""
    smoothed: bool = False
    """Whether the samples are of smoothed data, because none of the examples' own varies."""


def resample(
    task: TaskSpec, found: Predictions, *, draws: int, seed: int, split: str = ""
) -> dict[str, Resampled]:
    """Return each metric of a task on `draws` bootstrap samples of the examples of one split.

    The metrics of one call are of the same samples.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    if task.is_regression:
        return _correlations(task, found, random, draws, split)
    if task.multi_label:
        from gluetune.statistics.set_resampling import resample_sets

        return resample_sets(task, found, random, draws, split)
    return _classification(task, found, random, draws, split)


def _classification(
    task: TaskSpec,
    found: Predictions,
    random: np.random.Generator,
    draws: int,
    split: str,
    *,
    smooth: bool = True,
) -> dict[str, Resampled]:
    import numpy as np

    size, count = task.num_labels, len(found.labels)
    pairs = found.labels.astype(np.int64) * size + found.predicted.astype(np.int64)
    cells = np.bincount(pairs, minlength=size * size).astype(np.float64)
    metrics = _metrics_of(task, task.all_metrics)
    drawn = _on_samples(metrics, random, cells / count, count, draws, size)
    constant = {name for name, values in drawn.items() if smooth and not varies(values)}
    if constant:
        softer = (cells + 0.5) / (cells + 0.5).sum()  # half an example more of each kind
        some = {name: metrics[name] for name in metrics if name in constant}
        drawn |= _on_samples(some, random, softer, count, draws, size)
    kinds = np.flatnonzero(cells)
    left_out = _without_one(metrics, cells, kinds, size)
    results: dict[str, Resampled] = {}
    for name, metric in metrics.items():
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(metric(cells[None], size)[0]),
            count=count,
            drawn=drawn[name],
            left_out=left_out[name],
            weights=cells[kinds],
            smoothed=name in constant,
        )
    return results


def _on_samples(
    metrics: _Metrics,
    random: np.random.Generator,
    shares: Floats,
    count: int,
    draws: int,
    size: int,
) -> dict[str, Floats]:
    """Return each metric on `draws` samples of the counts, a block of samples at a time."""
    import numpy as np

    parts: dict[str, list[Floats]] = {name: [] for name in metrics}
    for samples in drawn_counts(random, shares, count, draws, len(shares)):
        for name, metric in metrics.items():
            parts[name].append(metric(samples, size))
    return {name: np.concatenate(found) for name, found in parts.items()}


def _without_one(
    metrics: _Metrics, cells: Floats, kinds: NDArray[np.intp], size: int
) -> dict[str, Floats]:
    """Return each metric without one example of each kind, a block of kinds at a time."""
    import numpy as np

    block = max(1, _CELLS_AT_ONCE // len(cells))
    parts: dict[str, list[Floats]] = {name: [] for name in metrics}
    for start in range(0, len(kinds), block):
        chosen = kinds[start : start + block]
        tables = np.tile(cells, (len(chosen), 1))
        tables[np.arange(len(chosen)), chosen] -= 1
        for name, metric in metrics.items():
            parts[name].append(np.nan_to_num(metric(tables, size), nan=0.0))
    return {name: np.concatenate(found) for name, found in parts.items()}


def drawn_counts(
    random: np.random.Generator, shares: Floats, count: int, draws: int, width: int
) -> Iterator[Floats]:
    """Give `draws` samples of how often each kind occurs among `count`, shape (samples, kinds).

    They come in blocks, small enough for `width` numbers to be held for each sample.
    """
    import numpy as np

    block = max(1, _CELLS_AT_ONCE // width)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        yield random.multinomial(count, shares, size=rows).astype(np.float64)


def varies(drawn: Floats) -> bool:
    """Return whether a metric is not the same on every sample."""
    import numpy as np

    known = drawn[np.isfinite(drawn)]
    return bool(len(known) and np.ptp(known) > 1e-9)


def accuracy(cells: Floats, size: int) -> Floats:
    """Return the accuracy of tables of counts, shape (tables, labels * answers)."""
    import numpy as np

    table = cells.reshape(-1, size, size)
    result: Floats = np.einsum("tii->t", table) / table.sum(axis=(1, 2))
    return result


def f1(cells: Floats, size: int, positive: int = 1) -> Floats:
    """Return F1 of one class, by its id; NaN where neither labels nor answers hold it."""
    import numpy as np

    table = cells.reshape(-1, size, size)
    both = table[:, positive, positive]
    there, said = table[:, positive].sum(axis=1), table[:, :, positive].sum(axis=1)
    with np.errstate(invalid="ignore"):
        result: Floats = 2 * both / (there + said)
    return result


def matthews(cells: Floats, size: int) -> Floats:
    """Return Matthews' correlation (Gorodkin 2004 for several classes).

    It is 0 where all answers are one class, as the official scorer has it, and NaN where all labels
    are.
    """
    import numpy as np

    table = cells.reshape(-1, size, size)
    labels, answers = table.sum(axis=2), table.sum(axis=1)
    total = table.sum(axis=(1, 2))
    covariance = np.einsum("tii->t", table) * total - (labels * answers).sum(axis=1)
    of_labels = total**2 - (labels**2).sum(axis=1)
    of_answers = total**2 - (answers**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        result = covariance / np.sqrt(of_labels * of_answers)
    result[of_answers == 0] = 0.0
    result[of_labels == 0] = np.nan
    return result  # type: ignore[no-any-return]  # an array like its parts


def f1_macro(cells: Floats, size: int) -> Floats:
    """Return the mean F1 of the classes that occur in labels or answers."""
    import numpy as np

    table = cells.reshape(-1, size, size)
    total = table.sum(axis=2) + table.sum(axis=1)
    both = np.einsum("tii->ti", table)
    with np.errstate(invalid="ignore", divide="ignore"):
        each = np.where(total > 0, 2 * both / total, 0.0)
        result: Floats = each.sum(axis=1) / (total > 0).sum(axis=1)
    return result


_METRICS: dict[str, Callable[[Any, int], Any]] = {
    "accuracy": accuracy,
    "f1": f1,
    "f1_macro": f1_macro,
    "matthews_correlation": matthews,
}


def _metrics_of(task: TaskSpec, names: Sequence[str]) -> _Metrics:
    """Return metrics by name, from tables of counts and the number of classes to values."""
    of_task = _METRICS | {ONE_CLASS: partial(f1, positive=task.positive_id)}
    return {name: of_task[name] for name in names}


def _correlations(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    import numpy as np

    values = found.predicted.astype(np.float64), found.labels.astype(np.float64)
    count = len(values[0])
    makers = {"pearson": _pearson, "spearman": _spearman}
    drawn: dict[str, list[Floats]] = {name: [] for name in task.all_metrics}
    for weights in _samples(random, count, draws):
        for name, blocks in drawn.items():
            blocks.append(makers[name](*values, weights))
    whole = np.ones((1, count))
    results: dict[str, Resampled] = {}
    for name in task.all_metrics:
        value = float(makers[name](*values, whole)[0])
        found_values = np.concatenate(drawn[name])
        smoothed = np.isfinite(value) and not varies(found_values)
        results[name] = Resampled(
            split=split,
            metric=name,
            value=value,
            count=count,
            drawn=_fishers(value, count, random, draws) if smoothed else found_values,
            left_out=_left_out(makers[name], values, count),
            weights=np.ones(count),
            smoothed=bool(smoothed),
        )
    return results


def _fishers(value: float, count: int, random: np.random.Generator, draws: int) -> Floats:
    """Draw correlations about a perfect one, by Fisher's transformation (Fisher 1921)."""
    import numpy as np

    limit = 1 - 1 / count
    center = np.arctanh(np.clip(value, -limit, limit))
    spread = 1 / max(count - 3, 1) ** 0.5
    result: Floats = np.tanh(center + spread * random.standard_normal(draws))
    return result


def _samples(random: np.random.Generator, count: int, draws: int) -> Iterator[Floats]:
    """Give blocks of bootstrap samples as weights, shape (samples, examples)."""
    import numpy as np

    block = max(1, _CELLS_AT_ONCE // count)
    for start in range(0, draws, block):
        rows = min(block, draws - start)
        chosen = random.integers(0, count, size=(rows, count)) + np.arange(rows)[:, None] * count
        weights = np.bincount(chosen.ravel(), minlength=rows * count).reshape(rows, count)
        yield weights.astype(np.float64)


def _left_out(maker: Callable[..., Floats], values: tuple[Floats, Floats], count: int) -> Floats:
    import numpy as np

    block = max(1, _CELLS_AT_ONCE // count)
    parts = []
    for start in range(0, count, block):
        rows = np.arange(start, min(start + block, count))
        weights = np.ones((len(rows), count))
        weights[np.arange(len(rows)), rows] = 0.0
        parts.append(maker(*values, weights))
    return np.nan_to_num(np.concatenate(parts), nan=0.0)


def _pearson(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Return Pearson's correlation under each row of weights; NaN where a side is constant."""
    return _correlation(first - first.mean(), second - second.mean(), weights)


def _spearman(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Return Spearman's correlation under each row of weights."""
    return _correlation(_ranks(first, weights), _ranks(second, weights), weights)


def _ranks(values: Floats, weights: Floats) -> Floats:
    """Return the ranks of each row's sample, ties sharing their mean; shape as `weights`."""
    import numpy as np

    _, kind = np.unique(values, return_inverse=True)
    kinds = int(kind.max()) + 1
    rows = len(weights)
    places = (np.arange(rows)[:, None] * kinds + kind).ravel()
    per_kind = np.bincount(places, weights=weights.ravel(), minlength=rows * kinds)
    per_kind = per_kind.reshape(rows, kinds)
    middle = per_kind.cumsum(axis=1) - per_kind / 2
    ranks: Floats = middle[:, kind] - weights.sum(axis=1, keepdims=True) / 2
    return ranks


def _correlation(first: Floats, second: Floats, weights: Floats) -> Floats:
    """Return the weighted correlation of each row; sides have shape (examples,) or the weights'."""
    import numpy as np

    total = weights.sum(axis=1)

    def mean(values: Floats) -> Floats:
        sums = np.einsum("se,se->s", weights, np.broadcast_to(values, weights.shape))
        result: Floats = sums / total
        return result

    means = mean(first), mean(second)
    covariance = mean(first * second) - means[0] * means[1]
    variances = [
        mean(side * side) - middle**2 for side, middle in zip((first, second), means, strict=True)
    ]
    scale = np.sqrt(np.maximum(variances[0], 0) * np.maximum(variances[1], 0))
    tiny = 1e-12 * max(1.0, float(np.abs(first).max() * np.abs(second).max()))
    result = np.full(len(weights), np.nan)
    np.divide(covariance, scale, out=result, where=scale > tiny)
    return result


def resample_pair(
    task: TaskSpec, first: Predictions, second: Predictions, *, draws: int, seed: int
) -> tuple[float, Floats]:
    """Return the second model's score less the first's on one split, and on `draws` samples of it.

    The score is the mean of the task's metrics. Both models answer the same sampled examples.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    if task.is_regression:
        return _pair_of_correlations(task, first, second, random, draws)
    if task.multi_label:
        from gluetune.statistics.set_resampling import resample_pair_of_sets

        return resample_pair_of_sets(task, first, second, random, draws)
    size = task.num_labels
    metrics = _metrics_of(task, task.metrics).values()
    if size > _MOST_CLASSES_IN_A_CUBE:
        return _pair_of_kinds(task, first, second, random, draws)
    labels = first.labels.astype(np.int64)
    codes = (labels * size + first.predicted.astype(np.int64)) * size + second.predicted
    cells = np.bincount(codes.astype(np.int64), minlength=size**3).astype(np.float64)
    samples = random.multinomial(len(labels), cells / len(labels), size=draws).astype(np.float64)

    def difference(tables: Floats) -> Floats:
        cube = tables.reshape(-1, size, size, size)
        sides = cube.sum(axis=3).reshape(-1, size**2), cube.sum(axis=2).reshape(-1, size**2)
        scores = [np.mean([metric(side, size) for metric in metrics], axis=0) for side in sides]
        result: Floats = scores[1] - scores[0]
        return result

    return float(difference(cells[None])[0]), difference(samples)


def _pair_of_kinds(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    """The same for many classes: only the triples of label and answers that occur are counted."""
    import numpy as np

    size = task.num_labels
    metrics = _metrics_of(task, task.metrics).values()
    labels = first.labels.astype(np.int64)
    sides = [labels * size + side.predicted.astype(np.int64) for side in (first, second)]
    kinds, counts = np.unique(np.stack(sides), axis=1, return_counts=True)

    def difference(weights: Floats) -> Floats:
        scores = []
        for cells in kinds:
            tables = np.zeros((len(weights), size**2))
            np.add.at(tables.T, cells, weights.T)
            scores.append(np.mean([metric(tables, size) for metric in metrics], axis=0))
        result: Floats = scores[1] - scores[0]
        return result

    drawn = [
        difference(weights)
        for weights in drawn_counts(random, counts / len(labels), len(labels), draws, size**2)
    ]
    return float(difference(counts[None].astype(np.float64))[0]), np.concatenate(drawn)


def _pair_of_correlations(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    import numpy as np

    makers = {"pearson": _pearson, "spearman": _spearman}
    labels = first.labels.astype(np.float64)

    def difference(weights: Floats) -> Floats:
        scores = [
            np.mean(
                [
                    makers[name](side.predicted.astype(np.float64), labels, weights)
                    for name in task.metrics
                ],
                axis=0,
            )
            for side in (first, second)
        ]
        result: Floats = scores[1] - scores[0]
        return result

    drawn = [difference(weights) for weights in _samples(random, len(labels), draws)]
    return float(difference(np.ones((1, len(labels))))[0]), np.concatenate(drawn)
