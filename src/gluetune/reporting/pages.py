"""The page itself: runs are read, described, and written as one HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gluetune.errors import ConfigurationError
from gluetune.files import write_text
from gluetune.html import html_environment
from gluetune.reporting import plots
from gluetune.reporting.suite_view import suite_view
from gluetune.reporting.views import RunView, overview, run_folders, view
from gluetune.runs import Run
from gluetune.suite_records import Suite, is_suite


def report(*runs: str | Path | Run | Suite, output: str | Path | None = None) -> Path:
    """Write one self-contained HTML page about `runs` and return its path.

    Each is a run, its folder, or a folder that holds some; a suite alone gives the suite's table.
    Without `output` the page is `report.html` in the folder, or in the working folder where several
    are given.

    Raises RunError where a folder holds no run, ConfigurationError where none is given.
    """
    if not runs:
        raise ConfigurationError("There is no run to report.", hint="Type: gluetune report RUN")
    paths = [Path(each) for each in runs]
    if len(paths) == 1 and is_suite(paths[0]):
        target = paths[0] / "report.html" if output is None else Path(output)
        write_text(target, render_suite(Suite(paths[0]), target))
        return target
    folders = list(dict.fromkeys(found for path in paths for found in run_folders(path)))
    views = [view(Run(folder), number) for number, folder in enumerate(folders, start=1)]
    place = paths[0] if len(paths) == 1 else Path()
    target = place / "report.html" if output is None else Path(output)
    write_text(target, render(views))
    return target


def render(views: Sequence[RunView]) -> str:
    """Return the page: every text from outside is escaped, its control characters made visible."""
    title = views[0].name if len(views) == 1 else f"Report of {len(views)} runs"
    return str(
        html_environment("gluetune.reporting")
        .get_template("report.html")
        .render(title=title, views=views, overview=overview(views), canvas=plots)
    )


def render_suite(suite: Suite, target: Path) -> str:
    """Return the page of a suite, to be written to `target`: its links lead from there."""
    return str(
        html_environment("gluetune.reporting")
        .get_template("suite.html")
        .render(view=suite_view(suite, target), canvas=plots)
    )
