"""`gluetune.leaderboard`: several checkpoints on one task, by score, speed, size and memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Unpack

from gluetune.analysis.comparison import compare
from gluetune.analysis.comparison_pairs import Pair
from gluetune.analysis.evaluation import evaluation_of
from gluetune.core.errors import ConfigurationError, GluetuneError, Pruned
from gluetune.core.keywords import AnyRunKeywords
from gluetune.core.plots import Line, Plot
from gluetune.core.records import Status
from gluetune.core.runs import Run, RunFolder, model_slug
from gluetune.core.settings import make_settings
from gluetune.core.tables import Between, Column, Table, plain, tables_html
from gluetune.core.tasks import TaskSpec
from gluetune.experiments.folders import digest
from gluetune.experiments.settings import LeaderboardSettings
from gluetune.models.checkpoints import display_name
from gluetune.training.run import train
from gluetune.training.settings import merge_settings


@dataclass(frozen=True)
class Place:
    """A checkpoint's place on a leaderboard. Scores are such that higher is better."""

    model: str
    runs: tuple[Path, ...]
    score: float
    deviation: float | None
    """Standard deviation over the seeds."""
    interval: Between | None
    """95%: over the seeds, or over the examples for one seed."""
    predictions_per_second: float | None
    train_seconds: float
    parameters: int
    peak_memory: int | None
    """Bytes, while training."""
    on_front: bool
    """Whether no other checkpoint is both better and faster."""
    p_value: float | None
    """Of the difference from the best, adjusted for all pairs; None for the best itself."""


