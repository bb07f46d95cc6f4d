"""GLUE's labelled diagnostic set: a user's own copy of `diagnostic-full.tsv`.

The leaderboard's AX hides its labels. The authors also give out the whole set, each row marked with
the phenomena that it turns on: a column for each coarse category, whose cells name fine ones, apart
by semicolons (Wang et al. 2019, arXiv 1804.07461, section 4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gluetune.data.findings import Findings
from gluetune.data.tables import canonical_table
from gluetune.data.tsv import TsvColumns, read_tsv
from gluetune.tasks import get_task

if TYPE_CHECKING:
    from numpy.typing import NDArray

COARSE = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")


@dataclass(frozen=True)
class Diagnostics:
    """The labelled rows, and which of them turn on what."""

    table: pa.Table
    """Canonical rows of `ax`, with their labels."""
    fine: Mapping[str, Mapping[str, NDArray[Any]]]
    """Row numbers by coarse and fine category. A row may stand in several."""


def read_diagnostics(path: Path) -> Diagnostics:
    """Read the labelled diagnostics. Raises DataError with every row that is wrong."""
    task, findings = get_task("ax"), Findings()
    found = read_tsv(path, (*COARSE, "Premise", "Hypothesis", "Label"), findings)
    for line, cells in found.ragged:
        findings.add(f"{path}:{line} has {cells} columns; the header has {found.width}.")
    labels = [_label(found, row, task.labels, findings) for row in range(len(found.lines))]
    table = pa.table(
        {
            task.text_columns[0]: found.columns["Premise"],
            task.text_columns[1]: found.columns["Hypothesis"],
            task.label_column: pa.array(labels, pa.int64()),
            task.index_column: pa.array(range(len(labels)), pa.int32()),
        }
    )
    checked = canonical_table(
        table, task, "test", place=str(path), locate=found.locate, findings=findings
    )
    return Diagnostics(checked, {name: _by_fine(found.columns[name]) for name in COARSE})


def _label(found: TsvColumns, row: int, names: tuple[str, ...], findings: Findings) -> int:
    name = found.columns["Label"][row].strip()
    if name in names:
        return names.index(name)
    findings.add(f"{found.locate(row)}: label '{name}'; expected one of {', '.join(names)}.")
    return 0


def _by_fine(cells: list[str]) -> dict[str, NDArray[Any]]:
    import numpy as np

    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        for name in dict.fromkeys(part.strip() for part in cell.split(";") if part.strip()):
            rows.setdefault(name, []).append(row)
    return {name: np.array(rows[name]) for name in sorted(rows)}
