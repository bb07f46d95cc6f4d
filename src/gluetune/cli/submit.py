"""`gluetune submit`: write the zip for the GLUE leaderboard, or check one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError
from gluetune.core.terminal import Console, Table, print_json, progress_console

if TYPE_CHECKING:
    from gluetune.publishing.submission import Submission


@loads
def submit(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Run folders, one per task (MNLI's also predicts AX), or a suite folder."
        ),
    ] = None,
    output: Annotated[Path, typer.Option(help="Zip file to write.")] = Path("submission.zip"),
    fill_missing: Annotated[
        bool,
        typer.Option("--fill-missing", help="Predict the majority class for tasks without a run."),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(help="Source of the test sets. Default: each run's own."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="For a suite: seed of the runs to take. Default: the first.")
    ] = None,
    check: Annotated[Path | None, typer.Option(help="Only check this zip file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a submission to the GLUE leaderboard from runs, or check one."""
    console = Console()
    if check is not None:
        if runs:
            raise ConfigurationError(
                "--check takes a zip and no runs.",
                hint="Type: " + command_line("submit", check=check),
            )
        _check(console, check, as_json=as_json)
        return
    from gluetune.publishing.submission import submit as write_submission

    progress = progress_console()
    found = write_submission(
        *(runs or ()),
        output=output,
        fill_missing=fill_missing,
        data=data,
        seed=seed,
        on_message=progress.say,
    )
    if as_json:
        print_json(found)
    else:
        _render(console, found)


def _check(console: Console, path: Path, *, as_json: bool) -> None:
    from gluetune.publishing.leaderboard_files import check_submission

    check_submission(path)
    if as_json:
        print_json({"path": str(path), "valid": True})
        return
    console.print(Text(f"{path}: all eleven files have the leaderboard's format."))


def _render(console: Console, found: Submission) -> None:
    table = Table(title=str(found.path), title_justify="left")
    table.add_column("file")
    table.add_column("rows", justify="right")
    table.add_column("predicted by")
    for file in found.files:
        table.add_row(file.name, f"{file.rows:,}", Text(file.origin, overflow="fold"))
    console.print(table)
    if found.filled:
        names = ", ".join(file.name for file in found.filled)
        console.print(Text(f"No model predicted {names}: see the table.", style="yellow"))
    console.print(Text("The zip was read back and passes the check."))
