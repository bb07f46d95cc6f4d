"""gluetune's search and Trainer's hyperparameter_search: the same trials, time and final score.

gluetune searches first; its proposals (random ones, TPE's start) are then given to the plain
Trainer, which trains the same trials on the same rows with the same seed, in a process of its own
that imports nothing of gluetune (`benchmarks/peers/search.py`). Nothing is pruned on either side.
Each side then trains its own best trial's setting on all of train and scores it on validation.

    python -m benchmarks.search rte --data DIR --fraction 0.1 --trials 4 --output FILE.md
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

import gluetune
from gluetune.core.config import make_config
from gluetune.core.tasks import get_task
from gluetune.data.sources import open_source
from gluetune.models.checkpoints import find_checkpoint
from gluetune.training.preflight import prepare

SPACE = {
    "learning_rate": {"low": 1e-5, "high": 3e-4, "log": True},
    "batch_size": [16, 32],
    "epochs": [1, 2],
}
_TRAINER_NAMES = {
    "learning_rate": "learning_rate",
    "batch_size": "per_device_train_batch_size",
    "epochs": "num_train_epochs",
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run both sides and write the table."""
    arguments = _arguments(argv)
    with tempfile.TemporaryDirectory(prefix="search-", ignore_cleanup_errors=True) as scratch:
        ours = search_with_gluetune(arguments, Path(scratch))
        theirs = search_with_trainer(arguments, ours, Path(scratch))
    text = table(arguments, ours, theirs)
    if arguments.output:
        with Path(arguments.output).open("a", encoding="utf-8") as file:
            file.write(text)
    print(text)


def search_with_gluetune(arguments: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Search and train the best setting; return the trials, the score, the seconds."""
    given: dict[str, Any] = {
        "task": arguments.task,
        "data": arguments.data,
        "model": arguments.model,
        "fraction": arguments.fraction,
        "threads": arguments.threads,
        "precision": arguments.precision,
        "seed": arguments.seed,
        "space": SPACE,
        "trials": arguments.trials,
        "pruner": "none",
        "output": scratch / "search",
    }
    began = time.perf_counter()
    found = gluetune.search(**given, final=False)
    searched = time.perf_counter()
    best = gluetune.search(**given)
    ended = time.perf_counter()
    return {
        "trials": [dict(row.parameters) for row in best.trials],
        "values": [row.value for row in best.trials],
        "trial_seconds": [row.seconds for row in best.trials],
        "best": best.number,
        "value": found.value,
        "search_seconds": searched - began,
        "final": best.finals[0].score,
        "final_seconds": ended - searched,
        "config": best.run.config,
    }


def search_with_trainer(
    arguments: argparse.Namespace, ours: Mapping[str, Any], scratch: Path
) -> dict[str, Any]:
    """Give the plain Trainer the same rows and trials; return what it says."""
    job = {
        "task": arguments.task,
        "model": str(find_checkpoint(arguments.model).folder),
        "precision": ours["config"].precision,
        "seed": arguments.seed,
        "threads": ours["config"].threads,
        "trials": [
            {_TRAINER_NAMES[name]: value for name, value in trial.items()}
            for trial in ours["trials"]
        ],
        **_rows(ours["config"], scratch),
    }
    (scratch / "job.json").write_text(json.dumps(job), encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.search", "job.json", "result.json"],
        check=True,
        cwd=scratch,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    result: dict[str, Any] = json.loads((scratch / "result.json").read_text(encoding="utf-8"))
    return result


def _rows(config: gluetune.TrainConfig, scratch: Path) -> dict[str, str]:
    """Write the rows of gluetune's trials as files, and return their paths."""
    task = get_task(config.task)
    source = open_source(config.data)
    prepared = prepare(config)
    everything = source.read(task, "train")
    held = set(prepared.validation["holdout"].index.tolist())
    index = everything.column(task.index_column).to_pylist()
    tables = {
        "train": prepared.train_table,
        "tune": everything.filter([row in held for row in index]),
        "all": everything,
        "validation": source.read(task, task.validation_splits[0]),
    }
    for name, rows in tables.items():
        pq.write_table(rows, scratch / f"{name}.parquet")
    return {name: str(scratch / f"{name}.parquet") for name in tables}


def table(arguments: argparse.Namespace, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return both sides as Markdown."""
    versions, hardware = theirs["versions"], theirs["hardware"]
    score = _score(arguments.task, theirs["final"])
    rows = [
        ("best value while tuning", ours["value"], theirs["value"]),
        ("final validation score", ours["final"], score),
        ("seconds of the search", ours["search_seconds"], theirs["search_seconds"]),
        ("seconds of the final training", ours["final_seconds"], theirs["final_seconds"]),
    ]
    lines = [
        f"## {arguments.task.upper()}, {arguments.trials} trials, fraction {arguments.fraction}",
        "",
        f"`python -m benchmarks.search {arguments.task} --fraction {arguments.fraction} "
        f"--trials {arguments.trials} --seed {arguments.seed}`; {ours['config'].precision}, "
        f"{ours['config'].threads} threads, {hardware['cores']} cores of an {hardware['cpu']}, "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + ".",
        "",
        "| | gluetune | Trainer.hyperparameter_search | ratio |",
        "|---|---|---|---|",
    ]
    for name, mine, other in rows:
        digits = 1 if "seconds" in name else 4
        ratio = f"{other / mine:.2f}" if "seconds" in name else ""
        lines.append(f"| {name} | {mine:.{digits}f} | {other:.{digits}f} | {ratio} |")
    lines.append(f"| best trial | {ours['best']} | {theirs['best']} | |")
    lines += [
        "",
        "| trial | parameters | gluetune, value | s | Trainer, s |",
        "|---|---|---|---|---|",
    ]
    for number, parameters in enumerate(ours["trials"]):
        said = ", ".join(f"{name} {value:.3g}" for name, value in parameters.items())
        lines.append(
            f"| {number} | {said} | {ours['values'][number]:.4f} "
            f"| {ours['trial_seconds'][number]:.1f} | {theirs['trial_seconds'][number]:.1f} |"
        )
    return "\n".join(lines) + "\n\n"


def _score(task: str, metrics: Mapping[str, float]) -> float:
    """Return the task's score as gluetune has it: the mean of its metrics."""
    names = get_task(task).metrics
    return sum(metrics[name] for name in names) / len(names)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("task")
    parser.add_argument("--data", default=os.environ.get("GLUETUNE_DATA"))
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--fraction", type=float, default=0.1)
    parser.add_argument("--trials", type=int, default=4)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--output", help="Markdown file that the result is added to")
    arguments = parser.parse_args(argv)
    if arguments.data is None:
        parser.error("no data: pass --data DIR or set GLUETUNE_DATA")
    make_config({"task": arguments.task})
    return arguments


if __name__ == "__main__":
    main()
