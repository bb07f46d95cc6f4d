"""`gluetune references`: what was published, by whom, and by which protocol."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.references import Reference, published
from gluetune.core.terminal import Console, Table

if TYPE_CHECKING:
    from collections.abc import Sequence


def references(
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this checkpoint.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Beside this run: its task and checkpoint, and people.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print published GLUE results with metric, protocol and source."""
    if run is not None:
        _beside(run, task, model, as_json)
        return
    found = published(task, model)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    console = Console()
    if not found:
        console.print(Text("Nothing published is known of that. Type: gluetune references"))
        return
    console.print(_table(found))
    for mark, protocol in _marks(found).items():
        console.print(Text(f"{mark}  {protocol}"), soft_wrap=True)
    console.print(Text("Marks tell protocols apart: results of unlike ones are no ranking."))


def _beside(run: Path, task: str | None, model: str | None, as_json: bool) -> None:
    """Print what stands beside a run's own score."""
    from gluetune.core.runs import Run
    from gluetune.rendering.evaluation_tables import held_against
    from gluetune.rendering.tables import published_beside

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
    if as_json:
        found = published_beside(opened.record)
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    Console().print(held_against(opened.record))


def _table(found: Sequence[Reference]) -> Table:
    marks = {protocol: mark for mark, protocol in _marks(found).items()}
    table = Table(title="Published results", title_justify="left")
    for name in ("task", "model", "value", "", "metric", "source"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for one in found:
        metric = " ".join(part for part in (one.subset, one.metric or "unstated") if part)
        table.add_row(
            one.task,
            Text(one.model, overflow="fold"),
            f"{one.value:.1f}",
            marks[_protocol(one)],
            metric,
            Text(one.source, overflow="fold"),
        )
    return table


def _marks(found: Sequence[Reference]) -> dict[str, str]:
    """Give every protocol a letter, in the order in which they come."""
    protocols = dict.fromkeys(_protocol(one) for one in found)
    return {f"({chr(ord('a') + n)})": protocol for n, protocol in enumerate(protocols)}


def _protocol(one: Reference) -> str:
    return f"{one.split}: {one.protocol}"
