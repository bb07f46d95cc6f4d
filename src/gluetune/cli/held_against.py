"""A run's score as the terminal shows it: above the majority class, people and what is published.

A published cell stands in its own metric's column only.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from gluetune.records import best_epoch, shown
from gluetune.terminal import Table

if TYPE_CHECKING:
    from gluetune.records import Record
    from gluetune.references import Reference
    from gluetune.tasks import TaskSpec


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
    from gluetune.reporting.tables import constant_baseline, epoch_choice

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
        name, what = constant_baseline(record.spec)
        table.add_row(name, *cells, *error_of("mean"), what)
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
    from gluetune.reporting.tables import published_beside

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
