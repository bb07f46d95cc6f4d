"""Search and training on a real Ray cluster: one for the whole test run, with two cores.

Every trial is bit-identical to a local one, also when its worker is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.forked_processes import command, run_together
from tests.support.tiny_runs import Bench, checkpoints_of, outcome

import gluetune
from gluetune.core.runs import Run

ray: Any = pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")

_SPACE = {"learning_rate": [1e-3, 3e-3]}


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """The address of a cluster of two cores, whose sockets need a short path."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray's own spelling; else workers wait for whatever else runs here.
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=80 * 2**20,
            _temp_dir=folder,
            log_to_driver=False,
            logging_level="ERROR",
        )
        yield ray.get_runtime_context().gcs_address
        ray.shutdown()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"), dropout=0.2, train=64)


def settings(bench: Bench, **changed: Any) -> dict[str, Any]:
    given = bench.settings(epochs=4, checkpoint_minutes=1e-9, **changed)
    del given["learning_rate"]
    return {**given, "space": _SPACE, "sampler": "random", "pruner": "none"}


def as_words(given: dict[str, Any]) -> list[str]:
    words = []
    for name, value in given.items():
        words += [] if name == "task" else [f"--{name.replace('_', '-')}", str(value)]
    return words


class Killer(threading.Thread):
    """Kills the process that works in a run's folder, once the run has saved some steps."""

    def __init__(self, run: Path) -> None:
        super().__init__(daemon=True)
        self.run_folder = run
        self.killed: int | None = None

    def run(self) -> None:
        until(lambda: has_saved(self.run_folder))
        holder = int((self.run_folder / ".lock").read_text().split()[-1])
        os.kill(holder, signal.SIGKILL)
        self.killed = holder


def has_saved(run: Path) -> bool:
    return any(path.name.startswith("step-") for path in checkpoints_of(run))


def until(condition: Callable[[], bool], seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


def test_a_killed_trial_is_resumed_and_every_trial_repeats_bit_for_bit(
    cluster: str, bench: Bench, tmp_path: Path
) -> None:
    killer = Killer(tmp_path / "search" / "trials" / "0000")
    killer.start()
    best = gluetune.search(
        **settings(bench, output=tmp_path / "search"), trials=2, ray="auto", progress=False
    )
    killer.join()
    assert killer.killed not in (None, os.getpid())
    assert [trial.state for trial in best.trials] == ["finished", "finished"]
    first = Run(best.trials[0].run)
    assert first.record.resumed_from[0] > 0
    assert first.record.environment is not None
    assert first.record.environment.threads == 1
    for number, trial in enumerate(best.trials):
        run = Run(trial.run)
        alone = gluetune.train(
            config=run.folder.config, output=tmp_path / f"alone-{number}", progress=False
        )
        assert alone.record.epochs[-1].validation == run.record.epochs[-1].validation
        assert alone.record.final_weights_sha256 == run.record.final_weights_sha256
    assert len(best.finals) == 1


def test_a_search_whose_driver_was_killed_is_resumed(
    cluster: str, bench: Bench, tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: [0.001, 0.003]\n")
    given = {**settings(bench, output=tmp_path / "search"), "space": space}
    words = ["search", "cola", *as_words(given)]
    words += ["--trials", "3", "--no-final", "--ray", cluster, "--jobs", "2"]
    # A process of its own, not a fork: a server of forks may be older than the cluster's settings.
    driver = subprocess.Popen([sys.executable, "-m", "gluetune", *map(str, words)])
    second = tmp_path / "search" / "trials" / "0001"
    until(lambda: driver.poll() is not None or has_saved(second))
    assert driver.poll() is None
    driver.kill()
    driver.wait()
    begun = Run(second).record.started
    best = gluetune.search(**given, trials=3, final=False, ray=cluster, jobs=2, progress=False)
    assert [trial.state for trial in best.trials] == ["finished"] * 3
    assert Run(second).record.started == begun
    assert Run(second).record.resumed_from


def test_ray_train_gives_the_bits_of_torchrun(cluster: str, bench: Bench, tmp_path: Path) -> None:
    given = bench.settings(epochs=3, checkpoint_minutes=1e-9)
    words = ["train", "cola", *as_words(given)]
    ends = run_together(tmp_path, command, *words, "--output", str(tmp_path / "torchrun"))
    assert [end.code for end in ends] == [0, 0], ends
    killer = Killer(tmp_path / "ray")
    killer.start()
    run = gluetune.train(**given, processes=2, ray="auto", output=tmp_path / "ray", progress=False)
    killer.join()
    assert killer.killed not in (None, os.getpid())
    assert run.record.resumed_from
    assert outcome(run) == outcome(Run(tmp_path / "torchrun"))
    assert not list(tmp_path.glob(".ray-*"))


def test_a_suite_continues_when_a_worker_is_killed(
    cluster: str, bench: Bench, tmp_path: Path
) -> None:
    given = bench.settings(epochs=3, checkpoint_minutes=1e-9)
    del given["task"]
    killer = Killer(tmp_path / "suite" / "cola-s42")
    killer.start()
    suite = gluetune.suite(
        **given, tasks=["cola"], seeds=2, ray="auto", output=tmp_path / "suite", progress=False
    )
    killer.join()
    assert killer.killed not in (None, os.getpid())
    assert not suite.failed
    killed = Run(tmp_path / "suite" / "cola-s42")
    assert killed.record.resumed_from
    assert killed.status == "finished"
    assert killed.config.threads == 1
