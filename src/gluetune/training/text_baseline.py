"""What a bag of words scores: TF-IDF with a linear model, in seconds, beside the transformer.

A fine-tuned model that does not beat it is not worth its cost. Up to 20 classes get logistic
regression, more of them one classifier each by stochastic gradient descent; several labels one
classifier each; numbers ridge regression. Rows, characters and weights are limited, so that memory
is about 500 MB at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.data.sampling import take_fraction
from gluetune.data.tables import label_array
from gluetune.metrics import TaskScore, score_task
from gluetune.training.text_features import TextFeatures

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gluetune.tasks import TaskSpec

    Predict = Callable[[Any], NDArray[Any]]
    """From features, sparse and of shape (rows, features), to predictions."""

MOST_ROWS = 50_000
"""Training rows that are fitted; of more, a stratified part."""
_CHARACTERS = 30_000_000
"""Characters of them, by the same rule."""
_FEATURES = 200_000
_FEW_CLASSES = 20
"""Classes (or labels of a text) up to which logistic regression is fitted to its optimum."""
_WEIGHTS = 1_500_000
"""Its weights. L-BFGS holds about 200 bytes for each."""
_WEIGHTS_OF_MANY = 50_000_000
"""Weights of more classes, 4 bytes each."""
_EPOCHS = 10
_READ_AN_EPOCH = 200_000_000
"""Features that all of many classes read in an epoch: of the rows of other classes, a part."""
_FEWEST_OTHERS = 1_000
"""Rows of other classes that each class reads at least."""
_C = 10.0
"""Inverse strength of the regularisation, as scikit-learn has it."""
_ROWS_AT_ONCE = 5_000
_DECISIONS_AT_ONCE = 4_000_000
_SEED = 0


def text_baseline(
    task: TaskSpec, train: pa.Table, validation: Mapping[str, pa.Table], *, balanced: bool = False
) -> TaskScore:
    """Return the score of TF-IDF of words and pairs of words with a linear model.

    Arguments are those of `predict_by_words`.
    """
    predictions = predict_by_words(task, train, validation, balanced=balanced)
    labels = {name: label_array(table, task) for name, table in validation.items()}
    return score_task(task, predictions, labels)


def predict_by_words(
    task: TaskSpec, train: pa.Table, validation: Mapping[str, pa.Table], *, balanced: bool = False
) -> dict[str, NDArray[Any]]:
    """Return what a linear model of `train`'s words predicts for each split of `validation`.

    Tables are canonical. `balanced` weighs classes as `--class-weights balanced` does.
    """
    train = _part(task, train)
    most = _most_features(task)
    columns = [TextFeatures(train[name].to_pylist(), most) for name in task.text_columns]
    features = _side_by_side([column.of_training() for column in columns])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged: a baseline need not
        predict = _fit(task, features, label_array(train, task), balanced)
    return {
        name: np.concatenate([predict(part) for part in _batches(task, columns, table)])
        if len(table)
        else label_array(table, task)
        for name, table in validation.items()
    }


def _part(task: TaskSpec, train: pa.Table) -> pa.Table:
    """Return as much of the training rows as is fitted."""
    import pyarrow.compute as pc

    columns = [pc.sum(pc.utf8_length(train[name])).as_py() or 0 for name in task.text_columns]
    fraction = min(1.0, MOST_ROWS / max(len(train), 1), _CHARACTERS / max(sum(columns), 1))
    return take_fraction(train, task, fraction, _SEED)


def _is_of_many(task: TaskSpec) -> bool:
    return task.num_labels > _FEW_CLASSES


def _most_features(task: TaskSpec) -> int:
    """Return how many features a column of texts may have."""
    weights = _WEIGHTS_OF_MANY if _is_of_many(task) else _WEIGHTS
    at_once = 1 if task.multi_label and not _is_of_many(task) else task.num_labels
    return max(1, min(_FEATURES, weights // (at_once * len(task.text_columns))))


def _side_by_side(columns: list[Any]) -> Any:
    from scipy.sparse import hstack

    return columns[0] if len(columns) == 1 else hstack(columns, format="csr")


def _batches(task: TaskSpec, columns: list[TextFeatures], table: pa.Table) -> Iterator[Any]:
    for start in range(0, len(table), _ROWS_AT_ONCE):
        rows = table.slice(start, _ROWS_AT_ONCE)
        texts = (rows[name].to_pylist() for name in task.text_columns)
        yield _side_by_side([one.of(part) for one, part in zip(columns, texts, strict=True)])


def _fit(task: TaskSpec, features: Any, labels: NDArray[Any], balanced: bool) -> Predict:
    from sklearn.linear_model import Ridge

    if task.is_regression:
        predict: Predict = (
            Ridge(solver="sparse_cg", random_state=_SEED).fit(features, labels).predict
        )
        return predict
    if _is_of_many(task):
        return _fit_many(task, features, labels, balanced)
    if not task.multi_label:
        return _fit_classes(features, labels, balanced)
    each = [
        _fit_classes(features, labels[:, column], balanced) for column in range(task.num_labels)
    ]
    return lambda rows: np.stack([one(rows) for one in each], axis=1)


def _fit_classes(features: Any, labels: NDArray[Any], balanced: bool) -> Predict:
    from sklearn.linear_model import LogisticRegression

    if (labels == labels[0]).all():
        return lambda rows: np.full(rows.shape[0], labels[0])
    model = LogisticRegression(
        C=_C, max_iter=200, class_weight="balanced" if balanced else None, random_state=_SEED
    )
    predict: Predict = model.fit(features, labels).predict
    return predict


def _fit_many(task: TaskSpec, features: Any, labels: NDArray[Any], balanced: bool) -> Predict:
    """Fit one classifier for each of many classes, or of many labels."""
    size = task.num_labels
    weights = np.zeros((features.shape[1], size), dtype=np.float32)
    read = size * features.nnz / features.shape[0]
    others = max(_FEWEST_OTHERS, int(_READ_AN_EPOCH / max(read, 1)))
    biases = np.full(size, -np.inf)  # of a class without an example
    for number in range(size):
        is_member = labels[:, number] == 1 if task.multi_label else labels == number
        if is_member.any():
            fitted = _fit_one(features, is_member, others, balanced)
            weights[:, number], biases[number] = fitted

    def predict(rows: Any) -> NDArray[Any]:
        step = max(1, _DECISIONS_AT_ONCE // size)
        blocks = (rows[start : start + step] for start in range(0, rows.shape[0], step))
        decisions = ((block @ weights) + biases for block in blocks)
        if task.multi_label:
            return np.concatenate([(one > 0).astype(np.int64) for one in decisions])
        return np.concatenate([one.argmax(axis=1) for one in decisions])

    return predict


def _fit_one(
    features: Any, is_member: NDArray[np.bool_], others: int, balanced: bool
) -> tuple[NDArray[Any], float]:
    """Return weights and bias of one class against `others` rows of all other classes."""
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
