"""`gluetune audit`: labels that are probably wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gluetune.core.command_lines import REST, command_line
from gluetune.core.terminal import Console, print_json


def audit(
    run: Annotated[Path, typer.Argument(help="Folder of a run that was trained with --folds.")],
    output: Annotated[
        Path | None, typer.Option(help="CSV file to write the suspect rows to.")
    ] = None,
    most: Annotated[
        int, typer.Option(min=0, metavar="NUMBER", help="Number of suspect rows to show.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Find labels that are probably wrong, by predictions of models not trained on their rows.

    Nothing is changed in the data: check the list, then leave the wrong rows out with
    `train --exclude FILE`.
    """
    from gluetune.analysis.audit import audit as find

    found = find(run, output=output)
    if as_json:
        print_json(found.to_dict())
        return
    console = Console()
    console.show_result(replace(found, most=most))
    if output is None:
        line = f"To write the suspect rows: {command_line('audit', run, output='suspects.csv')}"
    else:
        again = command_line("train", REST, exclude=output)
        line = f"Keep the rows of {output} whose label is wrong, then leave them out: {again}"
    console.print(Text(line), soft_wrap=True)
