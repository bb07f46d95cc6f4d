"""`gluetune compare`: which run is better, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads
from gluetune.core.terminal import Console, print_json


@loads
def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of finished runs of one task, or of suites.")
    ],
    as_json: AsJson = False,
) -> None:
    """Compare runs on the same examples; runs that differ only in the seed are one group.

    Suites are compared task by task.
    """
    from gluetune.analysis.comparison import compare as compare_runs
    from gluetune.core.suites import is_suite

    if len(runs) > 1 and all(is_suite(path) for path in runs):
        _compare_suites(runs, as_json=as_json)
        return
    found = compare_runs(*runs)
    if as_json:
        print_json(found.to_dict())
    else:
        Console().show_result(found)


def _compare_suites(suites: list[Path], *, as_json: bool) -> None:
    from gluetune.analysis.comparison import compare_suites
    from gluetune.core.errors import RunError

    found = compare_suites(*suites)
    if as_json:
        plain = {
            task: {"error": one.findings[0].message} if isinstance(one, RunError) else one.to_dict()
            for task, one in found.items()
        }
        print_json(plain)
        return
    console = Console()
    for task, one in found.items():
        if isinstance(one, RunError):
            for finding in one.findings:
                console.say(f"{task}: {finding.message}", "yellow")
        else:
            console.show_result(one)
