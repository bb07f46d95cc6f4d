"""What a bag of words scores: TF-IDF with logistic regression, in seconds, beside the transformer.

A fine-tuned model that does not beat it is not worth its cost. Numbers get ridge regression;
several labels one classifier each.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.data.sampling import take_fraction
from gluetune.data.tables import label_array
from gluetune.metrics import TaskScore, score_task

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gluetune.tasks import TaskSpec

MOST_ROWS = 50_000
"""Training rows that are fitted; of more, a stratified part."""
_FEATURES = 200_000
_SEED = 0


def text_baseline(
    task: TaskSpec, train: pa.Table, validation: Mapping[str, pa.Table], *, balanced: bool = False
) -> TaskScore:
    """Return the score of TF-IDF of words and pairs of words with a linear model.

    Tables are canonical. `balanced` weighs classes as `--class-weights balanced` does.
    """
    if len(train) > MOST_ROWS:
        train = take_fraction(train, task, MOST_ROWS / len(train), _SEED)
    vectorizers = [_vectorizer().fit(train[name].to_pylist()) for name in task.text_columns]
    features = _features(vectorizers, train, task)
    splits = {name: _features(vectorizers, table, task) for name, table in validation.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged: a baseline need not
        answers = _answers(task, features, label_array(train, task), splits, balanced)
    labels = {name: label_array(table, task) for name, table in validation.items()}
    return score_task(task, answers, labels)


def _vectorizer() -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Words, and every sign by itself: a text of signs alone has features too.
    return TfidfVectorizer(
        token_pattern=r"(?u)\w+|[^\w\s]",
        ngram_range=(1, 2),
        sublinear_tf=True,
        max_features=_FEATURES,
    )


def _features(vectorizers: list[Any], table: pa.Table, task: TaskSpec) -> Any:
    from scipy.sparse import hstack

    parts = [
        vectorizer.transform(table[name].to_pylist())
        for vectorizer, name in zip(vectorizers, task.text_columns, strict=True)
    ]
    return hstack(parts, format="csr")


def _answers(
    task: TaskSpec,
    features: Any,
    labels: NDArray[Any],
    splits: Mapping[str, Any],
    balanced: bool,
) -> dict[str, NDArray[Any]]:
    from sklearn.linear_model import Ridge

    if task.is_regression:
        model = Ridge(solver="sparse_cg", random_state=_SEED).fit(features, labels)
        return {name: model.predict(part) for name, part in splits.items()}
    if not task.multi_label:
        return _classes(features, labels, splits, balanced)
    each = [
        _classes(features, labels[:, column], splits, balanced) for column in range(task.num_labels)
    ]
    return {name: np.stack([one[name] for one in each], axis=1) for name in splits}


def _classes(
    features: Any, labels: NDArray[Any], splits: Mapping[str, Any], balanced: bool
) -> dict[str, NDArray[Any]]:
    from sklearn.linear_model import LogisticRegression

    if (labels == labels[0]).all():
        return {name: np.full(part.shape[0], labels[0]) for name, part in splits.items()}
    model = LogisticRegression(
        C=10.0, max_iter=200, class_weight="balanced" if balanced else None, random_state=_SEED
    ).fit(features, labels)
    return {name: model.predict(part) for name, part in splits.items()}
