"""Every metric against scikit-learn and SciPy, and its bootstrap against the metric itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearns

from gluetune.core.errors import ConfigurationError
from gluetune.metrics.from_counts import counts_of
from gluetune.metrics.metric import Inputs, OfCounts, OfWeights
from gluetune.metrics.registry import METRICS, get_metric, metrics_of
from gluetune.statistics.scores import compute_metric

PAIRS = [(metric.name, kind) for metric in METRICS.values() for kind in metric.kinds]
SEEDS = st.integers(0, 10_000)


def inputs(kind: str, *, seed: int, count: int, classes: int = 3, ties: bool = False) -> Inputs:
    """Return labels, predictions and probabilities that agree more often than by chance."""
    random = np.random.default_rng(seed)
    if kind == "regression":
        numbers = np.round(random.uniform(0, 5, count) * 2) / 2
        predicted = numbers + random.standard_normal(count)
        return Inputs(numbers, np.round(predicted) if ties else predicted)
    several = kind == "multi_label"
    shape = (count, classes) if several else (count,)
    labels: Any = random.integers(0, 2 if several else classes, shape)
    true = labels if several else np.eye(classes)[labels]
    logits = 1.5 * true + random.standard_normal((count, classes))
    logits = np.round(logits) if ties else logits
    if several:
        return Inputs(labels, (logits > 1).astype(int), 1 / (1 + np.exp(1 - logits)), classes)
    powers = np.exp(logits)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return Inputs(labels, logits.argmax(axis=1), probabilities, classes)


def taken(given: Inputs, rows: Any) -> Inputs:
    """Return some rows, each as often as it is named."""
    likely = None if given.probabilities is None else given.probabilities[rows]
    return replace(
        given, labels=given.labels[rows], predicted=given.predicted[rows], probabilities=likely
    )


def value(name: str, kind: str, given: Inputs) -> float:
    """Return a metric as it is recorded; NaN where it is undefined."""
    found = compute_metric(
        name,
        given.predicted,
        given.labels,
        kind=kind,
        positive=given.positive,
        probabilities=given.probabilities,
    ).value
    return float("nan") if found is None else found


def weighted(name: str, kind: str, given: Inputs) -> Callable[[Any], Any]:
    """Return the metric of weights of the examples, as the bootstrap computes it."""
    bootstrap = get_metric(name).formulas[kind].bootstrap
    if isinstance(bootstrap, OfWeights):
        return bootstrap.prepare(given)
    assert isinstance(bootstrap, OfCounts)
    counts = counts_of(given.labels)
    terms = counts.terms(given.labels, given.predicted, given.num_labels)
    of = bootstrap.value
    return lambda weights: of(counts.of(weights.astype(float) @ terms, given.positive))


def classes_of(name: str, kind: str, classes: int) -> int:
    return 2 if kind == "single_label" and get_metric(name).two_classes_only else classes


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, count=st.integers(5, 40), classes=st.integers(2, 4), ties=st.booleans())
def test_a_bootstrap_sample_is_the_metric_of_the_drawn_rows(
    name: str, kind: str, seed: int, count: int, classes: int, ties: bool
) -> None:
    given_ = inputs(
        kind, seed=seed, count=count, classes=classes_of(name, kind, classes), ties=ties
    )
    random = np.random.default_rng(seed + 1)
    rows = random.integers(0, count, (4, count))
    weights = np.stack([np.bincount(one, minlength=count) for one in rows])
    ours = weighted(name, kind, given_)(weights)
    theirs = [value(name, kind, taken(given_, one)) for one in rows]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    assert weighted(name, kind, given_)(np.ones((1, count))) == pytest.approx(
        value(name, kind, given_), abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [pair for pair in PAIRS if not get_metric(pair[0]).of_counts(pair[1])],
)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, count=st.integers(5, 25), classes=st.integers(2, 4), ties=st.booleans())
def test_leaving_one_out_is_the_metric_of_the_others(
    name: str, kind: str, seed: int, count: int, classes: int, ties: bool
) -> None:
    given_ = inputs(kind, seed=seed, count=count, classes=classes, ties=ties)
    bootstrap = get_metric(name).formulas[kind].bootstrap
    assert isinstance(bootstrap, OfWeights)
    ours = bootstrap.leaving_one_out(given_)
    others = [np.delete(np.arange(count), row) for row in range(count)]
    theirs = np.array([value(name, kind, taken(given_, rows)) for rows in others])
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def _one_against_rest(score: Callable[[Any, Any], float], given_: Inputs) -> float:
    assert given_.probabilities is not None
    if given_.labels.ndim == 1 and given_.num_labels == 2:
        return score(given_.labels == given_.positive, given_.probabilities[:, given_.positive])
    true = given_.labels if given_.labels.ndim == 2 else np.eye(given_.num_labels)[given_.labels]
    columns = range(given_.num_labels)
    return float(np.mean([score(true[:, n], given_.probabilities[:, n]) for n in columns]))


def _auc(given_: Inputs) -> float:
    if given_.num_labels == 2 and given_.labels.ndim == 1:
        return _one_against_rest(sklearns.roc_auc_score, given_)
    return float(sklearns.roc_auc_score(given_.labels, given_.probabilities, multi_class="ovr"))


def _brier(given_: Inputs) -> float:
    if given_.labels.ndim == 2:
        return _one_against_rest(sklearns.brier_score_loss, given_)
    return float(sklearns.brier_score_loss(given_.labels, given_.probabilities))


def _log_loss(given_: Inputs) -> float:
    if given_.labels.ndim == 2:
        return _one_against_rest(sklearns.log_loss, given_)
    return float(sklearns.log_loss(given_.labels, given_.probabilities))


_SKLEARNS: dict[str, Callable[[Inputs], float]] = {
    "accuracy": lambda x: sklearns.accuracy_score(x.labels, x.predicted),
    "balanced_accuracy": lambda x: sklearns.balanced_accuracy_score(x.labels, x.predicted),
    "f1": lambda x: sklearns.f1_score(x.labels, x.predicted, pos_label=x.positive),
    "f1_macro": lambda x: sklearns.f1_score(x.labels, x.predicted, average="macro"),
    "f1_micro": lambda x: sklearns.f1_score(x.labels, x.predicted, average="micro"),
    "exact_match": lambda x: sklearns.accuracy_score(x.labels, x.predicted),
    "matthews_correlation": lambda x: sklearns.matthews_corrcoef(x.labels, x.predicted),
    "quadratic_weighted_kappa": lambda x: sklearns.cohen_kappa_score(
        x.labels, x.predicted, weights="quadratic"
    ),
    "roc_auc": _auc,
    "average_precision": lambda x: _one_against_rest(sklearns.average_precision_score, x),
    "log_loss": _log_loss,
    "brier_score": _brier,
    "pearson": lambda x: stats.pearsonr(x.predicted, x.labels).statistic,
    "spearman": lambda x: stats.spearmanr(x.predicted, x.labels).statistic,
    "mae": lambda x: sklearns.mean_absolute_error(x.labels, x.predicted),
    "rmse": lambda x: sklearns.root_mean_squared_error(x.labels, x.predicted),
}


def test_every_metric_has_one_to_be_compared_with() -> None:
    assert _SKLEARNS.keys() == METRICS.keys()
    assert all(metric.name == name for name, metric in METRICS.items())


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, classes=st.integers(2, 4), positive=st.integers(0, 1))
def test_every_metric_is_the_librarys(
    name: str, kind: str, seed: int, classes: int, positive: int
) -> None:
    size = classes_of(name, kind, classes)
    given_ = replace(inputs(kind, seed=seed, count=60, classes=size), positive=positive)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value(name, kind, given_) == pytest.approx(_SKLEARNS[name](given_))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_a_ranking_of_one_class_alone_is_undefined(name: str, kind: str) -> None:
    labels = np.ones((5, 2) if kind == "multi_label" else 5, dtype=int)
    likely = np.full((5, 2), 0.5)
    found = compute_metric(name, labels, labels, kind=kind, probabilities=likely)
    assert found.value is None
    assert "both positive and negative examples" in found.reason
    without = compute_metric(name, labels, labels, kind=kind)
    assert without.reason == "there are no probabilities"


def test_kappa_of_one_class_alone_is_undefined() -> None:
    ones = np.ones(4, dtype=int)
    found = compute_metric("quadratic_weighted_kappa", ones, ones)
    assert found.value is None
    assert "one class only" in found.reason


def test_an_unknown_metric_has_its_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"no metric 'roc_acu'\. Did you mean 'roc_auc'\?"):
        compute_metric("roc_acu", np.zeros(1), np.zeros(1))


def test_f1_of_one_class_is_for_two_classes() -> None:
    assert "f1" in metrics_of("single_label", labels=2)
    assert "f1" not in metrics_of("single_label", labels=3)
    assert set(metrics_of("regression")) == {"pearson", "spearman", "mae", "rmse"}
    assert {"quadratic_weighted_kappa", "mae", "accuracy"} <= set(metrics_of("ordinal"))
