"""`gluetune.list_runs`: what a folder holds, from the records alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gluetune.core.errors import GluetuneError, RunError
from gluetune.core.files import is_held
from gluetune.core.records import Status
from gluetune.core.runs import Run
from gluetune.core.settings_files import read_settings
from gluetune.core.suites import SuiteFolder, read_suite
from gluetune.core.tables import Column, Table

_DEPTHS = ("", "*/", "*/*/")
"""runs/RUN below the current folder, and RUN below runs."""
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclass(frozen=True)
class ListedRun:
    """A run, a suite or a search on disk."""

    path: Path
    kind: Literal["run", "suite", "search"]
    task: str = ""
    model: str = ""
    score: float | None = None
    """Of a suite GLUE's average, of a search the mean of its final runs, else its best trial's."""
    state: str = "damaged"
    """The record's status; `killed` where that is `running` and no process works in the folder."""
    updated: str = ""
    """When the record was last written, as ISO 8601."""

    @property
    def age(self) -> str:
        """The time since the record was written, in its largest unit."""
        if not self.updated:
            return ""
        seconds = (datetime.now(UTC) - datetime.fromisoformat(self.updated)).total_seconds()
        ages = (f"{seconds // size:.0f} {unit}" for size, unit in _UNITS if seconds >= size)
        return next(ages, "now")


def list_runs(folder: str | os.PathLike[str] = ".") -> list[ListedRun]:
    """Return the runs, suites and searches in a folder, the newest first.

    Runs inside a suite or a search are part of it. A record that cannot be read is `damaged`.

    Args:
        folder: A folder of runs such as `runs`, or one that contains such folders.

    Raises:
        RunError: there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RunError(f"There is no folder {root}.", hint="Type: gluetune list")
    readers = {"suite.json": _suite, "search.yaml": _search, "record.json": _run}
    found: dict[Path, ListedRun] = {}
    for name, read in readers.items():
        for file in (file for depth in _DEPTHS for file in sorted(root.glob(depth + name))):
            path = file.parent
            if not {path, *path.parents} & found.keys():
                found[path] = read(path)
    return sorted(found.values(), key=lambda one: one.updated, reverse=True)


def listing_table(listed: list[ListedRun]) -> Table:
    """Return a listing as a table."""
    columns = (
        Column("folder", shorten=True),
        *("kind", "task"),
        Column("model", shorten=True),
        *(Column("score", "number"), "age", "state"),
    )
    return Table.of(
        "Runs, suites and searches",
        columns,
        [
            (str(one.path), one.kind, one.task, one.model, one.score, one.age, one.state)
            for one in listed
        ],
        notes=() if listed else ["There are no runs here. Type: gluetune train cola --data sample"],
    )


def _run(path: Path) -> ListedRun:
    listed = partial(ListedRun, path, "run")
    try:
        run = Run(path)
    except GluetuneError:
        return listed()
    record = run.record
    model = record.model.name if record.model else ""
    return listed(record.task, model, run.score, _state(path, run.status), record.updated)


def _suite(path: Path) -> ListedRun:
    listed = partial(ListedRun, path, "suite")
    try:
        record = read_suite(SuiteFolder(path))
    except GluetuneError:
        return listed()
    average = record.table.average
    score = None if average is None else average.mean
    state = _state(path, record.status.value)
    tasks = ", ".join(record.request.tasks)
    return listed(tasks, record.checkpoint, score, state, record.updated)


def _search(path: Path) -> ListedRun:
    """Read a search's runs rather than its study, which only Optuna reads."""
    listed = partial(ListedRun, path, "search")
    try:
        values = read_settings(path / "search.yaml")
        fixed = (values.get("request") or values["asked"])["fixed"]
        finals = [one for one in _runs(path / "final") if one.status == "finished"]
        trials = list(_runs(path / "trials"))
    except (GluetuneError, KeyError, TypeError):
        return listed()
    scores = [one.score for one in finals if one.score is not None]
    score = sum(scores) / len(scores) if scores else _best(trials)
    state = "finished" if finals else _state(path, Status.RUNNING.value)
    updated = max((one.record.updated for one in (*finals, *trials)), default="")
    return listed(fixed["task"], fixed.get("model", "minilm"), score, state, updated)


def _runs(folder: Path) -> Iterator[Run]:
    for file in sorted(folder.glob("*/record.json")):
        yield Run(file.parent)


def _best(trials: list[Run]) -> float | None:
    scored = [one for one in trials if one.score is not None]
    if not scored:
        return None
    scores: list[Any] = [one.score for one in scored]
    return float(max(scores) if scored[0].task.greater_is_better else min(scores))


def _state(path: Path, status: str) -> str:
    is_left = status == Status.RUNNING.value and not is_held(path / ".lock")
    return "killed" if is_left else status
