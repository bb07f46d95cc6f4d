import dataclasses
import json
import subprocess
import sys
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.tasks import GLUE_TASKS, TASKS, get_task
from gluetune.metrics.metric import Measure
from gluetune.statistics.scores import (
    collapsed,
    compute_metric,
    glue_average,
    majority_baseline,
    score_task,
)

METRICS: tuple[str, ...] = ("accuracy", "f1", "matthews_correlation", "pearson", "spearman")
CLASS_METRICS: tuple[str, ...] = METRICS[:3]
CORRELATIONS: tuple[str, ...] = METRICS[3:]

Pair = tuple[list[int], list[int]]


def _pairs(classes: int) -> st.SearchStrategy[Pair]:
    return st.lists(
        st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=40
    ).map(lambda rows: ([row[0] for row in rows], [row[1] for row in rows]))


# Thousandths: far enough apart that no formula loses its digits, near enough that ties occur.
_numbers = st.lists(
    st.tuples(st.integers(-3000, 3000), st.integers(0, 50)), min_size=2, max_size=40
).map(lambda rows: ([row[0] / 1000 for row in rows], [row[1] / 10 for row in rows]))


def _compute(name: str, predictions: object, labels: object) -> Measure:
    return compute_metric(name, np.asarray(predictions), np.asarray(labels))


def _pearson_by_hand(xs: list[float], ys: list[float]) -> float:
    n = len(xs)
    mean_x, mean_y = sum(xs) / n, sum(ys) / n
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    spread = sum((x - mean_x) ** 2 for x in xs) * sum((y - mean_y) ** 2 for y in ys)
    return float(covariance / spread**0.5)


def _ranks(values: list[float]) -> list[float]:
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


@settings(deadline=None)
@given(_pairs(3))
def test_accuracy_is_the_share_of_equal_pairs(pair: Pair) -> None:
    expected = sum(a == b for a, b in zip(*pair, strict=True)) / len(pair[0])
    assert _compute("accuracy", *pair).value == pytest.approx(expected)


@settings(deadline=None)
@given(_pairs(2))
def test_f1_follows_from_the_confusion_counts(pair: Pair) -> None:
    counts = Counter(zip(*pair, strict=True))
    hits, misses = counts[1, 1], counts[0, 1] + counts[1, 0]
    measure = _compute("f1", *pair)
    if hits + misses == 0:
        assert measure.value is None
        assert "positive class" in measure.reason
    else:
        assert measure.value == pytest.approx(2 * hits / (2 * hits + misses))


@settings(deadline=None)
@given(_pairs(2))
def test_matthews_follows_from_the_confusion_counts(pair: Pair) -> None:
    predictions, labels = pair
    counts = Counter(zip(predictions, labels, strict=True))
    tp, tn, fp, fn = counts[1, 1], counts[0, 0], counts[1, 0], counts[0, 1]
    measure = _compute("matthews_correlation", predictions, labels)
    if len(set(labels)) == 1:
        assert measure.value is None
        assert "one class only" in measure.reason
    elif len(set(predictions)) == 1:
        assert measure.value == 0.0
    else:
        scale = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
        assert measure.value == pytest.approx((tp * tn - fp * fn) / scale, abs=1e-12)


@settings(deadline=None)
@given(_pairs(3))
def test_matthews_of_three_classes_is_scikit_learns_and_ignores_their_names(pair: Pair) -> None:
    from sklearn.metrics import matthews_corrcoef

    predictions, labels = np.array(pair[0]), np.array(pair[1])
    measure = _compute("matthews_correlation", predictions, labels)
    if len(set(pair[1])) == 1:
        assert measure.value is None
        return
    renamed = _compute("matthews_correlation", (predictions + 1) % 3, (labels + 1) % 3)
    assert measure.value == pytest.approx(matthews_corrcoef(labels, predictions), abs=1e-12)
    assert measure.value == pytest.approx(renamed.value, abs=1e-12)


