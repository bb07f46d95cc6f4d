"""`gluetune.evaluate`: what a trained model scores on labelled splits, and how sure that is.

An `Evaluation` is made of predictions alone and holds all that is shown of them: the command line,
the report, `--json` and the model card render it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from gluetune.analysis.scores import (
    FROZEN,
    MAJORITY,
    WORDS,
    Baseline,
    Scores,
    bag_of_words,
    frozen_encoder,
)
from gluetune.analysis.splits import SplitEvaluation
from gluetune.core.command_lines import command_line
from gluetune.core.config import UNSTATED, FileFormat
from gluetune.core.errors import ConfigurationError, RunError, warn_renamed
from gluetune.core.files import UnwritableError
from gluetune.core.inference_settings import EvaluateSettings
from gluetune.core.keywords import EvaluateKeywords
from gluetune.core.plots import Plot
from gluetune.core.records import Predictions, ScoreRecord, kept_name, listed
from gluetune.core.runs import Run, find_run
from gluetune.core.settings import make_settings
from gluetune.core.tables import Table, chosen_frame, plain, tables_html
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.core.text import from_here, visible
from gluetune.data.sources import evaluation_source, place_of, scored_rows
from gluetune.data.tables import fingerprint
from gluetune.inference.run_predictions import keep_run_predictions
from gluetune.statistics.agreement import Agreement
from gluetune.statistics.baseline_test import WordTest, compare_with_words, words_of
from gluetune.statistics.intervals import Interval, kept_intervals, score_intervals
from gluetune.statistics.scores import majority_baseline

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from gluetune.inference.loader import OpenedModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What a model scores on labelled splits, with everything that is measured of its predictions.

    `scores` has the metrics with intervals and baselines; `splits` has, for each split, its
    statistics: `per_class`, `confusion`, `calibration`, `residuals`, `worst_errors`, `by_length`.
    """

    model: str
    data: str
    """Where the rows are."""
    scores: Scores
    splits: Mapping[str, SplitEvaluation]
    baseline_test: WordTest | None = None
    """Whether the model is significantly worse or better than the bag of words."""
    warnings: tuple[str, ...] = ()
    """What makes the model or its labels suspicious."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Precision, path, batch size, threads and length: what decides the last bits."""

    @property
    def task(self) -> str:
        """The task's name."""
        return self.spec.name

    @property
    def spec(self) -> TaskSpec:
        """The task."""
        return self.scores.task

    @property
    def score(self) -> ScoreRecord:
        """The score with the metrics that it is the mean of."""
        return self.scores.score

    @property
    def intervals(self) -> Mapping[str, Interval | None]:
        """95% intervals over the examples, of `score` and of each metric."""
        return self.scores.intervals

    @property
    def baselines(self) -> Mapping[str, Baseline]:
        """The majority baseline and, where a run keeps its predictions, the bag of words."""
        return self.scores.baselines

    @property
    def rows(self) -> dict[str, int]:
        """Examples by split."""
        return {name: len(split.predictions.labels) for name, split in self.splits.items()}

    @property
    def predictions(self) -> dict[str, Predictions]:
        """The predictions by split."""
        return {name: split.predictions for name, split in self.splits.items()}

    @property
    def agreement(self) -> dict[str, Agreement]:
        """How these predictions differ from those that the run keeps, where it keeps any."""
        found = {name: split.agreement for name, split in self.splits.items()}
        return {name: one for name, one in found.items() if one is not None}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the scores, apart from the warnings."""
        test = self.baseline_test
        sentence = test.sentence if test is not None and not test.is_worse else ""
        return tuple(note for note in (self.spec.positive_note, sentence) if note)

    @property
    def title(self) -> str:
        """One line on what was evaluated."""
        rows = ", ".join(f"{split} {count:,}" for split, count in self.rows.items())
        return f"{self.task} on {from_here(self.data)}" + (f" ({rows})" if rows else "")

    def score_tables(self) -> Iterator[Table]:
        """Yield the scores, and what they are compared with."""
        yield self.scores.table(self.title)
        if self.scores.protocol:
            yield self.scores.baseline_table()

    def tables(self) -> Iterator[Table]:
        """Yield every table: the scores, what they are compared with, and each split's."""
        yield from self.score_tables()
        for split in self.splits.values():
            yield from split.tables()

    def plots(self) -> Iterator[Plot]:
        """Yield every plot."""
        for split in self.splits.values():
            yield from split.plots()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "model": self.model,
            "task": self.task,
            "data": self.data,
            "rows": self.rows,
            "positive": self.spec.positive_label,
            **self.scores.to_dict(),
            "baseline_test": plain(self.baseline_test),
            "warnings": list(self.warnings),
            "settings": dict(self.settings),
            "splits": {name: split.to_dict() for name, split in self.splits.items()},
        }

    def to_pandas(self, name: str | None = None) -> Any:
        """Return the tables as data frames by name, or the one of that name.

        Where there are several splits, the tables of theirs have a column `split`.
        """
        frames: dict[str, pd.DataFrame] = {"scores": self.scores.table("").to_pandas()}
        for split, table in self._split_tables():
            frame = table.to_pandas()
            if len(self.splits) > 1:
                frame.insert(0, "split", split)
            frames[table.name] = _joined(frames.get(table.name), frame)
        return chosen_frame(frames, name)

    def with_worst(self, count: int) -> Evaluation:
        """Return the evaluation with at most so many worst errors per split."""
        splits = {
            name: dataclasses.replace(split, worst=count) for name, split in self.splits.items()
        }
        return dataclasses.replace(self, splits=splits)

    def __getattr__(self, name: str) -> Any:
        """Find a field by its former name, with a warning."""
        if name not in _FORMER_FIELDS:
            raise AttributeError(f"an Evaluation has no {name!r}")
        new, value = _FORMER_FIELDS[name]
        warn_renamed(f"Evaluation.{name}", new)
        return value(self)

    def __repr__(self) -> str:
        values = ", ".join(
            f"{self.spec.metric_title(name)}={'undefined' if value is None else f'{value:.4f}'}"
            for name, value in self.scores.values().items()
        )
        return f"Evaluation('{self.model}' on {self.title}: {values})"

    def _repr_html_(self) -> str:
        verdict = f"<p><strong>{escape(visible(self.scores.verdict))}</strong></p>"
        splits = (table for split in self.splits.values() for table in split.tables())
        return verdict + tables_html((self.scores.matrix(), *splits))

    def _split_tables(self) -> Iterator[tuple[str, Table]]:
        for name, split in self.splits.items():
            yield from ((name, table) for table in split.tables() if table.name)


