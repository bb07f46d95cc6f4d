"""What `gluetune evaluate` prints: scores, errors by class, calibration, worst answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from gluetune.records import shown
from gluetune.tasks import TaskSpec
from gluetune.visible_text import from_here, visible

if TYPE_CHECKING:
    from gluetune.evaluation.diagnosing import Diagnosis
    from gluetune.evaluation.measuring import Measured
    from gluetune.predictions import Predictions
    from gluetune.statistics.agreement import Agreement
    from gluetune.statistics.intervals import Interval

_LONGEST = 200
"""Characters of a text that are printed."""


def measured_tables(found: Measured, hardest: int) -> Iterator[Table | Text]:
    """Yield what is printed of a measured model."""
    task = found.spec
    yield _scores(found)
    if task.positive_note:
        yield Text(task.positive_note)
    if found.suspicion:
        yield Text(found.suspicion, style="yellow")
    for split, one in found.agreement.items():
        yield Text(_agreement(task, split, one))
    for split, predictions in found.predictions.items():
        if task.is_regression:
            yield _residuals(split, predictions)
        elif task.multi_label:
            yield _labels(task, split, predictions)
        else:
            yield _confusion(task, split, predictions)
            yield _calibration(split, predictions)
        if hardest:
            yield _hardest(found, task, split, hardest)


def diagnosis_tables(found: Diagnosis) -> Iterator[Table | Text]:
    """Yield what is printed of a diagnosis."""
    title = f"R3 (Matthews over three classes) on {found.file}"
    table = _table(title, ("category", "examples", "accuracy", "R3", "95% interval"))
    for one in found.categories:
        name = f"  {one.fine}" if one.fine else one.coarse or "all"
        style = "" if one.fine else "bold"
        cells = (f"{one.examples:,}", shown(one.accuracy), shown(one.r3), _between(one.interval))
        table.add_row(Text(visible(name), style), *cells)
    yield table
    yield Text("* not to be relied on: too few examples, or too few of a class or kind of answer.")


def _table(title: str, head: tuple[str, ...]) -> Table:
    table = Table(title=escape(visible(title)), title_justify="left")
    for number, name in enumerate(head):
        plain = Text(visible(name))
        table.add_column(plain, justify="right" if number else "left", overflow="fold")
    return table


def _scores(found: Measured) -> Table:
    rows = ", ".join(f"{split} {count:,}" for split, count in found.rows.items())
    title = f"{found.task} on {from_here(found.data)} ({rows})"
    table = _table(title, ("", "value", "95% interval", "majority"))
    values = {"score": found.score.score, **found.score.flat()}
    majority = {"score": found.majority.score, **found.majority.flat()}
    for name, value in values.items():
        interval = found.intervals.get(name)
        named = Text(found.spec.metric_title(name))
        table.add_row(named, shown(value), _between(interval), shown(majority.get(name)))
    doubts = {one.reason for one in found.intervals.values() if one and one.reason}
    if doubts:
        table.caption = f"* not to be relied on: {'; '.join(sorted(doubts))}"
    return table


def _agreement(task: TaskSpec, split: str, one: Agreement) -> str:
    if not one.largest_difference:
        return f"{split}: the same logits, to the bit, as those that the run keeps."
    if task.is_regression:
        return (
            f"{split}: beside the answers that the run keeps, numbers differ by at most "
            f"{one.largest_difference:.2g}."
        )
    what = "set of labels" if task.multi_label else "class"
    flips = f"{one.flips:,} of {one.examples:,} examples get another {what}"
    margin = f" (none further than {one.widest_flip:.2g} from a tie)" if one.flips else ""
    return (
        f"{split}: beside the answers that the run keeps, {flips}{margin}; logits differ by at "
        f"most {one.largest_difference:.2g}."
    )


def _confusion(task: TaskSpec, split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.confusion import class_table, confusion_matrix

    head = ("", *task.labels, "precision", "recall", "F1")
    table = _table(f"{split}: true class by answer", head)
    matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
    for row, counts in zip(class_table(task, predictions), matrix, strict=True):
        rates = (shown(value) for value in (row.precision, row.recall, row.f1))
        table.add_row(Text(visible(row.name)), *(f"{int(count):,}" for count in counts), *rates)
    return table


def _labels(task: TaskSpec, split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.confusion import class_table

    table = _table(f"{split}: labels", ("", "examples", "precision", "recall", "F1"))
    for row in class_table(task, predictions):
        rates = (shown(value) for value in (row.precision, row.recall, row.f1))
        table.add_row(Text(visible(row.name)), f"{row.support:,}", *rates)
    return table


def _calibration(split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.calibration import calibration

    measured = calibration(predictions)
    title = f"{split}: is it right as often as it says? (expected error {measured.ece:.4f})"
    table = _table(title, ("probability", "answers", "mean probability", "share right"))
    for one in measured.bins:
        cells = (f"{one.count:,}", shown(one.confidence), shown(one.accuracy))
        table.add_row(f"{one.low:.2f} to {one.high:.2f}", *cells)
    return table


def _residuals(split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.residuals import residuals

    measured = residuals(predictions)
    head = ("", "bias", "mean absolute", "standard deviation", "largest")
    table = _table(f"{split}: answers less labels", head)
    values = (measured.bias, measured.mean_absolute, measured.deviation, measured.largest)
    table.add_row("residuals", *map(shown, values))
    return table


def _hardest(found: Measured, task: TaskSpec, split: str, count: int) -> Table:
    from gluetune.statistics.calibration import probabilities
    from gluetune.statistics.difficulty import hardest

    predictions, texts = found.predictions[split], found.texts[split]
    table = Table(title=f"{split}: furthest from the truth", title_justify="left")
    for name in (task.index_column, "label", "answer", "text"):
        table.add_column(name, overflow="fold")
    for row in hardest(task, predictions, count):
        label, answer = predictions.labels[row], predictions.predicted[row]
        said = (task.label_text(label), task.label_text(answer))
        if not task.is_regression and not task.multi_label:
            sure = probabilities(predictions.logits[row]).max()
            said = (said[0], f"{said[1]} ({sure:.3f})")
        shown_texts = [_cut(str(texts[column][int(row)])) for column in task.text_columns]
        cells = [str(predictions.index[row]), *map(visible, said), "\n".join(shown_texts)]
        table.add_row(*map(Text, cells))
    return table


def _cut(text: str) -> str:
    seen = visible(text)
    return seen if len(seen) <= _LONGEST else f"{seen[:_LONGEST]}…"


def _between(interval: Interval | None) -> str:
    if interval is None:
        return ""
    return f"{interval.low:.4f} to {interval.high:.4f}{'' if interval.reliable else ' *'}"
