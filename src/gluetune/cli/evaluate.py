"""`gluetune evaluate`: what a trained model scores, and where it is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gluetune.files import write_text
from gluetune.records import shown

if TYPE_CHECKING:
    from gluetune.evaluation.measuring import Measured
    from gluetune.predictions import Predictions
    from gluetune.statistics.intervals import Interval
    from gluetune.tasks import TaskSpec


def evaluate(
    model: Annotated[str, typer.Argument(help="A run's folder, a checkpoint folder, or a Hub id.")],
    task: Annotated[str | None, typer.Option(help="The task. Default: the run's own.")] = None,
    split: Annotated[str | None, typer.Option(help="One split. Default: all validation.")] = None,
    data: Annotated[
        str | None, typer.Option(help="As in training. Default: the run's own.")
    ] = None,
    label_order: Annotated[
        str | None, typer.Option(help="Class names of the model's outputs, by id: NAME,NAME,…")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file too.")] = None,
) -> None:
    """Score a run or a checkpoint on labelled splits, with intervals and the errors by class."""
    from gluetune.evaluation.measuring import evaluate as measure

    order = tuple(name.strip() for name in label_order.split(",")) if label_order else None
    found = measure(
        model,
        task=task,
        split=split,
        data=data,
        label_order=order,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    text = json.dumps(_plain(found), indent=2)
    if output is not None:
        write_text(output, text + "\n")
    if as_json:
        typer.echo(text)
        return
    _render(Console(), found)


def _plain(found: Measured) -> dict[str, Any]:
    return {
        "model": found.model,
        "task": found.task,
        "data": found.data,
        "rows": dict(found.rows),
        "score": found.score.model_dump(),
        "intervals": {
            name: None if one is None else dataclasses.asdict(one)
            for name, one in found.intervals.items()
        },
        "majority": found.majority.model_dump(),
        "suspicion": found.suspicion,
        "settings": dict(found.settings),
    }


def _render(console: Console, found: Measured) -> None:
    from gluetune.tasks import get_task

    task = get_task(found.task)
    console.print(_scores(found))
    if found.suspicion:
        console.print(Text(found.suspicion, style="yellow"), soft_wrap=True)
    for split, predictions in found.predictions.items():
        if not task.is_regression:
            console.print(_confusion(task, split, predictions))


def _scores(found: Measured) -> Table:
    rows = ", ".join(f"{split} {count:,}" for split, count in found.rows.items())
    table = Table(title=f"{found.task} on {found.data} ({rows})", title_justify="left")
    for name in ("", "value", "95% interval", "majority"):
        table.add_column(name, justify="right" if name else "left")
    values = {"score": found.score.score, **found.score.flat()}
    majority = {"score": found.majority.score, **found.majority.flat()}
    for name, value in values.items():
        interval = found.intervals.get(name)
        table.add_row(name, shown(value), _between(interval), shown(majority.get(name)))
    doubts = {one.reason for one in found.intervals.values() if one and one.reason}
    if doubts:
        table.caption = f"* not to be relied on: {'; '.join(sorted(doubts))}"
    return table


def _confusion(task: TaskSpec, split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.confusion import class_table, confusion_matrix

    table = Table(title=f"{split}: true class by answer", title_justify="left")
    table.add_column("")
    for name in (*task.labels, "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
    for row, counts in zip(class_table(task, predictions), matrix, strict=True):
        rates = (shown(value) for value in (row.precision, row.recall, row.f1))
        table.add_row(row.name, *(f"{int(count):,}" for count in counts), *rates)
    return table


def _between(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.low:.4f} to {interval.high:.4f}{'' if interval.reliable else ' *'}"
