"""`gluetune.audit`: labels that are probably wrong, by the out-of-fold predictions of a run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.files import write_text
from gluetune.core.folds import folds_of
from gluetune.core.records import Predictions
from gluetune.core.runs import Run, open_run
from gluetune.core.tables import Column, Table, plain, tables_html, to_frames
from gluetune.core.tasks import OUT_OF_FOLD
from gluetune.core.text import from_here
from gluetune.data.sources import scored_rows
from gluetune.data.tables import BATCH, first_rows, text_keys
from gluetune.statistics.calibration import cross_fitted

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_SHOWN = 20
_LONGEST_TEXT = 120
"""Characters of a text that a table shows."""


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong."""

    line: int
    """Line of the file, as every message counts it; of GLUE's data the row's index."""
    given: str
    suggested: str
    score: float
    """How well the label agrees with the predictions, from 0 to 1."""
    texts: Mapping[str, str]
    """By column; empty where they are not available."""


@dataclass(frozen=True)
class Disagreement:
    """Rows with the same text and different labels."""

    lines: tuple[int, ...]
    labels: tuple[str, ...]
    texts: Mapping[str, str]
    """Of the first row."""


@dataclass(frozen=True, repr=False)
class Audit:
    """Labels that are probably wrong, the most suspect first, and same texts that disagree.

    Nothing is changed in the data. `write` writes the suspects as CSV, for `train --exclude`.
    """

    run: str
    file: str
    """The training file, or the name of the source."""
    rows: int
    suspects: tuple[Suspect, ...]
    disagreements: tuple[Disagreement, ...]
    scores: NDArray[np.float64]
    """How well the label of every row agrees with the predictions, in the order of the rows."""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    most: int = _SHOWN
    """How many suspects are shown."""

    def tables(self) -> Iterator[Table]:
        """Yield the suspects, and the texts that disagree."""
        share = len(self.suspects) / self.rows
        columns = tuple(self.suspects[0].texts) if self.suspects else ()
        yield Table.of(
            f"{len(self.suspects):,} of {self.rows:,} labels are suspect ({share:.1%})",
            (
                "line",
                Column("given", shorten=True),
                Column("suggested", shorten=True),
                Column("score", "number"),
                *columns,
            ),
            [
                (
                    *(str(one.line), one.given, one.suggested, one.score),
                    *(_cut(one.texts[name]) for name in columns),
                )
                for one in self.suspects
            ],
            notes=self.notes,
            name="suspects",
            most=self.most,
        )
        yield Table.of(
            f"Texts that occur with different labels: {len(self.disagreements):,}",
            ("lines", "labels", "text"),
            [
                (
                    ", ".join(map(str, one.lines)),
                    " / ".join(one.labels),
                    _cut(" | ".join(one.texts.values())),
                )
                for one in self.disagreements
            ],
            name="disagreements",
            most=self.most,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as JSON has it, without the scores of all rows."""
        return {
            "run": self.run,
            "file": self.file,
            "rows": self.rows,
            "suspects": plain(self.suspects),
            "disagreements": plain(self.disagreements),
        }

    def to_pandas(self, name: str | None = None) -> Any:
        """Return the tables as data frames (`suspects`, `disagreements`), or the one of a name."""
        return to_frames(self.tables(), name)

    def write(self, path: str | Path) -> Path:
        """Write the suspects as CSV: file, line, the texts, given, suggested and score."""
        columns = list(self.suspects[0].texts) if self.suspects else []
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["file", "line", *columns, "given", "suggested", "score"])
        for one in self.suspects:
            texts = [one.texts[name] for name in columns]
            score = f"{one.score:.6f}"
            writer.writerow([self.file, one.line, *texts, one.given, one.suggested, score])
        write_text(Path(path), out.getvalue())
        return Path(path)

    def __repr__(self) -> str:
        return (
            f"Audit('{self.run}': {len(self.suspects):,} of {self.rows:,} labels suspect, "
            f"{len(self.disagreements):,} texts with different labels)"
        )

    def _repr_html_(self) -> str:
        return tables_html(self.tables())


def audit(run: str | Path | Run, *, output: str | Path | None = None) -> Audit:
    """Find labels that are probably wrong, by the out-of-fold predictions of a cross-validation.

    Classes by confident learning (Northcutt et al. 2021, arXiv 1911.00068), several labels by the
    same for each label, numbers by their residuals. Where the cross-validation was repeated, logits
    are averaged.

    Args:
        run: A run that was trained with `folds`, or its folder.
        output: Also write the suspects to this CSV file.

    Raises:
        RunError: for a run without folds, and while not all of them are finished.
    """
    import numpy as np

    opened = open_run(run)
    folds = folds_of(opened)
    task = opened.task
    repeats = range(1, folds.record.request.fold_repeats + 1)
    tables = [folds.out_of_fold(repeat) for repeat in repeats]
    found = [Predictions.of_table(table) for table in tables]
    labels = found[0].labels
    scaled = [
        cross_fitted(task.kind, one.logits, one.labels, table["fold"].to_numpy())
        for one, table in zip(found, tables, strict=True)
    ]
    errors = task.kind.label_errors(labels, np.mean(scaled, axis=0))
    rows = scored_rows(opened, task, OUT_OF_FOLD)
    texts = _Texts({} if isinstance(rows, str) else {n: rows[n] for n in task.text_columns})
    index = found[0].index
    data = opened.record.data
    made = Audit(
        run=str(opened.path),
        file=from_here(opened.config.file_of("train") or (data.source if data else "unknown")),
        rows=len(labels),
        suspects=tuple(
            Suspect(
                line=int(index[row]),
                given=task.label_text(labels[row]),
                suggested=task.label_text(errors.suggested[row]),
                score=float(errors.scores[row]),
                texts=texts.of(row),
            )
            for row in _ranked(errors.suspect, errors.scores)
        ),
        disagreements=() if isinstance(rows, str) else tuple(_disagreements(opened, rows, texts)),
        scores=errors.scores,
        notes=(rows,) if isinstance(rows, str) else (),
    )
    if output is not None:
        made.write(output)
    return made


@dataclass(frozen=True)
class _Texts:
    """The texts of the rows, by column."""

    columns: Mapping[str, pa.ChunkedArray]

    def of(self, row: int) -> dict[str, str]:
        """Return the texts of a row."""
        return {name: column[int(row)].as_py() for name, column in self.columns.items()}


def _ranked(suspect: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the suspect rows, the lowest score first."""
    import numpy as np

    rows = np.flatnonzero(suspect)
    ranked: NDArray[np.int64] = rows[np.argsort(scores[rows], kind="stable")]
    return ranked


def _disagreements(run: Run, rows: pa.Table, texts: _Texts) -> Iterator[Disagreement]:
    """Yield the texts that occur with different labels, in the order of their first row."""
    import numpy as np

    task = run.task
    batches = rows.select(task.text_columns).to_batches(max_chunksize=BATCH)
    first = first_rows(text_keys(batches, len(rows)))
    again = np.unique(first[first != np.arange(len(first))])
    index = rows[task.index_column].to_numpy()
    labels = task.kind.array(rows[task.label_column], task.num_labels)
    order = np.argsort(first, kind="stable")
    starts, ends = (np.searchsorted(first[order], again, side=side) for side in ("left", "right"))
    for start, end in zip(starts, ends, strict=True):
        members = order[start:end]
        names = [task.label_text(labels[row]) for row in members]
        if len({*names}) > 1:
            yield Disagreement(
                tuple(map(int, index[members])), tuple(names), texts.of(int(members[0]))
            )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
