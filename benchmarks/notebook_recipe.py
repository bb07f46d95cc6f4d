"""Scores of gluetune with the notebook's settings on real GLUE, compared with the plain Trainer's.

    python benchmarks/notebook_recipe.py --data DIR --runs FOLDER --write benchmarks/results/…md

It is about scores: both sides' times are not compared here, for they were not taken side by side.
Runs that FOLDER already holds are not repeated: the table is made from their records. The plain
Trainer's scores come from files that `benchmarks/peers/notebook.py --output` wrote into
`benchmarks/results/peers/`. Equal seeds are compared; they give both sides the same
order of examples, not the same dropout masks nor the same new head.
"""

from __future__ import annotations

import argparse
import json
import os
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

import gluetune
from gluetune.core.records import EpochRecord, Record

PEERS = Path(__file__).parent / "results" / "peers"


def main() -> None:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("GLUETUNE_DATA"))
    parser.add_argument("--runs", type=Path, default=Path("runs/notebook-recipe"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--tasks", nargs="*", default=["cola", "mrpc", "stsb", "rte"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 42])
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    records = [
        _run(task, seed, options.data, options.runs / f"{task}-{seed}", options.threads)
        for task in options.tasks
        for seed in options.seeds
    ]
    table = report(records)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def report(records: list[Record]) -> str:
    """Return the differences of equal seeds, and then each run, as Markdown."""
    lines = [
        "| task | n | gluetune - plain Trainer, by seed | mean | 95% interval |",
        "|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(record.task for record in records):
        lines.append(_difference_row(task, [one for one in records if one.task == task]))
    lines += [
        "",
        "| task | who | seed | validation by epoch | best | majority |",
        "|---|---|---|---|---|---|",
    ]
    for task in dict.fromkeys(record.task for record in records):
        lines += [_own_row(record) for record in records if record.task == task]
        lines += [_peer_row(peer) for peer in _peers(task)]
    environment = records[0].environment
    assert environment is not None, "every run records its environment"
    versions = ", ".join(
        f"{name} {environment.versions[name]}" for name in ("transformers", "torch", "python")
    )
    where = f"gluetune's runs: {environment.device}, {environment.threads} threads, {versions}."
    return "\n".join([*lines, "", where, ""])


def _difference_row(task: str, records: list[Record]) -> str:
    """Compare the metric by which the notebook chooses its best epoch, in points."""
    metric = _deciding_metric(task)
    peers = _peer_by_seed(task)
    pairs = {
        record.seed: 100 * (_best(record, metric) - _peer_best(peers[record.seed], metric))
        for record in records
        if record.seed in peers
    }
    found = list(pairs.values())
    listed = ", ".join(
        f"{value:+.1f} ({seed}, {peers[seed]['settings']['precision']})"
        for seed, value in pairs.items()
    )
    middle = f"{mean(found):+.1f}" if found else "-"
    return f"| {task}, {metric} | {len(found)} | {listed} | {middle} | {_interval(found)} |"


def _interval(found: list[float]) -> str:
    """Student's interval of the mean of differences; one difference has none."""
    if len(found) < 2:
        return "none"
    half = float(student.ppf(0.975, len(found) - 1)) * stdev(found) / sqrt(len(found))
    return f"{mean(found) - half:+.1f} to {mean(found) + half:+.1f}"


def _deciding_metric(task: str) -> str:
    return {"cola": "matthews_correlation", "stsb": "pearson"}.get(task, "accuracy")


def _best(record: Record, metric: str) -> float:
    return max(_value(epoch, metric) or 0.0 for epoch in record.epochs)


def _peer_best(peer: dict[str, Any], metric: str) -> float:
    return max(float(epoch[metric]) for epoch in peer["metrics_by_epoch"])


def _peer_by_seed(task: str) -> dict[int, dict[str, Any]]:
    """Return one run of the plain Trainer for each seed: in fp32 where there is one."""
    by_preference = sorted(
        _peers(task), key=lambda one: (one["settings"]["precision"] == "fp32", _threads(one))
    )
    return {int(one["settings"]["seed"]): one for one in by_preference}


def _threads(peer: dict[str, Any]) -> int:
    return int(peer["hardware"]["threads"])


def _run(task: str, seed: int, data: str | None, folder: Path, threads: int | None) -> Record:
    if (folder / "record.json").exists():
        run = gluetune.Run(folder)
        return (run if run.status == "finished" else gluetune.train(resume=folder)).record
    return gluetune.train(
        task, model="minilm", data=data, seed=seed, threads=threads, output=folder
    ).record


def _own_row(record: Record) -> str:
    names = list(record.epochs[0].validation.metrics["validation"])
    by_epoch = "; ".join(
        f"{name} {' '.join(_shown(_value(epoch, name)) for epoch in record.epochs)}"
        for name in names
    )
    assert record.best is not None, "a finished run has a best epoch"
    best = " / ".join(_shown(record.best.validation.metrics["validation"][name]) for name in names)
    baseline = record.majority_baseline
    majority = " / ".join(
        _shown(baseline.metrics["validation"][name] if baseline else None) for name in names
    )
    rows = record.data.rows["train"] if record.data else 0
    precision = record.environment.precision if record.environment else ""
    who = f"gluetune, {precision}, {len(record.epochs)} epochs, {rows:,} rows"
    return f"| {record.task} | {who} | {record.seed} | {by_epoch} | {best} | {majority} |"


def _value(epoch: EpochRecord, name: str) -> float | None:
    return epoch.validation.metrics["validation"][name]


def _peers(task: str) -> list[dict[str, Any]]:
    files = sorted(PEERS.glob(f"{task}-*.json"), reverse=True)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _peer_row(peer: dict[str, Any]) -> str:
    settings, epochs = peer["settings"], peer["metrics_by_epoch"]
    names = [name for name in epochs[0] if name not in ("epoch", "step", "loss")]
    by_epoch = "; ".join(
        f"{name} {' '.join(_shown(epoch[name]) for epoch in epochs)}" for name in names
    )
    best = epochs[peer["best_epoch"] - 1]
    values = " / ".join(_shown(best[name]) for name in names)
    who = f"plain Trainer, {settings['precision']}, {len(epochs)} epochs, {_threads(peer)} threads"
    return f"| {settings['task']} | {who} | {settings['seed']} | {by_epoch} | {values} | |"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
