"""The page's tables, ready to be written: captions, heads and cells as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gluetune.core.references import human, published
from gluetune.core.tasks import HELD_OUT
from gluetune.data.sources.glue_parquet import SAMPLES
from gluetune.rendering.plots import plot_letter
from gluetune.statistics.baseline_test import word_test

if TYPE_CHECKING:
    from gluetune.core.records import Record, ScoreRecord
    from gluetune.core.references import Reference
    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec
    from gluetune.statistics.intervals import Interval


@dataclass(frozen=True)
class Table:
    """A table. The first cell of a row is its head."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()
    """Columns of numbers, which are set to the right."""


def points(value: float | None) -> str:
    """Return a score from 0 to 1 in points, 0 to 100."""
    return "undefined" if value is None else f"{100 * value:.1f}"


def scores_table(run: Run, intervals: Mapping[str, Interval | None]) -> Table:
    """Return what the run scored, with its intervals, beside the majority and what is published."""
    record = run.record
    title = record.spec.metric_title
    rows: list[tuple[str, ...]] = []
    if record.best is not None:
        protocol = f"{scored_on(record)}, {epoch_choice(record)}, one seed ({record.seed})"
        for name, value in _named(record.best.validation).items():
            interval = intervals.get(name)
            rows.append(
                (
                    f"This run, {title(name)}",
                    points(value),
                    _between(interval),
                    protocol + _doubt(interval),
                )
            )
    if record.majority_baseline is not None:
        said = f"the {record.spec.kind.constant_description}"
        constant = record.spec.kind.constant_word.capitalize()
        rows += [
            (f"{constant}, {title(name)}", points(value), "", said)
            for name, value in _named(record.majority_baseline).items()
        ]
    if record.text_baseline is not None:
        test = word_test(run)
        what = "TF-IDF and a linear model, of train"
        # The test is of the score, which comes first; of the other metrics nothing is tested.
        tested = f"{what}. {test.sentence}" if test else what
        rows += [
            (f"Bag of words, {title(name)}", points(value), "", what if row else tested)
            for row, (name, value) in enumerate(_named(record.text_baseline).items())
        ]
    rows += _error_rows(record)
    rows += [_published_row(one) for one in published_beside(record)]
    return Table(
        "Scores in points, 0 to 100, with 95% intervals over the examples. "
        "Published results have protocols of their own.",
        ("", "value", "95% interval", "protocol"),
        tuple(rows),
        frozenset({1, 2}),
    )


def error_names(task: TaskSpec) -> dict[str, str]:
    """Return the sides of `Record.mean_absolute_error` as tables name them."""
    return {"run": "this run", "mean": task.kind.constant_name, "words": "bag of words"}


def _error_rows(record: Record) -> list[tuple[str, ...]]:
    """Return the mean absolute errors of a regression, in units of its labels."""
    errors = record.mean_absolute_error
    return [
        (
            f"{name.capitalize()}, mean absolute error",
            f"{errors[side]:.3f}",
            "",
            "in units of the labels",
        )
        for side, name in error_names(record.spec).items()
        if side in errors
    ]


def _named(score: ScoreRecord) -> dict[str, float | None]:
    metrics = score.flat()
    alone = len(metrics) == 1
    return metrics if alone else {"score": score.score, **metrics}


def _between(interval: Interval | None) -> str:
    if interval is None:
        return ""
    mark = "" if interval.reliable else " *"
    return f"{points(interval.low)} to {points(interval.high)}{mark}"


def _doubt(interval: Interval | None) -> str:
    return f"; * not to be relied on: {interval.reason}" if interval and interval.reason else ""


def scored_on(record: Record) -> str:
    """Return what the epochs were scored on."""
    return "held-out part of train" if _is_held_out(record) else "validation"


def _is_held_out(record: Record) -> bool:
    return record.best is not None and HELD_OUT in record.best.validation.metrics


