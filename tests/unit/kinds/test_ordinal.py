"""Ordered classes: the order decides the loss, the baselines and the errors, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.own_files import write_csv

from gluetune.core.config import make_config
from gluetune.core.errors import DataError
from gluetune.data.own.source import OwnSource
from gluetune.kinds import ORDINAL, SINGLE_LABEL
from gluetune.kinds.base import IGNORED
from gluetune.training.trainer import ClassificationLoss

GENERATOR = torch.Generator().manual_seed(3)
LOGITS = torch.randn(8, 5, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 4, 4, 0, 2])


def test_the_loss_is_the_cross_entropy_and_the_ranked_probability_score() -> None:
    probabilities = LOGITS.softmax(dim=1).numpy()
    expected = []
    for row, label in zip(probabilities, LABELS.tolist(), strict=True):
        steps = [(row[: k + 1].sum() - (k >= label)) ** 2 for k in range(5)]
        expected.append(-np.log(row[label]) + sum(steps))
    found = ORDINAL.losses(LOGITS.numpy(), LABELS.numpy())
    np.testing.assert_allclose(found, expected)
    loss = ClassificationLoss(ORDINAL)({"logits": LOGITS}, LABELS)
    assert loss.item() == pytest.approx(np.mean(expected))


@given(st.integers(0, 4), st.lists(st.floats(-5, 5), min_size=5, max_size=5))
def test_a_prediction_further_off_costs_more(label: int, logits: list[float]) -> None:
    """Moving probability one class further from the true one never lowers the loss."""
    near = np.array([logits])
    for further in range(label + 1, 4):
        far = near.copy()
        far[0, [further, further + 1]] = far[0, [further + 1, further]]
        if near[0, further] >= near[0, further + 1]:
            losses = (ORDINAL.losses(one, np.array([label])) for one in (near, far))
            first, second = (float(one[0]) for one in losses)
            assert second >= first - 1e-9


def test_the_lowest_expected_loss_is_at_the_true_distribution() -> None:
    """A strictly proper scoring rule: honest probabilities are the best."""
    true = torch.tensor([0.1, 0.2, 0.4, 0.2, 0.1], dtype=torch.float64)
    logits = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200)

    def expected() -> torch.Tensor:
        optimiser.zero_grad()
        each = [
            ORDINAL.loss(logits, torch.tensor([label]), weights=None, smoothing=0.0)
            for label in range(5)
        ]
        total = (torch.stack(each) * true).sum()
        total.backward()
        return total

    optimiser.step(expected)
    torch.testing.assert_close(logits.softmax(dim=1)[0], true, atol=1e-5, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0])])
def test_the_order_of_the_outputs_is_no_matter(
    smoothing: float, weights: torch.Tensor | None
) -> None:
    outputs = (3, 0, 4, 1, 2)
    given = None if weights is None else weights.double()
    plain = ORDINAL.loss(LOGITS, LABELS, weights=given, smoothing=smoothing)
    moved = torch.empty_like(LOGITS)
    moved[:, list(outputs)] = LOGITS
    other = None if given is None else torch.empty_like(given)
    if given is not None and other is not None:
        other[list(outputs)] = given
    labels = torch.tensor(outputs)[LABELS]
    found = ORDINAL.loss(moved, labels, weights=other, smoothing=smoothing, order=outputs)
    torch.testing.assert_close(found, plain)


def test_an_example_without_a_label_adds_nothing() -> None:
    labels = LABELS.clone()
    labels[1] = IGNORED
    rest = [row for row in range(8) if row != 1]
    found = ORDINAL.loss(LOGITS, labels, weights=None, smoothing=0.1, order=(4, 3, 2, 1, 0))
    expected = ORDINAL.loss(
        LOGITS[rest], LABELS[rest], weights=None, smoothing=0.1, order=(4, 3, 2, 1, 0)
    )
    torch.testing.assert_close(found, expected)


def test_errors_are_ranked_by_their_distance_and_then_by_probability() -> None:
    labels = np.array([0, 0, 4, 2])
    predicted = np.array([1, 4, 3, 2])
    logits = np.zeros((4, 5))
    logits[2, 4] = -9.0
    assert ORDINAL.rank_errors(labels, predicted, logits).tolist() == [1, 2, 0]


def test_the_constant_prediction_is_the_median() -> None:
    labels = np.array([0, 0, 0, 3, 4, 4, 4])
    assert ORDINAL.constant(labels, 5) == 3
    assert SINGLE_LABEL.constant(labels, 5) == 0
    assert ORDINAL.constant(np.array([1, 3]), 5) == 1, "the lower of two"


def labelled(path: Path, labels: list[str], **settings: object) -> OwnSource:
    rows = [{"text": f"text number {n}", "label": label} for n, label in enumerate(labels)]
    config = {"train_file": str(write_csv(path, rows)), "kind": "ordinal", **settings}
    return OwnSource(make_config(config))


def test_whole_numbers_are_in_their_order(tmp_path: Path) -> None:
    task = labelled(tmp_path / "a.csv", ["10", "2", "-1", "3"] * 9).task
    assert task.labels == ("-1", "2", "3", "10")
    assert task.metrics == ("quadratic_weighted_kappa",)
    assert task.extra_metrics == ("mae", "accuracy")


def test_other_classes_are_in_the_order_that_is_stated(tmp_path: Path) -> None:
    names = ["low", "high", "medium"]
    source = labelled(tmp_path / "a.csv", names * 9, label_order=["low", "medium", "high"])
    assert source.task.labels == ("low", "medium", "high")
    with pytest.raises(DataError) as caught:
        _ = labelled(tmp_path / "b.csv", names * 9).task
    assert "their order is not known" in str(caught.value)
    assert "--label-order" in caught.value.findings[0].hint
    with pytest.raises(DataError, match="lacks 1 of the labels"):
        _ = labelled(tmp_path / "c.csv", names * 9, label_order=["low", "high"]).task
