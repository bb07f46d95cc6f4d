"""`gluetune evaluate`: what a trained model scores, and where it is wrong."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import (
    AskedPrecision,
    BatchSize,
    LabelOrder,
    MaxLength,
    Model,
    Revision,
    Threads,
    TrustRemoteCode,
    file_options,
    names_in_order,
    one_of,
    typed_format,
)
from gluetune.core.config import Precision
from gluetune.core.errors import ConfigurationError
from gluetune.core.files import write_text
from gluetune.core.terminal import Console, json_text

if TYPE_CHECKING:
    from gluetune.analysis.diagnostics import Diagnosis
    from gluetune.analysis.evaluate import Measured
    from gluetune.core.predictions import Predictions
    from gluetune.core.tasks import TaskSpec


_MOST_CLASSES_IN_A_MATRIX = 100
"""Classes up to which the JSON has the whole matrix; the pairs that occur are there in any case."""


@file_options
def evaluate(
    model: Model,
    task: Annotated[str | None, typer.Option(help="The task. Default: the run's own.")] = None,
    split: Annotated[str | None, typer.Option(help="One split. Default: all validation.")] = None,
    data: Annotated[
        str | None, typer.Option(help="As in training. Default: the run's own.")
    ] = None,
    diagnostics: Annotated[
        Path | None,
        typer.Option(help="GLUE's labelled diagnostic-full.tsv: score an MNLI model on that."),
    ] = None,
    hardest: Annotated[int, typer.Option(min=0, help="Worst answers to show, with text.")] = 5,
    precision: AskedPrecision = "auto",
    batch_size: BatchSize = None,
    threads: Threads = None,
    max_length: MaxLength = None,
    label_order: LabelOrder = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file too.")] = None,
    **options: Any,
) -> None:
    """Score a model on labelled splits: intervals, errors by class, calibration, worst answers."""
    settings: dict[str, Any] = {
        "precision": one_of(precision, Precision, "--precision"),
        "batch_size": batch_size,
        "threads": threads,
        "max_length": max_length,
        "label_order": names_in_order(label_order),
        "revision": revision,
        "trust_remote_code": trust_remote_code,
    }
    stated = typed_format(options)
    if diagnostics is not None:
        _check_alone(task, split, data)
        from gluetune.analysis.diagnostics import diagnose

        diagnosis = diagnose(model, diagnostics, **settings)
        _print(_plain_diagnosis(diagnosis), diagnosis, as_json, output)
        return
    from gluetune.analysis.evaluate import evaluate as measure

    measured = measure(model, task=task, split=split, data=data, file_format=stated, **settings)
    _print(_plain(measured, hardest), measured, as_json, output, hardest)


def _check_alone(task: str | None, split: str | None, data: str | None) -> None:
    given = [
        f"--{name} {value}"
        for name, value in (("task", task), ("split", split), ("data", data))
        if value is not None
    ]
    if given:
        raise ConfigurationError(
            f"--diagnostics is a data set of its own; {', '.join(given)} is given too.",
            hint="Leave one of them out.",
        )


def _print(
    plain: dict[str, Any],
    found: Measured | Diagnosis,
    as_json: bool,
    output: Path | None,
    hardest: int = 0,
) -> None:
    from gluetune.analysis.evaluate import Measured
    from gluetune.rendering.evaluation_tables import diagnosis_tables, measured_tables

    if output is not None:
        text = json.dumps(plain, indent=2, ensure_ascii=False)
        write_text(output, text + "\n")
    if as_json:
        typer.echo(json_text(plain, indent=2))
        return
    console = Console()
    tables = (
        measured_tables(found, hardest, console.width)
        if isinstance(found, Measured)
        else diagnosis_tables(found)
    )
    for table in tables:
        console.print(table, soft_wrap=isinstance(table, Text))


def _plain(found: Measured, count: int) -> dict[str, Any]:
    task = found.spec
    return {
        "model": found.model,
        "task": found.task,
        "data": found.data,
        "rows": dict(found.rows),
        "score": found.score.model_dump(),
        "positive": task.positive_label,
        "intervals": {
            name: None if one is None else dataclasses.asdict(one)
            for name, one in found.intervals.items()
        },
        "majority": found.majority.model_dump(),
        "bag_of_words": None if found.words is None else found.words.model_dump(),
        "bag_of_words_test": None
        if found.word_test is None
        else dataclasses.asdict(found.word_test),
        "mean_absolute_error": dict(found.mean_absolute_error),
        "suspicion": found.suspicion,
        "settings": dict(found.settings),
        "agreement": {split: dataclasses.asdict(one) for split, one in found.agreement.items()},
        "answers": {
            split: _plain_answers(task, predictions, count)
            for split, predictions in found.predictions.items()
        },
    }


def _plain_answers(task: TaskSpec, predictions: Predictions, count: int) -> dict[str, Any]:
    from gluetune.statistics.calibration import calibration
    from gluetune.statistics.confusion import class_table, confusion_matrix, confusions
    from gluetune.statistics.residuals import hardest, residuals

    worst = [int(predictions.index[row]) for row in hardest(task, predictions, count)]
    found: dict[str, Any] = {}
    sections = task.kind.sections
    if "residuals" in sections:
        found["residuals"] = dataclasses.asdict(residuals(predictions))
    if "classes" in sections:
        found["classes"] = [dataclasses.asdict(row) for row in class_table(task, predictions)]
    if "confusion" in sections:
        matrix = confusion_matrix(predictions.labels, predictions.predicted, task.num_labels)
        fits = task.num_labels <= _MOST_CLASSES_IN_A_MATRIX
        found["confusion"] = matrix.tolist() if fits else None
        found["confusions"] = [dataclasses.asdict(one) for one in confusions(task, predictions)]
    if "calibration" in sections:
        found["calibration"] = dataclasses.asdict(calibration(predictions))
    return {**found, "hardest_idx": worst}


def _plain_diagnosis(found: Diagnosis) -> dict[str, Any]:
    return {
        "model": found.model,
        "file": str(found.file),
        "categories": [dataclasses.asdict(one) for one in found.categories],
    }
