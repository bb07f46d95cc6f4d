"""gluetune with the notebook's settings on real GLUE, beside the plain Trainer's scores.

    python benchmarks/notebook_recipe.py --data DIR --runs FOLDER --write benchmarks/results/…md

It is about scores: both sides' times are not compared here, for they were not taken side by side.
Runs that FOLDER already holds are not repeated: the table is made from their records. The plain
Trainer's scores come from files that `benchmarks/peers/notebook.py --output` wrote into
`benchmarks/results/peers/`.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import gluetune
from gluetune.records import EpochRecord, Record

PEERS = Path(__file__).parent / "results" / "peers"


class Plan(NamedTuple):
    """One run: the notebook's settings but for what is said here."""

    task: str
    micro_batch_size: int
    fraction: float = 1.0
    epochs: float = 5.0


PLANS = (
    Plan("cola", 16),
    Plan("mrpc", 8),
    Plan("stsb", 8),
    Plan("rte", 4),
    Plan("wnli", 8),
    Plan("sst2", 16, fraction=0.1, epochs=1.0),
)
"""A micro-batch changes no step; small ones save padding where texts are long."""


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("GLUETUNE_DATA"))
    parser.add_argument("--runs", type=Path, default=Path("runs/notebook-recipe"))
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--tasks", nargs="*", default=[plan.task for plan in PLANS])
    parser.add_argument("--write", type=Path, default=None)
    options = parser.parse_args()
    plans = [plan for plan in PLANS if plan.task in options.tasks]
    records = [
        _run(plan, options.data, options.runs / plan.task, options.threads) for plan in plans
    ]
    table = report(records)
    print(table)
    if options.write:
        options.write.write_text(table, encoding="utf-8")


def report(records: list[Record]) -> str:
    """Return the table as Markdown: each run, then the plain Trainer's on the same task."""
    lines = [
        "| task | who | seed | validation by epoch | best | majority |",
        "|---|---|---|---|---|---|",
    ]
    for record in records:
        lines.append(_own_row(record))
        lines += [_peer_row(peer) for peer in _peers(record.task)]
    environment = records[0].environment
    assert environment is not None, "every run records its environment"
    versions = ", ".join(
        f"{name} {environment.versions[name]}" for name in ("transformers", "torch", "python")
    )
    where = f"gluetune's runs: {environment.device}, {environment.threads} threads, {versions}."
    return "\n".join([*lines, "", where, ""])


def _run(plan: Plan, data: str | None, folder: Path, threads: int | None) -> Record:
    if (folder / "record.json").exists():
        run = gluetune.Run(folder)
        return (run if run.status == "finished" else gluetune.train(resume=folder)).record
    return gluetune.train(
        plan.task,
        model="minilm",
        data=data,
        precision="fp32",
        micro_batch_size=plan.micro_batch_size,
        fraction=plan.fraction,
        epochs=plan.epochs,
        threads=threads,
        output=folder,
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
    threads = peer["hardware"]["threads"]
    who = f"plain Trainer, {settings['precision']}, {len(epochs)} epochs, {threads} threads"
    return f"| {settings['task']} | {who} | {settings['seed']} | {by_epoch} | {values} | |"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".replace("0.", ".", 1)


if __name__ == "__main__":
    main()
