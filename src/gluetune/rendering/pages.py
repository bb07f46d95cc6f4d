"""HTML pages: `report` writes the page of runs or of a suite, from a package's `templates/`.

Every text from outside is escaped, and its control characters are made visible.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gluetune.core.errors import ConfigurationError
from gluetune.core.files import write_text
from gluetune.core.runs import Run
from gluetune.core.suites import SuiteResult, is_suite
from gluetune.core.text import visible
from gluetune.rendering import plots
from gluetune.rendering.views import RunView, overview, run_folders, suite_view, views_of


@cache
def html_environment(package: str) -> Any:
    """Return Jinja's environment for a package's templates, which are compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "html": _table_html,
        "version": version("gluetune"),
        "script_source": "",
    }
    return environment


def _table_html(table: Any, of: str) -> Any:
    from markupsafe import Markup

    return Markup(table.to_html(of))  # every value in it is escaped


def _finalize(value: Any) -> Any:
    from markupsafe import Markup

    # Markup is what a template's own macros gave, escaped already.
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def report(*runs: str | Path | Run | SuiteResult, output: str | Path | None = None) -> Path:
    """Write one self-contained HTML page about `runs` and return its path.

    Each is a run, its folder, or a folder that contains runs; a suite alone gives the suite's
    table. Without `output` the page is `report.html` in the folder, or in the working folder where
    several are given.

    Raises RunError where a folder holds no run, ConfigurationError where none is given.
    """
    if not runs:
        raise ConfigurationError("There is no run to report.", hint="Type: gluetune report RUN")
    paths = [Path(each) for each in runs]
    if len(paths) == 1 and is_suite(paths[0]):
        target = paths[0] / "report.html" if output is None else Path(output)
        write_text(target, render_suite(SuiteResult(paths[0]), target))
        return target
    folders = list(dict.fromkeys(found for path in paths for found in run_folders(path)))
    views = views_of([Run(folder) for folder in folders])
    place = paths[0] if len(paths) == 1 else Path()
    target = place / "report.html" if output is None else Path(output)
    write_text(target, render(views))
    return target


def render(views: Sequence[RunView]) -> str:
    """Return the page: every text from outside is escaped, its control characters made visible."""
    from markupsafe import Markup

    title = views[0].name if len(views) == 1 else f"Report of {len(views)} runs"
    environment = html_environment("gluetune.rendering")
    script, _, _ = environment.loader.get_source(environment, "examples.js")
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return _render(
        "report.html",
        title=title,
        views=views,
        overview=overview(views),
        script=Markup(script),  # our own file
        script_source=Markup(f"; script-src 'sha256-{digest}'"),
    )


def render_suite(suite: SuiteResult, target: Path) -> str:
    """Return the page of a suite, to be written to `target`: its links lead from there."""
    return _render("suite.html", view=suite_view(suite, target))


def _render(template: str, **values: Any) -> str:
    page = html_environment("gluetune.rendering").get_template(template)
    return str(page.render(**values, canvas=plots))
