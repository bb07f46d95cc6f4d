"""Predictions on one split, as a run keeps them in `predictions/SPLIT.parquet`.

Scores, intervals, comparisons and reports are computed from these columns and need neither the
model nor the text.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.files import write_atomically
from gluetune.core.tasks import TaskSpec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_FINGERPRINT_KEY = b"gluetune.data"


@dataclass(frozen=True)
class Predictions:
    """A model's predictions on one split, in the order of its rows."""

    index: NDArray[Any]
    labels: NDArray[Any]
    """Class ids of the task, or numbers; -1 where they are hidden. Where an example may have
    several labels: shape (rows, labels), 0 or 1."""
    predicted: NDArray[Any]
    """The same, as predicted."""
    logits: NDArray[np.float32]
    """Shape (rows, classes) in the order of the task's classes, or (rows, 1)."""

    def rows(self, chosen: NDArray[Any]) -> Predictions:
        """Return the predictions on some of the rows, by number."""
        return Predictions(
            self.index[chosen], self.labels[chosen], self.predicted[chosen], self.logits[chosen]
        )

    def table(self) -> pa.Table:
        """Return the rows of `predictions/SPLIT.parquet`: idx, label, prediction, logits."""
        import pyarrow as pa

        return pa.table(
            {
                "idx": pa.array(self.index),
                "label": _column(self.labels),
                "prediction": _column(self.predicted),
                "logits": pa.array(list(self.logits), pa.list_(pa.float32())),
            }
        )

    @classmethod
    def of_table(cls, table: pa.Table) -> Predictions:
        """Return what `table` wrote, read back."""
        import numpy as np

        width = len(table["logits"][0]) if len(table) else 0
        flat = table["logits"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return cls(
            index=table["idx"].to_numpy(),
            labels=_values(table["label"]),
            predicted=_values(table["prediction"]),
            logits=np.asarray(flat, dtype=np.float32).reshape(len(table), width),
        )


def _column(values: NDArray[Any]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values) if values.ndim == 1 else pa.array(list(values))


def _values(column: pa.ChunkedArray) -> NDArray[Any]:
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_list(column.type):
        values: NDArray[Any] = column.to_numpy()
        return values
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    width = len(flat) // len(column) if len(column) else 0
    rows: NDArray[Any] = np.reshape(flat, (len(column), width))
    return rows


def kept_name(task: TaskSpec, split: str) -> str:
    """Return the name of a split's predictions in a run: AX's are `ax`, in an MNLI run."""
    return task.name if task.trained_as else split


def keep_predictions(
    path: Path, predictions: Predictions, fingerprint: str, **columns: NDArray[Any]
) -> None:
    """Write predictions atomically, with the fingerprint of the data, and further `columns`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = predictions.table()
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    table = table.replace_schema_metadata({_FINGERPRINT_KEY: fingerprint})
    write_atomically(path, partial(pq.write_table, table))


def kept_fingerprint(table: pa.Table) -> str | None:
    """Return the fingerprint of the data of a stored table; None where it has none."""
    raw = (table.schema.metadata or {}).get(_FINGERPRINT_KEY)
    return None if raw is None else raw.decode()
