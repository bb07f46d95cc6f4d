"""`gluetune suite`: a checkpoint on all of GLUE, over seeds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from gluetune.cli.options import CLUSTER_PANEL, given_settings, options_of
from gluetune.core.command_lines import command_line
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError
from gluetune.core.recipes import RECIPES
from gluetune.core.terminal import Console, json_text
from gluetune.core.terminal import Table as Rich
from gluetune.core.text import visible

if TYPE_CHECKING:
    from gluetune.core.suite_records import Suite
    from gluetune.rendering.tables import Table


@options_of(TrainConfig, but=("task", "seed", "output", "fraction"))
def suite(
    seeds: Annotated[
        str, typer.Option(help="How many seeds, from 42 on; or which, with commas: 1,2,3.")
    ] = "5",
    tasks: Annotated[
        str | None, typer.Option(help="Tasks with commas: cola,rte. Default: all nine.")
    ] = None,
    fraction: Annotated[
        str | None,
        typer.Option(help="Share of each training set. Default: all; of the sample, an eighth."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help=f"A published recipe; flags win over it: {', '.join(RECIPES)}."),
    ] = None,
    mnli_init: Annotated[
        bool,
        typer.Option(
            "--mnli-init",
            help="Start RTE, MRPC and STS-B from MNLI's model of the same seed, with a new head.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help="Trainings at a time; they divide the cores, or share the GPU. Default: 1 on a "
            "GPU, 2 on a CPU of several cores; all that a cluster has room for."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The suite's folder. Default: suites/MODEL-HASH.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Run trainings on a Ray cluster: auto, or HOST:PORT; local starts one here.",
            metavar="ADDRESS",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    cpus_per_job: Annotated[
        str | None,
        typer.Option(
            help="Cores of a training. Default: 1.",
            metavar="NUMBER",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    gpus_per_job: Annotated[
        str | None,
        typer.Option(
            help="GPUs of a training; 0.5 lets two share one. Default: 0.",
            metavar="NUMBER",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the result as Markdown.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **options: Any,
) -> None:
    """Train a checkpoint on all nine tasks with several seeds: mean and spread, in one table.

    The same command goes on where it was stopped; nothing that was finished is redone.
    """
    settings = given_settings(options)
    settings = {"model": "minilm", **settings}
    given_seeds = _seeds(seeds)
    from gluetune.experiments.suite.suite import default_jobs
    from gluetune.experiments.suite.suite import suite as run_suite

    try:
        found = run_suite(
            seeds=given_seeds,
            tasks=None if tasks is None else _listed(tasks),
            fraction=fraction,  # type: ignore[arg-type]  # read as text, checked with the rest
            recipe=recipe,
            mnli_init=mnli_init,
            jobs=(default_jobs() if ray is None else 1) if jobs is None else jobs,
            output=output,
            ray=ray,
            cpus_per_job=cpus_per_job,
            gpus_per_job=gpus_per_job,
            **settings,
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    _print(found, as_markdown=as_markdown, as_json=as_json)
    if found.failed:
        raise typer.Exit(1)


def _seeds(text: str) -> int | list[int]:
    """Read `5` as five seeds, and `1,2,3` or `7,` as those."""
    try:
        return [int(each) for each in _listed(text)] if "," in text else int(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--seeds {text}: this is no number of seeds, and no list of them.",
            hint="Type: --seeds 5, or --seeds 1,2,3",
        ) from error


def _listed(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _print(found: Suite, *, as_markdown: bool, as_json: bool) -> None:
    if as_json:
        record = json.loads(found.folder.record.read_text(encoding="utf-8"))
        typer.echo(json_text(record, indent=2))
    elif as_markdown:
        typer.echo(found.folder.markdown.read_text(encoding="utf-8"), nl=False)
    else:
        _render(Console(), found)


def _render(console: Console, found: Suite) -> None:
    from gluetune.rendering.suite_tables import (
        jobs_table,
        suite_notes,
        suite_table,
        suite_title,
        suite_warnings,
    )

    console.print(Text(visible(suite_title(found.record)), style="bold"), soft_wrap=True)
    console.print(_rich(suite_table(found.record)))
    for warning in suite_warnings(found.record):
        console.print(Text(visible(warning), style="yellow"), soft_wrap=True)
    for note in suite_notes(found.record):
        console.print(Text(f"note: {visible(note)}"), soft_wrap=True)
    unfinished = jobs_table(found.record)
    if unfinished.rows:
        console.print(_rich(unfinished))
    lines = [
        "",
        f"suite    {found.path}",
        f"page     {found.folder.page}",
        "",
        "Next:",
        f"  {command_line('report', found.path)}",
        f"  {command_line('submit', found.path)}",
        f"  {command_line('compare', found.path, 'OTHER_SUITE')}",
    ]
    console.print(Text("\n".join(lines)), soft_wrap=True)


def _rich(table: Table) -> Rich:
    shown = Rich(title=table.caption, title_justify="left")
    for number, name in enumerate(table.head):
        justify: Literal["left", "right"] = "right" if number in table.numeric else "left"
        shown.add_column(name, justify=justify, overflow="fold")
    for row in table.rows:
        last = "bold" if row[0] == "GLUE average" else None
        shown.add_row(*(Text(visible(cell)) for cell in row), style=last)
    return shown
