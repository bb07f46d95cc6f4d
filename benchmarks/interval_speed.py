"""How long the intervals of large validation sets take, and how much memory.

    python -m benchmarks.interval_speed --write benchmarks/results/interval-speed.md

Each case runs in a process of its own, whose peak memory is what the system counted. It
exits with 1 where a case takes longer than it may, on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from gluetune.core.records import Predictions
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.statistics.intervals import score_intervals

BOUND = 20.0
"""Seconds that a bounded case may take on two cores."""


@dataclass(frozen=True)
class Case:
    """Predictions of a made-up model."""

    rows: int
    classes: int
    """0 for a regression."""
    right: float = 0.8
    is_bounded: bool = False


CASES = (
    Case(10_000, 0),
    Case(32_000, 0),
    Case(100_000, 0, is_bounded=True),
    Case(10_000, 2),
    Case(10_000, 500),
    Case(100_000, 100),
    Case(100_000, 1_000, is_bounded=True),
    Case(100_000, 1_000, right=0.1, is_bounded=True),
)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", type=Path, default=None)
    parser.add_argument("--case", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        print(*_measure(CASES[options.case]))
        return
    measured = [_in_a_process(number) for number in range(len(CASES))]
    text = "\n".join(_table(measured))
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")
    slow = any(
        case.is_bounded and wall > BOUND for case, (wall, _, _) in zip(CASES, measured, strict=True)
    )
    raise SystemExit(1 if slow else 0)


def _in_a_process(number: int) -> tuple[float, ...]:
    """Return seconds on the clock, seconds of a core, and MiB of one case."""
    command = [sys.executable, "-m", "benchmarks.interval_speed", "--case", str(number)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(float(part) for part in told.split())


def _measure(case: Case) -> tuple[float, float, float]:
    task, found = _predictions(case)
    wall, processor = time.perf_counter(), time.process_time()
    score_intervals(task, {"validation": found})
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return wall, processor, peak / (2**20 if sys.platform == "darwin" else 2**10)


def _predictions(case: Case) -> tuple[TaskSpec, Predictions]:
    random = np.random.default_rng(0)
    none = np.zeros((case.rows, 1), dtype=np.float32)
    if not case.classes:
        labels = random.uniform(0, 5, case.rows)
        numbers = labels + random.standard_normal(case.rows)
        return get_task("stsb"), Predictions(np.arange(case.rows), labels, numbers, none)
    names = tuple(f"class {number}" for number in range(case.classes))
    task = replace(
        get_task("rte"), labels=names, metrics=("f1_macro",), extra_metrics=("accuracy",)
    )
    ids = random.integers(0, case.classes, (2, case.rows))
    answers = np.where(random.random(case.rows) < case.right, ids[0], ids[1])
    return task, Predictions(np.arange(case.rows), ids[0], answers, none)


def _table(measured: list[tuple[float, ...]]) -> list[str]:
    from gluetune.inference.devices import device, device_name

    lines = [
        "# How long intervals take",
        "",
        "Intervals of all metrics of a task, of 10,000 bootstrap samples each. Rows in bold have a "
        f"bound: {BOUND:.0f} s on two cores.",
        "",
        "| task | rows | correct | seconds | seconds of one core | peak memory |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for case, (wall, processor, peak) in zip(CASES, measured, strict=True):
        kind = f"{case.classes:,} classes" if case.classes else "Pearson and Spearman"
        shown = f"**{kind}**" if case.is_bounded else kind
        right = f"{case.right:.0%}" if case.classes else ""
        cells = f"{case.rows:,} | {right} | {wall:.1f} | {processor:.1f} | {peak:,.0f} MiB"
        lines.append(f"| {shown} | {cells} |")
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy"))
    load = "/".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        *lines,
        "",
        f"{device_name(device())}, {os.cpu_count()} cores, load {load}; Python "
        f"{platform.python_version()}, {versions}; made by `python -m benchmarks.interval_speed`.",
    ]


if __name__ == "__main__":
    main()
