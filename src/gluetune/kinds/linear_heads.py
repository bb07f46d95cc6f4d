"""Linear heads on the pooled states of a frozen encoder (`gluetune.training.methods.probe`).

The strength of the regularisation is chosen by cross-validation. Features are standardised while a
head is fitted; its weights are of the features as they are, so that it is an ordinary linear layer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Strengths of the regularisation: factors of half the squared weights, next to the mean loss."""
_STRENGTHS_FOR_DROPOUT = (3e-2, 1e-1, 1.0, 10.0)
_FOLDS, _FOLDS_OF_MANY = 5, 3
_MANY_CLASSES = 10
_MOST_ROWS = 2_000
"""Rows that choose the strength, at most."""
_ITERATIONS = 200
_NEVER = -20.0
"""The logit of a class without an example, below the others."""
_SEED = 0


@dataclass(frozen=True)
class LinearHead:
    """A linear layer."""

    weights: Floats
    """Shape (outputs, features)."""
    bias: Floats
    """Shape (outputs,); zeros where the layer has none."""
    strength: float = 0.0
    """The strength of the regularisation."""

    def logits(self, features: NDArray[Any]) -> Floats:
        """Return logits of shape (rows, outputs)."""
        found: Floats = features @ self.weights.T + self.bias
        return found


Fit = Callable[["Floats", "NDArray[Any]", float], LinearHead]
"""From standardised features, labels and a strength to a head."""


def fit_linear_head(
    features: NDArray[Any],
    labels: NDArray[Any],
    fit: Fit,
    losses: Callable[[Floats, NDArray[Any]], Floats],
    *,
    with_bias: bool,
    for_dropout: bool = False,
) -> LinearHead:
    """Fit a head with the strength of the lowest cross-validated loss.

    Dropout of features is to a first approximation a regularisation of weights by the features'
    second moments (Wager et al. 2013, arXiv 1307.1493). With `for_dropout`, features are scaled by
    those and not centred, and the strength is at least that of dropout 0.1. A head that is fitted
    without can have large weights on features that hardly vary: with dropout, its loss is large.

    Args:
        features: Shape (rows, features).
        labels: Labels in the form of the kind.
        fit: Fits a head with one strength.
        losses: The loss of each row, from logits and labels.
        with_bias: Whether the head has a bias.
        for_dropout: Whether the features will be dropped out in training.
    """
    import numpy as np

    wide = features.astype(np.float64)
    is_centred = with_bias and not for_dropout
    centre = wide.mean(axis=0) if is_centred else np.zeros(wide.shape[1])
    scale = np.sqrt(np.square(wide - centre).mean(axis=0)) if for_dropout else wide.std(axis=0)
    scale[scale < 1e-6 * max(1.0, float(scale.max(initial=0.0)))] = 1.0
    standard = (wide - centre) / scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a weak fit has not converged: it will not be chosen
        strengths = _STRENGTHS_FOR_DROPOUT if for_dropout else _STRENGTHS
        strength = _best_strength(standard, labels, fit, losses, strengths)
        fitted = fit(standard, labels, strength)
    weights = fitted.weights / scale
    return LinearHead(weights, fitted.bias - weights @ centre, strength)


def _best_strength(
    features: Floats,
    labels: NDArray[Any],
    fit: Fit,
    losses: Callable[[Floats, NDArray[Any]], Floats],
    strengths: Sequence[float],
) -> float:
    """Return the strength of the lowest cross-validated loss, the strongest of equals."""
    import numpy as np

    order = np.random.default_rng(_SEED).permutation(len(features))[:_MOST_ROWS]
    many = labels.ndim > 1 or len(np.unique(labels)) > _MANY_CLASSES
    folds = min(_FOLDS_OF_MANY if many else _FOLDS, len(order))
    if folds < 2:
        return strengths[-1]
    if labels.ndim == 1:  # rows of a class go to all folds in turn; numbers do by their size
        order = order[np.argsort(labels[order], kind="stable")]
    fold = np.empty(len(order), dtype=int)
    fold[:] = np.arange(len(order)) % folds
    totals = dict.fromkeys(strengths, 0.0)
    for number in range(folds):
        inside, outside = order[fold != number], order[fold == number]
        for strength in strengths:
            head = fit(features[inside], labels[inside], strength)
            totals[strength] += float(losses(head.logits(features[outside]), labels[outside]).sum())
    return min(reversed(strengths), key=totals.__getitem__)


def fit_class_head(
    features: Floats,
    labels: NDArray[Any],
    strength: float,
    *,
    size: int,
    weights: Floats | None,
    with_bias: bool,
) -> LinearHead:
    """Fit a multinomial logistic regression; `weights` are of the classes."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    head = np.zeros((size, features.shape[1])), np.full(size, _NEVER if with_bias else 0.0)
    found = np.unique(labels)
    if len(found) == 1:
        head[1][found] = 0.0
        return LinearHead(*head)
    model = LogisticRegression(
        C=1 / (strength * len(features)),
        fit_intercept=with_bias,
        max_iter=_ITERATIONS,
        random_state=_SEED,
    ).fit(features, labels, None if weights is None else weights[labels])
    # Of two classes scikit-learn has one decision function, the difference of two logits.
    halves = np.array([[-0.5], [0.5]])
    head[0][found] = halves * model.coef_ if len(found) == 2 else model.coef_
    head[1][found] = halves[:, 0] * model.intercept_ if len(found) == 2 else model.intercept_
    return LinearHead(*head)


def fit_label_heads(
    features: Floats,
    labels: NDArray[Any],
    strength: float,
    *,
    weights: Floats | None,
    with_bias: bool,
) -> LinearHead:
    """Fit one logistic regression for each label; `weights` have the shape (2, labels)."""
    import numpy as np

    parts = [
        fit_class_head(
            features,
            column,
            strength,
            size=2,
            weights=None if weights is None else weights[:, number],
            with_bias=with_bias,
        )
        for number, column in enumerate(labels.astype(int).T)
    ]
    return LinearHead(
        np.stack([one.weights[1] - one.weights[0] for one in parts]),
        np.array([one.bias[1] - one.bias[0] for one in parts]),
    )


def fit_number_head(
    features: Floats, labels: NDArray[Any], strength: float, *, with_bias: bool
) -> LinearHead:
    """Fit a ridge regression."""
    import numpy as np
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=strength * len(features), fit_intercept=with_bias)
    model.fit(features, labels.astype(np.float64))
    return LinearHead(model.coef_.reshape(1, -1), np.reshape(model.intercept_, (1,)).astype(float))
