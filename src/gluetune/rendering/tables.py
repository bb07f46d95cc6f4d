"""Tables of runs: their curve, time, settings, and several runs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from gluetune.core.plots import plot_letter
from gluetune.core.runs import base_name
from gluetune.core.tables import Column, Table

if TYPE_CHECKING:
    from gluetune.analysis.evaluation import Evaluation
    from gluetune.core.records import Record
    from gluetune.core.runs import Run


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
        rows.append(("execution path", record.compute.path))
    return Table.of("Time, over all resumptions.", ("", Column("value", align="right")), rows)


def curve_table(curve: Sequence[tuple[int, float | None]]) -> Table:
    """Return what parts of the training set scored, by their number of examples."""
    most = max((rows for rows, _ in curve), default=0)
    columns = (
        Column("training examples", "count"),
        Column("of train", "percent"),
        Column("score", "number", missing="undefined"),
    )
    rows = [(rows, rows / most, score) for rows, score in curve if most]
    return Table.of("Would more data help?", columns, rows)


def pairs_table(title: str, head: tuple[str, str], pairs: Mapping[str, Any]) -> Table:
    """Return a table of names and values."""
    rows = [(str(name), _shown(value)) for name, value in pairs.items() if value not in ({}, [])]
    return Table.of(title, head, rows)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def runs_table(runs: Sequence[tuple[str, str, Run, Evaluation | None]]) -> Table:
    """Return one row for each run: name, what sets it apart, score, interval, and what it was."""
    from gluetune.analysis.scores import between

    rows = []
    have_differences = any(differs for _, differs, _, _ in runs)
    for name, differs, run, evaluation in runs:
        record = run.record
        baseline = record.majority_baseline
        rows.append(
            (
                name,
                *([differs] if have_differences else []),
                "none" if evaluation is None else evaluation.score.score,
                between(evaluation.intervals.get("score")) if evaluation else None,
                baseline.score if baseline else None,
                record.task,
                base_name(record.model.name if record.model else run.config.model),
                str(record.seed),
                record.status.value,
                f"{record.timing.train_seconds:.0f}",
            )
        )
    return Table.of(
        "Runs",
        (
            "run",
            *(["differs in"] if have_differences else []),
            Column("score", "number", missing="undefined"),
            Column("95% interval", "interval"),
            Column("majority", "number"),
            "task",
            "model",
            Column("seed", align="right"),
            "status",
            Column("training, s", align="right"),
        ),
        rows,
    )


def seeds_table(groups: Sequence[tuple[str, str, Sequence[float]]]) -> Table:
    """Return mean and standard deviation over the seeds of each task and model."""
    return Table.of(
        "Mean and standard deviation over the seeds of one configuration.",
        (
            "",
            "task",
            "model",
            Column("n", "count"),
            Column("mean", "number"),
            Column("sd", "number", missing="needs two seeds"),
        ),
        [
            (
                plot_letter(number),
                task,
                model,
                len(scores),
                fmean(scores),
                stdev(scores) if len(scores) > 1 else None,
            )
            for number, (task, model, scores) in enumerate(groups)
        ],
    )
