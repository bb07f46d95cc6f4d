"""What `gluetune evaluate` prints: scores, errors by class, calibration, worst answers.

A run's score as the terminal shows it: above the majority class, people and what is published.

A published cell stands in its own metric's column only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from gluetune.core.records import best_epoch, shown
from gluetune.core.tasks import TaskSpec
from gluetune.core.terminal import Table
from gluetune.core.text import from_here, visible

if TYPE_CHECKING:
    from gluetune.analysis.diagnostics import Diagnosis
    from gluetune.analysis.evaluate import Measured
    from gluetune.core.predictions import Predictions
    from gluetune.core.records import Record
    from gluetune.core.references import Reference
    from gluetune.core.tasks import TaskSpec
    from gluetune.statistics.agreement import Agreement
    from gluetune.statistics.confusion import ClassRow, Confusion
    from gluetune.statistics.intervals import Interval

_LONGEST = 200
"""Characters of a text that are printed."""
_RATES = ("precision", "recall", "F1")
_NUMBER = 6
"""Columns of a rate, as 0.1234."""
_SHORTEST_NAME = 8
_MOST_CLASSES = 40
"""Classes up to which each has a line."""
_WORST_CLASSES = 20
"""Lines of more classes."""
_MOST_PAIRS = 10


def measured_tables(found: Measured, hardest: int, width: int = 80) -> Iterator[Table | Text]:
    """Yield what is printed of a measured model on a terminal of `width` columns."""
    task = found.spec
    yield _scores(found)
    if task.positive_note:
        yield Text(task.positive_note)
    if found.word_test is not None:
        style = "yellow" if found.word_test.is_worse else ""
        yield Text(found.word_test.sentence, style=style)
    if found.suspicion:
        yield Text(found.suspicion, style="yellow")
    for split, one in found.agreement.items():
        yield Text(_agreement(task, split, one))
    for split, predictions in found.predictions.items():
        yield from _sections(task, split, predictions, width)
        if hardest:
            yield _hardest(found, task, split, hardest)


def _sections(
    task: TaskSpec, split: str, predictions: Predictions, width: int
) -> Iterator[Table | Text]:
    """Yield what an evaluation of this kind of task shows besides the scores."""
    from gluetune.statistics.confusion import class_table

    sections = task.kind.sections
    if "residuals" in sections:
        yield _residuals(split, predictions)
    if "confusion" in sections:
        yield from _confusions(task, split, predictions, width)
    elif "classes" in sections:
        yield from _classes(f"{split}: {task.kind.units}", class_table(task, predictions), width)
    if "calibration" in sections:
        yield _calibration(split, predictions)


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
    table = Table(title=visible(title), title_justify="left")
    for number, name in enumerate(head):
        plain = Text(visible(name))
        table.add_column(plain, justify="right" if number else "left", overflow="fold")
    return table


def _scores(found: Measured) -> Table:
    rows = ", ".join(f"{split} {count:,}" for split, count in found.rows.items())
    title = f"{found.task} on {from_here(found.data)} ({rows})"
    constant = found.spec.kind.constant_word
    words = {"score": found.words.score, **found.words.flat()} if found.words else None
    head = ("", "value", "95% interval", constant)
    table = _table(title, head if words is None else (*head, "bag of words"))
    for column in table.columns[:3]:
        column.no_wrap = True  # the heads of the others give way
    values = {"score": found.score.score, **found.score.flat()}
    majority = {"score": found.majority.score, **found.majority.flat()}
    for name, value in values.items():
        interval = found.intervals.get(name)
        cells = [shown(value), _between(interval), shown(majority.get(name))]
        heading = found.spec.metric_title(name)
        table.add_row(heading, *cells, *([] if words is None else [shown(words.get(name))]))
    if errors := found.mean_absolute_error:
        cells = [shown(errors["run"]), "", shown(errors["mean"])]
        more = [] if words is None else [shown(errors.get("words"))]
        table.add_row("mean absolute error", *cells, *more)
    doubts = {one.reason for one in found.intervals.values() if one and one.reason}
    if doubts:
        table.caption = f"* not to be relied on: {'; '.join(sorted(doubts))}"
    return table


def _agreement(task: TaskSpec, split: str, one: Agreement) -> str:
    if not one.largest_difference:
        return f"{split}: the same logits, to the bit, as those that the run keeps."
    if not task.labels:
        return (
            f"{split}: beside the answers that the run keeps, numbers differ by at most "
            f"{one.largest_difference:.2g}."
        )
    flips = f"{one.flips:,} of {one.examples:,} examples get another {task.kind.unit_of_example}"
    margin = f" (none further than {one.widest_flip:.2g} from a tie)" if one.flips else ""
    return (
        f"{split}: beside the answers that the run keeps, {flips}{margin}; logits differ by at "
        f"most {one.largest_difference:.2g}."
    )


def _confusions(
    task: TaskSpec, split: str, predictions: Predictions, width: int
) -> Iterator[Table | Text]:
    """Yield the matrix where it fits, else a line for each class and the most frequent pairs."""
    from gluetune.statistics.confusion import class_table, confusions

    if _matrix_width(task, predictions) <= width:
        yield _matrix(task, split, predictions)
        return
    yield from _classes(f"{split}: classes", class_table(task, predictions), width)
    pairs = confusions(task, predictions)
    if pairs:
        yield _pairs(f"{split}: most confused", pairs, width)
    if len(pairs) > _MOST_PAIRS:
        yield Text(f"{len(pairs) - _MOST_PAIRS:,} more pairs of classes are confused: --json.")


def _matrix_width(task: TaskSpec, predictions: Predictions) -> int:
    """Return the columns of a terminal that the matrix takes with every name on one line."""
    names = [cell_len(visible(name)) for name in task.labels]
    digits = len(f"{len(predictions.labels):,}")
    rates = sum(map(len, _RATES))
    columns = len(names) + 1 + len(_RATES)
    return max(names) + sum(max(name, digits) for name in names) + rates + 3 * columns + 1


def _matrix(task: TaskSpec, split: str, predictions: Predictions) -> Table:
    from gluetune.statistics.confusion import class_table, confusion_matrix

    head = ("", *task.labels, *_RATES)
    table = _table(f"{split}: true class by answer", head)
    matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
    for row, counts in zip(class_table(task, predictions), matrix, strict=True):
        rates = (shown(value) for value in (row.precision, row.recall, row.f1))
        table.add_row(Text(visible(row.name)), *(f"{int(count):,}" for count in counts), *rates)
    return table


def _classes(title: str, rows: Sequence[ClassRow], width: int) -> Iterator[Table | Text]:
    """Yield a line for each class or label, of many for the worst; and how many are left out."""
    from gluetune.statistics.confusion import worst_classes

    chosen = worst_classes(rows, len(rows) if len(rows) <= _MOST_CLASSES else _WORST_CLASSES)
    if len(chosen) < len(rows):
        title += f", the {len(chosen)} with the lowest F1 of {len(rows):,}"
    confused = any(row.confused_with is not None for row in rows)
    lines = _Lines(title, ("examples", *_RATES), ("", "confused with")[: 1 + confused], width)
    for row in chosen:
        rates = (row.precision, row.recall, row.f1)
        numbers = [f"{row.support:,}", *("-" if rate is None else shown(rate) for rate in rates)]
        other = row.confused_with
        count = "" if other is None else f"{row.confused:,} "
        lines.add(row.name, numbers, (other or "") if confused else None, count=count)
    yield lines.table
    if len(chosen) < len(rows):
        yield Text(f"{len(rows) - len(chosen):,} more are in the JSON: --json, or --output FILE.")


def _pairs(title: str, pairs: Sequence[Confusion], width: int) -> Table:
    lines = _Lines(title, ("examples", "of the class"), ("true class", "predicted"), width)
    for one in pairs[:_MOST_PAIRS]:
        lines.add(one.label, [f"{one.count:,}", f"{one.share:.1%}"], one.predicted)
    return lines.table


class _Lines:
    """A table of one line a row: a name, numbers, and often another name.

    Names are cut in the middle to what the numbers leave of the width: those of classes often begin
    alike.
    """

    def __init__(
        self, title: str, numbers: Sequence[str], names: Sequence[str], width: int
    ) -> None:
        sizes = [max(len(name), _NUMBER) for name in numbers]
        taken = sum(sizes) + 3 * (len(numbers) + len(names)) + 1
        self._longest = max(_SHORTEST_NAME, (width - taken) // len(names))
        self.table = Table(title=visible(title), title_justify="left")
        first, *last = names
        self.table.add_column(first, no_wrap=True)
        for name, size in zip(numbers, sizes, strict=True):
            self.table.add_column(name, justify="right", no_wrap=True, min_width=size)
        for name in last:
            self.table.add_column(name, no_wrap=True)

    def add(
        self, name: str, numbers: Sequence[str], other: str | None = None, *, count: str = ""
    ) -> None:
        """Add a row; the `count` before the other name is not cut."""
        cells: list[Text | str] = [Text(_shortened(name, self._longest)), *numbers]
        if other is not None:
            cells.append(Text(count + _shortened(other, self._longest - len(count))))
        self.table.add_row(*cells)


def _shortened(name: str, cells: int) -> str:
    """Return a name in at most so many columns of a terminal, both of its ends kept."""
    seen = visible(name)
    if cell_len(seen) <= cells:
        return seen
    kept = len(seen)
    while kept and cell_len(_ends(seen, kept)) > cells:
        kept -= 1
    return _ends(seen, kept)


def _ends(text: str, kept: int) -> str:
    """Return `kept` characters of a text, from both ends."""
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


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
    from gluetune.statistics.residuals import hardest

    predictions, texts = found.predictions[split], found.texts[split]
    table = Table(title=f"{split}: furthest from the truth", title_justify="left")
    for name in (task.index_column, "label", "answer", "text"):
        table.add_column(name, overflow="fold")
    confidence = task.kind.confidence(predictions.logits)
    for row in hardest(task, predictions, count):
        label, answer = predictions.labels[row], predictions.predicted[row]
        said = (task.label_text(label), task.label_text(answer))
        if confidence is not None:
            said = (said[0], f"{said[1]} ({confidence[row]:.3f})")
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


_FEW = 3
"""Metrics whose names have room beside the protocol in 80 characters."""

_WIDEST = 20
"""Cells of a column's head that are kept on one line."""

