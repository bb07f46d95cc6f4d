"""`gluetune references`: published results with their protocol and source."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gluetune.cli.options import AsJson
from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.published import Reference, published
from gluetune.core.tables import Column, Table
from gluetune.core.terminal import Console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence


def references(
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this checkpoint.")] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="Compare this run with published results of its task and checkpoint, and humans."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print published GLUE results with metric, protocol and source."""
    if run is not None:
        _compare(run, task, model, as_json)
        return
    found = published(task, model)
    if as_json:
        print_json([dataclasses.asdict(one) for one in found])
        return
    Console().show(_table(found))


def _compare(run: Path, task: str | None, model: str | None, as_json: bool) -> None:
    """Print a run's score with its baselines and the published results of its checkpoint."""
    from gluetune.analysis.scores import Scores
    from gluetune.core.runs import Run

    if task is not None or model is not None:
        raise ConfigurationError(
            "A run has its own task and checkpoint.", hint="Leave out --task and --model, or --run."
        )
    opened = Run(run)
    if opened.record.best is None:
        raise RunError(
            f"{run} has no score yet: the run is {opened.status}.",
            hint="Type: " + command_line("train", resume=run),
        )
    scores = Scores.of_record(opened.record)
    if as_json:
        print_json([dataclasses.asdict(one) for one in scores.published])
        return
    Console().show(scores.baseline_table())


def _table(found: Sequence[Reference]) -> Table:
    if not found:
        return Table.of("", (), (), notes=["No published results. Type: gluetune references"])
    marks = {protocol: mark for mark, protocol in _marks(found).items()}
    return Table.of(
        "Published results",
        ("task", "model", Column("value", "tenths"), "protocol", "metric", "source"),
        [
            (
                *(one.task, one.model, one.value, marks[_protocol(one)]),
                " ".join(part for part in (one.subset, one.metric or "unstated") if part),
                one.source,
            )
            for one in found
        ],
        notes=[
            *(f"{mark}  {protocol}" for protocol, mark in marks.items()),
            "Results of different protocols are not a ranking.",
        ],
    )


def _marks(found: Sequence[Reference]) -> dict[str, str]:
    """Give every protocol a letter, in the order in which they come."""
    protocols = dict.fromkeys(_protocol(one) for one in found)
    return {f"({chr(ord('a') + n)})": protocol for n, protocol in enumerate(protocols)}


def _protocol(one: Reference) -> str:
    return f"{one.split}: {one.protocol}"
