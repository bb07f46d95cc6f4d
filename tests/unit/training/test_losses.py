"""Each loss is torch's own, with its gradient, however the step is cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from gluetune.kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Kind
from gluetune.kinds.base import IGNORED
from gluetune.training.trainer import ClassificationLoss

GENERATOR = torch.Generator().manual_seed(5)
LOGITS = torch.randn(12, 3, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0])
SETS = (torch.rand(12, 3, generator=GENERATOR) < 0.3).double()
CLASS_WEIGHTS = torch.tensor([0.5, 1.5, 3.0], dtype=torch.float64)
SET_WEIGHTS = torch.tensor([[0.6, 0.7, 0.8], [2.0, 3.0, 4.0]], dtype=torch.float64)


def gradient(loss: Any, logits: torch.Tensor = LOGITS) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = logits.clone().requires_grad_()
    value = loss(leaf)
    (found,) = torch.autograd.grad(value, leaf)
    return value.detach(), found


@pytest.mark.parametrize("weights", [None, CLASS_WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_classes_are_torchs_cross_entropy(weights: torch.Tensor | None, smoothing: float) -> None:
    ours = ClassificationLoss(SINGLE_LABEL, label_smoothing=smoothing, weights=weights)
    theirs = nn.CrossEntropyLoss(weights, reduction="sum", label_smoothing=smoothing)
    found = gradient(lambda logits: ours({"logits": logits}, CLASSES))
    expected = gradient(lambda logits: theirs(logits, CLASSES) / len(CLASSES))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weights", [None, SET_WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_several_labels_are_torchs_binary_cross_entropy(
    weights: torch.Tensor | None, smoothing: float
) -> None:
    ours = ClassificationLoss(MULTI_LABEL, label_smoothing=smoothing, weights=weights)
    each = None if weights is None else torch.where(SETS > 0, weights[1], weights[0])
    theirs = nn.BCEWithLogitsLoss(each)
    target = SETS * (1 - smoothing) + smoothing / 2
    found = gradient(lambda logits: ours({"logits": logits}, SETS))
    expected = gradient(lambda logits: theirs(logits, target))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cut", [1, 5, 12])
@pytest.mark.parametrize("kind", [SINGLE_LABEL, MULTI_LABEL], ids=str)
def test_the_cut_of_a_step_changes_nothing(kind: Kind, cut: int) -> None:
    labels = CLASSES if kind is SINGLE_LABEL else SETS
    weights = CLASS_WEIGHTS if kind is SINGLE_LABEL else SET_WEIGHTS
    loss = ClassificationLoss(kind, label_smoothing=0.1, weights=weights)
    count = labels.numel()
    whole = gradient(lambda logits: loss({"logits": logits}, labels))
    parts = gradient(
        lambda logits: torch.stack(
            [
                loss({"logits": logits[start : start + cut]}, labels[start : start + cut], count)
                for start in range(0, len(labels), cut)
            ]
        ).sum()
    )
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-14)


def test_a_set_that_does_not_count_adds_nothing() -> None:
    loss = ClassificationLoss(MULTI_LABEL, weights=SET_WEIGHTS)
    labels = SETS.clone()
    labels[3] = IGNORED
    value, slope = gradient(lambda logits: loss({"logits": logits}, labels, 33))
    rest = [row for row in range(12) if row != 3]
    assert torch.isclose(value, loss({"logits": LOGITS[rest]}, SETS[rest], 33))
    assert not slope[3].any()


def test_a_number_is_a_label_whatever_it_is() -> None:
    labels = torch.tensor([-100.0, 2.0, -100.0, -99.0], dtype=torch.float64)
    logits = LOGITS[:4, :1]
    loss = ClassificationLoss(REGRESSION)
    found = gradient(lambda logits: loss({"logits": logits}, labels), logits)
    expected = gradient(lambda logits: nn.MSELoss()(logits[:, 0], labels), logits)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert loss.kind.is_labelled(labels).all()


def test_the_mean_is_over_the_labels_that_are_given() -> None:
    labels = torch.where(CLASSES == 1, IGNORED, CLASSES)
    ours, theirs = ClassificationLoss(SINGLE_LABEL), nn.CrossEntropyLoss()
    torch.testing.assert_close(ours({"logits": LOGITS}, labels), theirs(LOGITS, labels))
    sets = SETS.clone()
    sets[0, 1] = IGNORED
    each = nn.BCEWithLogitsLoss(reduction="none")(LOGITS, SETS)
    torch.testing.assert_close(
        ClassificationLoss(MULTI_LABEL)({"logits": LOGITS}, sets), each[sets >= 0].mean()
    )


def test_balanced_weights_are_scikit_learns_in_the_order_of_the_outputs() -> None:
    labels = CLASSES.numpy()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    weights = torch.from_numpy(SINGLE_LABEL.class_weights(labels, (2, 0, 1)))
    assert weights[[2, 0, 1]].tolist() == pytest.approx(expected)
    per_example = weights[torch.tensor([2, 0, 1])[CLASSES]]
    assert per_example.mean().item() == pytest.approx(1)


def test_balanced_weights_of_sets_give_with_and_without_the_same_sum() -> None:
    labels = SETS.numpy()
    weights = MULTI_LABEL.class_weights(labels, (0, 1, 2))
    given = labels.sum(axis=0)
    np.testing.assert_allclose(weights[1] * given, weights[0] * (len(labels) - given))
    assert MULTI_LABEL.class_weights(np.zeros((4, 1)), (0,)).tolist() == [[0.5], [0.0]]
