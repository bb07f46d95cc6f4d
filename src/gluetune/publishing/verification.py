"""What was published, read back: the same bytes, and the same answers as the run's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gluetune.core.command_lines import command_line
from gluetune.core.errors import GluetuneError, HubError
from gluetune.core.tasks import TaskSpec
from gluetune.publishing.model_files import PublishedFile

if TYPE_CHECKING:
    import pyarrow as pa

    from gluetune.core.predictions import Predictions
    from gluetune.core.runs import Run

ROWS = 256
"""Validation rows that are asked again; all of them where there are fewer."""

_TOLERANCES = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-3}
"""How far a logit may be off, of the largest: batches and the way through the model differ."""


@dataclass(frozen=True)
class Verification:
    """What reading back showed. Everything that is not said here was found equal."""

    rows: int
    """Validation rows whose logits were compared; 0 where that could not be done."""
    largest_difference: float | None
    """Of a logit, from what the run kept."""
    not_compared: str = ""
    """Why no logits were compared."""


def check_files(files: Sequence[PublishedFile], folder: Path, place: str) -> None:
    """Raise HubError unless `folder` holds every one of `files`, byte for byte."""
    for file in files:
        path = folder / file.name
        if not path.is_file() or PublishedFile(file.name, path).sha256 != file.sha256:
            state = "differs from" if path.is_file() else "is missing of"
            raise HubError(
                f"{file.name} {state} what was sent to {place}.",
                hint="Push again. If it stays so, something on the way changes files.",
            )


def check_answers(run: Run, folder: Path, place: str) -> Verification:
    """Ask the model in `folder` about validation rows, and hold its logits against the run's.

    Where the rows or the kept logits are not there any more, that is said instead. Raises HubError
    where the answers differ by more than rounding.
    """
    task = run.task
    split = task.validation_splits[0]
    try:
        kept, rows = _kept(run, split), _rows(run, task, split)
    except GluetuneError as error:
        return Verification(0, None, error.findings[0].message)
    if rows is None:
        return Verification(0, None, f"the data of '{split}' have changed since the training.")
    return _compared(run, task, folder, place, kept, rows)


def _kept(run: Run, split: str) -> Predictions:
    from gluetune.core.predictions import Predictions

    return Predictions.of_table(run.predictions(split).slice(0, ROWS))


def _rows(run: Run, task: TaskSpec, split: str) -> pa.Table | None:
    """Return the first rows that the run was validated on, None where they are others now."""
    from gluetune.data.sources.named import source_of
    from gluetune.data.tables import fingerprint

    data = run.record.data
    source = source_of(run.config, recorded=data.source if data else None, task=task)
    table = source.read(task, split)
    if data is not None and data.fingerprints.get(split) != fingerprint(table):
        return None
    return table.slice(0, ROWS)


def _compared(
    run: Run, task: TaskSpec, folder: Path, place: str, kept: Predictions, rows: pa.Table
) -> Verification:
    import numpy as np

    from gluetune.core.inference_settings import InferenceSettings
    from gluetune.inference.loader import open_model

    config = run.config
    settings = InferenceSettings(
        precision=config.precision,
        batch_size=config.eval_batch_size,
        threads=config.threads,
        max_length=config.max_length,
        trust_remote_code=config.trust_remote_code,
    )
    opened = open_model(folder, task, settings)
    found = opened.predict(task, {"validation": rows})["validation"]
    largest = float(np.abs(found.logits - kept.logits).max(initial=0.0))
    scale = max(1.0, float(np.abs(kept.logits).max(initial=0.0)))
    if not largest <= _TOLERANCES[opened.precision] * scale:
        raise HubError(
            f"{place} gives back a model that does not answer as the run does: a logit differs by "
            f"{largest:.3g}.",
            hint=f"Look whether {run.path} itself does: {command_line('evaluate', run.path)}",
        )
    return Verification(len(rows), largest)