def epoch_choice(record: Record) -> str:
    """Return how the epoch that is scored was chosen."""
    count = len(record.epochs)
    return "one epoch" if count == 1 else f"best of {count} epochs"


def published_beside(record: Record) -> Sequence[Reference]:
    """Return what was published of the checkpoint and of people; nothing for other data.

    Other data than GLUE's validation sets are the sample, and a part of train that is held out.
    """
    if record.model is None or _is_held_out(record) or not record.spec.is_published:
        return ()
    if record.data and record.data.source in SAMPLES:
        return ()
    return (*published(record.task, record.model.name), *human(record.task))


def _published_row(one: Reference) -> tuple[str, ...]:
    metric = " ".join(part for part in (one.subset, one.metric or "metric unstated") if part)
    return (
        f"{one.model}, {metric}",
        f"{one.value:.1f}",
        "",
        f"{one.split}, {one.protocol}; {one.source}",
    )


def time_table(record: Record) -> Table:
    """Return where the time went, and how fast it was."""
    timing = record.timing
    rows = [
        ("training, seconds", f"{timing.train_seconds:.1f}"),
        ("evaluation, seconds", f"{timing.evaluation_seconds:.1f}"),
    ]
    if timing.examples_per_second is not None:
        rows.append(("examples per second", f"{timing.examples_per_second:.1f}"))
    if timing.tokens_per_second is not None:
        rows.append(("real tokens per second", f"{timing.tokens_per_second:.0f}"))
    if record.compute is not None:
        rows.append(("way through the model", record.compute.path))
    return Table("Time, over all resumptions.", ("", "value"), tuple(rows), frozenset({1}))


def curve_table(curve: Sequence[tuple[int, float | None]]) -> Table:
    """Return what parts of the training set scored, by their number of examples."""
    most = max((rows for rows, _ in curve), default=0)
    rows = tuple(
        (f"{rows:,}", f"{rows / most:.0%}", points(score)) for rows, score in curve if most
    )
    head = ("training examples", "of train", "score")
    return Table("Would more data help?", head, rows, frozenset({1, 2}))


def pairs_table(caption: str, head: tuple[str, str], pairs: Mapping[str, Any]) -> Table:
    """Return a table of names and values."""
    rows = tuple(
        (str(name), _shown(value)) for name, value in pairs.items() if value not in ({}, [])
    )
    return Table(caption, head, rows)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def runs_table(runs: Sequence[tuple[str, Run, Mapping[str, Interval | None]]]) -> Table:
    """Return one row for each run: name, score with interval, majority, and what it was."""
    rows = []
    for name, run, intervals in runs:
        record = run.record
        baseline = record.majority_baseline
        score = points(run.score) if record.best else "none"
        rows.append(
            (
                name,
                score,
                _between(intervals.get("score")),
                points(baseline.score) if baseline else "",
                record.task,
                record.model.name if record.model else str(run.config.model),
                str(record.seed),
                record.status.value,
                f"{record.timing.train_seconds:.0f}",
            )
        )
    head = (
        "run",
        "score",
        "95% interval",
        "majority",
        "task",
        "model",
        "seed",
        "status",
        "training, s",
    )
    return Table("Runs. Scores in points, 0 to 100.", head, tuple(rows), frozenset({1, 2, 3, 6, 8}))


def seeds_table(groups: Sequence[tuple[str, str, Sequence[float]]]) -> Table:
    """Return mean and standard deviation over the seeds of each task and model."""
    rows = tuple(
        (
            plot_letter(number),
            task,
            model,
            str(len(scores)),
            points(fmean(scores)),
            points(stdev(scores)) if len(scores) > 1 else "needs two seeds",
        )
        for number, (task, model, scores) in enumerate(groups)
    )
    return Table(
        "Mean and standard deviation over the seeds of one configuration.",
        ("", "task", "model", "n", "mean", "sd"),
        rows,
        frozenset({3, 4, 5}),
    )
