"""`gluetune.diagnose`: which phenomena of language an MNLI model has learnt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gluetune.config import Precision
from gluetune.data.diagnostics import Diagnostics, read_diagnostics
from gluetune.evaluation.opening import Settings, open_model
from gluetune.evaluation.scoring import score_predictions
from gluetune.statistics.intervals import Interval, score_intervals
from gluetune.tasks import TaskSpec, get_task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gluetune.predictions import Predictions
    from gluetune.runs import Run

_SPLIT = "test"


@dataclass(frozen=True)
class Category:
    """What a model scores on the rows that turn on one phenomenon."""

    coarse: str
    """Empty for the whole set."""
    fine: str
    """Empty for all of a coarse category."""
    examples: int
    accuracy: float
    r3: float | None
    """Matthews' correlation over three classes (Gorodkin 2004), as GLUE scores AX."""
    interval: Interval | None
    """Of `r3`, over the examples."""


@dataclass(frozen=True)
class Diagnosis:
    """What a model scores on the labelled diagnostics."""

    model: str
    file: Path
    categories: tuple[Category, ...]
    """The whole set first, then each coarse category before its fine ones."""


def diagnose(
    model: str | Path | Run,
    file: str | Path,
    *,
    precision: Precision = "auto",
    batch_size: int | None = None,
    threads: int | None = None,
    max_length: int | None = None,
    label_order: tuple[str, ...] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> Diagnosis:
    """Score an MNLI model on a labelled copy of GLUE's diagnostics, by category.

    Args:
        model: A run's folder, a folder that save_pretrained wrote, or a Hub id.
        file: The authors' `diagnostic-full.tsv`.
        precision, batch_size, threads, max_length, label_order, revision, trust_remote_code: As in
            `gluetune.evaluate`.

    Raises:
        GluetuneError: for a file that is not the diagnostics, and for a model whose classes are not
            MNLI's.
    """
    diagnostics, task = read_diagnostics(Path(file)), get_task("ax")
    settings = Settings(
        precision=precision,
        batch_size=batch_size,
        threads=threads,
        max_length=max_length,
        label_order=label_order,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    opened = open_model(model, task, settings)
    answers = opened.predict(task, {_SPLIT: diagnostics.table})[_SPLIT]
    return Diagnosis(opened.name, Path(file), tuple(_categories(task, diagnostics, answers)))


def _categories(
    task: TaskSpec, diagnostics: Diagnostics, answers: Predictions
) -> Iterator[Category]:
    yield _category(task, answers, "", "", np.arange(len(answers.labels)))
    for coarse, fine in diagnostics.fine.items():
        if fine:
            everything = np.unique(np.concatenate(list(fine.values())))
            yield _category(task, answers, coarse, "", everything)
        for name, rows in fine.items():
            yield _category(task, answers, coarse, name, rows)


def _category(
    task: TaskSpec, answers: Predictions, coarse: str, fine: str, rows: NDArray[Any]
) -> Category:
    part = {_SPLIT: answers.rows(rows)}
    return Category(
        coarse=coarse,
        fine=fine,
        examples=len(rows),
        accuracy=float((part[_SPLIT].predicted == part[_SPLIT].labels).mean()),
        r3=score_predictions(task, part).score,
        interval=score_intervals(task, part)["score"],
    )