@settings(deadline=None)
@given(_pairs(2))
def test_matthews_keeps_when_both_classes_swap_and_flips_when_one_side_does(pair: Pair) -> None:
    predictions, labels = np.array(pair[0]), np.array(pair[1])
    value = _compute("matthews_correlation", predictions, labels).value
    both = _compute("matthews_correlation", 1 - predictions, 1 - labels).value
    one = _compute("matthews_correlation", 1 - predictions, labels).value
    if value is None:
        assert both is None
        assert one is None
    else:
        assert both == pytest.approx(value, abs=1e-12)
        assert one == pytest.approx(-value, abs=1e-12)


@settings(deadline=None)
@given(_numbers)
def test_correlations_follow_from_their_definitions(pair: tuple[list[float], list[float]]) -> None:
    pearson, spearman = (_compute(name, *pair) for name in CORRELATIONS)
    if min(len(set(values)) for values in pair) == 1:
        assert pearson.value is None
        assert spearman.value is None
        assert "constant" in pearson.reason
        assert pearson.reason == spearman.reason
        return
    ranks = [_ranks(values) for values in pair]
    assert pearson.value == pytest.approx(_pearson_by_hand(*pair), abs=1e-9)
    assert spearman.value == pytest.approx(_pearson_by_hand(ranks[0], ranks[1]), abs=1e-9)


@settings(deadline=None)
@given(_numbers, st.integers(1, 20), st.integers(-20, 20))
def test_pearson_ignores_affine_maps_and_spearman_monotone_ones(
    pair: tuple[list[float], list[float]], scale: int, shift: int
) -> None:
    predictions, labels = np.array(pair[0]), np.array(pair[1])
    pearson, spearman = (_compute(name, predictions, labels).value for name in CORRELATIONS)
    if pearson is None:
        return
    moved = predictions * scale + shift
    assert _compute("pearson", moved, labels).value == pytest.approx(pearson, abs=1e-8)
    assert _compute("pearson", -moved, labels).value == pytest.approx(-pearson, abs=1e-8)
    bent = np.exp(predictions)
    assert _compute("spearman", bent, labels).value == pytest.approx(spearman, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_no_examples_have_no_score(name: str) -> None:
    assert _compute(name, [], []) == Measure(None, "there are no examples")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_have_no_score(name: str, bad: float) -> None:
    measure = _compute(name, [0.0, bad, 1.0], [0, 1, 1])
    assert measure.value is None
    assert f"{bad} at index 1" in measure.reason


@pytest.mark.parametrize("name", CORRELATIONS)
def test_one_example_has_no_correlation(name: str) -> None:
    assert "two examples" in _compute(name, [1.0], [2.0]).reason


def test_values_too_large_to_sum_have_no_pearson() -> None:
    measure = _compute("pearson", [1.7e308, 1.7e308, 0.0], [1.0, 2.0, 3.0])
    assert measure.value is None
    assert "double precision" in measure.reason


@pytest.mark.parametrize("name", METRICS)
def test_degenerate_inputs_leak_no_warning_and_no_floating_point_error(name: str) -> None:
    pairs: list[tuple[list[float], list[float]]]
    pairs = [([1, 1, 1], [1, 1, 1]), ([0, 0, 0], [0, 0, 0]), ([0, 0, 0], [0, 1, 1]), ([1], [0])]
    if name in CORRELATIONS:
        pairs += [([1e308, -1e308], [1, 0]), ([1.0, 1.0 + 1e-15], [1, 0]), ([5e-324, 0.0], [1, 0])]
    with warnings.catch_warnings(record=True) as leaked, np.errstate(all="raise"):
        warnings.simplefilter("always")
        measures = [_compute(name, *pair) for pair in pairs]
    assert leaked == []
    assert len(measures) >= 4
    for measure in measures:
        assert (measure.value is None) == bool(measure.reason)
        assert measure.value is None or np.isfinite(measure.value)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.float32])
def test_class_ids_may_be_of_any_type(dtype: type[np.generic]) -> None:
    predictions, labels = np.array([1, 0, 1, 1]), np.array([1, 0, 0, 1])
    for name in CLASS_METRICS:
        plain = compute_metric(name, predictions, labels)
        assert compute_metric(name, predictions.astype(dtype), labels) == plain
        assert type(plain.value) is float


@pytest.mark.parametrize("name", METRICS)
def test_hidden_labels_are_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"hidden \(-1\)") as caught:
        _compute(name, [0, 1, 1], [-1, -1, -1])
    assert "validation split" in caught.value.findings[0].hint


