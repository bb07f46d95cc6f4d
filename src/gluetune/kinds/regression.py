"""Regression: each example has a number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gluetune.kinds.base import Kind, Prediction
from gluetune.kinds.label_errors import LabelErrors, far_numbers

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray

    from gluetune.kinds.base import Predict
    from gluetune.kinds.linear_heads import LinearHead


class Regression(Kind):
    """A number an example: one output, which is the prediction."""

    name = "regression"
    problem_type = "regression"
    cell = "number"
    fewest_labels = 0
    default_metrics = ("pearson", "spearman", "mae")
    is_weighted = False
    can_collapse = False
    strata_are_bins = True
    widget = "dial"
    sections = ("residuals",)
    unit, units, unit_of_example = "number", "numbers", "number"
    constant_word = "mean"
    constant_name = "mean of train"
    constant_description = "mean of train's labels"
    quality_name = "mean absolute error"
    quality_is_proportion = False

    def described(self, names: Sequence[str]) -> str:
        """Return what an example's label is, in a few words."""
        return "a number"

    def label_text(self, names: Sequence[str], label: Any, *, none: str = "-") -> str:
        """Return the number with two decimals."""
        return f"{label:.2f}"

    def column_type(self, size: int) -> pa.DataType:
        """Return float32."""
        import pyarrow as pa

        return pa.float32()

    def accepts(self, column: pa.DataType) -> bool:
        """Whether the column holds numbers."""
        import pyarrow as pa

        return bool(pa.types.is_integer(column) or pa.types.is_floating(column))

    def bounds(self, size: int, label_range: tuple[float, float] | None) -> tuple[float, float]:
        """Return the ends of the range, if there is one."""
        return label_range or (float("-inf"), float("inf"))

    def expected(self, names: Sequence[str], label_range: tuple[float, float] | None) -> str:
        """Return what a label has to be, for a message."""
        if label_range is None:
            return "a finite number"
        return "a number from {:g} to {:g}".format(*label_range)

    def targets(self, column: pa.ChunkedArray, outputs: Sequence[int]) -> pa.Array:
        """Return the numbers as float32."""
        import pyarrow as pa

        return column.combine_chunks().cast(pa.float32())

    def strata(self, parts: Callable[[], Iterable[NDArray[Any]]], bins: int) -> NDArray[Any]:
        """Return which of equally large parts of the labels each number belongs to."""
        import numpy as np

        values = np.concatenate(list(parts()))
        if not len(values):
            return values.astype(np.int32)
        edges = np.quantile(values.astype(np.float64), np.linspace(0, 1, bins + 1)[1:-1])
        found: NDArray[np.int32] = np.searchsorted(edges, values, side="right").astype(np.int32)
        return found

    def constant(self, labels: NDArray[Any], size: int) -> Any:
        """Return the mean."""
        import numpy as np

        return float(labels.mean(dtype=np.float64))

    def frequencies(self, labels: NDArray[Any], size: int) -> NDArray[np.float64]:
        """Return nothing: numbers have no probabilities."""
        import numpy as np

        return np.zeros(0)

    def spread(self, names: Sequence[str], labels: Sequence[Any], count: int) -> Iterable[int]:
        """Return examples from the smallest number up, in equal steps."""
        ordered = sorted(range(len(labels)), key=lambda row: float(labels[row]))
        step = max(1, len(ordered) - 1) / max(1, count - 1)
        places = dict.fromkeys(round(place * step) for place in range(count))
        return [ordered[place] for place in places if place < len(ordered)]

    def is_labelled(self, labels: torch.Tensor) -> torch.Tensor:
        """Return all: any number may be a label."""
        import torch

        return torch.ones_like(labels, dtype=torch.bool)

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        weights: torch.Tensor | None,
        smoothing: float,
        order: Sequence[int] = (),
        focal: float = 0.0,
    ) -> torch.Tensor:
        """Return the squared error."""
        errors = logits.reshape(-1) - labels.to(logits.dtype)
        return errors.square().sum()

    def losses(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the squared errors."""
        squared: NDArray[np.float64] = (logits[:, 0] - labels) ** 2
        return squared

    def class_weights(self, labels: NDArray[Any], outputs: Sequence[int]) -> NDArray[np.float64]:
        """Raise TypeError: numbers have no classes, and `is_weighted` says so."""
        raise TypeError("a regression has no classes to weigh")

    def decode(self, logits: NDArray[Any], thresholds: Sequence[float] = ()) -> NDArray[Any]:
        """Return the numbers."""
        numbers: NDArray[Any] = logits[:, 0]
        return numbers

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return the numbers, as float64."""
        import numpy as np

        return logits.astype(np.float64)

    def predictions(
        self, names: Sequence[str], logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> list[Prediction]:
        """Return the numbers."""
        return [Prediction(None, float(value)) for value in logits[:, 0]]

    def margins(
        self, logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> NDArray[np.float64]:
        """Return no column: there is no label to change."""
        import numpy as np

        return np.empty((len(logits), 0))

    def changes(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        logits: NDArray[Any],
        thresholds: Sequence[float] = (),
    ) -> tuple[int, float]:
        """Return 0: numbers differ by an amount, and do not change."""
        return 0, 0.0

    def rank_errors(
        self, labels: NDArray[Any], predicted: NDArray[Any], logits: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return all examples, by the absolute error."""
        import numpy as np

        return np.argsort(-np.abs(predicted - labels), kind="stable")

    def label_errors(self, labels: NDArray[Any], logits: NDArray[Any]) -> LabelErrors:
        """Return the numbers with the largest residuals."""
        return far_numbers(labels, self.decode(logits))

    def quality(self, labels: NDArray[Any], predicted: NDArray[Any]) -> float:
        """Return the mean absolute error."""
        import numpy as np

        return float(np.abs(predicted - labels).mean())

    def fit_words(
        self, features: Any, labels: NDArray[Any], size: int, *, balanced: bool
    ) -> Predict:
        """Fit a ridge regression."""
        from gluetune.kinds.linear_models import fit_numbers

        return fit_numbers(features, labels)

    def fit_head(
        self,
        features: NDArray[Any],
        labels: NDArray[Any],
        size: int,
        *,
        weights: NDArray[np.float64] | None = None,
        with_bias: bool = True,
        for_dropout: bool = False,
    ) -> LinearHead:
        """Fit a ridge regression."""
        from functools import partial

        from gluetune.kinds.linear_heads import fit_linear_head, fit_number_head

        fit = partial(fit_number_head, with_bias=with_bias)
        return fit_linear_head(
            features, labels, fit, self.losses, with_bias=with_bias, for_dropout=for_dropout
        )

    def dial(self, label_range: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return the range of the labels, where it is known."""
        return label_range

    def outputs_text(self, names: str, label_range: tuple[float, float] | None) -> str:
        """Return what the model predicts, with its range."""
        return "a number" + (" from {:g} to {:g}".format(*label_range) if label_range else "")


REGRESSION = Regression()
