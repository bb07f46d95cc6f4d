"""A run on several processes: equal to that of one, with one folder, one output and one end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.support.forked_processes import (
    command,
    command_with_data,
    run_together,
    train_and_fail,
    train_and_signal,
    train_in_float64,
)
from tests.support.mixed_batches import is_key_bias
from tests.support.tiny_runs import Bench, checkpoints_of, outcome, resumed, write_task

import gluetune
from gluetune.core.errors import ConfigurationError, RunError
from gluetune.core.runs import Run

_RATE = 1e-3


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """49 rows in batches of 16: in the last step, one process has no example."""
    return Bench(tmp_path_factory.mktemp("bench"), dropout=0.2, train=49)


def words(bench: Bench, output: Path, **changed: Any) -> list[str]:
    return [*bench.arguments(epochs=2, **changed), "--output", str(output)]


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of two processes that nothing interrupts, by the command line."""
    output, folder = bench.new_output(), tmp_path_factory.mktemp("whole")
    first, second = run_together(folder, command, *words(bench, output))
    assert (first.code, second.code) == (0, 0), first.said + second.said
    assert "2 processes of 1 thread" in first.said
    assert first.said.count("Baselines") == 1
    assert "torchrun --nproc-per-node 2 -m gluetune train --config" in first.said
    assert second.said == ""
    return Run(output)


def test_a_run_records_its_number_of_processes(bench: Bench, whole: Run) -> None:
    assert whole.config.processes == 2
    assert whole.config.batch_size == 16
    assert whole.config.micro_batch_size == 8
    assert whole.record.environment is not None
    assert whole.record.environment.processes == 2
    assert whole.record.best is not None
    assert whole.record.best.agrees
    assert whole.record.steps == 8
    assert checkpoints_of(whole.path) == []


def test_two_processes_give_the_result_of_one(tmp_path: Path) -> None:
    """In float64, without dropout: to 1% of the learning rate, and the same scores."""
    bench = Bench(tmp_path, dropout=0.0, train=49)
    settings = bench.settings(epochs=2, weight_decay=0.1)
    runs = {}
    for count in (1, 2):
        output, weights = tmp_path / f"run-{count}", tmp_path / f"{count}.safetensors"
        given = {**settings, "output": output}
        if count == 1:
            train_in_float64(given, weights)
        else:
            ends = run_together(tmp_path, train_in_float64, given, weights)
            assert [end.code for end in ends] == [0, 0], ends
        runs[count] = Run(output).record
    one, two = load_file(tmp_path / "1.safetensors"), load_file(tmp_path / "2.safetensors")
    assert one.keys() == two.keys()
    for name, value in one.items():
        if not is_key_bias(name):
            assert float((two[name] - value).abs().max()) < 0.01 * _RATE, name
    for mine, theirs in zip(runs[1].epochs, runs[2].epochs, strict=True):
        assert theirs.step == mine.step
        assert theirs.train_loss == pytest.approx(mine.train_loss, rel=1e-6)
        assert theirs.validation_loss == pytest.approx(mine.validation_loss, rel=1e-6)


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ({0: signal.SIGTERM, 1: signal.SIGTERM}, 143),
        ({1: signal.SIGINT}, 130),
    ],
    ids=["all are terminated", "one is interrupted"],
)
def test_a_signal_stops_all_processes_after_the_same_step_and_the_run_resumes(
    bench: Bench, whole: Run, tmp_path: Path, signals: dict[int, signal.Signals], code: int
) -> None:
    output = bench.new_output()
    settings = bench.settings(epochs=2, output=output)
    first, second = run_together(tmp_path, train_and_signal, settings, 1, signals)
    assert (first.code, second.code) == (code, code), first.said + second.said
    assert first.said.count("Stopping after this step") == 1
    assert f"torchrun --nproc-per-node 2 -m gluetune train --resume {output}" in first.said
    assert second.said == ""
    record = Run(output).record
    assert record.status.value == "interrupted"
    assert 1 <= record.steps < 8
    (state,) = checkpoints_of(output)
    assert {"rng_state_0.pth", "rng_state_1.pth", "meter_0.json", "meter_1.json"} <= {
        file.name for file in state.iterdir()
    }
    with pytest.raises(
        ConfigurationError, match="This run has 2 processes, but was started with 1 process"
    ):
        resumed(output)
    ends = run_together(tmp_path, command, "train", "--resume", str(output))
    assert [end.code for end in ends] == [0, 0], ends
    assert outcome(Run(output)) == outcome(whole)


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_stops_all_and_the_run_resumes(
    bench: Bench, whole: Run, tmp_path: Path, killed: int
) -> None:
    output = bench.new_output()
    settings = bench.settings(epochs=2, checkpoint_minutes=1e-9, output=output)
    ends = run_together(tmp_path, train_and_signal, settings, 6, {killed: signal.SIGKILL})
    assert ends[killed].code == -signal.SIGKILL
    other = ends[1 - killed]
    assert other.code == 1
    assert "Another process of the run exited unexpectedly" in other.said
    status = Run(output).record.status.value
    assert status == ("running" if killed == 0 else "failed")
    ends = run_together(tmp_path, command, "train", "--resume", str(output))
    assert [end.code for end in ends] == [0, 0], ends
    assert outcome(Run(output)) == outcome(whole)


