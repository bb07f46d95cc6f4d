"""The best epoch is that whose metric is better, whichever direction that is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from gluetune.core.records import EpochRecord, ScoreRecord
from gluetune.core.tasks import get_task
from gluetune.training.run_trainer import Validation, _selection


def epoch(**metrics: float) -> EpochRecord:
    return EpochRecord(
        epoch=1,
        step=1,
        train_loss=None,
        learning_rate=None,
        validation=ScoreRecord(
            score=next(iter(metrics.values())), metrics={"validation": {**metrics}}
        ),
        validation_loss=0.5,
        selection=None,
        train_seconds=0,
        evaluation_seconds=0,
    )


@pytest.mark.parametrize(
    ("metrics", "by", "expected"),
    [
        (("log_loss", "accuracy"), "score", -0.25),
        (("log_loss", "accuracy"), "accuracy", 0.75),
        (("accuracy", "log_loss"), "score", 0.25),
        (("accuracy", "brier_score"), "brier_score", -0.75),
        (("accuracy", "log_loss"), "loss", -0.5),
    ],
)
def test_less_is_better_where_it_is(metrics: tuple[str, str], by: str, expected: float) -> None:
    task = replace(get_task("rte"), metrics=metrics[:1], extra_metrics=metrics[1:])
    found = epoch(**dict(zip(metrics, (0.25, 0.75), strict=True)))
    how: Any = Validation(
        task=task, splits={}, outputs=(0, 1), batch_size=1, precision=cast(Any, "fp32"), metric=by
    )
    assert _selection(found, how) == expected