def test_one_hidden_label_is_found_among_classes() -> None:
    with pytest.raises(DataError, match=r"1 of 3 labels .* first at index 2"):
        _compute("accuracy", [0, 1, 1], [0, 1, -1])


@pytest.mark.parametrize(
    ("name", "predictions", "labels", "message"),
    [
        ("accuracy", [0, 1], [0, 1, 1], r"shape \(2,\), labels \(3,\)"),
        ("accuracy", [[0, 1]], [[0, 1]], r"must be \(examples,\)"),
        ("accuracy", [0, 1], ["a", "b"], "not numbers"),
        ("accuracy", [0.5, 1], [0, 1], "predictions are not a class id: 0.5 at index 0"),
        ("accuracy", [0, 1], [0, 0.5], "labels are not a class id: 0.5 at index 1"),
        ("f1", [0, 1, 2], [0, 1, 1], "not a class id from 0 to 1: 2 at index 2"),
        ("f1", [0, 1, 1], [0, 1, 2], "not a class id from 0 to 1: 2 at index 2"),
        ("pearson", [0.0, 1.0], [0.0, np.nan], "not a finite number: nan at index 1"),
    ],
)
def test_unfit_arrays_are_refused_by_value_and_place(
    name: str, predictions: list[float], labels: list[float], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        _compute(name, predictions, labels)


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="matthews_correlation"):
        compute_metric("bleu", np.array([0]), np.array([0]))


def test_a_tasks_score_is_the_mean_of_metrics_then_of_splits() -> None:
    labels = np.array([1, 0, 1, 0])
    mrpc = score_task(get_task("mrpc"), {"v": np.array([1, 1, 1, 0])}, {"v": labels})
    assert mrpc.score.value == pytest.approx((0.75 + 0.8) / 2)
    assert {name: m.value for name, m in mrpc.by_split["v"].items()} == {
        "accuracy": 0.75,
        "f1": pytest.approx(0.8),
    }
    mnli = score_task(
        get_task("mnli"),
        {
            "validation_matched": np.array([2, 0]),
            "validation_mismatched": np.array([1, 1, 1, 1]),
        },
        {
            "validation_matched": np.array([2, 0]),
            "validation_mismatched": np.array([1, 0, 0, 0]),
        },
    )
    assert mnli.score.value == pytest.approx((1.0 + 0.25) / 2)


def test_every_task_scores_perfect_predictions_as_one() -> None:
    for task in TASKS.values():
        labels = np.arange(12) % task.num_labels if task.labels else np.linspace(0, 5, 12)
        given_splits = dict.fromkeys(task.validation_splits or task.test_splits, labels)
        result = score_task(task, given_splits, given_splits)
        assert result.score.value == pytest.approx(1.0)
        json.dumps(dataclasses.asdict(result))
    assert len(TASKS) == 11


def test_an_undefined_part_makes_the_score_undefined_and_is_named() -> None:
    labels = {"validation": np.array([1.0, 2.0])}
    result = score_task(get_task("stsb"), {"validation": np.array([3.0, 3.0])}, labels)
    assert result.score.value is None
    assert "validation: pearson: predictions are constant (3.0)" in result.score.reason
    assert "validation: spearman" in result.score.reason
    assert score_task(get_task("ax"), {}, {}).score == Measure(None, "no split was given")


def test_all_faults_of_all_splits_are_reported_together() -> None:
    with pytest.raises(DataError) as caught:
        score_task(
            get_task("mnli"),
            {"a": np.array([0, 3]), "b": np.array([0]), "c": np.array([0])},
            {"a": np.array([0, 4]), "b": np.array([-1]), "d": np.array([0])},
        )
    messages = [finding.message for finding in caught.value.findings]
    assert messages == [
        "mnli, a: 1 of 2 predictions are not a class id from 0 to 2: 3 at index 1.",
        "mnli, a: 1 of 2 labels are not a class id from 0 to 2: 4 at index 1.",
        "mnli, b: 1 of 1 labels are hidden (-1), the first at index 0.",
        "mnli, c: there are no labels.",
        "mnli, d: there are no predictions.",
    ]


