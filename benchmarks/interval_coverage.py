"""How often intervals cover the true value, and how often McNemar's test raises a false alarm.

    python benchmarks/interval_coverage.py --write benchmarks/results/interval-coverage.md

Test sets are drawn from populations whose true metric is known. An interval of level 95% should
cover it 95 times in 100; one that is marked as unreliable, or replaced, is counted apart.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import torch
from scipy import stats

from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.inference.devices import device_name
from gluetune.statistics.intervals import Method, score_intervals
from gluetune.statistics.paired_tests import mcnemar, smallest_visible

SIZES = (71, 277, 1043)
"""Examples of WNLI's, RTE's and CoLA's validation sets."""


class Population(NamedTuple):
    """Populations of test sets: shares of label and prediction, or a correlation."""

    name: str
    positive: float
    right: float


CLASSES = (
    Population("balanced", 0.5, 0.8),
    Population("68% positive", 0.68, 0.8),
    Population("5% positive", 0.05, 0.9),
    Population("98% accurate", 0.5, 0.98),
)
METRICS = {"accuracy": "rte", "f1": "mrpc", "matthews_correlation": "cola"}
CORRELATION = 0.85


def main() -> None:
    """Simulate and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    began = time.perf_counter()
    lines = [*_coverage(options.sets, options.draws), "", *_alarms(options.sets)]
    text = "\n".join([*_heading(options), *lines, "", *_footing(began)])
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")


def _heading(options: argparse.Namespace) -> list[str]:
    return [
        "# How often an interval holds the truth",
        "",
        f"{options.sets:,} simulated test sets a row, {options.draws:,} bootstrap samples each, "
        "level 95%. `default` is what gluetune gives (Wilson's interval for accuracy); `marked` is "
        "how often it marks the interval as unreliable.",
        "",
    ]


def _footing(began: float) -> list[str]:
    versions = (
        f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    )
    seconds = time.perf_counter() - began
    return [
        f"{device_name(torch.device('cpu'))}; {versions}; {seconds:.0f} s. Made by",
        "`python benchmarks/interval_coverage.py --write FILE`.",
    ]


def _coverage(sets: int, draws: int) -> list[str]:
    rows = [
        "| metric | population | n | percentile | BCa | default | marked |",
        "|---|---|---|---|---|---|---|",
    ]
    for metric, name in METRICS.items():
        for population in CLASSES:
            for size in SIZES:
                make = _classifier(population, size)
                truth = _true_value(metric, population)
                rows.append(_row(metric, name, population.name, size, make, truth, sets, draws))
    for size in SIZES:
        make = _regressor(size)
        rows.append(_row("pearson", "stsb", "normal, 0.85", size, make, CORRELATION, sets, draws))
    return rows


def _row(
    metric: str,
    task: str,
    population: str,
    size: int,
    make: Callable[[np.random.Generator], Predictions],
    truth: float,
    sets: int,
    draws: int,
) -> str:
    random = np.random.default_rng(size)
    spec = get_task(task)
    held = {"percentile": 0, "bca": 0, "default": 0}
    marked = defined = 0
    methods: tuple[Method, ...] = ("percentile", "bca")
    for number in range(sets):
        found = {"validation": make(random)}
        default = score_intervals(spec, found, draws=draws, seed=number)[metric]
        if default is None:
            continue
        defined += 1
        marked += not default.reliable
        held["default"] += default.low <= truth <= default.high
        for method in methods:
            low, high = _plain(spec, found, metric, method, draws, number)
            held[method] += low <= truth <= high
    cells = [f"{100 * held[kind] / defined:.1f}%" for kind in ("percentile", "bca", "default")]
    start = f"| {metric} | {population} | {size:,}"
    return f"{start} | {' | '.join(cells)} | {100 * marked / defined:.0f}% |"


def _plain(
    spec: TaskSpec,
    found: dict[str, Predictions],
    metric: str,
    method: Method,
    draws: int,
    seed: int,
) -> tuple[float, float]:
    """Return the bootstrap interval itself, where the default may be another one."""
    from gluetune.statistics.intervals import _drawn
    from gluetune.statistics.resampling import resample

    (predictions,) = found.values()
    part = resample(spec, predictions, draws=draws, seed=seed, smooth=False)[metric]
    return _drawn([part], 0.95, method)


def _classifier(population: Population, size: int) -> Callable[[np.random.Generator], Predictions]:
    def make(random: np.random.Generator) -> Predictions:
        labels = (random.random(size) < population.positive).astype(np.int64)
        wrong = random.random(size) >= population.right
        return _predictions(labels, np.where(wrong, 1 - labels, labels))

    return make


def _regressor(size: int) -> Callable[[np.random.Generator], Predictions]:
    def make(random: np.random.Generator) -> Predictions:
        labels = random.standard_normal(size)
        noise = random.standard_normal(size)
        values = CORRELATION * labels + (1 - CORRELATION**2) ** 0.5 * noise
        # STS-B's labels are from 0 to 5; a correlation does not depend on it, its checks do.
        return _predictions(np.clip(labels / 10 + 2.5, 0, 5), values)

    return make


def _predictions(labels: Any, predicted: Any) -> Predictions:
    logits = np.zeros((len(labels), 2), dtype=np.float32)
    return Predictions(np.arange(len(labels)), labels, predicted, logits)


def _true_value(metric: str, population: Population) -> float:
    positive, right = population.positive, population.right
    both, missed = positive * right, positive * (1 - right)
    false, neither = (1 - positive) * (1 - right), (1 - positive) * right
    if metric == "accuracy":
        return right
    if metric == "f1":
        return 2 * both / (2 * both + missed + false)
    scale = (both + missed) * (both + false) * (neither + missed) * (neither + false)
    return float((both * neither - missed * false) / scale**0.5)


def _alarms(sets: int) -> list[str]:
    rows = [
        "# McNemar's exact test",
        "",
        "`false alarms`: how often a difference between two equally good models is shown at 5% "
        "(an exact test stays below). `seen`: how often the difference is found that the power "
        "formula says is found 80 times in 100; `theory` is the exact test's own power.",
        "",
        "| n | disagreement | false alarms | theory | difference | seen | theory |",
        "|---|---|---|---|---|---|---|",
    ]
    random = np.random.default_rng(0)
    for size in SIZES:
        for disagreement in (0.1, 0.25):
            difference = smallest_visible(size, disagreement)
            # A larger difference than the disagreement is seen of models that disagree on more.
            within = max(disagreement, difference)
            alarms = _rejections(random, size, disagreement, 0.0, sets)
            seen = _rejections(random, size, within, difference, sets)
            exact = [
                _exact_power(size, disagreement, 0.0),
                _exact_power(size, within, difference),
            ]
            rows.append(
                f"| {size:,} | {disagreement:.0%} | {alarms:.1%} | {exact[0]:.1%} | "
                f"{100 * difference:.1f} points | {seen:.1%} | {exact[1]:.1%} |"
            )
    return rows


def _rejections(
    random: np.random.Generator, size: int, disagreement: float, difference: float, sets: int
) -> float:
    only_first = (disagreement - difference) / 2
    chances = [only_first, disagreement - only_first, 1 - disagreement]
    rejected = 0
    for _ in range(sets):
        kind = random.choice(3, size=size, p=chances)
        labels = np.zeros(size, dtype=np.int64)
        first = _predictions(labels, (kind == 1).astype(np.int64))
        second = _predictions(labels, (kind == 0).astype(np.int64))
        rejected += mcnemar(first, second).p_value < 0.05
    return rejected / sets


def _exact_power(size: int, disagreement: float, difference: float) -> float:
    """Sum over the number of disagreements, and over which model is right in them."""
    share = 0.5 * (1 - difference / disagreement)
    power = 0.0
    for count in range(size + 1):
        weight = stats.binom.pmf(count, size, disagreement)
        if weight < 1e-9:
            continue
        first = np.arange(count + 1)
        p_values = np.minimum(
            1.0, 2 * stats.binom.cdf(np.minimum(first, count - first), count, 0.5)
        )
        power += weight * stats.binom.pmf(first[p_values < 0.05], count, share).sum()
    return float(power)


if __name__ == "__main__":
    main()
