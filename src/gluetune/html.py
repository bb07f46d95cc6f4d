"""HTML from a package's `templates/`: every text from outside escaped, control characters shown."""

from __future__ import annotations

from functools import cache
from typing import Any

from gluetune.visible_text import visible


@cache
def html_environment(package: str) -> Any:
    """Return Jinja's environment for a package's templates, which are compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: Any) -> Any:
    from markupsafe import Markup

    # Markup is what a template's own macros gave, escaped already.
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
