"""`gluetune compare`: which run is better, and how sure that is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gluetune.core.terminal import Console, Table

if TYPE_CHECKING:
    from gluetune.analysis.comparison import Comparison


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of finished runs of one task, or of suites.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Compare runs on the same examples; runs that differ in the seed only are one side.

    Suites are compared task by task.
    """
    from gluetune.analysis.comparison import compare as compare_runs
    from gluetune.core.suites import is_suite

    if len(runs) > 1 and all(is_suite(path) for path in runs):
        _compare_suites(runs, as_json=as_json)
        return
    found = compare_runs(*runs)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(found), default=str, indent=2))
        return
    _render(Console(), found)


def _compare_suites(suites: list[Path], *, as_json: bool) -> None:
    from gluetune.analysis.comparison import compare_suites
    from gluetune.core.errors import RunError

    found = compare_suites(*suites)
    if as_json:
        plain = {
            task: {"error": one.findings[0].message}
            if isinstance(one, RunError)
            else dataclasses.asdict(one)
            for task, one in found.items()
        }
        typer.echo(json.dumps(plain, default=str, indent=2))
        return
    console = Console()
    for task, one in found.items():
        if isinstance(one, RunError):
            for finding in one.findings:
                console.print(Text(f"{task}: {finding.message}", style="yellow"), soft_wrap=True)
        else:
            _render(console, one)


def _render(console: Console, found: Comparison) -> None:
    console.print(_sides(found))
    if found.differing:
        console.print(_settings(found))
    for pair in found.pairs:
        console.print(Text(pair.verdict, style="bold"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)


def _sides(found: Comparison) -> Table:
    title = f"{found.task}: {found.examples:,} validation examples, scored by {found.score}"
    table = Table(title=title, title_justify="left")
    for name in ("", "score", "sd", "seeds", "runs"):
        table.add_column(name, justify="right" if name in ("score", "sd") else "left")
    for side in found.sides:
        spread = "" if side.deviation is None else f"{side.deviation:.4f}"
        seeds = ", ".join(map(str, side.seeds))
        paths = Text("\n".join(map(str, side.runs)), overflow="fold")
        table.add_row(side.name, f"{side.score:.4f}", spread, seeds, paths)
    return table


def _settings(found: Comparison) -> Table:
    table = Table(title="What differs", title_justify="left")
    table.add_column("setting")
    for side in found.sides:
        table.add_column(side.name)
    for name, values in found.differing.items():
        table.add_row(name, *(Text(str(value), overflow="fold") for value in values))
    return table
