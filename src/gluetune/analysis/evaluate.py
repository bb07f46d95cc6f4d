"""`gluetune.evaluate`: what a trained model scores on labelled splits, and how sure that is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.command_lines import command_line
from gluetune.core.config import Precision
from gluetune.core.errors import ConfigurationError
from gluetune.core.file_formats import UNSTATED, FileFormat
from gluetune.core.files import UnwritableError
from gluetune.core.predictions import Predictions, kept_name
from gluetune.core.records import ScoreRecord, listed
from gluetune.core.runs import Run
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.sources.named import asked_source, place_of
from gluetune.data.tables import fingerprint
from gluetune.inference.loader import OpenedModel, Settings, open_model
from gluetune.inference.run_predictions import keep_run_predictions
from gluetune.inference.scoring import score_predictions, score_record
from gluetune.statistics.agreement import Agreement, agreement
from gluetune.statistics.baseline_test import WordTest, compare_with_words, words_of
from gluetune.statistics.intervals import Interval, kept_intervals, score_intervals
from gluetune.statistics.residuals import mean_absolute_error
from gluetune.statistics.scores import majority_baseline

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measured:
    """What a model scored."""

    model: str
    task: str
    spec: TaskSpec
    data: str
    rows: Mapping[str, int]
    """Examples by split."""
    score: ScoreRecord
    intervals: Mapping[str, Interval | None]
    majority: ScoreRecord
    """What the most frequent class of these very splits scores."""
    words: ScoreRecord | None
    """What the bag of words scores on these rows, where a run keeps its predictions of them."""
    word_test: WordTest | None
    """Whether it is shown to be worse or better."""
    mean_absolute_error: Mapping[str, float]
    """Of a regression: of the model (`run`), of a mean (`mean`) and of the bag of words (`words`).
    The mean is that of train's labels for a run's own data, else that of these very splits."""
    suspicion: str
    """Why the labels may be in another order than the model's; empty where nothing says so."""
    settings: Mapping[str, Any]
    """Precision, path, batch size, threads and length: what decides the last bits."""
    predictions: Mapping[str, Predictions]
    texts: Mapping[str, pa.Table]
    """The rows that were answered, by split."""
    agreement: Mapping[str, Agreement]
    """How these answers differ from those that the run keeps, by split, where it keeps any."""


