"""A split's metrics on thousands of bootstrap samples of its examples, without a loop over them.

Classification metrics depend on how often each pair of label and prediction occurs, so a sample is
one draw of those counts, of the pairs that occur. Correlations are computed from each sample's
weights. Either costs time linear in the examples, and blocks of bounded memory.

Bootstrap samples of examples that may have several labels.

Metrics of sets depend on sums over the examples, so examples that are alike (the same labels, the
same predictions) are one kind, a sample is one draw of how often each kind occurs, and its sums are
one product of matrices: a sparse one, since most examples have few of the labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gluetune.metrics.label_sets import SET_METRICS, set_counts
from gluetune.statistics.class_counts import ClassCounts, ClassMetric, class_metrics
from gluetune.statistics.correlations import CORRELATIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.predictions import Predictions
    from gluetune.core.tasks import TaskSpec

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

_NUMBERS_IN_A_BLOCK = 500_000
"""4 MB of 8-byte numbers: about what a core's cache holds."""
_FEW_KINDS = 100
"""Kinds of examples up to which each sample is one multinomial draw."""
_EXAMPLES_PER_BINOMIAL = 20
"""Examples that are drawn one by one in the time of one kind of a multinomial draw."""
_WORTH_A_THREAD = 50_000_000
"""Drawn examples, about a second's work, from which on parts of the samples go to threads."""
_MOST_PARTS = 16
_MOST_SMOOTHING = 2.0
"""Examples that smoothing adds at most: half an example for each pair of two classes."""


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

    names, size, count = task.all_metrics, task.num_labels, len(found.labels)
    metrics = class_metrics(task, names)
    (labels, predicted), weights = _kinds(size, found.labels, found.predicted)
    count_classes = _counter(labels, predicted, size)

    def prepare() -> Callable[[Integers], Floats]:
        return lambda sample: _measured(metrics.values(), count_classes(sample))

    on_all = on_samples(prepare, random, weights, draws, width=3 * size)
    drawn = dict(zip(names, on_all, strict=True))
    constant = {name for name, values in drawn.items() if smooth and not varies(values)}
    if constant:
        samples = _smoothed_samples(random, weights, count_classes, draws, size)
        smoothed = np.concatenate(
            [_measured(metrics.values(), sample) for sample in samples], axis=-1
        )
        on_smoothed = dict(zip(names, smoothed, strict=True))
        drawn |= {name: on_smoothed[name] for name in constant}
    whole = count_classes(weights[None])
    totals = ClassCounts(whole.labels[0], whole.predicted[0], whole.both[0], whole.classes)
    results: dict[str, Resampled] = {}
    for name, metric in metrics.items():
        without = metric.leaving_one_out(totals, labels, predicted)
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(metric(whole)[0]),
            count=count,
            drawn=drawn[name],
            left_out=np.nan_to_num(without, nan=0.0),
            weights=weights.astype(np.float64),
            smoothed=name in constant,
        )
    return results


def _kinds(size: int, *columns: NDArray[Any]) -> tuple[list[Integers], Integers]:
    """Return the combinations of class ids that occur, column by column, and how often each does.

    Columns are class ids below `size`, each of shape (examples,).
    """
    import numpy as np

    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        codes = codes * size + column.astype(np.int64)
    kinds, counts = np.unique(codes, return_counts=True)
    found = []
    for _ in columns:
        kinds, column = np.divmod(kinds, size)
        found.append(column)
    return found[::-1], counts


def _counter(labels: Integers, predicted: Integers, size: int) -> Callable[[Integers], ClassCounts]:
    """Return what turns counts of kinds, shape (samples, kinds), into counts of classes."""
    import numpy as np
    from scipy.sparse import csr_array

    kinds = np.arange(len(labels))
    same = np.flatnonzero(labels == predicted)

    def matrix(rows: NDArray[Any], classes: Integers) -> Any:
        ones = np.ones(len(rows))
        return csr_array((ones, (rows, classes)), shape=(len(kinds), size))

    matrices = matrix(kinds, labels), matrix(kinds, predicted), matrix(same, labels[same])
    ids = np.arange(size)

    def count(samples: Integers) -> ClassCounts:
        weights = samples.astype(np.float64)
        of_labels, of_predicted, of_both = (weights @ one for one in matrices)
        return ClassCounts(of_labels, of_predicted, of_both, ids)

    return count


def _measured(metrics: Iterable[ClassMetric], counts: ClassCounts) -> Floats:
    """Return each metric of a block of samples, shape (metrics, samples)."""
    import numpy as np

    return np.stack([metric(counts) for metric in metrics])


