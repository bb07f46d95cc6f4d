"""Synthetic predictions of a model, with labels and logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluetune.core.records import Predictions


def classified(labels: Any, predicted: Any, *, classes: int = 2, sure: float = 2.0) -> Predictions:
    """Return predictions of a classifier whose predicted class has the logit `sure`, others 0."""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    logits = np.zeros((len(labels), classes), dtype=np.float32)
    logits[np.arange(len(labels)), predicted] = sure
    return Predictions(np.arange(len(labels)), labels, predicted, logits)


def estimated(labels: Any, predicted: Any) -> Predictions:
    """Return predictions of a regression model."""
    labels = np.asarray(labels, dtype=np.float32)
    predicted = np.asarray(predicted, dtype=np.float32)
    return Predictions(np.arange(len(labels)), labels, predicted, predicted[:, None])


def random_classified(
    count: int, *, positive: float = 0.5, right: float = 0.8, seed: int = 0
) -> Predictions:
    """Return predictions of two classes that are correct with probability `right`."""
    random = np.random.default_rng(seed)
    labels = (random.random(count) < positive).astype(np.int64)
    flip = random.random(count) >= right
    return classified(labels, np.where(flip, 1 - labels, labels))


def random_estimated(count: int, *, noise: float = 0.7, seed: int = 0) -> Predictions:
    """Return predictions of numbers from 0 to 5, with ties among the labels as in STS-B."""
    random = np.random.default_rng(seed)
    labels = np.round(random.uniform(0, 5, count) * 5) / 5
    return estimated(labels, labels + noise * random.standard_normal(count))
