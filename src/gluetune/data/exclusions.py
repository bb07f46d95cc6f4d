"""Rows that `--exclude FILE` leaves out of the training data: read, and found by their line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from gluetune.core.config import TrainConfig
from gluetune.core.errors import DataError, Findings
from gluetune.data.tables import SHOWN

EXCLUDED = "rows that --exclude names"
"""What such rows are called in counts."""
_LINES = ("line", "idx")
"""Names of the column that identifies a row."""


@dataclass(frozen=True)
class Exclusions:
    """The rows of a training set that are left out."""

    path: Path
    rows: Mapping[int, Mapping[str, str]]
    """What the file has of each row, by its line in the training file, or its index."""

    def mask(
        self, index: NDArray[Any], texts: Mapping[str, pa.ChunkedArray], place: str
    ) -> NDArray[np.bool_]:
        """Return which rows are left out.

        Args:
            index: The line or the index of each row.
            texts: The texts of the rows, by the names of their columns.
            place: The training file, for messages.

        Raises:
            DataError: for lines that are not there, and rows whose text is another by now.
        """
        findings = Findings(DataError, most=SHOWN)
        at = {int(line): row for row, line in enumerate(index)}
        mask = np.zeros(len(index), dtype=bool)
        for line, values in self.rows.items():
            row = at.get(line)
            if row is None:
                findings.add(
                    f"--exclude {self.path}: {place} has no row with the line {line}.",
                    "Give the CSV that `gluetune audit` wrote for this file, or a line number on "
                    "each line.",
                )
                continue
            mask[row] = True
            wrong = [n for n in texts if n in values and texts[n][row].as_py() != values[n]]
            if wrong:
                findings.add(
                    f"--exclude {self.path}: line {line} of {place} has another '{wrong[0]}' now.",
                    "The file has changed since the audit: audit it again.",
                )
        findings.raise_any()
        if mask.all():
            raise DataError(f"--exclude {self.path}: no row of {place} is left.")
        return mask


def read_exclusions(config: TrainConfig) -> Exclusions | None:
    """Return the rows that a configuration leaves out; None where it leaves out none.

    The file is a CSV with a column `line` or `idx`, as `gluetune audit` writes it, or has a number
    on each line. Raises DataError.
    """
    if config.exclude is None:
        return None
    path = Path(config.exclude).expanduser().resolve()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise DataError(f"--exclude {path} cannot be read: {reason}.") from error
    rows = list(csv.reader(text.splitlines(keepends=True)))
    header = rows[0] if rows else []
    named = next((name for name in _LINES if name in header), None)
    if named is None and not all(row[0].strip().isdigit() for row in rows if row):
        raise DataError(
            f"--exclude {path} has no column 'line' or 'idx'.",
            hint="Give the CSV that `gluetune audit` wrote, or a line number on each line.",
        )
    return Exclusions(path, _numbered(path, rows, header, named))


def _numbered(
    path: Path, rows: Sequence[Sequence[str]], header: Sequence[str], named: str | None
) -> dict[int, Mapping[str, str]]:
    if named is None:
        return {int(row[0]): {} for row in rows if row}
    findings = Findings(DataError, most=SHOWN)
    found: dict[int, Mapping[str, str]] = {}
    for number, row in enumerate(rows[1:], start=2):
        values = dict(zip(header, row, strict=False))
        line = values.get(named, "").strip()
        if line.isdigit():
            found[int(line)] = values
        elif row:
            findings.add(f"--exclude {path}, row {number}: '{line}' is not a line number.")
    findings.raise_any()
    return found
