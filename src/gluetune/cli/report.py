"""`gluetune report`: one page about one run or several."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads
from gluetune.core.terminal import Console, print_json
from gluetune.core.text import visible


@loads
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that contain runs.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write. Default: report.html in the folder given; of several, here."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-contained HTML page about runs: scores, curves, settings."""
    from gluetune.rendering.pages import report as write_report

    page = str(write_report(*runs, output=output))
    if as_json:
        print_json({"page": page})
    else:
        Console().say(visible(page))
