"""What the page says of a run and of runs of one configuration, taken from their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from gluetune.records import EpochRecord, ScoreRecord
from gluetune.references import Reference, published
from gluetune.reporting.plots import Plot, epoch_plot
from gluetune.runs import Run
from gluetune.tasks import get_task


@dataclass(frozen=True)
class RunView:
    """One run, ready for the page."""

    run: Run
    anchor: str
    title: str
    settings: dict[str, object]
    plots: tuple[Plot, ...]
    references: tuple[Reference, ...]
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.run.path.resolve().name


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed."""

    task: str
    model: str
    seeds: tuple[int, ...]
    scores: tuple[float, ...]
    mean: float | None
    deviation: float | None
    """The sample's standard deviation; None for fewer than two scores."""


def view(run: Run, number: int) -> RunView:
    """Return what the page says of `run`, the `number`th on it."""
    record, config = run.record, run.config
    return RunView(
        run=run,
        anchor=f"run-{number}",
        title=get_task(record.task).title,
        settings=config.model_dump(mode="json", exclude_none=True),
        plots=_plots(record.epochs, record.best.epoch if record.best else None),
        references=published(record.task, config.model),
        warnings=_warnings(run),
    )


def groups(views: Sequence[RunView]) -> list[Group]:
    """Return the runs by configuration without seed, in the order of the first of each."""
    found: dict[str, list[RunView]] = {}
    for each in views:
        settings = {name: value for name, value in each.settings.items() if name != "seed"}
        found.setdefault(repr(settings), []).append(each)
    return [_group(members) for members in found.values()]


def _group(members: list[RunView]) -> Group:
    scored = [(each.run.record.seed, each.run.score) for each in members]
    known = [(seed, score) for seed, score in scored if score is not None]
    scores = tuple(score for _, score in known)
    return Group(
        task=members[0].run.record.task,
        model=str(members[0].settings["model"]),
        seeds=tuple(seed for seed, _ in known),
        scores=scores,
        mean=fmean(scores) if scores else None,
        deviation=stdev(scores) if len(scores) > 1 else None,
    )


def _plots(epochs: Sequence[EpochRecord], best: float | None) -> tuple[Plot, ...]:
    if not epochs:
        return ()
    at = [each.epoch for each in epochs]
    made = (
        epoch_plot(
            "Loss by epoch",
            at,
            {
                "training": [each.train_loss for each in epochs],
                "validation": [each.validation_loss for each in epochs],
            },
            best,
        ),
        epoch_plot(
            "Score by epoch", at, {"score": [each.validation.score for each in epochs]}, best
        ),
        epoch_plot(
            "Learning rate at the end of each epoch",
            at,
            {"learning rate": [each.learning_rate for each in epochs]},
        ),
    )
    return tuple(plot for plot in made if plot is not None)


def _warnings(run: Run) -> tuple[str, ...]:
    record = run.record
    told = []
    if record.status.value != "finished":
        told.append(f"This run is not finished: its record says '{record.status.value}'.")
    if record.error is not None:
        told.append(f"It ended with {record.error.type}: {record.error.message}")
    best = [each for each in record.epochs if record.best and each.step == record.best.step]
    if any(each.collapsed for each in best):
        told.append("The model gives every validation example the same class.")
    if run.score is not None and _value(record.majority_baseline) > run.score:
        told.append("The score is below that of the majority baseline.")
    return tuple(told)


def _value(score: ScoreRecord | None) -> float:
    return score.score if score is not None and score.score is not None else float("-inf")


def run_folders(path: Path) -> list[Path]:
    """Return `path` where it is a run, else the runs inside it, one or two levels down."""
    if (path / "record.json").exists():
        return [path]
    found = {
        record.parent for depth in ("*", "*/*") for record in path.glob(f"{depth}/record.json")
    }
    return sorted(found) or [path]
