"""Linear models of a bag of words, as the kinds fit them (`gluetune.training.text_baseline`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from gluetune.kinds.base import Predict

FEW_CLASSES = 20
"""Classes (or labels of a text) up to which logistic regression is fitted to its optimum."""
_EPOCHS = 10
_READ_AN_EPOCH = 200_000_000
"""Features that all of many classes read in an epoch: of the rows of other classes, a part."""
_FEWEST_OTHERS = 1_000
"""Rows of other classes that each class reads at least."""
_C = 10.0
"""Inverse strength of the regularisation, as scikit-learn has it."""
_DECISIONS_AT_ONCE = 4_000_000
_SEED = 0


def fit_numbers(features: Any, labels: NDArray[Any]) -> Predict:
    """Fit a ridge regression."""
    from sklearn.linear_model import Ridge

    predict: Predict = Ridge(solver="sparse_cg", random_state=_SEED).fit(features, labels).predict
    return predict


def fit_classes(features: Any, labels: NDArray[Any], balanced: bool) -> Predict:
    """Fit a logistic regression of class ids."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    if (labels == labels[0]).all():
        return lambda rows: np.full(rows.shape[0], labels[0])
    model = LogisticRegression(
        C=_C, max_iter=200, class_weight="balanced" if balanced else None, random_state=_SEED
    )
    predict: Predict = model.fit(features, labels).predict
    return predict


def fit_each(
    features: Any, members: Iterable[NDArray[np.bool_]], size: int, balanced: bool
) -> Callable[[Any], Iterator[NDArray[Any]]]:
    """Fit one classifier for each of many classes, or of many labels.

    `members` says of each which rows have it. What is returned yields decisions, of shape (rows,
    classes) and above 0 for a member, for some rows at a time.
    """
    import numpy as np

    weights = np.zeros((features.shape[1], size), dtype=np.float32)
    read = size * features.nnz / features.shape[0]
    others = max(_FEWEST_OTHERS, int(_READ_AN_EPOCH / max(read, 1)))
    biases = np.full(size, -np.inf)  # of a class without an example
    for number, is_member in enumerate(members):
        if is_member.any():
            fitted = _fit_one(features, is_member, others, balanced)
            weights[:, number], biases[number] = fitted

    def decide(rows: Any) -> Iterator[NDArray[Any]]:
        step = max(1, _DECISIONS_AT_ONCE // size)
        blocks = (rows[start : start + step] for start in range(0, rows.shape[0], step))
        return ((block @ weights) + biases for block in blocks)

    return decide


def _fit_one(
    features: Any, is_member: NDArray[np.bool_], others: int, balanced: bool
) -> tuple[NDArray[Any], float]:
    """Return weights and bias of one class against `others` rows of all other classes."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    if is_member.all():
        return np.zeros(features.shape[1]), np.inf
    members, rest = np.flatnonzero(is_member), np.flatnonzero(~is_member)
    chosen = np.random.default_rng(_SEED).permutation(rest)[:others]
    rows = np.sort(np.concatenate([members, chosen]))
    model = SGDClassifier(
        loss="log_loss",
        alpha=1 / (_C * len(rows)),
        max_iter=_EPOCHS,
        tol=None,
        class_weight="balanced" if balanced else None,
        random_state=_SEED,
    ).fit(features[rows], is_member[rows])
    # Among fewer others the class is more likely, by so much (Prentice & Pyke 1979).
    shift = 0.0 if balanced else np.log(len(chosen) / len(rest))
    return model.coef_[0], float(model.intercept_[0] + shift)
