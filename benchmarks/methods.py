"""Scores of methods and of the recipe `auto` on real GLUE, compared with the plain Trainer's.

    python benchmarks/methods.py --data DIR --write benchmarks/results/methods.md

The peer is `benchmarks/peers/notebook.py`: the plain Trainer with the notebook's recipe. Every arm
trains on the same tasks and seeds, on the same machine, by turns; each chooses its epoch by the
notebook's metric on the validation set. The arms after `auto` are the notebook's recipe with one
part of it changed: each part's own gain. Runs that the folder already holds are not repeated, so
the command is resumed by typing it again, and more seeds extend the table. `--rows` adds a second
table: probe, lp-ft, full and the bag of words on that many rows of SST-2.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

import gluetune
from gluetune.core.records import has_collapsed
from gluetune.core.runs import Run, RunFolder

PEER = Path(__file__).parent / "peers" / "notebook.py"
TRAINER = "plain Trainer, notebook"
ARMS: Mapping[str, Mapping[str, Any]] = {
    "notebook": {},
    "auto": {"recipe": "auto"},
    "learning rate 1e-4": {"learning_rate": 1e-4},
    "10 epochs": {"epochs": 10},
    "warmup": {"warmup": 0.1},
    "averaged": {"average_epochs": 3},
    "layer decay": {"layer_decay": 0.9},
    "restarted": {"restart_layers": 1},
    "lp-ft": {"method": "lp-ft"},
    "probe": {"method": "probe"},
    "lora": {"method": "lora"},
}
"""The settings of gluetune's arms; all others are the notebook's."""
_DEFAULT_ARMS = tuple(name for name in ARMS if name != "lora")
_METRICS = {"cola": "matthews_correlation", "stsb": "pearson"}
_CONSTANT = 1e-9
"""Matthews or Pearson of a model that predicts the same for all."""


@dataclass(frozen=True)
class Result:
    """What one arm reached on a task with one seed."""

    task: str
    arm: str
    seed: int
    value: float
    seconds: float
    collapsed: bool


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is missing, and print and write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("GLUETUNE_DATA"))
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"))
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--tasks", nargs="*", default=["rte", "mrpc", "stsb", "cola"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--arms", nargs="*", default=[*_DEFAULT_ARMS], choices=[*ARMS])
    parser.add_argument("--mnli", help="a run on MNLI: RTE from its model, with auto, as an arm")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--rows", nargs="*", type=int, default=[], help="of SST-2, such as 50 100")
    parser.add_argument(
        "--no-training", action="store_true", help="only the tables of what is there"
    )
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args(argv)
    tables = [report(list(results(options)))]
    if options.rows:
        tables.append(report_rows(list(few_rows(options))))
    text = "\n".join(tables)
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


def results(options: argparse.Namespace) -> Iterator[Result]:
    """Yield each arm's result, seed by seed; train what is missing."""
    for seed in options.seeds:
        for task in options.tasks:
            yield from filter(None, (_peer(options, task, seed),))
            for arm in options.arms:
                yield from filter(None, (_own(options, task, seed, arm, ARMS[arm]),))
            if options.mnli and task == "rte":
                changed = {"recipe": "auto", "model": options.mnli, "new_head": True}
                yield from filter(None, (_own(options, task, seed, "auto from MNLI", changed),))


def _peer(options: argparse.Namespace, task: str, seed: int) -> Result | None:
    path = options.runs / "peer" / f"{task}-{seed}.json"
    if not path.exists():
        if options.no_training:
            return None
        words = [task, "--data", options.data, "--seed", seed, "--output", path]
        words += ["--precision", options.precision]
        words += [] if options.model == "minilm" else ["--model", options.model]
        environment = {**os.environ}
        if options.threads:
            environment["OMP_NUM_THREADS"] = str(options.threads)
        command = [sys.executable, str(PEER), *map(str, words)]
        subprocess.run(command, check=True, env=environment)
    found = json.loads(path.read_text(encoding="utf-8"))
    value = max(float(epoch[metric_of(task)] or 0) for epoch in found["metrics_by_epoch"])
    seconds = float(found["seconds"]["training_with_evaluations"])
    return Result(task, TRAINER, seed, value, seconds, is_constant(task, value))


def _own(
    options: argparse.Namespace, task: str, seed: int, arm: str, changed: Mapping[str, Any]
) -> Result | None:
    run = _train(options, f"{task}-{arm}-{seed}".replace(" ", "-"), task, seed, changed)
    if run is None:
        return None
    record = run.record
    values = [epoch.validation.flat().get(metric_of(task)) for epoch in record.epochs]
    value = max(one or 0.0 for one in values)
    seconds = record.timing.train_seconds + record.timing.evaluation_seconds
    return Result(task, arm, seed, value, seconds, has_collapsed(record))


