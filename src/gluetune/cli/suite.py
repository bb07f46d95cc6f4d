"""`gluetune suite`: a checkpoint on all of GLUE, over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gluetune.cli.options import AsEvents, AsJson, given_settings, listening, options_of
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line
from gluetune.core.config import FOLD_SETTINGS, TrainConfig
from gluetune.core.display import print_result_event
from gluetune.core.terminal import Console, print_json
from gluetune.core.text import visible
from gluetune.experiments.settings import SuiteSettings

if TYPE_CHECKING:
    from gluetune.core.suites import SuiteResult


@loads
@options_of(TrainConfig, but=("task", "seed", "output", "fraction", "exclude", *FOLD_SETTINGS))
@options_of(SuiteSettings)
def suite(
    output: Annotated[
        Path | None, typer.Option(help="The suite's folder. Default: suites/MODEL-HASH.")
    ] = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the result as Markdown.")
    ] = False,
    as_json: AsJson = False,
    as_events: AsEvents = False,
    **options: Any,
) -> None:
    """Train a checkpoint on all nine tasks with several seeds: mean and spread, in one table.

    The same command resumes where it was stopped; nothing that was finished is redone.
    """
    settings = given_settings(options)
    from gluetune.experiments.jobs import default_jobs
    from gluetune.experiments.suite.suite import suite as run_suite

    if "ray" not in settings:
        settings.setdefault("jobs", default_jobs())
    result = run_suite(
        settings.pop("model", "minilm"), output=output, **listening(as_events), **settings
    )
    if as_events:
        print_result_event(result.record)
    else:
        _print(result, as_markdown=as_markdown, as_json=as_json)
    if result.failed:
        raise typer.Exit(1)


def _print(result: SuiteResult, *, as_markdown: bool, as_json: bool) -> None:
    if as_json:
        print_json(result.record.model_dump(mode="json"))
    elif as_markdown:
        typer.echo(result.folder.markdown.read_text(encoding="utf-8"), nl=False)
    else:
        _render(Console(), result)


def _render(console: Console, result: SuiteResult) -> None:
    from gluetune.core.jobs import jobs_table
    from gluetune.core.suites import (
        suite_notes,
        suite_table,
        suite_title,
        suite_warnings,
    )

    console.say(visible(suite_title(result.record)), "bold")
    console.show(suite_table(result.record))
    for warning in suite_warnings(result.record):
        console.say(visible(warning), "yellow")
    for note in suite_notes(result.record):
        console.say(f"note: {visible(note)}")
    console.show(jobs_table(result.record.jobs))
    lines = [
        "",
        f"suite    {result.path}",
        f"page     {result.folder.page}",
        "",
        "Next:",
        f"  {command_line('report', result.path)}",
        f"  {command_line('submit', result.path)}",
        f"  {command_line('compare', result.path, 'OTHER_SUITE')}",
    ]
    console.say("\n".join(lines))
