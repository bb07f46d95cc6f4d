"""`gluetune list`: the runs, suites and searches in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gluetune.cli.options import AsJson
from gluetune.core.terminal import Console, print_json


def list_folder(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of runs. Default: the current one, with runs/.", show_default=False
        ),
    ] = Path(),
    as_json: AsJson = False,
) -> None:
    """List runs, suites and searches with score, model, age and state, the newest first."""
    from gluetune.core.listing import list_runs, listing_table

    found = list_runs(folder)
    if as_json:
        print_json(found)
    else:
        Console().show(listing_table(found))
