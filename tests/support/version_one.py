"""Runs, a search and a suite as version 1 wrote them, with the tiny checkpoint they start from.

Made from the sample data (`several` from `several.csv`), without the report pages and the models
that no test opens. Absolute paths in them start with `/version_one`, the placeholder of the copy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "fixtures" / "version_one"
_TEXT = {".json", ".yaml", ".journal"}


def copy_version_one(target: Path) -> Path:
    """Copy the folders into `target`, whose path they then name; return it."""
    shutil.copytree(FOLDER, target, dirs_exist_ok=True)
    for path in target.rglob("*"):
        if path.suffix in _TEXT and path.parent.name != "model":
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("/version_one", target.as_posix()), encoding="utf-8")
    return target
