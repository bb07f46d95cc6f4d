"""One job of a suite, wherever it runs: trained, or taken up, and asked what only it can answer."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder
from gluetune.core.tasks import TASKS
from gluetune.data.sources.named import open_source
from gluetune.inference.run_predictions import run_predictions
from gluetune.models.classifiers import quiet_transformers
from gluetune.parallel.calls import tell
from gluetune.parallel.orphans import wait_until_free
from gluetune.training.run import train

_TELL_SECONDS = 0.5
"""Steps are told at most this often."""


@dataclass(frozen=True)
class Step:
    """What a running job tells of its training."""

    done: int
    steps: int
    rate: float
    """Examples per second."""


@dataclass(frozen=True)
class Said:
    """What a running job says."""

    text: str


class Teller:
    """A training's reporter that tells the process which started the job."""

    def __init__(self) -> None:
        self._steps = 0
        self._told = 0.0

    def say(self, text: str) -> None:
        """Tell a line."""
        tell(Said(text.strip()))

    def begin(self, steps: int, done: int) -> None:
        """Tell how many steps there are."""
        self._steps = steps
        tell(Step(done, steps, 0.0))

    def advance(self, done: int, rate: float) -> None:
        """Tell how many lie behind, now and then."""
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            tell(Step(done, self._steps, rate))

    def end(self) -> None:
        """Nothing to take away."""


def run_job(training: Mapping[str, Any]) -> list[str]:
    """Bring one job to its end, whatever was done of it before; return notes on it.

    `training` holds the arguments of `train`, whose `output` says where. A finished run is left as
    it is, an unfinished one goes on from its checkpoint. Tasks that are answered by a model of this
    one (AX by MNLI's) are answered, and the answers kept in the run.
    """
    path = Path(training["output"])
    with quiet_transformers():
        wait_until_free(path, Teller().say)
        run = _trained(path, training)
        return _answer_others(run)


def _trained(path: Path, training: Mapping[str, Any]) -> Run:
    if not RunFolder(path).record.exists():
        return train(**training, progress=Teller())
    run = Run(path)
    if run.record.status is Status.FINISHED:
        return run
    return train(resume=path, progress=Teller())


def _answer_others(run: Run) -> list[str]:
    """Answer the tasks that are answered by a model of this run's task; say which are not there."""
    notes = []
    for task in TASKS.values():
        if task.trained_as != run.task.name:
            continue
        assert run.record.data is not None, "a finished run has its data"
        source = open_source(run.record.data.source)
        there = [split for split in task.test_splits if split in source.splits(task)]
        if not there:
            notes.append(f"{source.name} has no {task.name}: it is not answered.")
            continue
        run_predictions(run, task, {split: source.read(task, split) for split in there})
    return notes
