"""The run of a trial: resumed, pruned, and its value that of its best epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.tiny_runs import Bench, outcome

import gluetune
from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import ConfigurationError, Pruned, TrainingError
from gluetune.core.records import EpochRecord, Record, now
from gluetune.core.runs import Run
from gluetune.experiments.search.objective import Selector, objective, value_of


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def config(bench: Bench) -> TrainConfig:
    return make_config(bench.settings(holdout=0.3, epochs=2))


@pytest.fixture(scope="module")
def whole(bench: Bench, config: TrainConfig) -> Run:
    return objective(config, bench.new_output(), _ignore)


def _ignore(epoch: EpochRecord) -> None:
    pass


def _raising(error: BaseException, count: int) -> Callable[[EpochRecord], None]:
    messages: list[EpochRecord] = []

    def report(epoch: EpochRecord) -> None:
        messages.append(epoch)
        if len(messages) == count:
            raise error

    return report


def test_an_objective_trains_its_configuration(bench: Bench, whole: Run) -> None:
    alone = gluetune.train(config=whole.folder.config, output=bench.new_output(), progress=False)
    assert outcome(alone) == outcome(whole)
    assert alone.folder.config.read_text() == whole.folder.config.read_text()
    assert whole.record.data is not None
    assert whole.record.data.rows == {"train": 28, "holdout": 12}
    assert [path.name for path in whole.folder.predictions.iterdir()] == ["holdout.parquet"]


def test_a_report_states_that_the_score_is_of_a_part_of_train(whole: Run) -> None:
    text = (whole.path / "report.html").read_text(encoding="utf-8")
    assert "held-out part of train, best of 2 epochs" in text
    assert "Predictions on holdout" in text
    assert "by length" in text
    assert "texts are not shown" not in text
    assert "majority class" in text
    assert "people" not in text


def test_a_finished_run_is_returned_without_reports(config: TrainConfig, whole: Run) -> None:
    before = whole.folder.record.read_bytes()
    again = objective(config, whole.path, _raising(AssertionError("reported"), 1))
    assert again.folder.record.read_bytes() == before
    assert value_of(again.record) == value_of(whole.record)


def test_a_stopped_run_is_resumed_and_reports_earlier_evaluations(
    bench: Bench, config: TrainConfig, whole: Run
) -> None:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        objective(config, output, _raising(KeyboardInterrupt(), 2))
    assert Run(output).status == "interrupted"
    messages: list[float] = []
    done = objective(config, output, lambda epoch: messages.append(epoch.epoch))
    assert messages == [1, 2]
    assert outcome(done) == outcome(whole)


def test_files_of_a_process_killed_at_the_start_are_ignored(
    bench: Bench, config: TrainConfig, whole: Run
) -> None:
    output = bench.new_output()
    output.mkdir(parents=True)
    for name in ("config.yaml", ".lock", ".record.json.x1y2"):
        (output / name).write_text("half")
    assert outcome(objective(config, output, _ignore)) == outcome(whole)
    (bench.folder / "letters").mkdir()
    (bench.folder / "letters" / "letter.txt").touch()
    with pytest.raises(gluetune.RunError, match="not empty"):
        objective(config, bench.folder / "letters", _ignore)


def test_a_pruned_run_is_recorded_and_keeps_no_weights(bench: Bench, config: TrainConfig) -> None:
    output = bench.new_output()
    for _ in range(2):  # the second time it is pruned already, and nothing is trained or reported
        with pytest.raises(Pruned):
            objective(config, output, _raising(Pruned("others do better"), 1))
        run = Run(output)
        assert run.status == "pruned"
        assert run.record.error is None
        assert len(run.record.epochs) == 1
        assert sorted(path.name for path in output.iterdir()) == [
            ".lock",
            "config.yaml",
            "record.json",
        ]


def test_a_run_at_its_last_epoch_is_finished_and_not_pruned(
    bench: Bench, config: TrainConfig, whole: Run
) -> None:
    done = objective(config, bench.new_output(), _raising(Pruned("too late"), 2))
    assert outcome(done) == outcome(whole)


def test_a_run_killed_before_its_pruning_was_recorded_is_pruned_on_resumption(
    bench: Bench, config: TrainConfig
) -> None:
    output = bench.new_output()
    longer = config.model_copy(update={"epochs": 3.0, "checkpoint_minutes": 1e-9})
    with pytest.raises(KeyboardInterrupt):
        objective(longer, output, _raising(KeyboardInterrupt(), 2))
    with pytest.raises(Pruned):
        objective(longer, output, _raising(Pruned("others do better"), 1))
    assert [epoch.epoch for epoch in Run(output).record.epochs] == [1]


@pytest.mark.parametrize("maximize", [True, False])
def test_the_user_s_function_chooses_the_epoch(
    bench: Bench, config: TrainConfig, maximize: bool
) -> None:
    def wanted(metrics: dict[str, float]) -> float:
        assert metrics["loss"] == metrics["eval_loss"]
        return metrics["eval_loss"]

    run = objective(
        config.model_copy(update={"epochs": 3.0}),
        bench.new_output(),
        _ignore,
        select=Selector(wanted, maximize),
    )
    losses = [epoch.validation_loss or 0.0 for epoch in run.record.epochs]
    best = max(losses) if maximize else min(losses)
    assert value_of(run.record) == (best if maximize else -best)
    assert run.record.best is not None
    assert run.record.best.epoch == losses.index(best) + 1


def test_an_unknown_metric_in_compute_objective_is_named() -> None:
    def wanted(metrics: dict[str, float]) -> float:
        return metrics["eval_f1"]

    with pytest.raises(ConfigurationError, match="'eval_f1', which no evaluation has") as caught:
        Selector(wanted, True)({"accuracy": 0.5})
    assert "There are: accuracy" in str(caught.value)


def test_a_metric_called_loss_chooses_the_lowest(bench: Bench) -> None:
    run = bench.train(metric="loss")
    losses = [epoch.validation_loss or 0.0 for epoch in run.record.epochs]
    assert run.record.best is not None
    assert run.record.best.epoch == losses.index(min(losses)) + 1


def _record(*selections: float | None) -> Record:
    epochs: list[Any] = [
        {
            "epoch": number,
            "step": number,
            "train_loss": None,
            "learning_rate": None,
            "validation": {"score": value, "metrics": {}},
            "validation_loss": None,
            "selection": value,
            "train_seconds": 0,
            "evaluation_seconds": 0,
        }
        for number, value in enumerate(selections, start=1)
    ]
    return Record(task="cola", seed=1, started=now(), updated=now(), command="x", epochs=epochs)


def test_the_value_of_a_trial_is_that_of_its_best_epoch() -> None:
    assert value_of(_record(0.1, 0.7, None, 0.3)) == 0.7
    with pytest.raises(TrainingError, match="undefined in all 2 epochs"):
        value_of(_record(None, None))


def test_a_configuration_needs_nothing_else(tmp_path: Path, config: TrainConfig) -> None:
    """It goes through YAML and back: what config.yaml says is all that there is."""
    config.save(tmp_path / "config.yaml")
    from gluetune.core.settings_files import read_settings

    assert make_config(read_settings(tmp_path / "config.yaml")) == config
