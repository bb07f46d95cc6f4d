"""However a run is ended and however often, taken up again it comes to the same bits."""

from __future__ import annotations

import random
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.killed import MOMENTS, train_and_die
from tests.support.processes import finish, start, wait_until
from tests.support.trainings import Bench, checkpoints_of, outcome

import gluetune
from gluetune.runs import Run

_SETTINGS: dict[str, Any] = {"set": {"lr_scheduler_type": "cosine"}, "warmup": 0.2}
_SEED = 20
_MOST = {"step": 14, "evaluation": 4, "weights": 14, "state": 14, "manifest": 14, "sweep": 13}
"""How often each moment comes in 14 steps, each of them saved; the others come once."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """100 rows in batches of 16 for two epochs, with dropout: 14 steps."""
    return Bench(tmp_path_factory.mktemp("bench"), dropout=0.2, train=100)


@pytest.fixture(scope="module")
def whole(bench: Bench) -> Run:
    """The run that nothing interrupts."""
    return bench.train(epochs=2, **_SETTINGS)


def _resumed(output: Path) -> Run:
    return gluetune.train(resume=output, progress=False)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_anywhere_comes_to_the_same_bits(
    bench: Bench, whole: Run, moment: str
) -> None:
    output = bench.new_output()
    count = random.Random(f"{_SEED} {moment}").randint(1, _MOST.get(moment, 1))
    settings = bench.settings(epochs=2, checkpoint_minutes=1e-9, output=output, **_SETTINGS)

    assert train_and_die(moment, count, settings) == -signal.SIGKILL

    assert Run(output).status == "running"
    done = _resumed(output)
    assert outcome(done) == outcome(whole)
    assert checkpoints_of(output) == []


def test_a_run_killed_again_and_again_comes_to_the_same_bits(bench: Bench, whole: Run) -> None:
    draw = random.Random(_SEED)
    output = bench.new_output()
    arguments = bench.settings(epochs=2, checkpoint_minutes=1e-9, output=output, **_SETTINGS)
    deaths = 0
    for _ in range(4):
        moment = draw.choice(("step", "weights", "state", "manifest", "sweep"))
        deaths += train_and_die(moment, draw.randint(2, 5), arguments) == -signal.SIGKILL
        assert len(checkpoints_of(output)) <= 3  # the newest, the one before, and half a next one
        arguments = {"resume": output}
    done = _resumed(output)
    assert deaths == 4
    assert len(done.record.resumed_from) == 4
    assert outcome(done) == outcome(whole)


def _steps_saved(output: Path) -> int:
    names = [path.name for path in checkpoints_of(output)]
    return max((int(name[5:]) for name in names if name.startswith("step-")), default=0)


def _seen(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    process.send_signal(number)
    code, _, err = finish(process)
    assert "Traceback" not in err
    return code, err


def test_the_command_line_killed_interrupted_terminated_and_resumed(
    bench: Bench, whole: Run
) -> None:
    """SIGKILL before the first checkpoint, Ctrl-C, SIGTERM, and at last the end."""
    output = bench.new_output()
    arguments = bench.arguments(epochs=2, warmup=0.2, checkpoint_minutes=1e-9)
    arguments += ["--set", "lr_scheduler_type=cosine", "--output", str(output)]

    process = start(arguments)
    wait_until(process, lambda: (output / "record.json").exists())
    process.send_signal(signal.SIGKILL)
    assert finish(process)[0] == -signal.SIGKILL

    resume = ["train", "--resume", str(output)]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        before = _steps_saved(output)
        process = start(resume)
        wait_until(process, lambda before=before: _steps_saved(output) > before)  # type: ignore[misc]  # a default binds the loop's value
        ended, err = _seen(process, number)
        assert ended == code
        assert "Stopping after this step" in err
        assert f"gluetune train --resume {output}" in err
        record = Run(output).record
        assert record.status.value == "interrupted"
        assert before < record.steps == _steps_saved(output) < 14

    code, out, err = finish(start(resume))
    assert code == 0, err
    assert re.search(r"Resuming after step \d+", err)
    assert "best" in out
    assert outcome(Run(output)) == outcome(whole)


def test_a_configuration_repeats_its_run_to_the_bit(bench: Bench, whole: Run) -> None:
    again = gluetune.train(config=whole.folder.config, output=bench.new_output(), progress=False)
    assert outcome(again) == outcome(whole)
    assert again.folder.config.read_text() == whole.folder.config.read_text()
    other = gluetune.train(
        config=whole.folder.config, seed=7, output=bench.new_output(), progress=False
    )
    assert other.record.final_weights_sha256 != whole.record.final_weights_sha256
