"""Multi-label classification: each example has any number of the labels, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gluetune.kinds.base import Kind, Prediction, round_robin
from gluetune.kinds.label_errors import LabelErrors, wrong_labels

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import ArrayLike, NDArray

    from gluetune.kinds.base import Predict
    from gluetune.kinds.linear_heads import LinearHead


class MultiLabel(Kind):
    """Any labels an example: a sigmoid an output, predicted above the threshold of its label.

    A threshold is a logit; without thresholds all are 0, a probability of one half.
    """

    name = "multi_label"
    problem_type = "multi_label_classification"
    activation = "torch.nn.modules.activation.Sigmoid"
    cell = "names"
    label_axes = 2
    fewest_labels = 1
    default_metrics = ("f1_micro", "f1_macro", "exact_match")
    has_thresholds = True
    widget = "checks"
    sections = ("classes",)
    unit, units, unit_of_example = "label", "labels", "set of labels"
    constant_name = "majority labels"
    constant_description = "labels that more than half of train have"
    quality_name = "exact match"
    logits_suffix = "\nprobabilities = logits.sigmoid()"
    answer_attribute = ".labels"

    def label_text(self, names: Sequence[str], label: Any, *, none: str = "-") -> str:
        """Return the names of the labels that are given."""
        return ", ".join(name for name, one in zip(names, label, strict=True) if one) or none

    def column_type(self, size: int) -> pa.DataType:
        """Return a list of 0 and 1."""
        import pyarrow as pa

        return pa.list_(pa.int8(), size)

    def array(self, column: pa.ChunkedArray, size: int) -> NDArray[Any]:
        """Return 0 and 1, shape (examples, labels)."""
        import numpy as np

        flat = column.combine_chunks().flatten().to_numpy()
        rows: NDArray[Any] = flat.reshape(len(column), size).astype(np.int64)
        return rows

    def targets(self, column: pa.ChunkedArray, outputs: Sequence[int]) -> pa.Array:
        """Return 0 and 1 as float32, in the order of the outputs."""
        import numpy as np
        import pyarrow as pa

        labels = self.array(column, len(outputs))
        ordered = np.empty(labels.shape, dtype=np.float32)
        ordered[:, list(outputs)] = labels
        return pa.FixedSizeListArray.from_arrays(pa.array(ordered.reshape(-1)), len(outputs))

    def counts(self, labels: NDArray[Any], size: int) -> NDArray[np.int64]:
        """Return how many examples have each label."""
        total: NDArray[np.int64] = labels.sum(axis=0)
        return total

    def strata(self, parts: Callable[[], Iterable[NDArray[Any]]], bins: int) -> NDArray[Any]:
        """Return the rarest label of each example; one more than the last for none.

        Where rare labels keep their shares, common ones do by themselves.
        """
        import numpy as np

        counts = sum(matrix.sum(axis=0, dtype=np.int64) for matrix in parts())
        found = [np.zeros(0, dtype=np.int32)]
        for matrix in parts():
            rarity = np.where(matrix > 0, counts, np.iinfo(np.int64).max)
            rarest = np.where(matrix.any(axis=1), rarity.argmin(axis=1), matrix.shape[1])
            found.append(rarest.astype(np.int32))
        return np.concatenate(found)

    def constant(self, labels: NDArray[Any], size: int) -> Any:
        """Return the labels that more than half of the examples have."""
        import numpy as np

        return (labels.mean(axis=0) > 0.5).astype(np.int64)

    def spread(self, names: Sequence[str], labels: Sequence[Any], count: int) -> Iterable[int]:
        """Return examples that go round the sets of labels that occur."""
        texts = [self.label_text(names, label) for label in labels]
        return round_robin({}, texts, count)

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
        """Return the binary cross-entropy, summed over the labels too.

        `weights` are for labels that are not given, and for those that are: shape (2, outputs).
        """
        import torch
        from torch.nn import functional

        given = labels.to(logits.dtype)
        target = given * (1 - smoothing) + smoothing / 2
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if weights is not None:
            each = each * torch.where(given > 0, weights[1], weights[0])
        if focal:
            chances = logits.sigmoid()
            each = each * torch.where(given > 0, 1 - chances, chances) ** focal
        return each.masked_fill(~self.is_labelled(labels), 0.0).sum()

    def losses(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean over the labels."""
        import numpy as np

        # log(1 + exp(-x)) where the label is given, log(1 + exp(x)) where it is not
        signs = np.where(labels > 0, -1.0, 1.0)
        each: NDArray[np.float64] = np.logaddexp(0.0, signs * logits).mean(axis=1)
        return each

    def class_weights(self, labels: NDArray[Any], outputs: Sequence[int]) -> NDArray[np.float64]:
        """Return weights for labels that are not given, and for those that are."""
        import numpy as np

        given = labels.sum(axis=0, dtype=np.float64)
        counts = np.stack([len(labels) - given, given])
        weights = np.zeros_like(counts)
        np.divide(len(labels) / 2, counts, out=weights, where=counts > 0)
        ordered = np.empty_like(weights)
        ordered[:, list(outputs)] = weights
        return ordered

    def stated_weights(
        self, names: Sequence[str], stated: Mapping[str, float], outputs: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return weights of labels that are given; those that are not weigh 1."""
        import numpy as np

        present = super().stated_weights(names, stated, outputs)
        return np.stack([np.ones_like(present), present])

    def decode(self, logits: NDArray[Any], thresholds: Sequence[float] = ()) -> NDArray[Any]:
        """Return 0 or 1 for each label: 1 above its threshold."""
        import numpy as np

        limits = np.asarray(_limits(thresholds, logits.shape[1]), dtype=np.float32)
        given: NDArray[Any] = (logits > limits).astype(np.int64)
        return given

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return that of each label alone."""
        return sigmoid(logits)

    def predictions(
        self, names: Sequence[str], logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> list[Prediction]:
        """Return the labels that are predicted, with the probabilities of all."""
        found = []
        limits = _limits(thresholds, len(names))
        for row, chances in zip(logits, self.probabilities(logits), strict=True):
            given = tuple(
                name for name, one, limit in zip(names, row, limits, strict=True) if one > limit
            )
            best = int(chances.argmax())
            shares = dict(zip(names, chances.tolist(), strict=True))
            found.append(Prediction(names[best], float(chances[best]), shares, given))
        return found

    def probability_thresholds(
        self, names: Sequence[str], thresholds: Sequence[float]
    ) -> dict[str, float]:
        """Return the probability above which each label is predicted."""
        limits = sigmoid(_limits(thresholds, len(names))).tolist()
        return dict(zip(names, limits, strict=True))

    def margins(
        self, logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> NDArray[np.float64]:
        """Return how far each logit is above its threshold."""
        import numpy as np

        values = np.asarray(logits, dtype=np.float64)
        limits = np.asarray(_limits(thresholds, values.shape[1]), dtype=np.float64)
        above: NDArray[np.float64] = values - limits
        return above

    def changes(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        logits: NDArray[Any],
        thresholds: Sequence[float] = (),
    ) -> tuple[int, float]:
        """Return the count of changed sets, and the largest distance from a threshold."""
        import numpy as np

        changed = before != after
        margins = np.abs(self.margins(logits, thresholds)[changed])
        return int(changed.any(axis=1).sum()), float(margins.max(initial=0.0))

    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the log-odds of the mean sigmoid."""
        from torch.nn import functional

        given = functional.logsigmoid(logits).logsumexp(dim=0)
        return given - functional.logsigmoid(-logits).logsumexp(dim=0)

    def log_losses(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the binary cross-entropy: each label has a temperature."""
        import numpy as np

        each: NDArray[np.float64] = np.logaddexp(0.0, np.where(labels > 0, -1.0, 1.0) * logits)
        return each

    def brier_scores(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean over the labels."""
        squared: NDArray[np.float64] = ((self.probabilities(logits) - labels) ** 2).mean(axis=1)
        return squared

    def outcomes(
        self, logits: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probability of each label of each example, and whether it is given."""
        return self.probabilities(logits).reshape(-1), labels.reshape(-1) > 0

    def rank_errors(
        self, labels: NDArray[Any], predicted: NDArray[Any], logits: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return the wrong sets, by their loss."""
        import numpy as np

        losses = self.losses(logits.astype(np.float64), labels)
        wrong = np.flatnonzero((predicted != labels).any(axis=1))
        worst: NDArray[np.int64] = wrong[np.argsort(-losses[wrong], kind="stable")]
        return worst

    def label_errors(self, labels: NDArray[Any], logits: NDArray[Any]) -> LabelErrors:
        """Return what confident learning of each label finds."""
        return wrong_labels(labels, self.probabilities(logits))

    def class_counts(
        self, labels: NDArray[Any], predicted: NDArray[Any], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the sums over the examples."""
        return (labels & predicted).sum(axis=0), labels.sum(axis=0), predicted.sum(axis=0)

    def quality(self, labels: NDArray[Any], predicted: NDArray[Any]) -> float:
        """Return the proportion of sets that are right to the last label."""
        return float((predicted == labels).all(axis=1).mean())

    def heads_at_once(self, size: int) -> int:
        """Return 1: each label gets a model of its own, fitted sequentially."""
        from gluetune.kinds.linear_models import FEW_CLASSES

        return 1 if size <= FEW_CLASSES else size

    def fit_words(
        self, features: Any, labels: NDArray[Any], size: int, *, balanced: bool
    ) -> Predict:
        """Fit a logistic regression for each label; of many, by stochastic gradient descent."""
        import numpy as np

        from gluetune.kinds.linear_models import FEW_CLASSES, fit_classes, fit_each

        if size <= FEW_CLASSES:
            each = [fit_classes(features, labels[:, column], balanced) for column in range(size)]
            return lambda rows: np.stack([one(rows) for one in each], axis=1)
        members = (labels[:, number] == 1 for number in range(size))
        decide = fit_each(features, members, size, balanced)
        return lambda rows: np.concatenate([(one > 0).astype(np.int64) for one in decide(rows)])

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
        """Fit a logistic regression for each label, all with the same regularisation."""
        from functools import partial

        from gluetune.kinds.linear_heads import fit_label_heads, fit_linear_head

        fit = partial(fit_label_heads, weights=weights, with_bias=with_bias)
        return fit_linear_head(
            features, labels, fit, self.losses, with_bias=with_bias, for_dropout=for_dropout
        )

    def outputs_text(self, names: str, label_range: tuple[float, float] | None) -> str:
        """Return what the model predicts, with the names of the labels."""
        return f"any of, or none of: {names}"

    def pipeline_call(self, texts: str, thresholds: Sequence[float]) -> str:
        """Return how a pipeline's scores become the labels that are predicted."""
        if not thresholds:
            return f'[one["label"] for one in classify({texts}, top_k=None) if one["score"] > 0.5]'
        return (
            "thresholds = classify.model.config.thresholds  # of logits\n"
            f'logits = classify({texts}, top_k=None, function_to_apply="none")\n'
            '[one["label"] for one in logits if one["score"] > thresholds[one["label"]]]'
        )


MULTI_LABEL = MultiLabel()


def sigmoid(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the probability of each label alone, in float64."""
    import numpy as np

    result: NDArray[np.float64] = 1 / (1 + np.exp(-np.asarray(logits, dtype=np.float64)))
    return result


def _limits(thresholds: Sequence[float], size: int) -> Sequence[float]:
    return thresholds or (0.0,) * size
