"""A model's scores and what they are compared with: baselines, and published results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gluetune.core.published import Reference, human, published
from gluetune.core.records import Record, ScoreRecord, epoch_choice
from gluetune.core.tables import Between, Cell, Column, Table, plain
from gluetune.core.tasks import HELD_OUT, OUT_OF_FOLD, TaskSpec
from gluetune.data.sources import SAMPLES
from gluetune.metrics.registry import get_metric

if TYPE_CHECKING:
    from gluetune.statistics.intervals import Interval

MAJORITY, WORDS, FROZEN = "majority", "bag_of_words", "frozen_encoder"
"""Keys of the two baselines."""

MOST_FULL_NAMES = 4
"""Metrics whose full names are the heads of columns; of more, their short labels."""


@dataclass(frozen=True)
class Baseline:
    """What a much simpler model scores on the same rows."""

    name: str
    protocol: str
    score: ScoreRecord


@dataclass(frozen=True)
class Scores:
    """A model's scores, with intervals, baselines and published results."""

    task: TaskSpec
    score: ScoreRecord
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    """95% intervals over the examples, of `score` and of each metric."""
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    """By `majority` and `bag_of_words`."""
    published: tuple[Reference, ...] = ()
    protocol: str = ""
    """Evaluation protocol."""

    @classmethod
    def of_record(
        cls, record: Record, intervals: Mapping[str, Interval | None] | None = None
    ) -> Scores:
        """Return the scores of a run's record. The run must have scored."""
        assert record.best is not None, "the run has scored"
        return cls(
            task=record.spec,
            score=record.best.validation,
            intervals=intervals or {},
            baselines=recorded_baselines(record),
            published=published_results(record),
            protocol=f"{scored_on(record)}, {epoch_choice(record)}, one seed ({record.seed})",
        )

    def values(self) -> dict[str, float | None]:
        """Return the score and each metric by name; a single metric is the score."""
        return named_values(self.score)

    @property
    def scored_names(self) -> list[str]:
        """The metric that is the score, or the score and the metrics that it is the mean of."""
        names = list(self.score.flat())
        scored = [name for name in names if name.rpartition(" ")[2] in self.task.metrics] or names
        return scored if len(scored) == 1 else ["score", *scored]

    def table(self, title: str) -> Table:
        """Return each metric with its interval and the baselines."""
        baselines = [named_values(one.score) for one in self.baselines.values()]
        rows: list[tuple[Cell, ...]] = [
            (
                self.task.metric_title(name),
                value,
                between(self.intervals.get(name)),
                *(values.get(name) for values in baselines),
            )
            for name, value in self.values().items()
        ]
        return Table.of(
            title,
            (
                Column("metric"),
                Column("value", "number", missing="undefined"),
                Column("95% interval", "interval", key="interval"),
                *(
                    Column(one.name, "number", key=key, missing="undefined")
                    for key, one in self.baselines.items()
                ),
            ),
            rows,
            notes=list(self._notes()),
            name="scores",
        )

    def baseline_table(self) -> Table:
        """Return the model's row above the baselines and the published results of its checkpoint.

        A published value is in the column of its own metric only.
        """
        names = list(self.score.flat())
        own = self._row("this run", self.score, self.protocol)
        others = [self._row(one.name, one.score, one.protocol) for one in self.baselines.values()]
        short = len(names) > MOST_FULL_NAMES
        columns = [
            Column(self.task.metric_title(name, short=short), "number", key=name) for name in names
        ]
        return Table.of(
            "Baselines and published results" if self.published else "Baselines",
            (Column("", key="model"), *columns, Column("protocol")),
            [own, *others, *self._published_rows(names)],
            name="baselines",
            bold=frozenset({0}),
        )

    def matrix(self) -> Table:
        """Return every source by every metric: the model with its intervals, then the others."""
        table = self.baseline_table()
        own, *others = table.rows
        found = [self._interval_of(name) for name in self.score.flat()]
        intervals = [("95% interval", *found, "over the examples")] if any(found) else []
        return replace(
            table,
            title="Scores, baselines and published results" if self.published else "Scores",
            rows=(own, *intervals, *others),
            notes=tuple(self._notes()),
            name="matrix",
        )

    def compared(self, name: str) -> Iterator[tuple[str, list[float]]]:
        """Yield what `score` or a metric is compared with, each with its values."""
        for one in self.baselines.values():
            value = one.score.score if name == "score" else one.score.flat().get(name)
            if value is not None:
                yield one.name, [value]
        by_model: dict[str, list[float]] = {}
        for reference in self.published:
            if _is_of(reference, name):
                by_model.setdefault(reference.model, []).append(reference.value / 100)
        yield from by_model.items()

    @property
    def verdict(self) -> str:
        """One sentence: the score, and whether it is better than the baselines."""
        value = self.score.score
        name = self.scored_names[0]
        title = "The score" if name == "score" else self.task.metric_title(name)
        if value is None:
            return f"{title} is undefined."
        compared = [
            (self._relation(value, one.score.score), one)
            for one in self.baselines.values()
            if one.score.score is not None
        ]
        parts = [f"{relation} the {one.name} ({one.score.score:.4f})" for relation, one in compared]
        return f"{title} is {value:.4f}{': ' if parts else ''}{', and '.join(parts)}."

    def _relation(self, value: float, other: float | None) -> str:
        """Return how the score compares with another on the same rows, given its interval."""
        assert other is not None, "the caller leaves undefined scores out"
        interval = self.intervals.get("score")
        if interval is not None and interval.low <= other <= interval.high:
            return "not shown to differ from"
        if value == other:
            return "equal to"
        return "better than" if self.task.is_better(value, other) else "worse than"

    def _interval_of(self, name: str) -> Between | None:
        return between(self.intervals.get(name))

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as JSON has them."""
        return {
            "score": plain(self.score),
            "intervals": plain(self.intervals),
            "baselines": plain(self.baselines),
        }

    def _notes(self) -> Iterator[str]:
        """Yield why intervals are unreliable, and what the bag of words cannot be scored by."""
        reasons = {one.reason for one in self.intervals.values() if one and one.reason}
        if reasons:
            yield f"* unreliable: {'; '.join(sorted(reasons))}."
        names = [name for name in self.task.all_metrics if get_metric(name).needs_probabilities]
        if names and WORDS in self.baselines:
            yield f"The bag of words keeps no probabilities: it has no {', '.join(names)}."

    def _row(self, name: str, score: ScoreRecord, protocol: str) -> tuple[Cell, ...]:
        values = score.flat()
        cells = [
            "undefined" if metric in values and values[metric] is None else values.get(metric)
            for metric in self.score.flat()
        ]
        return (name, *cells, protocol)

    def _published_rows(self, names: list[str]) -> Iterator[tuple[Cell, ...]]:
        """Yield a row for each published result, its metrics together."""
        for _, group in groupby(self.published, key=_result):
            references = list(group)
            under: dict[str, float | None] = dict.fromkeys(names)
            apart = []
            for reference in references:
                columns = [name for name in names if _is_of(reference, name)]
                under |= dict.fromkeys(columns, reference.value / 100)
                if not columns:
                    metric = reference.metric or "metric unstated"
                    apart.append(f"{reference.value / 100:.4f} ({metric})")
            first = references[0]
            where = f"{first.split}, {first.protocol}; {first.source}"
            yield (first.model, *under.values(), "; ".join([*apart, where]))


def named_values(score: ScoreRecord) -> dict[str, float | None]:
    """Return `score` and each metric by name; of a single metric, which is the score, that."""
    metrics = score.flat()
    return metrics if len(metrics) == 1 else {"score": score.score, **metrics}


def recorded_baselines(record: Record) -> dict[str, Baseline]:
    """Return the baselines that a record has."""
    found = {}
    if record.majority_baseline:
        kind, score = record.spec.kind, record.majority_baseline
        protocol = f"the {kind.constant_description}"
        found[MAJORITY] = Baseline(kind.constant_name, protocol, score)
    if record.text_baseline:
        found[WORDS] = bag_of_words(record.text_baseline)
    if record.frozen_baseline:
        found[FROZEN] = frozen_encoder(record.frozen_baseline)
    return found


def bag_of_words(score: ScoreRecord) -> Baseline:
    """Return the bag of words as a baseline."""
    return Baseline("bag of words", "TF-IDF and a linear model, of train", score)


def frozen_encoder(score: ScoreRecord) -> Baseline:
    """Return the linear head on the frozen encoder as a baseline."""
    protocol = "a linear head on the encoder before fine-tuning, of train"
    return Baseline("frozen encoder", protocol, score)


def published_results(record: Record) -> tuple[Reference, ...]:
    """Return the published results of the checkpoint and of humans; nothing for other data.

    Other data than GLUE's validation sets are the sample, and a part of train that is held out.
    """
    if record.model is None or is_held_out(record) or not record.spec.is_published:
        return ()
    if record.data and record.data.source in SAMPLES:
        return ()
    return (*published(record.task, record.model.name), *human(record.task))


def scored_on(record: Record) -> str:
    """Return what the epochs were scored on."""
    if record.best is not None and OUT_OF_FOLD in record.best.validation.metrics:
        return "train, out of fold"
    return "held-out part of train" if is_held_out(record) else "validation"


def is_held_out(record: Record) -> bool:
    """Whether a run was scored on rows of train that its model was not trained on."""
    scored = record.best.validation.metrics if record.best is not None else {}
    return HELD_OUT in scored or OUT_OF_FOLD in scored


def between(interval: Interval | None) -> Between | None:
    """Return an interval as a cell of a table."""
    return None if interval is None else Between(interval.low, interval.high, interval.reliable)


def _result(reference: Reference) -> tuple[str, ...]:
    return (reference.model, reference.split, reference.protocol, reference.source)


def _is_of(reference: Reference, column: str) -> bool:
    """Say whether a column, `METRIC` or `SUBSET METRIC`, is what a published value measures."""
    subset, _, metric = column.rpartition(" ")
    return metric == reference.metric and subset in ("", reference.subset)
