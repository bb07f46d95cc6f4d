"""A record set back to a checkpoint says what an uninterrupted run would have said there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.errors import RunError
from gluetune.core.records import (
    DataRecord,
    EnvironmentRecord,
    EpochRecord,
    ErrorRecord,
    Record,
    ScoreRecord,
    Status,
)
from gluetune.core.runs import RunFolder
from gluetune.training import history
from gluetune.training.history import check_same, rewind, timing
from gluetune.training.run_trainer import RunTrainer


def _epoch(number: int, selection: float | None = 0.5) -> EpochRecord:
    return EpochRecord(
        epoch=number,
        step=number * 10,
        train_loss=0.1,
        learning_rate=0.1,
        validation=ScoreRecord(score=selection, metrics={}),
        validation_loss=0.1,
        selection=selection,
        train_seconds=2.0,
        evaluation_seconds=0.5,
    )


def _record(*epochs: EpochRecord, **changed: Any) -> Record:
    values = {"task": "cola", "seed": 1, "started": "", "updated": "", "command": "", **changed}
    return Record(epochs=list(epochs), **values)


def test_what_came_after_the_checkpoint_is_forgotten() -> None:
    record = _record(
        _epoch(1, 0.3),
        _epoch(2, 0.2),
        _epoch(3, 0.9),
        status=Status.FAILED,
        error=ErrorRecord(type="X", message="y"),
        resumed_from=[4],
    )
    rewind(record, 25)
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]
    assert record.best is not None
    assert record.best.epoch == 1
    assert record.status is Status.RUNNING
    assert record.error is None
    assert record.steps == 25
    assert record.resumed_from == [4, 25]


def test_before_the_first_checkpoint_nothing_is_left() -> None:
    record = _record(_epoch(1))
    rewind(record, 0)
    assert (record.epochs, record.best, record.steps) == ([], None, 0)


_SELECTIONS = st.lists(st.none() | st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=6)


@given(_SELECTIONS)
def test_the_best_epoch_is_the_one_that_the_trainer_chose(selections: list[float | None]) -> None:
    state = SimpleNamespace(best_metric=None, best_global_step=None, global_step=0)
    trainer = SimpleNamespace(state=state)
    trainer._is_best = lambda selection: RunTrainer._is_best(trainer, selection)  # type: ignore[arg-type]  # only its state is read
    for number, selection in enumerate(selections, 1):
        state.global_step = number * 10
        metrics = {} if selection is None else {"eval_selection": selection}
        RunTrainer._determine_best_metric(trainer, metrics, None)  # type: ignore[arg-type]  # the same
    record = _record(*(_epoch(number, value) for number, value in enumerate(selections, 1)))
    rewind(record, 1000)
    assert record.best is not None
    assert record.best.step == state.best_global_step


def _data(**fingerprints: str) -> DataRecord:
    return DataRecord(source="x", rows={}, fingerprints=fingerprints, truncated={})


def _environment(**changed: Any) -> EnvironmentRecord:
    values = {
        "versions": {"torch": "2"},
        "platform": "here",
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
        "git_commit": None,
        **changed,
    }
    return EnvironmentRecord(**values)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(history, "describe", lambda precision, device, processes: _environment())
    return SimpleNamespace(
        config=SimpleNamespace(processes=1),
        precision="fp32",
        device=None,
        data=_data(train="a", validation="b"),
        train=None,
    )


def test_other_data_are_refused_by_split(here: Any, tmp_path: Any) -> None:
    record = _record(data=_data(train="a", validation="other"), environment=_environment())
    with pytest.raises(RunError, match="have changed since the run started: validation") as caught:
        check_same(record, here, RunFolder(tmp_path))
    assert f"gluetune train --config {tmp_path / 'config.yaml'}" in caught.value.findings[0].hint


def test_another_environment_is_noted_and_another_commit_is_not(here: Any, tmp_path: Any) -> None:
    same = _record(data=here.data, environment=_environment(git_commit="abc"))
    check_same(same, here, RunFolder(tmp_path))
    assert same.notes == []
    other = _record(data=here.data, environment=_environment(threads=2, device="gpu"))
    check_same(other, here, RunFolder(tmp_path))
    (note,) = other.notes
    assert "device" in note
    assert "threads" in note
    assert "bit-identical" in note


def test_rates_are_of_training_alone() -> None:
    prepared: Any = SimpleNamespace(train=SimpleNamespace(lengths=np.array([4, 6])))
    found = timing(_record(_epoch(1), _epoch(2)), prepared)
    assert found.train_seconds == 4.0
    assert found.evaluation_seconds == 1.0
    assert found.examples_per_second == 1.0
    assert found.tokens_per_second == 5.0
