"""Every metric's interval is that of a plain bootstrap of the library's metric, draw by draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.unit.metrics.test_registry import PAIRS, classes_of, inputs, taken, value

from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec
from gluetune.kinds import get_kind
from gluetune.metrics.metric import Inputs
from gluetune.metrics.registry import get_metric
from gluetune.statistics.intervals import score_intervals
from gluetune.statistics.paired_tests import paired_difference

COUNT, DRAWS, SEED = 150, 300, 3


def task_of(name: str, kind: str, *, extra: tuple[str, ...] = ()) -> TaskSpec:
    size = classes_of(name, kind, 3)
    return TaskSpec(
        name="mine",
        title="",
        text_columns=("text",),
        labels=() if kind == "regression" else ("a", "b", "c")[:size],
        kind=get_kind(kind),
        metrics=(name,),
        extra_metrics=extra,
    )


def predictions(given: Inputs) -> Predictions:
    """Return predictions whose logits have the probabilities of `given`."""
    likely = given.probabilities
    if likely is None:
        logits = given.predicted[:, None]
    elif given.labels.ndim == 2:
        logits = np.log(likely / (1 - likely))
    else:
        logits = np.log(likely)
    return Predictions(np.arange(COUNT), given.labels, given.predicted, logits)


def plain_draws(name: str, kind: str, given: Inputs) -> list[Any]:
    """Return the rows of each sample, as the seed draws them."""
    random = np.random.default_rng(SEED)
    if not get_metric(name).of_counts(kind):
        return [random.integers(0, COUNT, COUNT) for _ in range(DRAWS)]
    pairs = np.stack([given.labels, given.predicted], axis=1).reshape(COUNT, -1)
    if given.labels.ndim == 2:  # kinds are in the order of the bits
        pairs = np.concatenate([given.labels, np.zeros((COUNT, 1)), given.predicted], axis=1)
    _, rows, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    drawn = random.multinomial(np.full(DRAWS, COUNT), counts / COUNT)
    return [np.repeat(rows, sample) for sample in drawn]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_interval_is_that_of_a_plain_bootstrap(name: str, kind: str) -> None:
    task = task_of(name, kind)
    given = inputs(kind, seed=1, count=COUNT, classes=max(2, len(task.labels)))
    values = [value(name, kind, taken(given, rows)) for rows in plain_draws(name, kind, given)]
    found = score_intervals(
        task, {"v": predictions(given)}, draws=DRAWS, seed=SEED, method="percentile"
    )
    interval = found[name]
    assert interval is not None
    if get_metric(name).is_proportion:
        assert interval.method == "wilson"
        return
    low, high = np.quantile(values, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)
    assert found["score"] == interval


@pytest.mark.parametrize(
    ("name", "extra"), [("roc_auc", "accuracy"), ("accuracy", "log_loss"), ("f1_macro", "roc_auc")]
)
def test_metrics_that_do_not_count_move_no_interval(name: str, extra: str) -> None:
    given = predictions(inputs("single_label", seed=2, count=COUNT))
    alone = score_intervals(task_of(name, "single_label"), {"v": given}, draws=DRAWS)
    both = score_intervals(task_of(name, "single_label", extra=(extra,)), {"v": given}, draws=DRAWS)
    assert both[name] == alone[name] == both["score"]
    assert both[extra] is not None


def test_a_score_of_counts_and_weights_is_of_the_same_samples() -> None:
    """Their difference to themselves is certain, and the mean of both lies between them."""
    given = inputs("single_label", seed=3, count=COUNT)
    task = TaskSpec(
        name="mine",
        title="",
        text_columns=("text",),
        labels=("a", "b", "c"),
        metrics=("f1_macro", "roc_auc"),
    )
    random = np.random.default_rng(SEED)
    rows = [random.integers(0, COUNT, COUNT) for _ in range(DRAWS)]
    values = [
        np.mean([value(name, "single_label", taken(given, one)) for name in task.metrics])
        for one in rows
    ]
    found = score_intervals(
        task, {"v": predictions(given)}, draws=DRAWS, seed=SEED, method="percentile"
    )["score"]
    assert found is not None
    low, high = np.quantile(values, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "brier_score", "average_precision"])
def test_models_are_compared_by_metrics_of_probabilities(name: str) -> None:
    first, second = (
        predictions(inputs("single_label", seed=4, count=COUNT, ties=ties))
        for ties in (True, False)
    )
    task = task_of(name, "single_label")
    found = paired_difference(task, {"v": first}, {"v": second}, draws=DRAWS)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high
    same = paired_difference(task, {"v": first}, {"v": first}, draws=DRAWS)
    assert (same.value, same.low) == (0, None)


@pytest.mark.parametrize(("name", "sign"), [("log_loss", -1), ("accuracy", 1)])
def test_a_score_knows_in_which_direction_it_is_better(name: str, sign: int) -> None:
    task = task_of(name, "single_label")
    assert task.sign == sign
    assert task.is_better(0.3, 0.2) == (sign > 0)
    assert task.in_points() == (sign > 0)
