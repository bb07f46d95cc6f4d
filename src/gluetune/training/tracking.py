"""Experiment trackers: a run's settings, losses, metrics, intervals and links.

A tracker is a package that the user has installed, and a class here that logs to it. It receives
the events of a run; an error in it ends the tracking, never the run.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from gluetune.core.config import TrackerName, TrainConfig
from gluetune.core.errors import ConfigurationError
from gluetune.core.events import EvaluationCompleted, Event, RunEnded, RunStarted, StepCompleted
from gluetune.core.runs import Run, RunFolder
from gluetune.core.text import first_line


class Tracker(Protocol):
    """What is needed of a tracker."""

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log values at a step."""

    def finish(self, summary: Mapping[str, float], links: Mapping[str, str], status: str) -> None:
        """Log what a run has come to, and end it."""


class _TensorBoard:
    """Writes into the run's folder: `tensorboard --logdir runs` shows all runs of a folder."""

    def __init__(self, run: str, config: TrainConfig, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder / "tensorboard"))
        lines = [f"    {name}: {value}" for name, value in settings_of(config).items()]
        self._writer.add_text("settings", "\n".join(lines))

    def log(self, values: Mapping[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self, summary: Mapping[str, float], links: Mapping[str, str], status: str) -> None:
        self.log(summary, 0)
        text = "\n\n".join(f"{name}: {link}" for name, link in {**links, "status": status}.items())
        self._writer.add_text("links", text)
        self._writer.close()


class _MLflow:
    """Logs to MLflow's own place: MLFLOW_TRACKING_URI, or its default in the current folder."""

    def __init__(self, run: str, config: TrainConfig, folder: Path) -> None:
        self._mlflow: Any = importlib.import_module("mlflow")
        self._mlflow.set_experiment(f"gluetune-{config.task}")
        self._mlflow.start_run(run_name=run)
        settings = settings_of(config).items()
        self._mlflow.log_params({name: str(value)[:500] for name, value in settings})

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._mlflow.log_metrics({_plain(name): value for name, value in values.items()}, step=step)

    def finish(self, summary: Mapping[str, float], links: Mapping[str, str], status: str) -> None:
        self._mlflow.log_metrics({_plain(name): value for name, value in summary.items()})
        self._mlflow.set_tags({**links, "gluetune.status": status})
        self._mlflow.end_run("FINISHED" if status == "finished" else "FAILED")


class _WandbLike:
    """Weights & Biases, and trackio, which has its functions."""

    package = "wandb"

    def __init__(self, run: str, config: TrainConfig, folder: Path) -> None:
        self._wandb: Any = importlib.import_module(self.package)
        settings = settings_of(config)
        self._wandb.init(project=f"gluetune-{config.task}", name=run, config=settings)

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._wandb.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, float], links: Mapping[str, str], status: str) -> None:
        self._wandb.log({**summary, **links, "status": status})
        self._wandb.finish()


class _Trackio(_WandbLike):
    package = "trackio"


_TRACKERS: Mapping[TrackerName, Callable[[str, TrainConfig, Path], Tracker]] = {
    "tensorboard": _TensorBoard,
    "trackio": _Trackio,
    "mlflow": _MLflow,
    "wandb": _WandbLike,
}


_ERRORS: Mapping[TrackerName, tuple[str, str]] = {
    "mlflow": ("mlflow.exceptions", "MlflowException"),
    "wandb": ("wandb", "Error"),
}
"""Base classes of the errors of trackers that have their own."""


def _errors_of(name: TrackerName) -> tuple[type[Exception], ...]:
    """Return what may be raised by a tracker, its files and its server."""
    own = []
    if name in _ERRORS:
        module, error = _ERRORS[name]
        own.append(getattr(importlib.import_module(module), error))
    return (OSError, RuntimeError, ValueError, TypeError, ImportError, *own)


def require_tracker(name: TrackerName) -> None:
    """Raise ConfigurationError with the line to type, unless the tracker is installed."""
    if importlib.util.find_spec(name) is None:
        raise ConfigurationError(
            f"--track {name} needs {name}, which is not installed.",
            hint=f"Type: pip install {name}",
        )


class Tracking:
    """An `on_event` that logs a run to a tracker."""

    def __init__(
        self, config: TrainConfig, folder: RunFolder, on_note: Callable[[str], object]
    ) -> None:
        assert config.track is not None, "a tracker is named"
        self._name, self._config, self._folder = config.track, config, folder
        self._on_note = on_note
        self._tracker: Tracker | None = None
        self._step = 0
        self._loss: float | None = None

    def on_event(self, event: Event) -> None:
        """Log the event; a tracker that fails is not used any more."""
        try:
            self._log(event)
        except _errors_of(self._name) as error:
            self._tracker = None
            self._on_note(f"--track {self._name} has stopped: {first_line(error)}")

    def _log(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            make = _TRACKERS[self._name]
            self._tracker = make(self._folder.path.name, self._config, self._folder.path)
        if self._tracker is None:
            return
        match event:
            case StepCompleted():
                self._step = event.step
                if event.loss is not None and event.loss != self._loss:
                    self._loss = event.loss
                    rate = event.examples_per_second
                    values = {"train/loss": event.loss, "train/examples_per_second": rate}
                    self._tracker.log(values, event.step)
            case EvaluationCompleted():
                values = {f"validation/{name}": value for name, value in _defined(event.metrics)}
                if event.train_loss is not None:
                    values["train/epoch_loss"] = event.train_loss
                self._tracker.log({**values, "epoch": event.epoch}, self._step)
            case RunEnded(status):
                self._tracker.finish(_summary(self._folder), _links(self._folder), status)
                self._tracker = None


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Return the settings that a tracker shows."""
    return config.model_dump(mode="json", exclude={"output", "track"}, exclude_none=True)


def _defined(metrics: Mapping[str, float | None]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in metrics.items() if value is not None]


def _summary(folder: RunFolder) -> dict[str, float]:
    """Return the best epoch's metrics with their intervals, and the baselines' scores."""
    from gluetune.analysis.evaluation import evaluation_of
    from gluetune.analysis.scores import named_values

    run = Run(folder.path)
    found = evaluation_of(run) if run.status == "finished" else None
    if found is None:
        return {}
    scores = found.scores
    values = {f"best/{name}": value for name, value in _defined(scores.values())}
    for name, interval in scores.intervals.items():
        if interval is not None and f"best/{name}" in values:
            values |= {f"best/{name}/low": interval.low, f"best/{name}/high": interval.high}
    for key, baseline in scores.baselines.items():
        for name, value in _defined(named_values(baseline.score)):
            values[f"{key}/{name}"] = value
    return values


def _links(folder: RunFolder) -> dict[str, str]:
    """Return where the run, its page and its checkpoint are."""
    path = folder.path.resolve()
    links = {"folder": str(path), "report": (path / "report.html").as_uri()}
    model = Run(folder.path).record.model
    if model is not None and model.commit:
        links["checkpoint"] = f"https://huggingface.co/{model.name}/tree/{model.commit}"
    return links


def _plain(name: str) -> str:
    """Return the name of a metric in the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /]", "_", name)
