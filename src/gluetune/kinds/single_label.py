"""Classification: each example has one of several classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from gluetune.kinds.base import IGNORED, Kind, Prediction
from gluetune.kinds.label_errors import LabelErrors, confident_learning

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import ArrayLike, NDArray

    from gluetune.kinds.base import Predict
    from gluetune.kinds.linear_heads import LinearHead


class SingleLabel(Kind):
    """One class an example: a softmax over the outputs, of which the largest is predicted."""

    name = "single_label"
    problem_type = "single_label_classification"
    default_metrics = ("accuracy", "f1_macro", "matthews_correlation")
    can_be_misordered = True
    sections = ("confusion", "classes", "calibration")

    def strata(self, parts: Callable[[], Iterable[NDArray[Any]]], bins: int) -> NDArray[Any]:
        """Return the class of each example."""
        import numpy as np

        return np.concatenate(list(parts()))

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
        """Return the cross-entropy, as torch's."""
        from torch.nn import functional

        each: torch.Tensor = functional.cross_entropy(
            logits,
            labels,
            weight=weights,
            ignore_index=IGNORED,
            reduction="none" if focal else "sum",
            label_smoothing=smoothing,
        )
        if not focal:
            return each
        chances = logits.softmax(dim=1).gather(1, labels.clamp(min=0)[:, None])[:, 0]
        return (each * (1 - chances) ** focal).sum()

    def losses(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the negative logarithm of the probability of the true class."""
        import numpy as np

        shifted = logits - logits.max(axis=1, keepdims=True)
        log_likelihood = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        chosen: NDArray[np.float64] = -log_likelihood[np.arange(len(logits)), labels]
        return chosen

    def class_weights(self, labels: NDArray[Any], outputs: Sequence[int]) -> NDArray[np.float64]:
        """Return a weight for each output; 0 for a class without examples.

        King & Zeng 2001, as scikit-learn's `class_weight="balanced"`: examples / (classes *
        examples of the class).
        """
        import numpy as np

        counts = np.bincount(labels, minlength=len(outputs)).astype(np.float64)
        share = len(labels) / int(np.count_nonzero(counts))
        weights = np.zeros_like(counts)
        np.divide(share, counts, out=weights, where=counts > 0)
        ordered = np.empty_like(weights)
        ordered[list(outputs)] = weights
        return ordered

    def decode(self, logits: NDArray[Any], thresholds: Sequence[float] = ()) -> NDArray[Any]:
        """Return the id of the likeliest class, the first of equals."""
        likeliest: NDArray[Any] = logits.argmax(axis=1)
        return likeliest

    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return the softmax."""
        return softmax(logits)

    def predictions(
        self, names: Sequence[str], logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> list[Prediction]:
        """Return the likeliest class of each, with the probabilities of all."""
        rows = self.probabilities(logits)
        return [
            Prediction(
                names[choice], float(row[choice]), dict(zip(names, row.tolist(), strict=True))
            )
            for choice, row in zip(self.decode(rows), rows, strict=True)
        ]

    def margins(
        self, logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> NDArray[np.float64]:
        """Return how far each class is from being predicted, or from not being so.

        A class that is tied with another is predicted where it is the first, as argmax has it.
        """
        import numpy as np

        values = np.asarray(logits, dtype=np.float64)
        rows, best = np.arange(len(values)), values.argmax(axis=1)
        others = values.copy()
        others[rows, best] = -np.inf
        margins: NDArray[Any] = values - values[rows, best, None]
        gap = values[rows, best] - others.max(axis=1)
        margins[rows, best] = np.maximum(gap, np.finfo(float).tiny)
        return margins

    def changes(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        logits: NDArray[Any],
        thresholds: Sequence[float] = (),
    ) -> tuple[int, float]:
        """Return the count, and the widest margin between the class before and the one after."""
        import numpy as np

        changed = np.flatnonzero(before != after)
        left, taken = before[changed].astype(int), after[changed].astype(int)
        margins = logits[changed, left] - logits[changed, taken]
        return len(changed), float(margins.max(initial=0.0))

    def confidence(self, logits: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return the probability of the likeliest class."""
        import numpy as np

        largest: NDArray[np.float64] = np.max(self.probabilities(logits), axis=-1)
        return largest

    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the mean softmax."""
        return logits.log_softmax(dim=-1).logsumexp(dim=0)

    def log_losses(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the cross-entropy: all classes have one temperature."""
        import numpy as np

        return SingleLabel.losses(self, np.asarray(logits, dtype=np.float64), labels)[:, None]

    def brier_scores(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the sum over the classes."""
        import numpy as np

        errors = self.probabilities(logits)
        errors[np.arange(len(labels)), labels.astype(int)] -= 1
        summed: NDArray[np.float64] = (errors**2).sum(axis=1)
        return summed

    def outcomes(
        self, logits: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probability of the likeliest class, and whether it is the label."""
        return self.probabilities(logits).max(axis=1), self.decode(logits) == labels

    def rank_errors(
        self, labels: NDArray[Any], predicted: NDArray[Any], logits: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return the wrong predictions, by the probability of the true class."""
        import numpy as np

        given = self.probabilities(logits)[np.arange(len(labels)), labels]
        wrong = np.flatnonzero(predicted != labels)
        worst: NDArray[np.int64] = wrong[np.argsort(given[wrong], kind="stable")]
        return worst

    def label_errors(self, labels: NDArray[Any], logits: NDArray[Any]) -> LabelErrors:
        """Return what confident learning finds."""
        return confident_learning(labels.astype(int), self.probabilities(logits))

    def fit_words(
        self, features: Any, labels: NDArray[Any], size: int, *, balanced: bool
    ) -> Predict:
        """Fit a logistic regression; of many classes one classifier each."""
        import numpy as np

        from gluetune.kinds.linear_models import FEW_CLASSES, fit_classes, fit_each

        if size <= FEW_CLASSES:
            return fit_classes(features, labels, balanced)
        members = (labels == number for number in range(size))
        decide = fit_each(features, members, size, balanced)
        return lambda rows: np.concatenate([one.argmax(axis=1) for one in decide(rows)])

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
        """Fit a multinomial logistic regression."""
        from functools import partial

        from gluetune.kinds.linear_heads import fit_class_head, fit_linear_head

        fit = partial(fit_class_head, size=size, weights=weights, with_bias=with_bias)
        return fit_linear_head(
            features, labels, fit, self.losses, with_bias=with_bias, for_dropout=for_dropout
        )


SINGLE_LABEL = SingleLabel()


def softmax(logits: ArrayLike) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in float64."""
    import numpy as np

    shifted = np.asarray(logits, dtype=np.float64)
    powers = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return result
