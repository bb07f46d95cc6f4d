"""What the page says of a run's answers on one split: whom it mistakes for whom, and where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gluetune.core.errors import GluetuneError
from gluetune.core.predictions import Predictions
from gluetune.core.tasks import HELD_OUT
from gluetune.data.sources.named import source_of, without_held_out
from gluetune.data.tables import fingerprint
from gluetune.rendering.plots import Plot, histogram, reliability_plot, scatter_plot
from gluetune.rendering.tables import Table, points
from gluetune.statistics.calibration import Calibration, calibration
from gluetune.statistics.confusion import class_table, confusion_matrix, confusions, worst_classes
from gluetune.statistics.residuals import hardest, residuals

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec
    from gluetune.kinds.base import Section

_LENGTHS = 6
"""Groups of examples by length."""
_HARDEST = 10
_MOST_CLASSES_IN_A_MATRIX = 12
_MOST_CLASSES = 50
"""Rows of the table of classes: of more, the worst."""
_MOST_PAIRS = 20


@dataclass(frozen=True)
class AnswersView:
    """One split's answers, ready for the page."""

    split: str
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    notes: tuple[str, ...]


def answers_view(run: Run, task: TaskSpec, split: str, found: Predictions) -> AnswersView:
    """Return what the page says of `found`, with its texts where they can be read again."""
    tables, plots = _errors(task, found)
    texts = read_texts(run, task, split)
    if isinstance(texts, str):
        return AnswersView(split, tuple(tables), tuple(plots), (texts,))
    columns = {name: texts.column(name).to_pylist() for name in task.text_columns}
    words = _words(columns)
    plots.append(histogram("Examples by length", "words", words))
    tables += [_length_table(task, found, words), _hardest_table(task, found, columns)]
    return AnswersView(split, tuple(tables), tuple(plots), ())


def read_texts(run: Run, task: TaskSpec, split: str) -> pa.Table | str:
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


def _errors(task: TaskSpec, found: Predictions) -> tuple[list[Table], list[Plot]]:
    tables, plots = [], []
    for section in task.kind.sections:
        table, *drawn = _SECTIONS[section](task, found)
        tables.append(table)
        plots += drawn
    return tables, plots


def _residual_section(task: TaskSpec, found: Predictions) -> tuple[Table, Plot]:
    plot = scatter_plot("Answer by label", found.labels, found.predicted)
    return _residual_table(found), plot


def _confusion_section(task: TaskSpec, found: Predictions) -> tuple[Table]:
    few = task.num_labels <= _MOST_CLASSES_IN_A_MATRIX
    return ((_confusion_table if few else _pairs_table)(task, found),)


def _calibration_section(task: TaskSpec, found: Predictions) -> tuple[Table, Plot]:
    measured = calibration(found)
    plot = reliability_plot("Calibration: share right by probability", measured)
    return _calibration_table(measured), plot


_SECTIONS: Mapping[Section, Callable[[TaskSpec, Predictions], tuple[Any, ...]]] = {
    "residuals": _residual_section,
    "confusion": _confusion_section,
    "classes": lambda task, found: (_class_table(task, found),),
    "calibration": _calibration_section,
}
"""A table, and plots behind it."""


def _confusion_table(task: TaskSpec, found: Predictions) -> Table:
    matrix = confusion_matrix(found.labels, found.predicted, task.num_labels)
    rows = tuple(
        (name, *(f"{int(count):,}" for count in row))
        for name, row in zip(task.labels, matrix, strict=True)
    )
    head = ("true class", *(f"answered {name}" for name in task.labels))
    return Table(
        "Confusion: how often each class was answered by each.", head, rows, _all_but_first(head)
    )


def _pairs_table(task: TaskSpec, found: Predictions) -> Table:
    """Return the most frequent confusions, where a matrix would be too large to be read."""
    pairs = confusions(task, found)
    rows = tuple(
        (one.label, one.predicted, f"{one.count:,}", points(one.share))
        for one in pairs[:_MOST_PAIRS]
    )
    more = f" {len(pairs) - len(rows):,} more pairs occur." if len(pairs) > len(rows) else ""
    return Table(
        f"Confusions: the most frequent pairs.{more}",
        ("true class", "predicted", "examples", "% of the class"),
        rows,
        frozenset({2, 3}),
    )