def test_regression_labels_are_held_to_the_tasks_range_and_predictions_are_free() -> None:
    stsb = get_task("stsb")
    wide = {"validation": np.array([-3.0, 9.0])}
    with pytest.raises(DataError, match=r"outside 0 to 5: 5\.5 at index 1"):
        score_task(stsb, wide, {"validation": np.array([0.0, 5.5])})
    with pytest.raises(DataError, match="hidden"):
        score_task(stsb, wide, {"validation": np.array([-1.0, -1.0])})
    free = replace(stsb, label_range=None)
    assert score_task(free, wide, {"validation": np.array([-1.0, 70.0])}).score.value == 1.0


def test_the_glue_average_is_over_the_nine_tasks_only() -> None:
    scores: dict[str, float | None] = {name: i / 10 for i, name in enumerate(GLUE_TASKS)}
    assert len(scores) == 9
    assert glue_average(scores).value == pytest.approx(0.4)
    assert glue_average({**scores, "mnli-mm": 1.0, "ax": None}).value == pytest.approx(0.4)


def test_the_glue_average_names_what_it_lacks() -> None:
    scores: dict[str, float | None] = dict.fromkeys(GLUE_TASKS, 0.5)
    del scores["rte"], scores["wnli"]
    scores |= {"cola": None, "qqp": float("nan")}
    assert glue_average(scores) == Measure(None, "missing: rte, wnli; undefined: cola, qqp")
    with pytest.raises(ConfigurationError) as caught:
        glue_average({"colla": 0.5, "boolq": 0.5, "cola": 0.5})
    assert len(caught.value.findings) == 2


def _baseline(name: str, train: list[float], validation: list[float]) -> Measure:
    labels: dict[str, NDArray[np.generic]] = {"validation": np.array(validation)}
    return majority_baseline(get_task(name), np.array(train), labels).score


def test_the_majority_baseline_answers_with_the_commonest_class_of_train() -> None:
    assert _baseline("sst2", [1, 1, 0], [1, 0, 0, 0]).value == 0.25
    assert _baseline("sst2", [1, 0], [1, 0, 0, 0]).value == 0.75, "the lowest class wins a tie"
    assert _baseline("cola", [1, 1, 0], [1, 0, 1]).value == 0.0
    assert _baseline("mrpc", [1], [1, 1, 0, 1]).value == pytest.approx((0.75 + 6 / 7) / 2)


def test_the_mean_of_a_regression_task_has_no_correlation() -> None:
    measure = _baseline("stsb", [1.0, 4.0], [0.0, 5.0])
    assert measure.value is None
    assert "constant (2.5)" in measure.reason


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ([], "no labels"),
        ([0, -1], "hidden"),
        ([0, 2], "not a class id from 0 to 1"),
        ([0, np.nan], "not a class id"),
    ],
)
def test_the_majority_baseline_refuses_unfit_train_labels(train: list[float], message: str) -> None:
    with pytest.raises(DataError, match=f"rte, train: .*{message}"):
        _baseline("rte", train, [0, 1])


def test_collapsed_is_one_class_for_all() -> None:
    assert collapsed(np.array([2, 2, 2]))
    assert not collapsed(np.array([2, 2, 1]))
    assert not collapsed(np.array([2]))
    assert not collapsed(np.array([], dtype=int))


def test_importing_metrics_and_references_costs_no_heavy_library() -> None:
    code = (
        "import sys, gluetune.statistics.scores, gluetune.core.published;"
        "print({'numpy', 'scipy', 'sklearn', 'torch', 'pyarrow'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30),
    st.integers(0, 1),
)
def test_f1_is_of_the_class_that_is_positive(pairs: list[tuple[int, int]], positive: int) -> None:
    predictions, labels = (np.array(side) for side in zip(*pairs, strict=True))
    found = compute_metric("f1", predictions, labels, positive=positive)
    if positive not in predictions and positive not in labels:
        assert found.value is None
        assert f"({positive})" in found.reason
    else:
        ours = (predictions == positive).astype(int), (labels == positive).astype(int)
        assert found.value == pytest.approx(f1_score(ours[1], ours[0]))
