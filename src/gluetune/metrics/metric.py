"""What a metric is: its names, how it is computed, and how its bootstrap is drawn.

A metric is one record, in the file of what it is computed from (`from_counts.py`, `from_scores.py`,
`from_values.py`); `registry.py` finds it by name. Nothing outside this package compares a metric's
name; tasks, kinds, settings and published results hold names as data.

NumPy, SciPy and scikit-learn are imported inside the functions: they cost half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[Any]
    Floats: TypeAlias = NDArray[np.float64]
    OfSamples: TypeAlias = Callable[[Numbers], Floats]
    """From weights, (samples, examples), to the metric of each sample; NaN where undefined."""

SINGLE_LABEL, MULTI_LABEL, REGRESSION, ORDINAL = (
    "single_label",
    "multi_label",
    "regression",
    "ordinal",
)
"""Names of the kinds of tasks, as the records of metrics have them."""


@dataclass(frozen=True)
class Measure:
    """A metric's value, or None with the reason why it is undefined.

    `dataclasses.asdict` gives plain JSON.
    """

    value: float | None
    reason: str = ""


@dataclass(frozen=True)
class Inputs:
    """What a metric is computed from: labels and predictions of one split."""

    labels: Numbers
    """Class ids or numbers, shape (examples,); of several labels 0 and 1, (examples, labels)."""
    predicted: Numbers
    """The same, as predicted."""
    probabilities: Floats | None = None
    """Shape (examples, classes or labels)."""
    num_labels: int = 2
    positive: int = 1
    """The class that a metric of one class is of."""


@dataclass(frozen=True)
class OfCounts:
    """A bootstrap from sums over examples that are alike: the same labels, the same predictions."""

    value: Callable[[Any], Floats]
    """From `ClassCounts` or `SetCounts` of each sample to the metric; NaN where undefined."""


@dataclass(frozen=True)
class OfWeights:
    """A bootstrap from how often each example is drawn."""

    prepare: Callable[[Inputs], OfSamples]
    """Return the function of the weights. It may keep arrays to work in: one thread may call it."""
    leaving_one_out: Callable[[Inputs], Floats]
    """Return the metric without each of the examples."""
    smoothed: Callable[[float, int, np.random.Generator, int], Floats] | None = None
    """Draw values about one that no sample changes, from it, the examples and the draws wanted."""


@dataclass(frozen=True)
class Formula:
    """How a metric is computed for one kind of task."""

    compute: Callable[[Inputs], Measure]
    bootstrap: OfCounts | OfWeights


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Everything that gluetune knows of a metric."""

    name: str
    title: str
    """As prose and headings write it."""
    label: str
    """As a narrow column shows it."""
    formulas: Mapping[str, Formula]
    """By the name of the kind of task."""
    needs_probabilities: bool = False
    is_proportion: bool = False
    """Whether it is the proportion of correct examples: it gets Wilson's interval, and McNemar's
    test compares two models by it."""
    of_one_class: bool = False
    """Whether it is of one of two classes, the positive one."""
    two_classes_only: bool = False
    balances_classes: bool = False
    """Whether rare classes count as much as frequent ones."""
    greater_is_better: bool = True
    in_points: bool = True
    """Whether tables show it times 100."""
    hub_name: str = ""
    """What the Hub calls it (https://huggingface.co/metrics); its own name unless given."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of tasks that it is defined for."""
        return tuple(self.formulas)

    def of_counts(self, kind: str) -> bool:
        """Whether its bootstrap needs no more than counts of labels and predictions."""
        return isinstance(self.formulas[kind].bootstrap, OfCounts)


def sums(columns: Callable[[Inputs], Floats], value: Callable[[Floats, Any], Floats]) -> OfWeights:
    """Return the bootstrap of a metric that is a function of sums over the examples.

    Args:
        columns: Return what is summed, shape (sums, examples).
        value: Return the metric of sums, shape (samples, sums), and the number of examples.
    """

    def prepare(inputs: Inputs) -> OfSamples:
        import numpy as np

        terms = columns(inputs)
        sample = np.empty(terms.shape[1])

        def of_samples(weights: Numbers) -> Floats:
            found = np.empty((len(weights), len(terms)))
            for number, row in enumerate(weights):
                np.copyto(sample, row)
                found[number] = terms @ sample
            return value(found, weights.sum(axis=1))

        return of_samples

    def leaving_one_out(inputs: Inputs) -> Floats:
        terms = columns(inputs)
        return value(terms.sum(axis=1) - terms.T, terms.shape[1] - 1)

    return OfWeights(prepare, leaving_one_out)


def mean_of(values: Callable[[Inputs], Floats]) -> OfWeights:
    """Return the bootstrap of a mean of one value an example."""

    def columns(inputs: Inputs) -> Floats:
        return values(inputs)[None]

    return sums(columns, _mean)


def _mean(found: Floats, totals: Any) -> Floats:
    import numpy as np

    with np.errstate(invalid="ignore", divide="ignore"):
        result: Floats = found[:, 0] / totals
    return result
