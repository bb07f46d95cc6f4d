"""Intervals against SciPy's and statistics' own formulas, and what they promise of themselves."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from tests.support.predictions import classified, random_classified, random_estimated

from gluetune.core.errors import ConfigurationError
from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.kinds import REGRESSION
from gluetune.metrics.metric import Inputs, OfWeights
from gluetune.metrics.registry import get_metric
from gluetune.statistics import resampling
from gluetune.statistics.intervals import score_intervals, wilson
from gluetune.statistics.paired_tests import paired_difference
from gluetune.statistics.scores import score_task


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(pair: tuple[int, int]) -> None:
    right, count = pair
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    np.testing.assert_allclose(wilson(right, count, 0.95), tuple(expected), atol=1e-12)


def _scipys(task: str, found: Any, metric: Any, method: str) -> tuple[float, float]:
    result = stats.bootstrap(
        (found.labels, found.predicted),
        metric,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method=method,
        rng=np.random.default_rng(1),
    )
    return tuple(result.confidence_interval)


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize(
    ("task", "name", "metric"),
    [
        ("cola", "matthews_correlation", matthews_corrcoef),
        ("mrpc", "f1", f1_score),
        ("stsb", "pearson", lambda x, y: stats.pearsonr(x, y).statistic),
        ("stsb", "spearman", lambda x, y: stats.spearmanr(x, y).statistic),
    ],
)
def test_the_bootstraps_are_scipys(task: str, name: str, metric: Any, method: Any) -> None:
    """To what a thousand draws leave open."""
    spec = get_task(task)
    found = (
        random_estimated(150) if spec.kind is REGRESSION else random_classified(150, positive=0.7)
    )
    ours = score_intervals(spec, {"validation": found}, method=method)[name]
    assert ours is not None
    expected = _scipys(task, found, metric, method)
    width = expected[1] - expected[0]
    np.testing.assert_allclose((ours.low, ours.high), expected, atol=0.15 * width)


@pytest.mark.parametrize("task", ["cola", "sst2", "mrpc", "stsb", "rte", "mnli"])
def test_every_metric_has_its_interval_around_its_value(task: str) -> None:
    spec = get_task(task)
    found = {
        split: random_estimated(300, seed=seed)
        if spec.kind is REGRESSION
        else random_classified(300, seed=seed)
        for seed, split in enumerate(spec.validation_splits)
    }
    score = score_task(
        spec,
        {split: one.predicted for split, one in found.items()},
        {split: one.labels for split, one in found.items()},
    )
    intervals = score_intervals(spec, found, draws=2000)
    several = len(found) > 1
    values = {"score": score.score.value} | {
        f"{split.removeprefix('validation_')} {name}" if several else name: measure.value
        for split, measures in score.by_split.items()
        for name, measure in measures.items()
    }
    assert intervals.keys() == values.keys()
    for name, interval in intervals.items():
        value = values[name]
        assert interval is not None
        assert value is not None
        assert interval.low < value < interval.high
        assert interval.reliable, name
        assert interval.level == 0.95


def test_two_splits_say_more_than_one() -> None:
    spec = get_task("mnli")
    found = {split: random_classified(300, seed=1) for split in spec.validation_splits}
    intervals = score_intervals(spec, found)
    whole, half = intervals["score"], intervals["matched accuracy"]
    assert whole is not None
    assert half is not None
    assert whole.high - whole.low == pytest.approx((half.high - half.low) / 2**0.5, rel=0.05)


@pytest.mark.parametrize("task", ["cola", "sst2", "mrpc"])
@pytest.mark.parametrize("right", [True, False])
def test_no_interval_is_empty(task: str, right: bool) -> None:
    labels = np.arange(200) % 2
    found = classified(labels, labels if right else 1 - labels)
    for name, interval in score_intervals(get_task(task), {"validation": found}).items():
        assert interval is not None
        assert interval.high - interval.low > 1e-3, name
        assert interval.reliable == (interval.method == "wilson"), name


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["cola", "sst2", "mrpc", "mnli"]),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=40),
)
def test_whatever_is_answered_no_interval_is_empty(task: str, rows: list[tuple[int, int]]) -> None:
    labels, answers = zip(*rows, strict=True)
    spec = get_task(task)
    found = dict.fromkeys(spec.validation_splits, classified(labels, answers))
    for name, interval in score_intervals(spec, found, draws=200).items():
        assert interval is None or interval.low < interval.high, name


@pytest.mark.parametrize(
    ("task", "labels", "answers"),
    [("cola", [0, 1] * 100, [1] * 200), ("mrpc", [0, 1] * 100, [0] * 200)],
    ids=["one class for all", "no true positive"],
)
def test_where_no_sample_differs_the_interval_says_so(
    task: str, labels: list[int], answers: list[int]
) -> None:
    name = get_task(task).metrics[-1]
    interval = score_intervals(get_task(task), {"v": classified(labels, answers)})[name]
    assert interval is not None
    assert interval.low <= 0 < interval.high
    assert not interval.reliable


def test_a_perfect_correlation_has_an_interval() -> None:
    found = random_estimated(150, noise=0.0)
    for name, interval in score_intervals(get_task("stsb"), {"v": found}).items():
        assert interval is not None
        if name == "mae":
            assert interval.low == interval.high == 0.0, "errors of 0 say nothing of their size"
        else:
            assert interval.low < interval.high
        assert not interval.reliable


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (random_classified(71), "only 71 examples"),
        (random_classified(300, positive=0.03, seed=2), "a class has only"),
        (random_classified(300, right=0.98), "predictions are wrong"),
        (random_classified(300, right=0.02), "predictions are right"),
    ],
)
def test_what_cannot_be_relied_on_is_marked(found: Any, reason: str) -> None:
    interval = score_intervals(get_task("cola"), {"validation": found})["score"]
    assert interval is not None
    assert not interval.reliable
    assert reason in interval.reason


def test_what_is_undefined_has_no_interval() -> None:
    same = classified(np.zeros(150, dtype=int), np.arange(150) % 2)
    assert score_intervals(get_task("cola"), {"validation": same}) == {
        "score": None,
        "matthews_correlation": None,
    }


def test_the_same_seed_gives_the_same_interval() -> None:
    found = {"validation": random_classified(300)}
    first, again, other = (
        score_intervals(get_task("cola"), found, seed=seed)["score"] for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_order_of_the_rows_means_nothing() -> None:
    found = random_classified(300)
    turned = classified(found.labels[::-1], found.predicted[::-1])
    task = get_task("mrpc")
    assert score_intervals(task, {"v": found}) == score_intervals(task, {"v": turned})


@pytest.mark.parametrize("asked", [{"level": 0.0}, {"level": 1.0}, {"draws": 10}])
def test_senseless_requests_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        score_intervals(get_task("cola"), {"validation": random_classified(100)}, **asked)


_ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30)
_SCIKIT_LEARNS: dict[str, Any] = {
    "accuracy": accuracy_score,
    "f1_macro": lambda labels, answers: f1_score(labels, answers, average="macro"),
    "matthews_correlation": matthews_corrcoef,
}


@settings(max_examples=40, deadline=None)
@given(_ROWS.filter(lambda rows: len({label for label, _ in rows[1:]}) > 1))
def test_metrics_of_counts_are_scikit_learns(rows: list[tuple[int, int]]) -> None:
    """Of all examples, and without each of them."""
    labels, answers = (np.array(side) for side in zip(*rows, strict=True))
    spec = replace(get_task("mnli"), metrics=tuple(_SCIKIT_LEARNS), labels=("a", "b", "c"))
    found = resampling.resample(spec, classified(labels, answers, classes=3), draws=100, seed=0)
    kinds = sorted(set(zip(labels, answers, strict=True)))
    for name, metric in _SCIKIT_LEARNS.items():
        assert found[name].value == pytest.approx(metric(labels, answers))
        for kind, left in zip(kinds, found[name].left_out, strict=True):
            row = rows.index((int(kind[0]), int(kind[1])))
            rest = np.delete(labels, row), np.delete(answers, row)
            if len(set(rest[0])) > 1:
                assert left == pytest.approx(metric(*rest)), name


def _bootstrap(name: str) -> OfWeights:
    bootstrap = get_metric(name).formulas["regression"].bootstrap
    assert isinstance(bootstrap, OfWeights)
    return bootstrap


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(0, 999))
def test_correlations_under_weights_are_those_of_the_repeated_rows(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    first, second = np.round(random.uniform(0, 3, count)), random.standard_normal(count)
    weights = np.bincount(random.integers(0, count, count), minlength=count).astype(float)
    rows = np.repeat(np.arange(count), weights.astype(int))
    if len(set(first[rows])) < 2 or len(set(second[rows])) < 2:
        return
    for name, theirs in _SCIPYS.items():
        expected = theirs(first[rows], second[rows]).statistic
        ours = _bootstrap(name).prepare(Inputs(second, first))
        assert ours(weights[None])[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("scale", "offset"), [(1e-9, 0), (1e-170, 0), (1e160, 0), (1e-3, 1e5)])
def test_correlations_do_not_depend_on_the_unit_and_errors_have_it(
    scale: float, offset: float
) -> None:
    random = np.random.default_rng(0)
    task = replace(get_task("stsb"), label_range=None)
    first = random.standard_normal(200)
    second = first + random.standard_normal(200)
    found = []
    for unit, start in ((1.0, 0.0), (scale, offset)):
        sides = first * unit + start, second * unit + start
        answers = Predictions(np.arange(200), *sides, np.zeros((200, 1), dtype=np.float32))
        found.append(score_intervals(task, {"validation": answers}, draws=200))
    for name, interval in found[0].items():
        other = found[1][name]
        assert interval is not None, name
        assert other is not None, name
        unit = scale if name == "mae" else 1.0
        expected = pytest.approx((interval.low * unit, interval.high * unit), abs=1e-6 * unit)
        assert (other.low, other.high) == expected
        assert other.method == interval.method == "bca"


@pytest.mark.parametrize("positive", ["common", "rare"])
def test_intervals_and_differences_are_of_the_positive_class(positive: str) -> None:
    """The one class is found well and the other badly: their F1 lie far apart."""
    task = TaskSpec(
        name="mine",
        title="",
        text_columns=("text",),
        labels=("common", "rare"),
        metrics=("f1",),
        positive=positive,
    )
    labels = np.array([0] * 160 + [1] * 40)
    first = np.array([0] * 150 + [1] * 10 + [1] * 10 + [0] * 30)
    second = np.array([0] * 150 + [1] * 10 + [1] * 30 + [0] * 10)
    sides = [
        Predictions(np.arange(200), labels, said, np.eye(2, dtype=np.float32)[said])
        for said in (first, second)
    ]
    values = [f1_score(labels, said, pos_label=task.positive_id) for said in (first, second)]
    for side, value in zip(sides, values, strict=True):
        interval = score_intervals(task, {"validation": side}, draws=500)["f1"]
        assert interval is not None
        assert interval.low < value < interval.high
        assert interval.high - interval.low < 0.4
    difference = paired_difference(task, {"v": sides[0]}, {"v": sides[1]}, draws=500)
    assert difference.value == pytest.approx(values[1] - values[0])


_SCIPYS = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(0, 999), st.booleans())
def test_correlations_without_one_example_are_those_of_the_others(
    count: int, seed: int, ties: bool
) -> None:
    random = np.random.default_rng(seed)
    first, second = np.round(random.uniform(0, 3, count)), random.standard_normal(count)
    second = np.round(second) if ties else second
    for name, theirs in _SCIPYS.items():
        ours = _bootstrap(name).leaving_one_out(Inputs(second, first))
        for row in range(count):
            rest = np.delete(first, row), np.delete(second, row)
            if len(set(rest[0])) > 1 and len(set(rest[1])) > 1:
                assert ours[row] == pytest.approx(theirs(*rest).statistic, abs=1e-9), name


def test_samples_drawn_one_by_one_are_the_multinomials() -> None:
    """Of many kinds of examples, which are drawn so, as of few."""
    random = np.random.default_rng(0)
    weights = random.integers(1, 5, 300)
    count = int(weights.sum())
    (samples,) = resampling.drawn_counts(random, weights, np.full(1000, count))
    assert (samples.sum(axis=1) == count).all()
    shares = weights / count
    np.testing.assert_allclose(samples.mean(axis=0), weights, atol=0.5)
    np.testing.assert_allclose(
        samples.var(axis=0).mean(), (count * shares * (1 - shares)).mean(), rtol=0.02
    )


def _many_classes(classes: int, count: int, *, right: float) -> tuple[TaskSpec, Predictions]:
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, count)
    answers = np.where(random.random(count) < right, labels, random.integers(0, classes, count))
    names = tuple(f"class {number}" for number in range(classes))
    spec = replace(
        get_task("rte"), labels=names, metrics=("f1_macro",), extra_metrics=("accuracy",)
    )
    return spec, Predictions(np.arange(count), labels, answers, np.zeros((count, 1), np.float32))


@pytest.mark.parametrize("right", [0.8, 1.0], ids=["some wrong", "all right"])
def test_many_classes_need_no_table_of_pairs(right: float) -> None:
    """Their 16 million pairs would be 128 MB for each sample."""
    spec, found = _many_classes(4000, 6000, right=right)
    other = replace(found, predicted=found.predicted[::-1].copy())
    tracemalloc.start()
    try:
        interval = score_intervals(spec, {"validation": found}, draws=200)["f1_macro"]
        difference = paired_difference(spec, {"v": found}, {"v": other}, draws=200)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert interval is not None
    assert interval.low < interval.high
    assert difference.value < 0
    assert most < 100e6


def test_all_right_of_many_classes_is_near_certain() -> None:
    """What smoothing adds does not outweigh the examples."""
    spec, found = _many_classes(100, 1000, right=1.0)
    interval = score_intervals(spec, {"validation": found})["f1_macro"]
    assert interval is not None
    assert 0.98 < interval.low < interval.high == 1.0


def test_samples_that_are_drawn_in_threads_are_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resampling, "_WORTH_A_THREAD", 50_000)
    found = {"validation": random_estimated(300)}
    first, again = (score_intervals(get_task("stsb"), found, draws=1000) for _ in range(2))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert first == again == score_intervals(get_task("stsb"), found, draws=1000)