def _train(
    options: argparse.Namespace, name: str, task: str, seed: int, changed: Mapping[str, Any]
) -> Run | None:
    """Return the run called `name`: as it is, resumed, or trained; None without training."""
    folder = options.runs / name
    if RunFolder(folder).record.exists():
        run = Run(folder)
        if run.status == "finished":
            return run
        return None if options.no_training else gluetune.train(resume=folder)
    if options.no_training:
        return None
    settings: dict[str, Any] = {
        "model": options.model,
        "data": options.data,
        "metric": metric_of(task),
        "precision": options.precision,
        "threads": options.threads,
        **changed,
    }
    return gluetune.train(task, seed=seed, output=folder, **settings)


def metric_of(task: str) -> str:
    """Return the metric by which the notebook chooses its best epoch."""
    return _METRICS.get(task, "accuracy")


def is_constant(task: str, value: float) -> bool:
    """Return whether a score shows that all predictions are the same."""
    return task in _METRICS and abs(value) < _CONSTANT


def report(found: Sequence[Result]) -> str:
    """Return means, spreads and paired differences as Markdown, in points."""
    lines = [
        "| task | arm | seeds | mean | sd | collapsed | seconds | difference | 95% interval |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(one.task for one in found):
        mine = [one for one in found if one.task == task]
        peers = {one.seed: one.value for one in mine if one.arm == TRAINER}
        for arm in dict.fromkeys(one.arm for one in mine):
            lines.append(_row(task, arm, [one for one in mine if one.arm == arm], peers))
    note = (
        f"Points of the metric by which the notebook chooses its epoch, the best epoch's. "
        f"Differences are from '{TRAINER}' with equal seeds; intervals are Student's of the mean "
        "difference. Seconds are of training with its evaluations."
    )
    return "\n".join([*lines, "", note, ""])


def _row(task: str, arm: str, found: Sequence[Result], peers: Mapping[int, float]) -> str:
    values = [100 * one.value for one in found]
    pairs = [100 * (one.value - peers[one.seed]) for one in found if one.seed in peers]
    spread = f"{stdev(values):.1f}" if len(values) > 1 else "-"
    difference = "-" if arm == TRAINER or not pairs else f"{mean(pairs):+.1f}"
    between = "-" if arm == TRAINER else interval(pairs)
    return (
        f"| {task}, {metric_of(task)} | {arm} | {len(found)} | {mean(values):.1f} | {spread} | "
        f"{sum(one.collapsed for one in found)} | {mean(one.seconds for one in found):,.0f} | "
        f"{difference} | {between} |"
    )


def interval(pairs: Sequence[float]) -> str:
    """Return Student's interval of the mean of differences; one difference has none."""
    if len(pairs) < 2:
        return "-"
    half = float(student.ppf(0.975, len(pairs) - 1)) * stdev(pairs) / sqrt(len(pairs))
    return f"{mean(pairs) - half:+.1f} to {mean(pairs) + half:+.1f}"


@dataclass(frozen=True)
class FewRows:
    """Scores of a method on a part of SST-2."""

    rows: int
    method: str
    seed: int
    value: float
    seconds: float


def few_rows(options: argparse.Namespace) -> Iterator[FewRows]:
    """Yield the accuracy of each method on some rows of SST-2, and of the bag of words."""
    from gluetune.core.config import TrainConfig
    from gluetune.core.tasks import get_task
    from gluetune.data.sampling import take_fraction
    from gluetune.data.sources import source_of
    from gluetune.training.text_baseline import text_baseline

    task = get_task("sst2")
    source = source_of(TrainConfig(task="sst2", data=options.data))
    train, validation = source.read(task, "train"), source.read(task, "validation")
    for seed in options.seeds:
        for rows in options.rows:
            fraction = rows / len(train)
            part = take_fraction(train, task, fraction, seed)
            words = text_baseline(task, part, {"validation": validation}).score.value
            yield FewRows(rows, "bag of words", seed, words or 0.0, 0.0)
            for method in ("probe", "lp-ft", "full"):
                changed = {"method": method, "fraction": fraction}
                changed |= {} if method == "probe" else {"recipe": "auto"}
                run = _train(options, f"sst2-{rows}-{method}-{seed}", "sst2", seed, changed)
                if run is not None:
                    spent = run.record.timing.train_seconds
                    yield FewRows(rows, method, seed, run.score or 0.0, spent)


def report_rows(found: Sequence[FewRows]) -> str:
    """Return the mean and spread of accuracy by method and number of rows, as Markdown."""
    methods = list(dict.fromkeys(one.method for one in found))
    lines = [
        f"| rows of SST-2 | {' | '.join(methods)} |",
        "|---" * (len(methods) + 1) + "|",
    ]
    for rows in dict.fromkeys(one.rows for one in found):
        cells = []
        for method in methods:
            values = [100 * one.value for one in found if (one.rows, one.method) == (rows, method)]
            spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.1f}{spread} ({len(values)})" if values else "-")
        lines.append(f"| {rows:,} | {' | '.join(cells)} |")
    note = "Accuracy in points, mean ± standard deviation (seeds). `lp-ft` and `full` with `auto`."
    return "\n".join([*lines, "", note, ""])


if __name__ == "__main__":
    main()