def evaluate(
    model: str | Path | Run,
    *,
    task: str | None = None,
    split: str | None = None,
    data: str | None = None,
    file_format: FileFormat = UNSTATED,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    max_length: int | None = None,
    label_order: tuple[str, ...] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Measured:
    """Score a run, a checkpoint folder, or a checkpoint of the Hub.

    Args:
        model: A run's folder, a folder that save_pretrained wrote, or a Hub id.
        task: The task to score; by default a run's own, or what a checkpoint's config.json states.
        split: One split; all validation splits by default (MNLI has two).
        data: Where the data are; a run's own by default, else as in training. For a run on text
            of your own, another file with the same columns.
        file_format: How that file is written, where it is otherwise than the run's own files.
        precision, batch_size, threads, max_length: A run's own by default, so that its predictions
            come out as in training, to the bit on the same machine.
        label_order: Class names of the model's outputs, by id, where it names none.

    Predictions of a run, with its own settings and data, are kept in its folder.

    Raises:
        GluetuneError: where there is no task, split, data or trained head, where the head's labels
            are not the task's, or where the split's labels are hidden.
    """
    settings = Settings(
        precision=precision,
        batch_size=batch_size,
        threads=threads,
        max_length=max_length,
        label_order=label_order,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    spec = get_task(task) if task is not None else None
    opened = open_model(model, spec, settings)
    if opened.task is None:
        raise ConfigurationError(
            f"{model} is no run, and its config.json names no GLUE task whose classes it has.",
            hint=_run_around(model) or "Type for instance: --task mnli",
        )
    spec = opened.task
    source = asked_source(opened.run, spec, data, file_format)
    names = (split,) if split is not None else spec.validation_splits
    tables = {name: source.read(spec, name) for name in names}
    found = opened.predict(spec, tables)
    prints = {name: fingerprint(table) for name, table in tables.items()} if opened.run else {}
    measured = _measure(opened, spec, place_of(source, names), tables, found, prints)
    if opened.run is not None and settings.are_default and data is None:
        _keep(opened.run, spec, found, prints)
    return measured


def _run_around(model: object) -> str:
    """Return the command that scores the run whose model's folder was given, if it is one."""
    folder = Path(str(model)).expanduser()
    if folder.name != "model" or not (folder.parent / "record.json").is_file():
        return ""
    return "Give its run: " + command_line("evaluate", folder.parent)


def _measure(
    opened: OpenedModel,
    task: TaskSpec,
    data: str,
    tables: Mapping[str, pa.Table],
    found: Mapping[str, Predictions],
    prints: Mapping[str, str],
) -> Measured:
    import numpy as np

    labels = {split: one.labels for split, one in found.items()}
    score = score_predictions(task, found)
    intervals = (
        kept_intervals(opened.run.folder.intervals, task, found)
        if opened.run is not None
        else score_intervals(task, found)
    )
    majority = score_record(majority_baseline(task, np.concatenate(list(labels.values())), labels))
    words = words_of(opened.run, found) if opened.run is not None else {}
    return Measured(
        model=opened.name,
        task=task.name,
        spec=task,
        data=data,
        rows={split: len(table) for split, table in tables.items()},
        score=score,
        intervals=intervals,
        majority=majority,
        words=score_predictions(task, words) if words else None,
        word_test=compare_with_words(task, found, words),
        mean_absolute_error=_mean_absolute_errors(opened.run, task, found, words),
        suspicion=_suspicion(task, intervals.get("score"), majority.score),
        settings={
            "precision": opened.precision,
            "compute": opened.path,
            "batch_size": opened.batch_size,
            "threads": opened.threads,
            "max_length": opened.max_length,
        },
        predictions=found,
        texts=tables,
        agreement=_agreement(opened.run, task, found, prints) if opened.run else {},
    )


def _mean_absolute_errors(
    run: Run | None,
    task: TaskSpec,
    found: Mapping[str, Predictions],
    words: Mapping[str, Predictions],
) -> dict[str, float]:
    import numpy as np

    error = mean_absolute_error(task, found.values())
    if error is None:
        return {}
    labels = np.concatenate([one.labels for one in found.values()]).astype(np.float64)
    errors = {"run": error, "mean": float(np.abs(labels - labels.mean()).mean())}
    if words:
        errors["words"] = mean_absolute_error(task, words.values()) or 0.0
        assert run is not None, "only a run keeps the words' predictions"
        errors["mean"] = run.record.mean_absolute_error.get("mean", errors["mean"])
    return errors


def _suspicion(task: TaskSpec, interval: Interval | None, majority: float | None) -> str:
    """Say that a score this low is no accident: a wrong order of labels makes such scores."""
    if (
        not task.kind.can_be_misordered
        or interval is None
        or majority is None
        or not task.greater_is_better
        or interval.high >= majority
    ):
        return ""
    return (
        f"This is below the majority class ({100 * majority:.1f} points) by more than chance: the "
        "model's classes may be in another order than its names say. Look at the confusions, and "
        f"try --label-order with another order of {listed(task.labels)}."
    )


def _agreement(
    run: Run, task: TaskSpec, found: Mapping[str, Predictions], prints: Mapping[str, str]
) -> dict[str, Agreement]:
    """Hold the answers against those that the run keeps on the same rows."""
    agreements = {}
    for split, predictions in found.items():
        kept = run.kept(kept_name(task, split), prints[split])
        if kept is not None:
            agreements[split] = agreement(task, kept, predictions)
    return agreements


def _keep(
    run: Run, task: TaskSpec, found: Mapping[str, Predictions], prints: Mapping[str, str]
) -> None:
    """Keep a run's answers on splits that it has not kept yet; without that they are as good."""
    new = {
        split: predictions
        for split, predictions in found.items()
        if not run.folder.predictions_on(kept_name(task, split)).exists()
    }
    try:
        keep_run_predictions(run, task, new, prints)
    except UnwritableError as error:
        _log.warning("The predictions are not kept. %s", error.findings[0].message)
