"""A turn: the request to one worker process, its measurements, and the process itself.

Request and response are JSON files, so whatever libraries print cannot spoil them. The parent
imports no torch: a child starts with its parent's peak memory as its own, as far as the system
counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.speed.contestants import Padding, Precision

ROOT = Path(__file__).parents[2]
Job = Literal["machine", "checkpoints", "prepare", "measure"]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One contestant's turn at one case."""

    case: str
    """The line of the summary: the task, or the architecture."""
    round: int
    contestant: str
    trainer: Literal["transformers", "gluetune"]
    precision: Precision
    padding: Padding
    task: str
    checkpoint: str
    prepared: str
    """Folder that `preparation.prepare` filled for this task and checkpoint."""
    steps: int
    """Timed steps; the warm-up comes before them."""
    warmup: int
    batch_size: int
    eval_batch_size: int
    eval_examples: int
    dropout: bool = True
    switches: dict[str, Any]
    """gluetune.Trainer's keywords beyond transformers' own."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """The results of training, or of one way of evaluating."""

    seconds: float
    examples: int
    real_tokens: int
    """Tokens that are not padding."""
    all_tokens: int
    """With padding, as the plain Trainer would make the batches."""
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What one turn measured."""

    case: str
    round: int
    contestant: str
    precision: Precision
    parameters: int
    """Weights outside of embedding tables."""
    steps: int
    """Steps that were timed."""
    training: Phase
    outside_seconds: float
    """What `train()` took before its first step and after its last one."""
    losses: list[float]
    """Of every step, the warm-up's too."""
    batches: str
    """Digest of the examples that the steps were given."""
    evaluations: dict[str, Phase]
    """By how it was done; "" is the contestant's first way."""
    logits: dict[str, list[list[float]]]
    """The logits of each evaluation, in the data's order."""

    @classmethod
    def of(cls, response: dict[str, Any]) -> Measurement:
        """Return the measurement that `asdict` made into plain values."""
        phases = {name: Phase(**phase) for name, phase in response["evaluations"].items()}
        training = Phase(**response["training"])
        return cls(**{**response, "training": training, "evaluations": phases})


class WorkerError(Exception):
    """A worker process failed; the message holds the end of what it printed."""


def run_worker(
    job: Job, request: dict[str, Any], *, folder: Path, threads: int | None
) -> dict[str, Any]:
    """Do `job` in a process of its own and return its response. Raises WorkerError."""
    name = f"{job}-{time.monotonic_ns()}"
    kinds = ("json", "response.json", "log")
    sent, response, log = (folder / f"{name}.{kind}" for kind in kinds)
    sent.write_text(json.dumps(request), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.speed.worker", job, str(sent), str(response)]
    with log.open("wb") as printed:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=_environment(threads),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0 or not response.exists():
        tail = "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-15:])
        raise WorkerError(f"The worker `{job}` ended with {done.returncode}:\n{tail}")
    found: dict[str, Any] = json.loads(response.read_text(encoding="utf-8"))
    return found


def measure(turn: Turn, *, folder: Path, threads: int | None) -> Measurement:
    """Let a contestant have its turn. Raises WorkerError."""
    return Measurement.of(run_worker("measure", asdict(turn), folder=folder, threads=threads))


def _environment(threads: int | None) -> dict[str, str]:
    own = {"TOKENIZERS_PARALLELISM": "false"}
    if threads:
        own["OMP_NUM_THREADS"] = str(threads)
    return {**os.environ, **own}
