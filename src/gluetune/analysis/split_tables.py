"""The tables and plots of a split's statistics: each takes the split and the statistic's value."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import TYPE_CHECKING, Any

from gluetune.core.plots import Plot, histogram, line_plot, scatter_plot
from gluetune.core.tables import Column, Ranking, Table

if TYPE_CHECKING:
    from gluetune.analysis.splits import ByLength, SplitEvaluation, WorstError
    from gluetune.statistics.agreement import Agreement
    from gluetune.statistics.calibration import Calibration
    from gluetune.statistics.confusion import ClassRow, Confusion
    from gluetune.statistics.residuals import Residuals

_LARGEST_SHOWN_MATRIX = 12
"""Classes up to which the confusion matrix is shown, else the most frequent pairs."""
_MOST_PAIRS = 10
_LONGEST_TEXT = 200
"""Characters of a text that a table shows."""


def agreement_table(split: SplitEvaluation, found: Agreement) -> Iterator[Table]:
    """Yield a sentence on how the predictions differ from those that the run keeps."""
    yield Table.of("", (), (), notes=[_agreement(split, found)])


def _agreement(split: SplitEvaluation, found: Agreement) -> str:
    task = split.task
    beside = f"{split.split}: compared with the predictions that the run keeps,"
    if not found.largest_difference:
        return f"{split.split}: the logits are bit-identical to those that the run keeps."
    if not task.labels:
        return f"{beside} numbers differ by at most {found.largest_difference:.2g}."
    margin = f" (none further than {found.widest_flip:.2g} from a tie)" if found.flips else ""
    return (
        f"{beside} {found.flips:,} of {found.examples:,} predictions changed{margin}; logits "
        f"differ by at most {found.largest_difference:.2g}."
    )


def confusion_tables(split: SplitEvaluation, matrix: Any) -> Iterator[Table]:
    """Yield the confusion matrix of few classes."""
    labels = split.task.labels
    if len(labels) > _LARGEST_SHOWN_MATRIX:
        return
    yield Table.of(
        f"{split.split}: confusion matrix, true class by predicted class",
        (
            Column("true class", key="true_class"),
            *(Column(name, "count", key=name, shade="heat") for name in labels),
        ),
        [(name, *map(int, counts)) for name, counts in zip(labels, matrix, strict=True)],
        name="confusion",
        narrow=_pairs(split, split.confusions or []),
    )


def pair_tables(split: SplitEvaluation, found: list[Confusion]) -> Iterator[Table]:
    """Yield the most frequent confusions of many classes."""
    if len(split.task.labels) > _LARGEST_SHOWN_MATRIX:
        yield _pairs(split, found)


def _pairs(split: SplitEvaluation, found: list[Confusion]) -> Table:
    return Table.of(
        f"{split.split}: most confused",
        (
            Column("true class", shorten=True),
            Column("examples", "count"),
            Column("of the class", "percent", key="share"),
            Column("predicted", shorten=True),
        ),
        [(one.label, one.count, one.share, one.predicted) for one in found],
        name="confusions",
        most=_MOST_PAIRS,
    )


def class_tables(split: SplitEvaluation, found: list[ClassRow]) -> Iterator[Table]:
    """Yield a row for each class or label; where there are many, the worst are shown."""
    # Among equals the rarest come first; classes without labels and predictions come last.
    order = sorted(
        range(len(found)),
        key=lambda row: (2.0 if found[row].f1 is None else found[row].f1, found[row].support),
    )
    is_confused = any(row.confused_with is not None for row in found)
    noun = split.task.kind.unit
    rates = (
        Column(name, "number", missing="-", key=name.lower(), shade="bar" if name == "F1" else "")
        for name in ("precision", "recall", "F1")
    )
    confused = (Column("confused with", shorten=True), Column("times", "count"))
    yield Table.of(
        f"{split.split}: per {noun}",
        (
            Column(noun, shorten=True),
            Column("examples", "count"),
            *rates,
            *(confused if is_confused else ()),
        ),
        [
            (
                *(row.name, row.support, row.precision, row.recall, row.f1),
                *((row.confused_with, row.confused or None) if is_confused else ()),
            )
            for row in found
        ],
        name="per_class",
        ranking=Ranking("with the lowest F1", tuple(order)),
    )


def calibration_tables(split: SplitEvaluation, found: Calibration) -> Iterator[Table]:
    """Yield accuracy by predicted probability."""
    yield Table.of(
        f"{split.split}: calibration (expected calibration error {found.ece:.4f})",
        (
            Column("probability"),
            Column("predictions", "count"),
            Column("mean probability", "number"),
            Column("accuracy", "number"),
        ),
        [
            (f"{one.low:.2f} to {one.high:.2f}", one.count, one.confidence, one.accuracy)
            for one in found.bins
        ],
        name="calibration",
    )


def calibration_plots(split: SplitEvaluation, found: Calibration) -> Iterator[Plot]:
    """Yield the reliability diagram."""
    ends = (0.0, 1.0)
    places = [one.confidence for one in found.bins]
    drawn = line_plot("Calibration", places, {"accuracy": [one.accuracy for one in found.bins]})
    assert drawn is not None, "every bin has an accuracy"
    yield Plot(
        title="Calibration: accuracy by probability",
        across="probability of the predicted class",
        down="accuracy",
        lines=drawn.lines,
        diagonal=True,
        x_ends=ends,
        y_ends=ends,
        name="calibration",
    )


def residual_tables(split: SplitEvaluation, found: Residuals) -> Iterator[Table]:
    """Yield the errors of a regression, summed up."""
    values = {
        "mean (bias)": found.bias,
        "mean absolute": found.mean_absolute,
        "standard deviation": found.deviation,
        "largest absolute": found.largest,
    }
    yield Table.of(
        f"{split.split}: residuals, prediction less label",
        (Column("residual"), Column("value", "number")),
        list(values.items()),
        name="residuals",
    )


def residual_plots(split: SplitEvaluation, found: Residuals) -> Iterator[Plot]:
    """Yield each prediction over its label."""
    predictions = split.predictions
    yield scatter_plot(
        "Prediction by label", "label", "prediction", predictions.labels, predictions.predicted
    ).named("residuals")


def length_tables(split: SplitEvaluation, found: ByLength) -> Iterator[Table]:
    """Yield how well examples of each length are predicted."""
    yield Table.of(
        f"{split.split}: {found.measure} and loss by length",
        (
            Column("words"),
            Column("examples", "count"),
            Column(found.measure, "number"),
            Column("loss", "number"),
        ),
        [
            (
                str(one.low) if one.low == one.high else f"{one.low} to {one.high}",
                one.examples,
                one.value,
                one.loss,
            )
            for one in found.groups
        ],
        name="by_length",
    )


def length_plots(split: SplitEvaluation, found: ByLength) -> Iterator[Plot]:
    """Yield how well examples of each length are predicted, and how many there are."""
    if len(found.groups) > 1:
        yield _length_plot(split, found)
    yield histogram("Examples by length", "words", split.words).named("by_length")


def _length_plot(split: SplitEvaluation, found: ByLength) -> Plot:
    return Plot(
        title=f"{found.measure.capitalize()} by length",
        across="words",
        down=found.measure,
        bars=tuple((one.low, one.high + 1, one.value) for one in found.groups),
        bounds=(0.0, 1.0) if split.task.labels else (0.0, inf),
        name="quality_by_length",
    )


def worst_tables(split: SplitEvaluation, found: list[WorstError]) -> Iterator[Table]:
    """Yield the worst errors with their texts, or the reason why those are not shown."""
    notes = [split.rows] if isinstance(split.rows, str) else []
    has_probability = any(one.probability is not None for one in found)
    columns = tuple(split.texts)
    yield Table.of(
        f"{split.split}: worst errors",
        (
            Column(split.task.index_column),
            "label",
            "prediction",
            *([Column("probability", "number")] if has_probability else []),
            *columns,
        ),
        [
            (
                *(str(one.index), one.label, one.prediction),
                *([one.probability] if has_probability else []),
                *(shorten(one.texts[name]) for name in columns),
            )
            for one in found
        ],
        notes=notes,
        name="worst_errors",
    )


def shorten(text: str) -> str:
    """Return a text as a table shows it."""
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
