"""A split's metrics on thousands of bootstrap samples of its examples, without a loop over them.

Metrics of decisions depend on sums over the examples, so examples that are alike (the same label,
the same prediction) are one kind, a sample is one draw of how often each kind occurs, and its sums
are one product of sparse matrices. Other metrics are computed from each sample's weights. Either
costs time linear in the examples, and blocks of bounded memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gluetune.metrics.from_counts import counts_of
from gluetune.metrics.metric import Inputs, Metric, OfCounts, OfWeights
from gluetune.metrics.registry import get_metric
from gluetune.statistics.scores import task_probabilities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
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
    split: str = ""


def resample(
    task: TaskSpec,
    found: Predictions,
    *,
    draws: int,
    seed: int,
    split: str = "",
    smooth: bool = True,
) -> dict[str, Resampled]:
    """Return each metric of a task on `draws` bootstrap samples of the examples of one split.

    The metrics that the score is the mean of are of the same samples. Unless `smooth` is False,
    metrics of classes that no sample changes are drawn of smoothed data.
    """
    counted, weighted = _by_bootstrap(task, task.all_metrics)
    inputs = _inputs(task, found)
    results = {
        **_resample_counts(task, counted, inputs, draws, seed, smooth),
        **_resample_weights(task, weighted, inputs, draws, seed),
    }
    return {name: replace(results[name], split=split) for name in task.all_metrics}


def _by_bootstrap(task: TaskSpec, names: Sequence[str]) -> tuple[list[Metric], list[Metric]]:
    """Return the metrics that are drawn by counts, and those that are drawn by examples' weights.

    One metric of the score that needs weights takes all of the score's with it: their mean is of
    the same samples.
    """
    kind, metrics = task.kind.name, [get_metric(name) for name in names]
    together = not all(one.of_counts(kind) for one in metrics if one.name in task.metrics)
    counted = [
        one
        for one in metrics
        if one.of_counts(kind) and not (together and one.name in task.metrics)
    ]
    return counted, [one for one in metrics if one not in counted]


def _inputs(task: TaskSpec, found: Predictions) -> Inputs:
    import numpy as np

    dtype = np.float64 if task.kind.cell == "number" else np.int64
    return Inputs(
        found.labels.astype(dtype),
        found.predicted.astype(dtype),
        task_probabilities(task, found),
        num_labels=task.num_labels,
        positive=task.positive_id,
    )


@dataclass(frozen=True)
class _Alike:
    """The different kinds of examples: labels with the predictions of one or two models."""

    rows: Integers
    """An example of each kind."""
    weights: Integers
    """How many examples there are of each."""

    @classmethod
    def of(cls, sides: Sequence[Inputs]) -> _Alike:
        """Find examples whose labels and predictions are the same."""
        import numpy as np

        given = [sides[0].labels, *(side.predicted for side in sides)]
        if sides[0].labels.ndim == 1:
            keys = np.zeros(len(given[0]), dtype=np.int64)
            for column in given:
                keys = keys * sides[0].num_labels + column
        else:
            keys = np.concatenate([np.packbits(one.astype(bool), axis=1) for one in given], axis=1)
        _, rows, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
        return cls(rows, counts)

    def measure(self, metrics: Sequence[Metric], kind: str, inputs: Inputs) -> _Counted:
        """Return how metrics of one model are computed from counts of these kinds."""
        labels = inputs.labels[self.rows]
        terms = counts_of(labels).terms(labels, inputs.predicted[self.rows], inputs.num_labels)
        return _Counted(metrics, kind, inputs, terms)


@dataclass(frozen=True)
class _Counted:
    """Metrics of one model's decisions, from how often each kind of example occurs."""

    metrics: Sequence[Metric]
    kind: str
    inputs: Inputs
    terms: Any
    """What each kind adds to the sums, a sparse matrix of shape (kinds, sums)."""

    def __call__(self, samples: NDArray[Any]) -> Floats:
        """Return each metric of counts of kinds, shape (samples, kinds)."""
        return self.of_sums(samples.astype(self.terms.dtype) @ self.terms)

    def of_sums(self, sums: Floats) -> Floats:
        """Return each metric of sums, shape (samples, sums)."""
        import numpy as np

        counts = counts_of(self.inputs.labels).of(sums, self.inputs.positive)
        return np.stack([_of_counts(one, self.kind).value(counts) for one in self.metrics])

    def without_one(self, weights: Integers) -> Floats:
        """Return each metric without one example of each kind, a block of kinds at a time."""
        import numpy as np

        total = weights.astype(np.float64)[None] @ self.terms
        block = max(1, _NUMBERS_IN_A_BLOCK // self.terms.shape[1])
        parts = [
            self.of_sums(total - self.terms[start : start + block].toarray())
            for start in range(0, len(weights), block)
        ]
        return np.concatenate(parts, axis=-1)


def _of_counts(metric: Metric, kind: str) -> OfCounts:
    bootstrap = metric.formulas[kind].bootstrap
    assert isinstance(bootstrap, OfCounts), "metrics are parted by their bootstrap"
    return bootstrap


def _resample_counts(
    task: TaskSpec,
    metrics: Sequence[Metric],
    inputs: Inputs,
    draws: int,
    seed: int,
    smooth: bool,
) -> dict[str, Resampled]:
    import numpy as np

    if not metrics:
        return {}
    random = np.random.default_rng(seed)
    alike = _Alike.of([inputs])
    measure = alike.measure(metrics, task.kind.name, inputs)
    width = measure.terms.shape[1]
    drawn = on_samples(lambda: measure, random, alike.weights, draws, width=width)
    constant: list[bool] = [not varies(values) for values in drawn]
    if smooth and any(constant) and counts_of(inputs.labels).smooths:
        samples = _smoothed_sums(random, alike.weights, measure, draws)
        smoothed = np.concatenate([measure.of_sums(sums) for sums in samples], axis=-1)
        drawn = np.where(np.array(constant)[:, None], smoothed, drawn)
    values = measure(alike.weights[None])[:, 0]
    without = np.nan_to_num(measure.without_one(alike.weights), nan=0.0)
    return {
        metric.name: Resampled(
            metric=metric.name,
            value=float(values[number]),
            count=len(inputs.labels),
            drawn=drawn[number],
            left_out=without[number],
            weights=alike.weights.astype(np.float64),
            smoothed=constant[number],
        )
        for number, metric in enumerate(metrics)
    }


def _smoothed_sums(
    random: np.random.Generator, weights: Integers, measure: _Counted, draws: int
) -> Iterator[Floats]:
    """Give sums of samples of the examples and of some more, with every pair of classes alike.

    Those that are added are half an example a pair, and two in all at most: of many classes they
    would outweigh the examples.
    """
    import numpy as np

    count, size = int(weights.sum()), measure.inputs.num_labels
    more = min(size**2 / 2, _MOST_SMOOTHING)
    added = random.binomial(count, more / (count + more), size=draws)
    start = 0
    for samples in drawn_counts(random, weights, count - added, width=measure.terms.shape[1]):
        sums = samples.astype(np.float64) @ measure.terms
        sizes = added[start : start + len(samples)]
        start += len(samples)
        rows = np.repeat(np.arange(len(samples)), sizes)
        labels, predicted = random.integers(0, size, size=(2, len(rows)))
        terms = counts_of(labels).terms(labels, predicted, size).tocoo()
        np.add.at(sums, (rows[terms.row], terms.col), terms.data)
        yield sums


def _prepared(metrics: Sequence[Metric], kind: str, inputs: Inputs) -> Callable[[Any], Floats]:
    """Return the function from weights of examples to each metric, for one thread."""
    import numpy as np

    functions: list[Callable[[Any], Floats]] = []
    for metric in metrics:
        bootstrap = metric.formulas[kind].bootstrap
        if _is_missing(metric, inputs):
            functions.append(lambda weights: np.full(len(weights), np.nan))
            continue
        functions.append(
            bootstrap.prepare(inputs)
            if isinstance(bootstrap, OfWeights)
            else _each_example(metric, kind, inputs)
        )

    def of_samples(weights: NDArray[Any]) -> Floats:
        whole = weights.astype(np.float64, copy=False)  # once for all metrics
        return np.stack([np.reshape(each(whole), -1) for each in functions])

    return of_samples


def _is_missing(metric: Metric, inputs: Inputs) -> bool:
    """Whether there are no probabilities for a metric that needs them."""
    return metric.needs_probabilities and inputs.probabilities is None


def _each_example(metric: Metric, kind: str, inputs: Inputs) -> _Counted:
    """Return how a metric of decisions is computed from weights of examples."""
    import numpy as np

    rows = np.arange(len(inputs.labels))
    return _Alike(rows, np.ones_like(rows)).measure([metric], kind, inputs)


def _resample_weights(
    task: TaskSpec, metrics: Sequence[Metric], inputs: Inputs, draws: int, seed: int
) -> dict[str, Resampled]:
    import numpy as np

    if not metrics:
        return {}
    random, count, kind = np.random.default_rng(seed), len(inputs.labels), task.kind.name
    weights = np.ones(count, dtype=np.int64)
    drawn = on_samples(lambda: _prepared(metrics, kind, inputs), random, weights, draws)
    whole = _prepared(metrics, kind, inputs)(np.ones((1, count)))[:, 0]
    results: dict[str, Resampled] = {}
    for metric, values, value in zip(metrics, drawn, map(float, whole), strict=True):
        bootstrap = metric.formulas[kind].bootstrap
        unit = 1.0 if metric.in_points else abs(value)
        smoothed = bool(np.isfinite(value) and not varies(values, unit))
        if _is_missing(metric, inputs):
            without = np.zeros(count)
        elif isinstance(bootstrap, OfWeights):
            without = bootstrap.leaving_one_out(inputs)
            if smoothed and bootstrap.smoothed is not None:
                values = bootstrap.smoothed(value, count, random, draws)
        else:
            without = _each_example(metric, kind, inputs).without_one(weights)[0]
        results[metric.name] = Resampled(
            metric=metric.name,
            value=value,
            count=count,
            drawn=values,
            left_out=np.nan_to_num(without, nan=0.0),
            weights=weights.astype(np.float64),
            smoothed=smoothed,
        )
    return results


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


def varies(drawn: Floats, unit: float = 1.0) -> bool:
    """Return whether a metric, which is of about the size of `unit`, differs between samples."""
    import numpy as np

    known = drawn[np.isfinite(drawn)]
    return bool(len(known) and np.ptp(known) > 1e-9 * unit)


def resample_pair(
    task: TaskSpec, first: Predictions, second: Predictions, *, draws: int, seed: int
) -> tuple[float, Floats]:
    """Return the second model's score less the first's on one split, and on `draws` samples of it.

    The score is the mean of the task's metrics. Both models are scored on the same examples.
    """
    import numpy as np

    random, kind = np.random.default_rng(seed), task.kind.name
    sides = [_inputs(task, one) for one in (first, second)]
    counted, weighted = _by_bootstrap(task, task.metrics)
    if weighted:
        weights = np.ones(len(first.labels), dtype=np.int64)

        def prepare() -> Callable[[Any], Floats]:
            return _difference([_prepared(weighted, kind, side) for side in sides])

        drawn = on_samples(prepare, random, weights, draws)
        return float(prepare()(weights[None].astype(np.float64))[0]), drawn
    alike = _Alike.of(sides)
    measures = [alike.measure(counted, kind, side) for side in sides]
    difference, width = _difference(measures), 2 * measures[0].terms.shape[1]
    drawn = on_samples(lambda: difference, random, alike.weights, draws, width=width)
    return float(difference(alike.weights[None])[0]), drawn


def _difference(sides: Sequence[Callable[[Any], Floats]]) -> Callable[[Any], Floats]:
    """Return the function from samples to the second side's mean metric less the first's."""

    def function(samples: NDArray[Any]) -> Floats:
        first, second = (side(samples).mean(axis=0) for side in sides)
        result: Floats = second - first
        return result

    return function
