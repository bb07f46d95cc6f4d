"""How the documentation is built: `make docs`, from the pages of the repository.

The source folder is the repository itself, so that a link that works there works on the site.
Reference pages end with what `reference.py` generates from the code.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sphinx.application import Sphinx

import gluetune
import reference

project = "gluetune"
author = "The gluetune authors"
version = release = gluetune.__version__
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "benchmarks/results/**.md",
]
exclude_patterns = [".*", "runs", "site", "src", "tests", "tools"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
default_role = "code"  # docstrings write code in single backticks
napoleon_google_docstring = True
napoleon_numpy_docstring = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

html_theme = "furo"  # no font, script or style from another host
html_title = f"gluetune {release}"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_extra_path = ["_root"]


def setup(app: Sphinx) -> None:
    """Append what is generated from the code to the reference pages."""
    app.connect("source-read", _append)


def _append(app: Sphinx, name: str, source: list[str]) -> None:
    written = {
        "docs/reference/python-api": reference.api,
        "docs/reference/command-line": reference.command_line,
        "docs/reference/from-run-glue": reference.run_glue_flags,
        "docs/reference/metrics": reference.metrics,
        "docs/reference/settings": reference.settings,
    }
    if name in written:
        source[0] += "\n" + written[name]()