def _smoothed_samples(
    random: np.random.Generator,
    weights: Integers,
    count_classes: Callable[[Integers], ClassCounts],
    draws: int,
    size: int,
) -> Iterator[ClassCounts]:
    """Give samples of the examples and of some more, which have every pair of classes alike.

    Those that are added are half an example a pair, and two in all at most: of many classes they
    would outweigh the examples.
    """
    import numpy as np

    count = int(weights.sum())
    more = min(size**2 / 2, _MOST_SMOOTHING)
    added = random.binomial(count, more / (count + more), size=draws)
    start = 0
    for samples in drawn_counts(random, weights, count - added, width=3 * size):
        counts = count_classes(samples)
        sizes = added[start : start + len(samples)]
        start += len(samples)
        rows = np.repeat(np.arange(len(samples)), sizes)
        labels, predicted = random.integers(0, size, size=(2, len(rows)))
        same = labels == predicted
        np.add.at(counts.labels, (rows, labels), 1)
        np.add.at(counts.predicted, (rows, predicted), 1)
        np.add.at(counts.both, (rows[same], labels[same]), 1)
        yield counts


def on_samples(
    prepare: Callable[[], Callable[[Integers], Floats]],
    random: np.random.Generator,
    weights: Integers,
    draws: int,
    *,
    width: int = 0,
) -> Floats:
    """Return what `prepare()` makes of blocks of bootstrap samples; its last axis is over samples.

    Of much work, parts are done in threads, each with a function of its own. Which parts depends on
    the amount alone: the same seed gives the same samples, whatever the number of cores. Other
    arguments are those of `drawn_counts`.
    """
    import numpy as np

    count = int(weights.sum())
    numbers = len(weights) if _is_multinomial(weights) else count
    parts = min(max(1, numbers * draws // _WORTH_A_THREAD), _MOST_PARTS)
    sizes = np.diff(np.linspace(0, draws, parts + 1).astype(int))
    generators = [random] if parts == 1 else random.spawn(parts)

    def work(random: np.random.Generator, draws: int) -> Floats:
        function = prepare()
        samples = drawn_counts(random, weights, np.full(draws, count), width=width)
        return np.concatenate([function(sample) for sample in samples], axis=-1)

    with ThreadPoolExecutor(min(parts, os.cpu_count() or 1)) as pool:
        return np.concatenate(list(pool.map(work, generators, sizes)), axis=-1)


def drawn_counts(
    random: np.random.Generator, weights: Integers, sizes: Integers, *, width: int = 0
) -> Iterator[Integers]:
    """Give how often each kind of example occurs in samples, shape (samples, kinds), in blocks.

    `weights` says how many examples there are of each kind, `sizes` how many each sample draws. A
    block is small enough for `width` numbers to be held for each sample.
    """
    import numpy as np

    kinds, count = len(weights), int(weights.sum())
    block = max(1, _NUMBERS_IN_A_BLOCK // max(kinds, width))
    is_multinomial = _is_multinomial(weights)
    kind_of = np.repeat(np.arange(kinds, dtype=np.int64), weights)
    for start in range(0, len(sizes), block):
        chosen = sizes[start : start + block]
        if is_multinomial:
            yield random.multinomial(chosen, weights / count)
        else:
            yield np.stack([_drawn_one_by_one(random, kind_of, kinds, size) for size in chosen])


def _is_multinomial(weights: Integers) -> bool:
    """Return whether a multinomial draw is faster than drawing the examples one by one."""
    return len(weights) <= max(_FEW_KINDS, int(weights.sum()) / _EXAMPLES_PER_BINOMIAL)


def _drawn_one_by_one(
    random: np.random.Generator, kind_of: Integers, kinds: int, size: int
) -> Integers:
    import numpy as np

    drawn = random.integers(0, len(kind_of), size=size)
    if kinds < len(kind_of):
        drawn = kind_of[drawn]
    return np.bincount(drawn, minlength=kinds)


def varies(drawn: Floats) -> bool:
    """Return whether a metric is not the same on every sample."""
    import numpy as np

    known = drawn[np.isfinite(drawn)]
    return bool(len(known) and np.ptp(known) > 1e-9)


def _correlations(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    import numpy as np

    names = task.all_metrics
    values = found.predicted.astype(np.float64), found.labels.astype(np.float64)
    count = len(values[0])

    def prepare() -> Callable[[NDArray[Any]], Floats]:
        metrics = [CORRELATIONS[name].prepare(*values) for name in names]
        return lambda weights: np.stack([metric(weights) for metric in metrics])

    drawn = on_samples(prepare, random, np.ones(count, dtype=np.int64), draws)
    whole = prepare()(np.ones((1, count)))[:, 0]
    results: dict[str, Resampled] = {}
    for name, found_values, value in zip(names, drawn, map(float, whole), strict=True):
        smoothed = np.isfinite(value) and not varies(found_values)
        without = CORRELATIONS[name].leaving_one_out(*values)
        results[name] = Resampled(
            split=split,
            metric=name,
            value=value,
            count=count,
            drawn=_fishers(value, count, random, draws) if smoothed else found_values,
            left_out=np.nan_to_num(without, nan=0.0),
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


def resample_pair(
    task: TaskSpec, first: Predictions, second: Predictions, *, draws: int, seed: int
) -> tuple[float, Floats]:
    """Return the second model's score less the first's on one split, and on `draws` samples of it.

    The score is the mean of the task's metrics. Both models are scored on the same examples.
    """
    import numpy as np

    random = np.random.default_rng(seed)
    if task.is_regression:
        return _pair_of_correlations(task, first, second, random, draws)
    if task.multi_label:
        return resample_pair_of_sets(task, first, second, random, draws)
    return _pair_of_classifications(task, first, second, random, draws)


def _pair_of_classifications(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:

    size = task.num_labels
    (labels, *predicted), weights = _kinds(size, first.labels, first.predicted, second.predicted)
    counters = [_counter(labels, side, size) for side in predicted]
    metrics = class_metrics(task, task.metrics).values()

    def difference(samples: Integers) -> Floats:
        counts = [counter(samples) for counter in counters]
        return _difference([[metric(side) for metric in metrics] for side in counts])

    drawn = on_samples(lambda: difference, random, weights, draws, width=6 * size)
    return float(difference(weights[None])[0]), drawn


def _pair_of_correlations(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    import numpy as np

    labels = first.labels.astype(np.float64)
    predicted = [side.predicted.astype(np.float64) for side in (first, second)]

    def prepare() -> Callable[[NDArray[Any]], Floats]:
        metrics = [CORRELATIONS[name] for name in task.metrics]
        sides = [[metric.prepare(side, labels) for metric in metrics] for side in predicted]
        return lambda weights: _difference([[one(weights) for one in side] for side in sides])

    drawn = on_samples(prepare, random, np.ones(len(labels), dtype=np.int64), draws)
    return float(prepare()(np.ones((1, len(labels))))[0]), drawn


def _difference(sides: Sequence[Sequence[Floats]]) -> Floats:
    """Return the second side's mean metric less the first's, sample by sample."""
    import numpy as np

    first, second = (np.mean(metrics, axis=0) for metrics in sides)
    result: Floats = second - first
    return result


_ROWS_AT_ONCE = 1_000
"""Rows of counts that are held as dense numbers."""


def resample_sets(
    task: TaskSpec, found: Predictions, random: np.random.Generator, draws: int, split: str
) -> dict[str, Resampled]:
    """Return each metric on `draws` samples of the examples of a split."""
    import numpy as np

    (kinds,), weights = _set_kinds(found)
    count, width = len(found.labels), kinds.shape[1]
    total = weights[None] @ kinds
    names = task.all_metrics

    def measure(sample: Integers) -> Floats:
        sums, sizes = sample @ kinds, np.full(len(sample), count)
        return np.stack([SET_METRICS[name](sums, sizes) for name in names])

    drawn = on_samples(lambda: measure, random, weights, draws, width=width)
    results: dict[str, Resampled] = {}
    for name, values in zip(names, drawn, strict=True):
        results[name] = Resampled(
            split=split,
            metric=name,
            value=float(SET_METRICS[name](total, np.array([count]))[0]),
            count=count,
            drawn=values,
            left_out=_without_one(name, kinds, total, count),
            weights=weights.astype(np.float64),
            smoothed=not varies(values),
        )
    return results


def _without_one(name: str, kinds: Any, total: Floats, count: int) -> Floats:
    """Return the metric without one example of each kind, a block of kinds at a time."""
    import numpy as np

    parts = []
    for start in range(0, kinds.shape[0], _ROWS_AT_ONCE):
        without = total - kinds[start : start + _ROWS_AT_ONCE].toarray()
        with np.errstate(invalid="ignore"):  # without the only example there is none
            parts.append(SET_METRICS[name](without, np.full(len(without), count - 1)))
    result: Floats = np.nan_to_num(np.concatenate(parts), nan=0.0)
    return result


def resample_pair_of_sets(
    task: TaskSpec,
    first: Predictions,
    second: Predictions,
    random: np.random.Generator,
    draws: int,
) -> tuple[float, Floats]:
    """Return the second model's score less the first's, on the examples and on samples of them."""
    import numpy as np

    sides, weights = _set_kinds(first, second)
    count, width = len(first.labels), 2 * sides[0].shape[1]

    def difference(sample: Integers) -> Floats:
        sizes = np.full(len(sample), count)
        scores = [
            np.mean([SET_METRICS[name](sample @ kinds, sizes) for name in task.metrics], axis=0)
            for kinds in sides
        ]
        result: Floats = scores[1] - scores[0]
        return result

    drawn = on_samples(lambda: difference, random, weights, draws, width=width)
    return float(difference(weights[None])[0]), drawn


def _set_kinds(*sides: Predictions) -> tuple[list[Any], Integers]:
    """Return each side's counts of the different kinds of examples, and how often each occurs.

    An example's kind is its labels with the predictions of all sides. Counts are `set_counts`, as
    sparse matrices.
    """
    import numpy as np
    from scipy.sparse import csr_array, vstack

    given = [sides[0].labels, *(side.predicted for side in sides)]
    bits = np.concatenate([np.packbits(one.astype(bool), axis=1) for one in given], axis=1)
    _, rows, counts = np.unique(bits, axis=0, return_index=True, return_counts=True)
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    blocks = [rows[start : start + _ROWS_AT_ONCE] for start in starts]
    matrices = [
        vstack([csr_array(set_counts(side.predicted[b], side.labels[b])) for b in blocks])
        for side in sides
    ]
    return [csr_array(one) for one in matrices], counts
