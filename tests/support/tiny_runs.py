"""Runs that take a second: a tiny checkpoint, a few synthetic rows, one thread, no output."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.glue_folders import make_table, write_parquet
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from transformers import TrainerCallback

import gluetune
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task


def write_task(folder: Path, name: str, *, train: int = 40, validation: int = 12) -> Path:
    """Write a task of made-up rows in the Hub's layout and return the folder."""
    task = get_task(name)
    splits = {task.train_split or "train": train}
    splits |= dict.fromkeys(task.validation_splits, validation)
    write_parquet(
        folder, task, {split: make_table(task, split, rows=rows) for split, rows in splits.items()}
    )
    return folder


class At(TrainerCallback):  # type: ignore[misc]  # transformers' types are not followed
    """Runs an action at an event of one step, or of every step.

    The action receives the arguments of a Trainer callback: `args`, `state`, `control`, `model`, …
    """

    def __init__(self, event: str, step: int | None, action: Callable[..., None]) -> None:
        self.step, self.action = step, action
        setattr(self, event, self._act)

    def _act(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.step is None or state.global_step == self.step:
            self.action(args=args, state=state, control=control, **kwargs)


class Bench:
    """A checkpoint and data for many runs, in one folder."""

    def __init__(
        self, folder: Path, *, architecture: str = "bert", dropout: float = 0.1, train: int = 40
    ) -> None:
        self.folder = folder
        self.model = write_tiny_checkpoint(folder / architecture, architecture, dropout=dropout)
        self.data = folder / "glue"
        self.train_rows = train
        self._count = 0

    def settings(self, task: str = "cola", **changed: Any) -> dict[str, Any]:
        """Return the settings of a run on `task`, whose data are written if necessary."""
        if not (self.data / get_task(task).hub_config).exists():
            write_task(self.data, task, train=self.train_rows)
        return {
            "task": task,
            "model": str(self.model),
            "data": str(self.data),
            "epochs": 3,
            "learning_rate": 1e-3,
            "threads": 1,
            "precision": "fp32",
            **changed,
        }

    def new_output(self) -> Path:
        """Return a folder for a run, which does not exist yet."""
        self._count += 1
        return self.folder / "runs" / f"run-{self._count}"

    def train(self, task: str = "cola", **changed: Any) -> Run:
        """Train in a new run folder, or in `output`."""
        python_only = {
            name: changed.pop(name)
            for name in ("callbacks", "data_collator", "compute_metrics")
            if name in changed
        }
        settings = {"output": self.new_output(), **self.settings(task, **changed)}
        return gluetune.train(**settings, **python_only, progress=False)

    def arguments(self, task: str = "cola", **changed: Any) -> list[str]:
        """Return the same as the command line of `gluetune`."""
        settings = self.settings(task, **changed)
        words = ["train", settings.pop("task")]
        for name, value in settings.items():
            words += [f"--{name.replace('_', '-')}", str(value)]
        return words


def outcome(run: Run) -> dict[str, Any]:
    """Return everything that is equal in two bit-identical runs."""
    record = run.record
    assert record.best is not None
    return {
        "status": run.status,
        "steps": record.steps,
        "final": record.final_weights_sha256,
        "best": record.best_weights_sha256,
        "best epoch": record.best.epoch,
        "agrees": record.best.agrees,
        "epochs": [
            epoch.model_dump(exclude={"train_seconds", "evaluation_seconds"})
            for epoch in record.epochs
        ],
        "predictions": {
            path.stem: run.predictions(path.stem).to_pydict()
            for path in sorted(run.folder.predictions.iterdir())
        },
    }


def checkpoints_of(run: Path) -> Sequence[Path]:
    """Return the folders in `checkpoints/` of an unfinished run, including hidden ones."""
    return sorted((run / "checkpoints").iterdir()) if (run / "checkpoints").is_dir() else []


def send_signal(number: signal.Signals = signal.SIGINT) -> Callable[..., None]:
    """Return an action for `At` that sends this process a signal."""
    return lambda **kwargs: os.kill(os.getpid(), number)


def resumed(output: Path, **extras: Any) -> Run:
    """Resume the run in `output`, and return it finished."""
    return gluetune.train(resume=output, progress=False, **extras)
