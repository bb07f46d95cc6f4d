"""What is measured of one split's predictions: each statistic once, when it is first used.

A statistic is one `@statistic` method of `SplitEvaluation`, with the functions that tabulate and
plot its value. That alone puts it into Python, `to_dict` (and so `--json`), data frames, the
terminal and the report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from gluetune.analysis import split_tables as show
from gluetune.core.plots import Plot
from gluetune.core.records import Predictions
from gluetune.core.tables import Table, plain
from gluetune.core.tasks import TaskSpec
from gluetune.statistics.agreement import Agreement, agreement
from gluetune.statistics.calibration import Calibration, calibration
from gluetune.statistics.confusion import (
    ClassRow,
    Confusion,
    class_table,
    confusion_matrix,
    confusions,
)
from gluetune.statistics.residuals import Residuals, hardest, residuals

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from gluetune.kinds.base import Section

T = TypeVar("T")

_LENGTHS = 6
"""Groups of examples by length."""
_LARGEST_MATRIX = 100
"""Classes up to which there is a confusion matrix; `confusions` has the pairs in any case."""


class statistic(Generic[T]):  # noqa: N801  # a decorator, as `property` is
    """A statistic of a split: computed when it is first used, None where it does not apply."""

    def __init__(
        self,
        compute: Callable[[Any], T | None],
        tables: Callable[[Any, T], Iterable[Table]],
        plots: Callable[[Any, T], Iterable[Plot]],
    ) -> None:
        self.compute, self.tables, self.plots = compute, tables, plots
        self.name: str = compute.__name__
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, split: None, owner: type) -> statistic[T]: ...

    @overload
    def __get__(self, split: SplitEvaluation, owner: type) -> T | None: ...

    def __get__(self, split: SplitEvaluation | None, owner: type) -> statistic[T] | T | None:
        if split is None:
            return self
        value = self.compute(split)
        split.__dict__[self.name] = value  # found there from now on, as with cached_property
        return value


def _statistic(
    tables: Callable[[Any, T], Iterable[Table]],
    plots: Callable[[Any, T], Iterable[Plot]] = lambda split, value: (),
) -> Callable[[Callable[[Any], T | None]], statistic[T]]:
    return lambda compute: statistic(compute, tables, plots)


@dataclass(frozen=True)
class WorstError:
    """One of the predictions with the highest loss."""

    row: int
    index: Any
    """The number of the row in the data."""
    label: str
    prediction: str
    probability: float | None
    """Of the predicted class; None unless there is one class per example."""
    texts: Mapping[str, str]
    """By column; empty where they are not available."""


@dataclass(frozen=True)
class Example(WorstError):  # noqa: N818  # what it extends is no exception
    """An example with its loss, right or wrong."""

    loss: float
    is_right: bool | None
    """None where labels are numbers, which no prediction hits exactly."""
    classes: tuple[int, ...]
    """The classes that it has or was predicted to have, by number."""


@dataclass(frozen=True)
class LengthGroup:
    """Examples of similar length, in words."""

    low: int
    high: int
    examples: int
    value: float
    loss: float
    """Mean loss, without weights and smoothing."""


@dataclass(frozen=True)
class ByLength:
    """How well examples are predicted, by their length."""

    measure: str
    """`accuracy`, `exact match` or `mean absolute error`."""
    groups: tuple[LengthGroup, ...]


@dataclass(frozen=True)
class SplitEvaluation:
    """What is measured of the predictions on one split."""

    task: TaskSpec
    split: str
    predictions: Predictions
    read_texts: Callable[[], pa.Table | str]
    """Returns the rows that were predicted, or the reason why they are not available."""
    kept: Predictions | None = None
    """Predictions of the same rows that the run keeps, to compare with."""
    worst: int = 10
    """Maximum number of worst errors."""

    @_statistic(show.agreement_table)
    def agreement(self) -> Agreement | None:
        """How these predictions differ from those that the run keeps, where it keeps any."""
        if self.kept is None:
            return None
        return agreement(self.task, self.kept, self.predictions)

    @_statistic(show.confusion_tables)
    def confusion(self) -> NDArray[np.int64] | None:
        """How often each class (row) was predicted as each class (column)."""
        if not self._has("confusion") or self.task.num_labels > _LARGEST_MATRIX:
            return None
        found = self.predictions
        return confusion_matrix(found.labels, found.predicted, self.task.num_labels)

    @_statistic(show.pair_tables)
    def confusions(self) -> list[Confusion] | None:
        """The wrong pairs of classes that occur, the most frequent first."""
        return confusions(self.task, self.predictions) if self._has("confusion") else None

    @_statistic(show.class_tables)
    def per_class(self) -> list[ClassRow] | None:
        """Support, precision, recall and F1 of each class or label."""
        return class_table(self.task, self.predictions) if self._has("classes") else None

    @_statistic(show.calibration_tables, show.calibration_plots)
    def calibration(self) -> Calibration | None:
        """Accuracy by predicted probability, and the expected calibration error."""
        return calibration(self.predictions) if self._has("calibration") else None

    @_statistic(show.residual_tables, show.residual_plots)
    def residuals(self) -> Residuals | None:
        """Predictions less labels, of a regression."""
        return residuals(self.predictions) if self._has("residuals") else None

    @_statistic(show.length_tables, show.length_plots)
    def by_length(self) -> ByLength | None:
        """How well examples are predicted, by their length in words; None without texts."""
        import numpy as np

        if self.words is None or not len(self.words):
            return None
        groups = []
        edges = np.unique(np.quantile(self.words, np.linspace(0, 1, _LENGTHS + 1)).astype(int))
        # Where all examples have one length, that is the only group.
        for low, high in pairwise(edges) if len(edges) > 1 else [(edges[0], edges[0])]:
            inside = (self.words >= low) & ((self.words < high) | (high == edges[-1]))
            if inside.any():
                last = int(high if high == edges[-1] else high - 1)
                groups.append(self._group(int(low), last, inside))
        return ByLength(self.task.kind.quality_name, tuple(groups))

    @_statistic(show.worst_tables)
    def worst_errors(self) -> list[WorstError] | None:
        """The worst errors, the worst first, with their texts where those are available."""
        found, task = self.predictions, self.task
        chosen = hardest(task, found, self.worst)
        confidence = task.kind.confidence(found.logits[chosen])
        return [
            WorstError(*self._shown(row, None if confidence is None else confidence[place]))
            for place, row in enumerate(chosen)
        ]

    def examples(self, most: int) -> list[Example]:
        """Return wrong and right examples, each of the highest loss, the highest first.

        Up to two thirds of `most` are wrong ones, where there are right ones.
        """
        import numpy as np

        found, task = self.predictions, self.task
        losses = task.kind.losses(found.logits.astype(np.float64), found.labels)
        right = (found.predicted == found.labels).reshape(len(losses), -1).all(axis=1)
        order = np.argsort(-losses, kind="stable")
        if task.labels:
            is_right = right[order]
            wrong = order[~is_right][: max(2 * most // 3, most - int(right.sum()))]
            chosen = np.concatenate([wrong, order[is_right][: most - len(wrong)]])
            order = chosen[np.argsort(-losses[chosen], kind="stable")]
        order = order[:most]
        confidence = task.kind.confidence(found.logits[order])
        return [
            Example(
                *self._shown(row, None if confidence is None else confidence[place]),
                loss=float(losses[row]),
                is_right=bool(right[row]) if task.labels else None,
                classes=self._classes(row),
            )
            for place, row in enumerate(order)
        ]

    def _shown(
        self, row: Any, probability: Any
    ) -> tuple[int, Any, str, str, float | None, dict[str, str]]:
        """Return the fields of a `WorstError` for a row."""
        found, task = self.predictions, self.task
        return (
            int(row),
            found.index[row].item(),
            task.label_text(found.labels[row]),
            task.label_text(found.predicted[row]),
            None if probability is None else float(probability),
            {name: values[row] for name, values in self.texts.items()},
        )

    def _classes(self, row: Any) -> tuple[int, ...]:
        import numpy as np

        if not self.task.labels:
            return ()
        pair = (self.predictions.labels[row], self.predictions.predicted[row])
        sets = [np.flatnonzero(each) if np.ndim(each) else [each] for each in pair]
        return tuple(sorted({int(one) for each in sets for one in each}))

    @cached_property
    def rows(self) -> pa.Table | str:
        """The rows that were predicted, or the reason why they are not available."""
        return self.read_texts()

    @cached_property
    def texts(self) -> dict[str, list[str]]:
        """The texts by column; empty where they are not available."""
        if isinstance(self.rows, str):
            return {}
        return {name: self.rows.column(name).to_pylist() for name in self.task.text_columns}

    @cached_property
    def words(self) -> NDArray[Any] | None:
        """The length of each example in words, which need no tokenizer; None without texts."""
        import numpy as np

        if not self.texts:
            return None
        rows = zip(*self.texts.values(), strict=True)
        return np.array([sum(len(text.split()) for text in row) for row in rows], dtype=np.int64)

    def statistics(self) -> dict[str, Any]:
        """Return every statistic that applies, by name."""
        values = {name: getattr(self, name) for name in _statistics(type(self))}
        return {name: value for name, value in values.items() if value is not None}

    def tables(self) -> Iterator[Table]:
        """Yield the tables of the statistics."""
        for name, value in self.statistics().items():
            yield from _statistics(type(self))[name].tables(self, value)

    def plots(self) -> Iterator[Plot]:
        """Yield the plots of the statistics."""
        for name, value in self.statistics().items():
            yield from _statistics(type(self))[name].plots(self, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the statistics as JSON has them."""
        return {name: plain(value) for name, value in self.statistics().items()}

    def _has(self, section: Section) -> bool:
        """Whether a statistic applies to this kind of task."""
        return section in self.task.kind.sections

    def _group(self, low: int, high: int, inside: NDArray[Any]) -> LengthGroup:
        import numpy as np

        kind, found = self.task.kind, self.predictions
        labels = found.labels[inside]
        return LengthGroup(
            low=low,
            high=high,
            examples=int(inside.sum()),
            value=kind.quality(labels, found.predicted[inside]),
            loss=float(kind.losses(found.logits[inside].astype(np.float64), labels).mean()),
        )


def _statistics(owner: type) -> dict[str, statistic[Any]]:
    """Return the statistics of a class, in the order of their definition."""
    return {
        name: value
        for base in reversed(owner.__mro__)
        for name, value in vars(base).items()
        if isinstance(value, statistic)
    }
