"""However a run is interrupted, and however often, it resumes to the same bits."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.killed_runs import MOMENTS, train_and_die
from tests.support.processes import finish, fork, wait_until
from tests.support.tiny_runs import Bench, checkpoints_of, outcome, resumed

import gluetune
from gluetune.cli.app import main
from gluetune.core.runs import Run

_SETTINGS: dict[str, Any] = {"training_args": {"lr_scheduler_type": "cosine"}, "warmup": 0.2}
_SEED = 20
_MOST = {"step": 10, "evaluation": 3, "weights": 10, "state": 10, "manifest": 10, "sweep": 9}
"""How often each moment comes in 10 steps, each of them saved; the others come once."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """70 rows in batches of 16 for two epochs, with dropout: 10 steps."""
    return Bench(tmp_path_factory.mktemp("bench"), dropout=0.2, train=70)


@pytest.fixture(scope="module")
def whole(bench: Bench) -> Run:
    """The run that nothing interrupts."""
    return bench.train(epochs=2, **_SETTINGS)


def _drawn(moment: str) -> int:
    return random.Random(f"{_SEED} {moment}").randint(2, _MOST[moment]) if moment in _MOST else 1


@pytest.mark.parametrize(
    ("moment", "count"), [("step", 1), *((moment, _drawn(moment)) for moment in MOMENTS)]
)
def test_a_run_killed_anywhere_gives_the_same_bits(
    bench: Bench, whole: Run, moment: str, count: int
) -> None:
    """The first of these is killed before there is a checkpoint: it starts again."""
    output = bench.new_output()
    settings = bench.settings(epochs=2, checkpoint_minutes=1e-9, output=output, **_SETTINGS)

    assert train_and_die(moment, count, settings) == -signal.SIGKILL

    assert Run(output).status == "running"
    done = resumed(output)
    assert outcome(done) == outcome(whole)
    assert checkpoints_of(output) == []


def test_a_run_killed_repeatedly_gives_the_same_bits(bench: Bench, whole: Run) -> None:
    draw = random.Random(_SEED)
    output = bench.new_output()
    arguments = bench.settings(epochs=2, checkpoint_minutes=1e-9, output=output, **_SETTINGS)
    deaths = 0
    for _ in range(3):
        moment = draw.choice(("step", "weights", "state", "manifest", "sweep"))
        deaths += train_and_die(moment, draw.randint(1, 4), arguments) == -signal.SIGKILL
        assert len(checkpoints_of(output)) <= 3  # the newest, the one before, and half a next one
        arguments = {"resume": output}
    done = resumed(output)
    assert deaths == 3
    assert len(done.record.resumed_from) == 3
    assert outcome(done) == outcome(whole)


def _steps_saved(output: Path) -> int:
    names = [path.name for path in checkpoints_of(output)]
    return max((int(name[5:]) for name in names if name.startswith("step-")), default=0)


def test_the_command_line_interrupted_terminated_and_resumed(
    bench: Bench, whole: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    output = bench.new_output()
    arguments = bench.arguments(epochs=2, warmup=0.2, checkpoint_minutes=1e-9)
    arguments += ["--set", "lr_scheduler_type=cosine", "--output", str(output)]
    resume = ["train", "--resume", str(output)]

    for words, number, code in ((arguments, signal.SIGINT, 130), (resume, signal.SIGTERM, 143)):
        before = _steps_saved(output)
        process = fork(words)
        wait_until(process, lambda before=before: _steps_saved(output) > before)  # type: ignore[misc]  # a default binds the loop's value
        process.send_signal(number)
        ended, _, err = finish(process)
        assert ended == code
        assert "Traceback" not in err
        assert "Stopping after this step" in err
        assert f"gluetune train --resume {output}" in err
        record = Run(output).record
        assert record.status.value == "interrupted"
        assert before < record.steps == _steps_saved(output) < 10

    with pytest.raises(SystemExit) as caught:
        main(resume)
    assert caught.value.code == 0
    printed = capsys.readouterr()
    assert f"Resuming after step {record.steps}" in printed.err
    assert "best" in printed.out
    assert outcome(Run(output)) == outcome(whole)


def test_a_configuration_repeats_its_run_bit_for_bit(bench: Bench, whole: Run) -> None:
    again = gluetune.train(config=whole.folder.config, output=bench.new_output(), progress=False)
    assert outcome(again) == outcome(whole)
    assert again.folder.config.read_text() == whole.folder.config.read_text()
    other = gluetune.train(
        config=whole.folder.config, seed=7, output=bench.new_output(), progress=False
    )
    assert other.record.final_weights_sha256 != whole.record.final_weights_sha256