@pytest.mark.parametrize("failing", [0, 1])
def test_the_process_that_fails_reports_and_the_others_stop(
    bench: Bench, tmp_path: Path, failing: int
) -> None:
    output = bench.new_output()
    settings = bench.settings(epochs=2, output=output)
    ends = run_together(tmp_path, train_and_fail, settings, 2, failing)
    assert [end.code for end in ends] == [5, 5], ends
    assert "error: There is no room at all." in ends[failing].said
    assert "error" not in ends[1 - failing].said
    assert "Traceback" not in ends[0].said + ends[1].said
    record = Run(output).record
    assert record.status.value == "failed"
    assert record.error is not None
    assert record.error.type == "StorageError"
    assert record.error.message == "There is no room at all."


def test_a_mistake_of_one_process_is_reported_once_with_its_process(
    bench: Bench, tmp_path: Path
) -> None:
    output = bench.new_output()
    settings = bench.settings(epochs=2, output=output)
    data = [settings.pop("data"), str(tmp_path / "nothing")]
    given = ["train", settings.pop("task")]
    for name, value in settings.items():
        given += [f"--{name.replace('_', '-')}", str(value)]
    first, second = run_together(tmp_path, command_with_data, data, *given)
    assert (first.code, second.code) == (2, 2), first.said + second.said
    assert "nothing" in first.said
    assert "[process 1 on " in first.said
    assert second.said == ""
    assert not output.exists()


def test_processes_with_different_data_are_refused(bench: Bench, tmp_path: Path) -> None:
    other = write_task(tmp_path / "other", "cola", train=50)
    output = bench.new_output()
    settings = bench.settings(epochs=2, output=output)
    data = [settings.pop("data"), str(other)]
    given = ["train", settings.pop("task")]
    for name, value in settings.items():
        given += [f"--{name.replace('_', '-')}", str(value)]
    first, second = run_together(tmp_path, command_with_data, data, *given)
    assert (first.code, second.code) == (2, 2), first.said + second.said
    assert "differs from the first one in data, the train data" in first.said
    assert second.said == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--batch-size", "15"], "--batch-size 15 cannot be divided evenly among 2"),
        (["--set", "train_sampling_strategy=group_by_length"], "draw a different order"),
        (["--set", "nonsense"], "is not of the form name=value"),
        (["--no-such-flag"], "No such option"),
        (["--processes", "3"], "This run has 3 processes, but was started with 2 processes."),
        (["--epochs", "0"], "--epochs 0: must be greater than 0"),
    ],
)
def test_a_mistake_is_reported_once(
    bench: Bench, tmp_path: Path, given: list[str], said: str
) -> None:
    output = bench.new_output()
    first, second = run_together(tmp_path, command, *words(bench, output), *given)
    assert (first.code, second.code) == (2, 2), first.said + second.said
    assert first.said.count(said) == 1, first.said
    assert second.said == ""
    assert not output.exists()


def test_a_run_of_one_process_is_not_resumed_by_two(bench: Bench, tmp_path: Path) -> None:
    done = bench.train(epochs=1)
    assert done.config.processes == 1
    first, second = run_together(tmp_path, command, "train", "--resume", str(done.path))
    assert (first.code, second.code) == (2, 2)
    assert "This run has 1 process, but was started with 2 processes" in first.said
    assert second.said == ""


def test_a_configuration_of_two_processes_can_be_run_by_one(bench: Bench, whole: Run) -> None:
    settings: dict[str, Any] = {
        "config": whole.folder.config,
        "output": bench.new_output(),
        "progress": False,
    }
    with pytest.raises(ConfigurationError, match="--processes 1"):
        gluetune.train(**settings)
    run = gluetune.train(**settings, processes=1)
    assert run.status == "finished"
    assert run.config.micro_batch_size == 8
    with pytest.raises(RunError, match="is finished"):
        resumed(run.path)
