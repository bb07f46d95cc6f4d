"""A run's ways to end, each with its record, its checkpoint, and its way on."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny_runs import At, Bench, checkpoints_of, outcome, resumed, send_signal

import gluetune
from gluetune.cli.app import main
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, StorageError, TrainingError
from gluetune.core.runs import Run
from gluetune.training.checkpoints import CheckpointStore


def test_a_run_repeats_to_the_bit_and_leaves_nothing_but_its_parts(
    bench: Bench, whole: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    run = bench.train()
    assert outcome(run) == whole
    assert sorted(path.name for path in run.path.iterdir()) == [
        ".lock",
        "config.yaml",
        "intervals.json",
        "model",
        "predictions",
        "record.json",
        "report.html",
    ]
    assert whole["agrees"]
    assert whole["steps"] == run.record.total_steps == 9
    # transformers' own words and bars are not for the user; `progress=False` leaves none.
    assert capfd.readouterr() == ("", "")


def test_a_page_that_cannot_be_written_leaves_the_run_finished(
    bench: Bench, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*runs: Path) -> Path:
        raise StorageError("There is no room to write report.html.")

    monkeypatch.setattr("gluetune.rendering.pages.report", refuse)
    run = bench.train()
    assert outcome(run) == whole
    assert any("There is no report.html: There is no room" in note for note in run.record.notes)


def test_a_loss_that_is_not_finite_ends_the_run_and_the_checkpoint_stands(
    bench: Bench, whole: dict[str, Any]
) -> None:
    def spoil(**kwargs: Any) -> None:
        kwargs["model"].classifier.bias.data[0] = float("nan")

    output = bench.new_output()
    with pytest.raises(TrainingError, match="not finite at step 5") as caught:
        bench.train(output=output, callbacks=[At("on_step_begin", 4, spoil)])
    assert caught.value.exit_code == 1
    record = Run(output).record
    assert record.status.value == "failed"
    assert record.error is not None
    assert (record.error.type, record.error.step) == ("TrainingError", 4)
    assert [path.name for path in checkpoints_of(output)] == ["step-000003"]
    done = resumed(output)
    assert outcome(done) == whole
    assert done.record.error is None


def test_the_command_line_exits_with_1_when_training_diverges(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    output = bench.new_output()
    with pytest.raises(SystemExit) as caught:
        main([*bench.arguments(learning_rate=1e30), "--output", str(output)])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert "not finite" in said
    assert "--learning-rate" in said
    assert "Traceback" not in said
    assert Run(output).status == "failed"


def _memory_for(most: int) -> At:
    """Make forward passes of more than `most` examples run out of memory."""

    def limit(**kwargs: Any) -> None:
        model = kwargs["model"]
        forward = model.forward

        @functools.wraps(forward)
        def limited(*args: Any, **inputs: Any) -> Any:
            if model.training and len(inputs["input_ids"]) > most:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return forward(*args, **inputs)

        model.forward = limited

    return At("on_step_begin", 4, limit)


def test_memory_that_runs_out_is_noted_and_kept_for_repeats(bench: Bench) -> None:
    run = bench.train(callbacks=[_memory_for(4)])
    assert run.config.micro_batch_size == 4
    assert run.config.batch_size == 16
    (note,) = run.record.notes
    assert "from 16 to 4" in note
    assert run.status == "finished"


def test_a_resumed_run_cuts_its_batches_as_memory_allowed_before(bench: Bench) -> None:
    whole = bench.train(callbacks=[_memory_for(4)])
    output = bench.new_output()

    def cut_power(**kwargs: Any) -> None:
        raise MemoryError("no clean-up of gluetune's own")

    with pytest.raises(MemoryError):
        bench.train(output=output, callbacks=[_memory_for(4), At("on_step_begin", 7, cut_power)])
    assert Run(output).config.micro_batch_size == 16
    done = resumed(output)
    assert outcome(done) == outcome(whole)
    assert done.config.micro_batch_size == 4
    assert "from 16 to 4" in done.record.notes[-1]


def test_tiny_checkpoint_minutes_save_after_every_step_and_change_nothing(
    bench: Bench, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    writing = CheckpointStore.writing

    def noted(self: CheckpointStore, step: int, *, is_best: bool) -> Any:
        steps.append(step)
        assert len(checkpoints_of(self.folder.parent)) <= 1
        return writing(self, step, is_best=is_best)

    monkeypatch.setattr(CheckpointStore, "writing", noted)
    run = bench.train(checkpoint_minutes=1e-9)
    assert steps == list(range(1, 10))
    assert outcome(run) == whole


def test_a_schedule_and_smoothing_and_workers_go_through_set(bench: Bench) -> None:
    settings: dict[str, Any] = {
        "training_args": {
            "lr_scheduler_type": "cosine",
            "dataloader_num_workers": 1,
            "logging_steps": 1,
        },
        "label_smoothing": 0.1,
    }
    rates: list[float] = []

    def note(**kwargs: Any) -> None:
        if "learning_rate" in kwargs["logs"]:
            rates.append(kwargs["logs"]["learning_rate"])

    run = bench.train(callbacks=[At("on_log", None, note)], **settings)
    assert len(rates) == 9
    assert rates[0] - rates[1] < rates[4] - rates[5]  # a cosine falls slowly at first
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(output=output, callbacks=[At("on_step_begin", 4, send_signal())], **settings)
    assert outcome(resumed(output)) == outcome(run)


def test_bf16_is_the_same_after_reloading_and_after_resuming(bench: Bench) -> None:
    run = bench.train(precision="bf16")
    assert run.record.best is not None
    assert run.record.best.agrees
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(
            output=output, precision="bf16", callbacks=[At("on_step_begin", 4, send_signal())]
        )
    assert outcome(resumed(output)) == outcome(run)


def test_an_evaluation_that_a_callback_asks_for_counts_and_its_model_is_kept(
    bench: Bench,
) -> None:
    def evaluate(**kwargs: Any) -> None:
        kwargs["control"].should_evaluate = True

    def count(prediction: Any) -> dict[str, float]:
        scores.append(len(scores))
        return {"mine": float(scores[-1] == 0)}  # the first evaluation is the best

    scores: list[int] = []
    constant = {"lr_scheduler_type": "constant"}
    run = bench.train(
        callbacks=[At("on_step_end", 2, evaluate)],
        compute_metrics=count,
        metric="mine",
        training_args=constant,
    )
    assert [epoch.step for epoch in run.record.epochs] == [2, 3, 6, 9]
    assert run.record.best is not None
    assert run.record.best.step == 2
    assert run.record.best.agrees
    shorter = bench.train(training_args={**constant, "max_steps": 2})
    assert run.record.best_weights_sha256 == shorter.record.final_weights_sha256


def test_settings_win_over_a_configuration_and_over_a_file(bench: Bench, tmp_path: Path) -> None:
    given = TrainConfig(**bench.settings(epochs=0.1))
    run = gluetune.train(config=given, seed=7, output=bench.new_output(), progress=False)
    assert (run.config.seed, run.config.epochs) == (7, 0.1)
    again = gluetune.train(
        config=run.folder.config, seed=8, output=bench.new_output(), progress=False
    )
    assert again.config.seed == 8
    assert again.record.final_weights_sha256 != run.record.final_weights_sha256


def test_a_recipe_is_resolved_in_the_configuration_and_noted(bench: Bench) -> None:
    run = bench.train(recipe="electra", epochs=1, max_length=64)
    assert (run.config.warmup, run.config.batch_size) == (0.1, 32)
    assert (run.config.epochs, run.config.max_length) == (1, 64)
    assert (
        run.record.notes[0] == "Recipe electra: google-research/electra, configure_finetuning.py."
    )
    assert run.config.layer_decay == 0.8
    assert any("both orders of each pair" in note for note in run.record.notes)


def test_a_resumed_run_takes_no_settings(bench: Bench) -> None:
    with pytest.raises(ConfigurationError, match="keeps its settings"):
        gluetune.train(resume="somewhere", epochs=3)


def test_the_record_on_disk_is_plain_json_at_every_moment(bench: Bench) -> None:
    output = bench.new_output()
    statuses: list[str] = []

    def look(**kwargs: Any) -> None:
        statuses.append(json.loads((output / "record.json").read_text())["status"])

    bench.train(output=output, callbacks=[At("on_step_end", None, look)])
    assert statuses == ["running"] * 9
    assert json.loads((output / "record.json").read_text())["status"] == "finished"


def test_trackers_logs_outlive_the_checkpoints(bench: Bench) -> None:
    """TensorBoard's callback writes below output_dir, which must not be swept with the state."""
    folders: list[str] = []

    def log(**kwargs: Any) -> None:
        folder = kwargs["args"].output_dir
        folders.append(folder)
        (Path(folder) / "runs").mkdir()

    run = bench.train(epochs=0.1, callbacks=[At("on_train_begin", None, log)])
    assert folders == [str(run.path)]
    assert (run.path / "runs").is_dir()


def test_the_callers_random_state_does_not_matter(bench: Bench, whole: dict[str, Any]) -> None:
    torch.manual_seed(99)
    assert outcome(bench.train()) == whole
