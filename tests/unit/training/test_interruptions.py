"""A run that is ended early, and taken up again, comes to the same bits."""

from __future__ import annotations

import shutil
import signal
from typing import Any

import pytest
from tests.support.tiny_runs import At, Bench, checkpoints_of, outcome, resumed, send_signal

import gluetune
from gluetune.core.runs import Run
from gluetune.training.run_trainer import RunTrainer


@pytest.mark.parametrize("step", [1, 4, 8])
def test_ctrl_c_in_mid_epoch_saves_and_the_resumed_run_is_the_same(
    bench: Bench, whole: dict[str, Any], step: int
) -> None:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(output=output, callbacks=[At("on_step_begin", step - 1, send_signal())])
    run = Run(output)
    assert run.status == "interrupted"
    assert (run.record.steps, run.record.total_steps) == (step, 9)
    assert [path.name for path in checkpoints_of(output)] == [f"step-{step:06d}"]
    assert not list(output.rglob("training_args.bin"))

    done = resumed(output)

    assert outcome(done) == whole
    assert done.record.resumed_from == [step]
    assert checkpoints_of(output) == []


def test_ctrl_c_while_a_state_is_saved_is_the_same(bench: Bench, whole: dict[str, Any]) -> None:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(
            output=output, checkpoint_minutes=1e-9, callbacks=[At("on_save", 4, send_signal())]
        )
    assert [epoch.step for epoch in Run(output).record.epochs] == [3]
    assert outcome(resumed(output)) == whole


def test_sigterm_at_the_end_of_an_epoch_evaluates_saves_and_exits_with_143(
    bench: Bench, whole: dict[str, Any]
) -> None:
    output = bench.new_output()
    stop = At("on_step_end", 3, send_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as caught:
        bench.train(output=output, callbacks=[stop])
    assert caught.value.code == 143
    assert len(Run(output).record.epochs) == 1
    assert outcome(resumed(output)) == whole


def test_a_stop_request_in_the_last_step_comes_too_late(
    bench: Bench, whole: dict[str, Any]
) -> None:
    assert outcome(bench.train(callbacks=[At("on_step_begin", 8, send_signal())])) == whole


def test_the_second_ctrl_c_stops_at_once_and_the_earlier_checkpoint_stands(
    bench: Bench, whole: dict[str, Any]
) -> None:
    def twice(**kwargs: Any) -> None:
        send_signal()()
        send_signal()()

    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(output=output, callbacks=[At("on_step_begin", 4, twice)])
    assert Run(output).status == "interrupted"
    assert [path.name for path in checkpoints_of(output)] == ["step-000003"]
    assert outcome(resumed(output)) == whole


def test_a_checkpoint_that_is_given_up_half_written_is_as_if_it_never_was(
    bench: Bench, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = RunTrainer._save_optimizer_and_scheduler

    def interrupted(self: RunTrainer, folder: str) -> None:
        if self.state.global_step == 6:
            raise KeyboardInterrupt
        save(self, folder)

    output = bench.new_output()
    with monkeypatch.context() as patch:
        patch.setattr(RunTrainer, "_save_optimizer_and_scheduler", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.train(output=output)
    assert [path.name for path in checkpoints_of(output)] == ["step-000003"]
    assert len(Run(output).record.epochs) == 2
    assert outcome(resumed(output)) == whole


@pytest.mark.parametrize("moment", ["Job._check_reloaded", "keep_predictions"])
def test_a_run_stopped_while_finishing_only_finishes(
    bench: Bench, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    output = bench.new_output()
    with monkeypatch.context() as patch:
        patch.setattr(f"gluetune.training.job.{moment}", fail)
        with pytest.raises(KeyboardInterrupt):
            bench.train(output=output)
    record = Run(output).record
    assert (record.status.value, record.steps) == ("interrupted", 9)

    trained = At("on_step_begin", None, fail)
    assert outcome(resumed(output, callbacks=[trained])) == whole


def test_a_run_that_ends_within_an_epoch_takes_no_further_step_when_finished_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    output = bench.new_output()
    with monkeypatch.context() as patch:
        patch.setattr("gluetune.training.job.Job._check_reloaded", fail)
        with pytest.raises(KeyboardInterrupt):
            bench.train(output=output, epochs=1.5)
    assert outcome(resumed(output)) == outcome(bench.train(epochs=1.5))


def test_early_stopping_ends_the_run_and_a_resumed_one_does_not_train_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"early_stopping": 1, "epochs": 6, "learning_rate": 1e-9}
    whole = bench.train(**settings)
    assert whole.record.steps == 6
    assert whole.record.total_steps == 18
    assert [epoch.epoch for epoch in whole.record.epochs] == [1, 2]
    assert whole.record.best is not None
    assert whole.record.best.epoch == 1

    def fail(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    output = bench.new_output()
    with monkeypatch.context() as patch:
        patch.setattr("gluetune.training.job.Job._check_reloaded", fail)
        with pytest.raises(KeyboardInterrupt):
            bench.train(output=output, **settings)
    assert outcome(resumed(output)) == outcome(whole)


def test_other_data_under_the_same_path_are_refused(bench: Bench) -> None:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train("rte", output=output, callbacks=[At("on_step_begin", 3, send_signal())])
    (file,) = (bench.data / "rte").glob("validation-*")
    other = next((bench.data / "rte").glob("train-*"))
    before = file.read_bytes()
    file.write_bytes(other.read_bytes())
    with pytest.raises(gluetune.RunError, match="have changed since the run started: validation"):
        resumed(output)
    file.write_bytes(before)
    assert resumed(output).status == "finished"


def test_a_damaged_checkpoint_is_refused_and_its_hint_works(
    bench: Bench, whole: dict[str, Any]
) -> None:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(output=output, callbacks=[At("on_step_begin", 4, send_signal())])
    (checkpoint,) = checkpoints_of(output)
    (checkpoint / "optimizer.pt").unlink()
    with pytest.raises(gluetune.RunError, match=r"optimizer\.pt") as caught:
        resumed(output)
    assert f"rm -r {checkpoint}" in caught.value.findings[0].hint
    shutil.rmtree(checkpoint)
    assert outcome(resumed(output)) == whole


@pytest.mark.parametrize(
    ("settings", "steps", "epochs"),
    [
        ({"epochs": 1.5}, 5, [1, 1.666667]),
        ({"epochs": 0.1}, 1, [0.333333]),
        ({"training_args": {"max_steps": 4}}, 4, [1, 1.333333]),
        ({"training_args": {"max_steps": 6}}, 6, [1, 2]),
        ({"batch_size": 64}, 3, [1, 2, 3]),
        ({"training_args": {"dataloader_drop_last": True}}, 6, [1, 2, 3]),
    ],
    ids=str,
)
def test_a_run_may_end_within_an_epoch_and_resumes_there(
    bench: Bench, settings: dict[str, Any], steps: int, epochs: list[float]
) -> None:
    run = bench.train(**settings)
    assert (run.record.steps, run.record.total_steps) == (steps, steps)
    assert [epoch.epoch for epoch in run.record.epochs] == epochs
    output = bench.new_output()
    if steps > 1:
        with pytest.raises(KeyboardInterrupt):
            bench.train(
                output=output,
                callbacks=[At("on_step_begin", steps - 2, send_signal())],
                **settings,
            )
        assert outcome(resumed(output)) == outcome(run)
