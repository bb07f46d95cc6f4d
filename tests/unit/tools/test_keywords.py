"""The typed keyword arguments are generated from the settings models."""

from __future__ import annotations

import ast

from tools.keywords import FILE, source


def test_the_module_is_up_to_date() -> None:
    made, kept = (ast.unparse(ast.parse(text)) for text in (source(), FILE.read_text("utf-8")))
    assert kept == made, (
        "run: python -m tools.keywords && ruff format src/gluetune/core/keywords.py"
    )
