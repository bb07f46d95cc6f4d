"""The rows that a run was scored on, read again: reports and pages show their texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gluetune.core.errors import GluetuneError
from gluetune.core.tasks import HELD_OUT
from gluetune.data.sources.named import source_of, without_held_out
from gluetune.data.tables import fingerprint

if TYPE_CHECKING:
    import pyarrow as pa

    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec


def scored_rows(run: Run, task: TaskSpec, split: str) -> pa.Table | str:
    """Return the rows that the run was scored on, or the reason why they cannot be shown."""
    data = run.record.data
    if data is None:
        return "The texts are not shown: the record does not say where they are."
    try:
        table = _read(run, data.source, task, split)
    except GluetuneError as error:
        return f"The texts are not shown: {error.findings[0].message}"
    if fingerprint(table) != data.fingerprints.get(split):
        place = run.config.file_of(split) or data.source
        return f"The texts are not shown: {place} has changed since the run."
    return table


def _read(run: Run, name: str, task: TaskSpec, split: str) -> pa.Table:
    source = source_of(run.config, recorded=name, task=task)
    if split != HELD_OUT:
        return source.read(task, split)
    train = source.read(task, task.train_split or "train")
    return without_held_out(source, train, task, run.config)[1]