def _baseline_score(evaluation: Evaluation, name: str) -> ScoreRecord | None:
    return evaluation.baselines[name].score if name in evaluation.baselines else None


_FORMER_FIELDS: Mapping[str, tuple[str, Callable[[Evaluation], Any]]] = {
    "majority": ("baselines['majority'].score", lambda one: _baseline_score(one, MAJORITY)),
    "words": ("baselines['bag_of_words'].score", lambda one: _baseline_score(one, WORDS)),
    "word_test": ("baseline_test", lambda one: one.baseline_test),
    "suspicion": ("warnings", lambda one: " ".join(one.warnings)),
}


def _joined(first: pd.DataFrame | None, second: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    return second if first is None else pd.concat([first, second], ignore_index=True)


def evaluate(
    model: str | Path | Run,
    *,
    file_format: FileFormat = UNSTATED,
    **settings: Unpack[EvaluateKeywords],
) -> Evaluation:
    """Score a run, a checkpoint folder, or a checkpoint of the Hub.

    Args:
        model: A run or its folder, a folder that save_pretrained wrote, or a Hub id.
        file_format: Format of the file that `data` names, where it differs from the run's own.
        settings: Fields of `EvaluateSettings`: `task`, `split`, `data`, `extra_metrics`, and
            `precision`, `batch_size`, `threads`, `max_length`, `label_order`, `revision`,
            `trust_remote_code`.
            A run's own by default: its predictions are then bit-identical to those of training, on
            the same machine.

    Predictions of a run, with its own settings and data, are kept in its folder. A cross-validation
    of a file without validation rows is scored on its out-of-fold predictions.

    Raises:
        GluetuneError: where there is no task, split, data or trained head, where the head's labels
            are not the task's, where the split's labels are hidden, or where a task of this kind
            has no such metric.
    """
    from gluetune.inference.loader import open_model

    how = make_settings(EvaluateSettings, settings)
    if how.split is None and how.data is None and (kept := _out_of_fold(model)) is not None:
        return kept
    spec = get_task(how.task) if how.task is not None else None
    opened = open_model(model, spec, how)
    if opened.task is None:
        raise ConfigurationError(
            f"{model} is not a run, and its config.json names no GLUE task with its classes.",
            hint=_run_around(model) or "Type for instance: --task mnli",
        )
    spec = opened.task.with_extra_metrics(how.extra_metrics)
    # The rows are those of the run's own task, which has no further metrics.
    source = evaluation_source(opened.run, opened.task, how.data, file_format)
    names = (how.split,) if how.split is not None else spec.validation_splits
    tables = {name: source.read(spec, name) for name in names}
    found = opened.predict(spec, tables)
    prints = {name: fingerprint(table) for name, table in tables.items()} if opened.run else {}
    evaluation = _evaluation(opened, spec, place_of(source, names), tables, found, prints)
    if opened.run is not None and how.are_default and how.data is None:
        _keep(opened.run, spec, found, prints)
    return evaluation


def _out_of_fold(model: str | Path | Run) -> Evaluation | None:
    """Return the evaluation of a cross-validation without validation rows of their own."""
    run = find_run(model)
    if run is None or run.folds is None or not run.config.is_own:
        return None
    is_alone = run.config.validation_file is None and run.config.data_set is None
    return evaluation_of(run) if is_alone else None


def evaluation_of(run: Run) -> Evaluation | None:
    """Return the evaluation of a run's kept predictions; None where it has no score yet.

    The scores are the record's. There are no splits where not all predictions are kept.
    """
    record, task = run.record, run.task
    if record.best is None:
        return None
    found = _kept_predictions(run, tuple(record.best.validation.metrics))
    intervals = kept_intervals(run.folder.intervals, task, found) if found else {}
    test = compare_with_words(task, found, words_of(run, found)) if record.text_baseline else None
    return Evaluation(
        model=record.model.name if record.model else run.config.model,
        data=record.data.source if record.data else "unknown data",
        scores=dataclasses.replace(Scores.of_record(record, intervals), task=task),
        splits={
            split: SplitEvaluation(task, split, one, partial(scored_rows, run, task, split))
            for split, one in found.items()
        },
        baseline_test=test,
        warnings=(test.sentence,) if test is not None and test.is_worse else (),
    )


def _kept_predictions(run: Run, splits: tuple[str, ...]) -> dict[str, Predictions]:
    """Return the kept predictions on every split; none while one of them is missing."""
    try:
        return {split: Predictions.of_table(run.predictions(split)) for split in splits}
    except RunError:
        return {}


def _run_around(model: object) -> str:
    """Return the command that scores the run whose model's folder was given, if it is one."""
    folder = Path(str(model)).expanduser()
    if folder.name != "model" or not (folder.parent / "record.json").is_file():
        return ""
    return "Give its run: " + command_line("evaluate", folder.parent)


def _evaluation(
    opened: OpenedModel,
    task: TaskSpec,
    data: str,
    tables: Mapping[str, pa.Table],
    found: Mapping[str, Predictions],
    prints: Mapping[str, str],
) -> Evaluation:
    from gluetune.inference.scoring import score_predictions

    run = opened.run
    intervals = (
        kept_intervals(run.folder.intervals, task, found)
        if run is not None
        else score_intervals(task, found)
    )
    words = words_of(run, found) if run is not None else {}
    test = compare_with_words(task, found, words)
    baselines = {MAJORITY: _majority(task, found)}
    if words and run is not None:
        baselines[WORDS] = bag_of_words(score_predictions(task, words))
        if run.record.frozen_baseline and [*found] == [*run.record.frozen_baseline.metrics]:
            baselines[FROZEN] = frozen_encoder(run.record.frozen_baseline)
    suspicion = _suspicion(task, intervals.get("score"), baselines[MAJORITY].score.score)
    worse = test.sentence if test is not None and test.is_worse else ""
    return Evaluation(
        model=opened.name,
        data=data,
        scores=Scores(
            task=task,
            score=score_predictions(task, found),
            intervals=intervals,
            baselines=baselines,
        ),
        splits={
            split: SplitEvaluation(
                task,
                split,
                one,
                partial(tables.__getitem__, split),
                kept=run.kept(kept_name(task, split), prints[split]) if run is not None else None,
            )
            for split, one in found.items()
        },
        baseline_test=test,
        warnings=tuple(text for text in (worse, suspicion) if text),
        settings={
            "precision": opened.precision,
            "compute": opened.path,
            "batch_size": opened.batch_size,
            "threads": opened.threads,
            "max_length": opened.max_length,
        },
    )


def _majority(task: TaskSpec, found: Mapping[str, Predictions]) -> Baseline:
    """Return what the most frequent class of these very rows scores."""
    import numpy as np

    from gluetune.inference.scoring import score_record

    labels = np.concatenate([one.labels for one in found.values()])
    by_split = {split: one.labels for split, one in found.items()}
    score = score_record(majority_baseline(task, labels, by_split))
    return Baseline(task.kind.constant_word, "one prediction for all of these rows", score)


def _suspicion(task: TaskSpec, interval: Interval | None, majority: float | None) -> str:
    """Warn of a score so low that the labels are probably in a wrong order."""
    if (
        not task.kind.can_be_misordered
        or not task.greater_is_better
        or interval is None
        or majority is None
        or interval.high >= majority
    ):
        return ""
    return (
        f"This is below the majority class ({100 * majority:.1f} points) by more than chance: the "
        "model's classes may be in another order than its names. Look at the confusions, and "
        f"try --label-order with another order of {listed(task.labels)}."
    )


def _keep(
    run: Run, task: TaskSpec, found: Mapping[str, Predictions], prints: Mapping[str, str]
) -> None:
    """Keep a run's predictions on splits that it has not kept yet."""
    new = {
        split: predictions
        for split, predictions in found.items()
        if not run.folder.predictions_on(kept_name(task, split)).exists()
    }
    try:
        keep_run_predictions(run, task, new, prints)
    except UnwritableError as error:
        _log.warning("The predictions are not kept. %s", error.findings[0].message)