_WIDEST_BESIDE = 12
"""The same where room is scarce."""


def metric_heading(task: TaskSpec, name: str, *, crowded: bool = False) -> Text:
    """Return the head of a metric's column, with the class that it is of on a line of its own.

    Beside such a metric, and in a `crowded` table, long names take two lines: else the other
    columns would have no room.
    """
    title = task.metric_title(name)
    if title != name:
        return Text(title.replace(" of ", " of\n", 1), overflow="fold")
    names_a_class = task.positive_label is not None and not task.is_published
    is_long = (names_a_class or crowded) and len(name) > _WIDEST_BESIDE
    return Text(name.replace("_", "_\n", 1) if is_long else name, overflow="fold")


def held_against(record: Record) -> Table:
    """Return the table of a run that has scored."""
    from gluetune.rendering.tables import epoch_choice

    table = Table(title="Held against", title_justify="left")
    table.add_column("", no_wrap=True)
    best = best_epoch(record).validation.flat()
    for name in best:
        # A name that is cut says nothing: the protocol, which is words, gives way.
        title = metric_heading(record.spec, name, crowded=len(best) > _FEW)
        no_wrap = max(map(cell_len, title.plain.split("\n"))) <= _WIDEST
        table.add_column(title, justify="right", no_wrap=no_wrap, min_width=6)
    errors = record.mean_absolute_error
    if errors:
        table.add_column("mean absolute error", justify="right")

    def error_of(side: str) -> list[str]:
        return [shown(errors[side]) if side in errors else ""] if errors else []

    table.add_column("protocol")
    table.add_row(
        "this run",
        *map(shown, best.values()),
        *error_of("run"),
        f"{epoch_choice(record)}, one seed ({record.seed})",
        style="bold",
    )
    if record.majority_baseline:
        baseline = record.majority_baseline.flat()
        cells = (shown(baseline.get(name)) for name in best)
        kind = record.spec.kind
        what = f"the {kind.constant_description}"
        table.add_row(kind.constant_name, *cells, *error_of("mean"), what)
    if record.text_baseline:
        words = record.text_baseline.flat()
        cells = (shown(words.get(name)) for name in best)
        table.add_row("bag of words", *cells, *error_of("words"), "TF-IDF, linear model")
    for references in _published(record):
        *published, where = _published_row(references, list(best))
        table.add_row(*published, *error_of("published"), where)
    return table


def _published(record: Record) -> list[list[Reference]]:
    """Return what was published for the checkpoint, the metrics of one result together."""
    from gluetune.rendering.tables import published_beside

    return [list(group) for _, group in groupby(published_beside(record), key=_result)]


def _result(reference: Reference) -> tuple[str, ...]:
    return (reference.model, reference.split, reference.protocol, reference.source)


def _published_row(references: list[Reference], names: list[str]) -> list[str]:
    """Put each value under its own metric; where the source names none, apart."""
    under = dict.fromkeys(names, "")
    apart = []
    for reference in references:
        columns = [name for name in names if _is_of(reference, name)]
        value = f"{reference.value / 100:.4f}"
        under |= dict.fromkeys(columns, value)
        if not columns:
            apart.append(f"{value} ({reference.metric or 'metric unstated'})")
    first = references[0]
    where = f"{first.split}, {first.protocol}; {first.source}"
    return [first.model, *under.values(), "; ".join([*apart, where])]


def _is_of(reference: Reference, column: str) -> bool:
    """Say whether a column, `METRIC` or `SUBSET METRIC`, is what a published cell measures."""
    subset, _, metric = column.rpartition(" ")
    return metric == reference.metric and subset in ("", reference.subset)
