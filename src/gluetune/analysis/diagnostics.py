"""`gluetune.diagnose`: which linguistic phenomena an MNLI model has learned.

GLUE's labelled diagnostic set: a user's own copy of `diagnostic-full.tsv`.

The leaderboard's AX hides its labels. The authors also give out the whole set, each row marked with
the phenomena that it turns on: a column for each coarse category, whose cells name fine ones, apart
by semicolons (Wang et al. 2019, arXiv 1804.07461, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pyarrow as pa

from gluetune.analysis.scores import between
from gluetune.core.errors import Findings
from gluetune.core.inference_settings import InferenceSettings
from gluetune.core.keywords import InferenceKeywords
from gluetune.core.settings import make_settings
from gluetune.core.tables import Column, Table, plain, tables_html
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.glue_download import TsvColumns, read_tsv
from gluetune.data.tables import canonical_table, table_findings
from gluetune.statistics.intervals import Interval, score_intervals

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gluetune.core.records import Predictions
    from gluetune.core.runs import Run

_SPLIT = "test"
_UNRELIABLE = (
    "* unreliable: too few examples, or too few of a class, or of correct or wrong predictions."
)


@dataclass(frozen=True)
class Category:
    """The scores of a model on the rows with one phenomenon."""

    coarse: str
    """Empty for the whole set."""
    fine: str
    """Empty for all of a coarse category."""
    examples: int
    accuracy: float
    r3: float | None
    """Matthews' correlation over three classes (Gorodkin 2004), as GLUE scores AX."""
    interval: Interval | None
    """Of `r3`, over the examples."""


@dataclass(frozen=True)
class Diagnosis:
    """The scores of a model on the labelled diagnostics."""

    model: str
    file: Path
    categories: tuple[Category, ...]
    """The whole set first, then each coarse category before its fine ones."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def tables(self) -> Iterator[Table]:
        """Yield the table of the categories."""
        doubts = any(one.interval and not one.interval.reliable for one in self.categories)
        yield Table.of(
            f"R3 (Matthews over three classes) on {self.file}",
            (
                Column("category"),
                Column("examples", "count"),
                Column("accuracy", "number"),
                Column("R3", "number", missing="undefined"),
                Column("95% interval", "interval", key="interval"),
            ),
            [
                (
                    f"  {one.fine}" if one.fine else one.coarse or "all",
                    *(one.examples, one.accuracy, one.r3, between(one.interval)),
                )
                for one in self.categories
            ],
            notes=[_UNRELIABLE] if doubts else [],
            name="categories",
            bold=frozenset(n for n, one in enumerate(self.categories) if not one.fine),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis as JSON has it."""
        return {
            "model": self.model,
            "file": str(self.file),
            "categories": plain(self.categories),
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return the categories as a data frame."""
        (table,) = self.tables()
        return table.to_pandas()

    def _repr_html_(self) -> str:
        return tables_html(self.tables())


def diagnose(
    model: str | Path | Run, file: str | Path, **settings: Unpack[InferenceKeywords]
) -> Diagnosis:
    """Score an MNLI model on a labelled copy of GLUE's diagnostics, by category.

    Args:
        model: A run's folder, a folder that save_pretrained wrote, or a Hub id.
        file: The authors' `diagnostic-full.tsv`.
        settings: Fields of `InferenceSettings`, as in `gluetune.evaluate`.

    Raises:
        GluetuneError: for a file that is not the diagnostics, and for a model whose classes are not
            MNLI's.
    """
    from gluetune.inference.loader import open_model

    diagnostics, task = read_diagnostics(Path(file)), get_task("ax")
    opened = open_model(model, task, make_settings(InferenceSettings, settings))
    predictions = opened.predict(task, {_SPLIT: diagnostics.table})[_SPLIT]
    return Diagnosis(opened.name, Path(file), tuple(_categories(task, diagnostics, predictions)))


def _categories(
    task: TaskSpec, diagnostics: Diagnostics, predictions: Predictions
) -> Iterator[Category]:
    yield _category(task, predictions, "", "", np.arange(len(predictions.labels)))
    for coarse, fine in diagnostics.fine.items():
        if fine:
            everything = np.unique(np.concatenate(list(fine.values())))
            yield _category(task, predictions, coarse, "", everything)
        for name, rows in fine.items():
            yield _category(task, predictions, coarse, name, rows)


def _category(
    task: TaskSpec, predictions: Predictions, coarse: str, fine: str, rows: NDArray[Any]
) -> Category:
    from gluetune.inference.scoring import score_predictions

    part = {_SPLIT: predictions.rows(rows)}
    return Category(
        coarse=coarse,
        fine=fine,
        examples=len(rows),
        accuracy=float((part[_SPLIT].predicted == part[_SPLIT].labels).mean()),
        r3=score_predictions(task, part).score,
        interval=score_intervals(task, part)["score"],
    )


COARSE = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge")


@dataclass(frozen=True)
class Diagnostics:
    """The labelled rows, and the phenomena of each."""

    table: pa.Table
    """Canonical rows of `ax`, with their labels."""
    fine: Mapping[str, Mapping[str, NDArray[Any]]]
    """Row numbers by coarse and fine category. A row may be in several."""


def read_diagnostics(path: Path) -> Diagnostics:
    """Read the labelled diagnostics. Raises DataError with every row that is wrong."""
    task, findings = get_task("ax"), table_findings()
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
