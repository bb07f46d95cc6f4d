"""Cross-validation where the truth is known: intervals of scores, and realised precision.

    python benchmarks/folds_simulation.py --write benchmarks/results/folds-simulation.md

Training sets are drawn from a population, a logistic regression is cross-validated on each, and one
is trained on all of its rows. An interval of level 95% should cover the accuracy of the models of
the folds 95 times in 100. The precision of predictions above a threshold that was chosen for a
precision should be at least that precision 95 times in 100.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from gluetune.core.records import Predictions
from gluetune.core.tasks import get_task
from gluetune.kinds import SINGLE_LABEL
from gluetune.statistics.abstention import for_precision, risk_coverage
from gluetune.statistics.calibration import cross_fitted, fit_temperatures, with_temperatures
from gluetune.statistics.intervals import score_intervals

FOLDS = 5
SIZES = (300, 1000)
WISHED = (0.8, 0.9, 0.95)
FEATURES = 30
TEST = 10_000

Floats = NDArray[Any]


class Population(NamedTuple):
    """Rows of normal features whose label depends on their sum of this strength."""

    name: str
    strength: float


POPULATIONS = (Population("hard", 1.0), Population("easy", 4.0))


class Draw(NamedTuple):
    """What one training set gives."""

    covers_folds: bool
    """Whether the interval covers the mean accuracy of the models of the folds."""
    covers_final: bool
    """Whether it covers the accuracy of the model trained on all rows."""
    width: float
    realised: tuple[float | None, ...]
    """The precision above the threshold for each wished one; None where none reaches it."""
    coverage: tuple[float, ...]
    """The share of new rows above it."""


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    began = time.perf_counter()
    draws = {
        (population, size): [_draw(population, size, seed) for seed in range(options.draws)]
        for population in POPULATIONS
        for size in SIZES
    }
    seconds = time.perf_counter() - began
    lines = [
        "# Cross-validation where the truth is known",
        "",
        f"{options.draws} training sets a row, {FOLDS} folds of a logistic regression on "
        f"{FEATURES} features, {TEST:,} test rows. NumPy {np.__version__}, SciPy "
        f"{scipy.__version__}, scikit-learn {sklearn.__version__}, {platform.machine()}; "
        f"{seconds:.0f} s.",
        "",
        "    python benchmarks/folds_simulation.py",
        "",
        "How often the 95% interval covers the accuracy of the models of the folds, and that of "
        "the model trained on all rows, which has seen more:",
        "",
        "| population | rows | models of the folds | model on all rows | mean width |",
        "|---|---|---|---|---|",
        *_intervals(draws),
        "",
        "The threshold for a precision, and what the model trained on all rows then realises on "
        "new rows:",
        "",
        "| population | rows | wished | a threshold reaches it | of those, realised at least that "
        "| missed, of all draws | mean coverage |",
        "|---|---|---|---|---|---|---|",
        *_precisions(draws),
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if options.write is not None:
        options.write.write_text(text, encoding="utf-8")


def _intervals(draws: dict[tuple[Population, int], list[Draw]]) -> Iterator[str]:
    for (population, size), found in draws.items():
        yield (
            f"| {population.name} | {size:,} | {np.mean([one.covers_folds for one in found]):.1%} "
            f"| {np.mean([one.covers_final for one in found]):.1%} "
            f"| {np.mean([one.width for one in found]):.3f} |"
        )


def _precisions(draws: dict[tuple[Population, int], list[Draw]]) -> Iterator[str]:
    for (population, size), found in draws.items():
        for place, wished in enumerate(WISHED):
            reached = [one for one in found if one.realised[place] is not None]
            good = [(one.realised[place] or 0.0) >= wished for one in reached]
            kept = f"{np.mean(good):.1%}" if good else "-"
            missed = (len(good) - sum(good)) / len(found)
            coverage = np.mean([one.coverage[place] for one in reached]) if reached else 0.0
            yield (
                f"| {population.name} | {size:,} | {wished:.0%} | {len(reached) / len(found):.1%} "
                f"| {kept} | {missed:.1%} | {coverage:.1%} |"
            )


def _draw(population: Population, size: int, seed: int) -> Draw:
    random = np.random.default_rng(seed)
    features, labels = _rows(population, size, random)
    test, truth = _rows(population, TEST, np.random.default_rng(10**6 + seed))
    folds = np.empty(size, dtype=np.int64)
    for label in (0, 1):
        members = random.permutation(np.flatnonzero(labels == label))
        folds[members] = np.arange(len(members)) % FOLDS
    logits, accuracies = np.zeros((size, 2)), []
    for fold in range(FOLDS):
        mine = folds == fold
        model = _fitted(features[~mine], labels[~mine])
        logits[mine] = _logits(model, features[mine])
        accuracies.append(float((_logits(model, test).argmax(axis=1) == truth).mean()))
    predicted = logits.argmax(axis=1)
    found = Predictions(np.arange(size), labels, predicted, logits.astype(np.float32))
    interval = score_intervals(get_task("rte"), {"oof": found}, draws=100)["score"]
    assert interval is not None
    final = _logits(_fitted(features, labels), test)
    right = final.argmax(axis=1) == truth
    sure = SINGLE_LABEL.probabilities(cross_fitted(SINGLE_LABEL, logits, labels, folds)).max(axis=1)
    temperatures = fit_temperatures(SINGLE_LABEL, logits, labels)
    new = SINGLE_LABEL.probabilities(with_temperatures(final, temperatures)).max(axis=1)
    points = risk_coverage(sure, predicted == labels)
    chosen = [for_precision(points, wished) for wished in WISHED]
    above = [None if one is None else new >= one.confidence for one in chosen]
    return Draw(
        covers_folds=bool(interval.low <= np.mean(accuracies) <= interval.high),
        covers_final=bool(interval.low <= right.mean() <= interval.high),
        width=interval.high - interval.low,
        realised=tuple(
            None if one is None else float(right[one].mean()) if one.any() else 1.0 for one in above
        ),
        coverage=tuple(0.0 if one is None else float(one.mean()) for one in above),
    )


def _rows(population: Population, count: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    features = random.normal(size=(count, FEATURES))
    weights = np.linspace(1, 0, FEATURES)
    signal = population.strength * features @ (weights / np.linalg.norm(weights))
    labels = (random.random(count) < 1 / (1 + np.exp(-signal))).astype(np.int64)
    return features, labels


def _fitted(features: Floats, labels: Floats) -> LogisticRegression:
    return LogisticRegression(C=100, max_iter=200).fit(features, labels)


def _logits(model: LogisticRegression, features: Floats) -> Floats:
    scores = model.decision_function(features)
    return np.stack([np.zeros_like(scores), scores], axis=1)


if __name__ == "__main__":
    main()