@dataclass(frozen=True, repr=False)
class Leaderboard:
    """The result of a leaderboard: the best checkpoint first."""

    task: TaskSpec
    folder: Path
    places: tuple[Place, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def tables(self) -> Iterator[Table]:
        """Yield the table of all checkpoints."""
        sign = "" if self.task.greater_is_better else "-"
        metrics = ", ".join(sign + self.task.metric_title(name) for name in self.task.metrics)
        yield Table.of(
            f"{self.task.name}: {metrics}, higher is better",
            (
                Column("model"),
                Column("score", "number"),
                Column("sd", "number"),
                Column("95% interval", "interval", key="interval"),
                Column("p", "number", key="p_value"),
                Column("predictions/s", align="right", key="predictions_per_second"),
                Column("training, s", align="right", key="train_seconds"),
                Column("weights, M", align="right", key="parameters"),
                Column("memory, MB", align="right", key="peak_memory"),
                Column("", key="front"),
            ),
            [
                (
                    *(one.model, one.score, one.deviation, one.interval, one.p_value),
                    _whole(one.predictions_per_second),
                    _whole(one.train_seconds),
                    f"{one.parameters / 1e6:,.1f}",
                    _whole(one.peak_memory and one.peak_memory / 1e6),
                    "Pareto" if one.on_front else "",
                )
                for one in self.places
            ],
            name="leaderboard",
            bold=frozenset({0}),
        )

    def plots(self) -> Iterator[Plot]:
        """Yield the scores by speed, with the Pareto front as a line."""
        dots = [
            (one.predictions_per_second, one.score, one.on_front)
            for one in self.places
            if one.predictions_per_second is not None
        ]
        if len(dots) > 1:
            front = tuple(sorted((speed, score) for speed, score, is_on in dots if is_on))
            yield Plot(
                title="Score by speed: the line is the Pareto front",
                across="predictions per second",
                lines=(Line("Pareto front", front),),
                dots=tuple((speed, score) for speed, score, _ in dots),
                name="pareto",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the leaderboard as JSON has it."""
        return {
            "task": self.task.name,
            "folder": str(self.folder),
            "places": [plain(one) for one in self.places],
            "plots": {plot.name: plot.to_dict() for plot in self.plots()},
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def __repr__(self) -> str:
        return f"Leaderboard('{self.folder}', {len(self.places)} models)"

    def _repr_html_(self) -> str:
        return tables_html(self.tables())


def leaderboard(
    task: str | None = None,
    *,
    models: str | Sequence[str],
    seeds: int | str | Sequence[int] = 3,
    recipe: str | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    **settings: Unpack[AnyRunKeywords],
) -> Leaderboard:
    """Train several checkpoints on a task with the same settings and seeds, and rank them.

    Each pair of a checkpoint and a seed is a run in the leaderboard's folder. The same call
    resumes: finished runs are not repeated, and more models or seeds extend it.

    Args:
        task: Name of a GLUE task; or a name for a task on your own data.
        models: Checkpoints, also as the text "A,B,C".
        seeds: How many seeds, from 42 on; or which.
        recipe: Name of a published recipe, or `auto`.
        output: The leaderboard's folder. Default: leaderboards/TASK-HASH.
        progress: Whether to show progress on standard error.
        settings: Fields of TrainConfig, for all runs.

    Raises:
        GluetuneError: for wrong settings, and if no checkpoint could be trained. A checkpoint that
            fails alone is a warning.
    """
    how = make_settings(LeaderboardSettings, {"models": models, "seeds": seeds})
    config, _ = merge_settings(task, None, recipe, {**settings, "seed": how.numbers[0]})
    given = config.model_dump(mode="json", exclude={"seed", "model", "output"}, exclude_unset=True)
    folder = Path(output or Path("leaderboards") / f"{config.task}-{digest(given)}")
    runs: dict[str, list[Run]] = {}
    failures: dict[str, str] = {}
    for seed in how.numbers:
        for model in how.models:
            if model in failures:
                continue
            path = folder / f"{model_slug(display_name(model))}-s{seed}"
            arguments: dict[str, Any] = {
                **settings,
                "model": model,
                "seed": seed,
                "output": path,
            }
            start = partial(train, task, recipe=recipe, progress=progress, **arguments)
            try:
                runs.setdefault(model, []).append(_finished(path, model, start, progress=progress))
            except Pruned:
                raise
            except GluetuneError as error:
                failures[model] = error.findings[0].message
    ranked = {name: found for name, found in runs.items() if found and name not in failures}
    if not ranked:
        raise ConfigurationError(
            "No checkpoint could be trained: " + " ".join(failures.values()),
            hint="Check --models and the data.",
        )
    return _ranked(folder, ranked, failures)


def _finished(path: Path, model: str, start: Any, *, progress: bool) -> Run:
    """Return the run in `path`: as it is, resumed, or trained."""
    if not RunFolder(path).record.exists():
        found: Run = start()
        return found
    run = Run(path)
    if run.record.status is not Status.FINISHED:
        return train(resume=path, progress=progress)
    return run


def _ranked(folder: Path, runs: dict[str, list[Run]], failures: dict[str, str]) -> Leaderboard:
    task = next(iter(runs.values()))[0].task
    pairs: tuple[Pair, ...] = ()
    letters: dict[str, str] = {}
    notes = []
    if len(runs) > 1:
        found = compare(*(run for each in runs.values() for run in each))
        pairs, notes = found.pairs, [*found.notes]
        by_run = {run.path: name for name, each in runs.items() for run in each}
        letters = {by_run[side.runs[0]]: side.name for side in found.sides}
    scores = {name: [task.sign * (run.score or 0.0) for run in each] for name, each in runs.items()}
    order = sorted(runs, key=lambda name: -mean(scores[name]))
    speeds = {name: _speed(each) for name, each in runs.items()}
    places = tuple(
        _place(
            name,
            runs[name],
            scores[name],
            speed=speeds[name],
            on_front=not any(
                mean(scores[other]) >= mean(scores[name])
                and (speeds[other] or 0) >= (speeds[name] or 0)
                and (mean(scores[other]), speeds[other]) != (mean(scores[name]), speeds[name])
                for other in runs
            ),
            p_value=_p_value(pairs, letters.get(name), letters.get(order[0])),
        )
        for name in order
    )
    warnings = tuple(f"{name} is left out: {why}" for name, why in failures.items())
    notes.append("p: of the difference from the first, adjusted for all pairs.")
    return Leaderboard(task, folder, places, tuple(notes), warnings)


def _place(
    name: str,
    runs: list[Run],
    scores: list[float],
    *,
    speed: float | None,
    on_front: bool,
    p_value: float | None,
) -> Place:
    records = [run.record for run in runs]
    memory = [one.method.peak_memory for one in records if one.method and one.method.peak_memory]
    return Place(
        model=name,
        runs=tuple(run.path for run in runs),
        score=mean(scores),
        deviation=stdev(scores) if len(scores) > 1 else None,
        interval=_interval(runs, scores),
        predictions_per_second=speed,
        train_seconds=mean(one.timing.train_seconds for one in records),
        parameters=records[0].model.parameters if records[0].model else 0,
        peak_memory=max(memory, default=None),
        on_front=on_front,
        p_value=p_value,
    )


def _interval(runs: list[Run], scores: list[float]) -> Between | None:
    """Return Student's interval over seeds; for one seed the interval over its examples."""
    if len(scores) > 1:
        from scipy.stats import t as student

        half = float(student.ppf(0.975, len(scores) - 1)) * stdev(scores) / sqrt(len(scores))
        return Between(mean(scores) - half, mean(scores) + half, reliable=True)
    evaluation = evaluation_of(runs[0])
    found = evaluation.scores.intervals.get("score") if evaluation else None
    if found is None:
        return None
    ends = sorted(runs[0].task.sign * end for end in (found.low, found.high))
    return Between(ends[0], ends[1], reliable=found.reliable)


def _speed(runs: list[Run]) -> float | None:
    """Return the predictions per second on the validation rows, as they were evaluated."""
    rows = seconds = 0.0
    for run in runs:
        record = run.record
        if record.data is not None and record.best is not None:
            count = sum(record.data.rows.get(split, 0) for split in record.best.validation.metrics)
            rows += count * len(record.epochs)
            seconds += record.timing.evaluation_seconds
    return rows / seconds if seconds else None


def _p_value(pairs: Sequence[Pair], name: str | None, best: str | None) -> float | None:
    found = (pair for pair in pairs if {pair.first, pair.second} == {name, best})
    return next((pair.adjusted_p for pair in found), None)


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"
