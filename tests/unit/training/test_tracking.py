"""What trackers are given of a run: real ones where they are installed, else recorders."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_runs import Bench

from gluetune.core.errors import ConfigurationError
from gluetune.training import tracking


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


class Recorder(types.ModuleType):
    """Has the functions of Weights & Biases that are called."""

    Error = type("Error", (Exception,), {})

    def __init__(self, name: str, fails: bool = False) -> None:
        super().__init__(name)
        self.begun: dict[str, Any] = {}
        self.logged: list[tuple[dict[str, Any], int | None]] = []
        self.finished = 0
        self.fails = fails

    def init(self, **given: Any) -> None:
        self.begun = given

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        if self.fails:
            raise self.Error("no server")
        self.logged.append((values, step))

    def finish(self) -> None:
        self.finished += 1


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_metrics_intervals_settings_and_links_are_logged(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(name)
    monkeypatch.setitem(sys.modules, name, recorder)
    monkeypatch.setattr(tracking, "require_tracker", lambda _: None)
    monkeypatch.setattr("gluetune.training.preflight.require_tracker", lambda _: None)
    run = bench.train(track=name, training_args={"logging_steps": 1})
    assert recorder.begun["name"] == run.path.name
    assert recorder.begun["config"]["learning_rate"] == run.config.learning_rate
    last, _ = recorder.logged[-1]
    metric = next(iter(run.task.metrics))
    assert last[f"best/{metric}"] == run.score
    assert last[f"best/{metric}/low"] <= run.score <= last[f"best/{metric}/high"]
    assert f"majority/{metric}" in last
    assert last["report"].startswith("file://")
    assert last["status"] == "finished"
    epochs = [values for values, _ in recorder.logged if "epoch" in values]
    assert len(epochs) == len(run.record.epochs)
    assert any("train/loss" in values for values, _ in recorder.logged)
    steps = [step for _, step in recorder.logged if step is not None]
    assert steps == sorted(steps)
    assert recorder.finished == 1


def test_a_tracker_that_fails_is_noted_and_the_run_is_finished(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Recorder("wandb", fails=True))
    monkeypatch.setattr("gluetune.training.preflight.require_tracker", lambda _: None)
    run = bench.train(track="wandb")
    assert run.status == "finished"
    assert "--track wandb has stopped: no server" in run.record.notes


def test_a_tracker_changes_no_bit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", Recorder("wandb"))
    monkeypatch.setattr("gluetune.training.preflight.require_tracker", lambda _: None)
    with_tracker, alone = bench.train(track="wandb"), bench.train()
    assert with_tracker.record.final_weights_sha256 == alone.record.final_weights_sha256


def test_a_tracker_that_is_not_installed_is_refused_before_training(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match=r"--track mlflow .*\n.*pip install mlflow"):
        tracking.require_tracker("mlflow")


def test_tensorboard_has_the_scalars_in_the_runs_folder(bench: Bench) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = bench.train(track="tensorboard", training_args={"logging_steps": 1})
    events = EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    metric = next(iter(run.task.metrics))
    assert events.Scalars(f"best/{metric}")[0].value == pytest.approx(run.score)
    assert len(events.Scalars("epoch")) == len(run.record.epochs)
    assert events.Scalars("train/loss")


def test_mlflow_has_the_run(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    run = bench.train(track="mlflow", training_args={"logging_steps": 1})
    (found,) = mlflow.search_runs(
        experiment_names=[f"gluetune-{run.task.name}"], output_format="list"
    )
    metric = next(iter(run.task.metrics))
    assert found.data.metrics[f"best/{metric}"] == pytest.approx(run.score)
    assert found.data.params["seed"] == str(run.record.seed)
    assert found.data.tags["folder"] == str(run.path.resolve())
    assert found.info.status == "FINISHED"


def test_trackio_has_the_run(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    trackio = pytest.importorskip("trackio")
    run = bench.train(track="trackio", training_args={"logging_steps": 1})
    assert not [note for note in run.record.notes if "--track" in note]
    found = trackio.Api().runs(f"gluetune-{run.task.name}")
    assert run.path.name in {one.name for one in found}
