"""Paths of this machine, kept out of what is published: they name users, projects and customers."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from gluetune.runs import Run

_ABSOLUTE = re.compile(r"(?<![\w./:~-])/(?:[^\s/'\",;:|]+/)+(?P<name>[^\s/'\",;:|]*)")
_HIDDEN = "…"


class LocalPaths:
    """The folders that a run's record and config may name, and how to leave them out."""

    def __init__(self, run: Run) -> None:
        record = run.record
        named = [record.data.source] if record.data else []
        if record.own_task is not None:  # a file, whose last name the repeating command has too
            named = [str(Path(source).parent) for source in named]
        named += [record.model.name] if record.model else []
        roots = {
            run.path.resolve(),
            Path.cwd(),
            Path.home(),
            Path(tempfile.gettempdir()),
            *(Path(name) for name in named if Path(name).is_absolute()),
        }
        texts = {str(root) for root in roots} | {str(root.resolve()) for root in roots}
        longest_first = sorted(texts - {"/"}, key=len, reverse=True)
        self._roots = re.compile(
            r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])"
        )

    def hide(self, text: str) -> str:
        """Return `text` with the folders of this machine left out, and last names kept."""
        return _ABSOLUTE.sub(rf"{_HIDDEN}/\g<name>", self._roots.sub(_HIDDEN, text))

    def within(self, text: str) -> bool:
        """Say whether `text` names one of the folders."""
        return self._roots.search(text) is not None

    def hide_within(self, value: Any) -> Any:
        """Return a value of JSON or YAML with every text in it hidden likewise."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {name: self.hide_within(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.hide_within(each) for each in value]
        return value


def base_name(name: str) -> str:
    """Return how a checkpoint is named in public: its Hub id, or the last name of its folder."""
    path = Path(name)
    if not path.is_absolute():
        return name
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def is_local(name: str) -> bool:
    """Say whether a checkpoint's recorded name is a folder of the machine that trained."""
    return Path(name).is_absolute()