def _class_table(task: TaskSpec, found: Predictions) -> Table:
    every = class_table(task, found)
    chosen = worst_classes(every, _MOST_CLASSES)
    caption = "Classes, in points."
    if len(chosen) < len(every):
        caption = (
            f"Classes, in points: the {len(chosen)} with the lowest F1 of {len(every):,}. "
            "For all of them: gluetune evaluate RUN --json"
        )
    head: tuple[str, ...] = (task.kind.unit, "examples", "precision", "recall", "F1")
    rows: list[tuple[str, ...]] = [
        (one.name, f"{one.support:,}", *map(points, (one.precision, one.recall, one.f1)))
        for one in chosen
    ]
    numeric = _all_but_first(head)
    if task.num_labels > _MOST_CLASSES_IN_A_MATRIX and "confusion" in task.kind.sections:
        head = (*head, "most often predicted")
        rows = [
            (*row, f"{one.confused_with} ({one.confused:,})" if one.confused_with else "")
            for row, one in zip(rows, chosen, strict=True)
        ]
    return Table(caption, head, tuple(rows), numeric)


def _calibration_table(measured: Calibration) -> Table:
    rows = tuple(
        (
            f"{one.low:.2f} to {one.high:.2f}",
            f"{one.count:,}",
            points(one.confidence),
            points(one.accuracy),
        )
        for one in measured.bins
    )
    head = ("probability", "answers", "mean probability", "share right")
    caption = f"Calibration: expected error {points(measured.ece)} points."
    return Table(caption, head, rows, _all_but_first(head))


def _residual_table(found: Predictions) -> Table:
    measured = residuals(found)
    rows = (
        ("mean error (bias)", f"{measured.bias:.3f}"),
        ("mean absolute error", f"{measured.mean_absolute:.3f}"),
        ("standard deviation", f"{measured.deviation:.3f}"),
        ("largest absolute error", f"{measured.largest:.3f}"),
    )
    return Table("Errors: the answer less the label.", ("", "value"), rows, frozenset({1}))


def _words(columns: Mapping[str, Sequence[str]]) -> NDArray[Any]:
    """Return the length of every example in words, which need no tokenizer."""
    import numpy as np

    return np.array(
        [sum(len(text.split()) for text in row) for row in zip(*columns.values(), strict=True)]
    )


def _length_table(task: TaskSpec, found: Predictions, words: NDArray[Any]) -> Table:
    """Return how well examples of each length are answered."""
    import numpy as np

    edges = np.unique(np.quantile(words, np.linspace(0, 1, _LENGTHS + 1)).astype(int))
    rows = []
    for low, high in pairwise(edges):
        inside = (words >= low) & ((words < high) | (high == edges[-1]))
        if inside.any():
            last = high if high == edges[-1] else high - 1
            rows.append(
                (
                    str(low) if low == last else f"{low} to {last}",
                    f"{int(inside.sum()):,}",
                    _quality(task, found, inside),
                )
            )
    measure = task.kind.quality_name
    head = ("words", "examples", measure)
    return Table(f"{measure.capitalize()} by length.", head, tuple(rows), _all_but_first(head))


def _quality(task: TaskSpec, found: Predictions, inside: NDArray[Any]) -> str:
    value = task.kind.quality(found.labels[inside], found.predicted[inside])
    return points(value) if task.kind.quality_is_proportion else f"{value:.3f}"


def _hardest_table(
    task: TaskSpec, found: Predictions, columns: Mapping[str, Sequence[str]]
) -> Table:
    rows = []
    confidence = task.kind.confidence(found.logits)
    for row in hardest(task, found, _HARDEST):
        label, answer = found.labels[row], found.predicted[row]
        sure = "" if confidence is None else f"{confidence[row]:.3f}"
        said = (task.label_text(label), task.label_text(answer), sure)
        rows.append((str(found.index[row]), *said, *(values[row] for values in columns.values())))
    head = ("idx", "label", "answer", "probability", *columns)
    if confidence is None:
        head, rows = (*head[:3], *columns), [(*row[:3], *row[4:]) for row in rows]
    return Table("The hardest examples: wrong, and most sure of it.", head, tuple(rows))


def _all_but_first(head: Sequence[str]) -> frozenset[int]:
    return frozenset(range(1, len(head)))
