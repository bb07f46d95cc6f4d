"""How a run begins: what is left of one that is killed at once, and two in one place."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.support.forks import FORKS
from tests.support.killed_runs import FIRST_MOMENTS, train_and_die
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench, outcome

import gluetune
from gluetune.cli.app import main
from gluetune.core.errors import RunError, StorageError
from gluetune.core.files import locked
from gluetune.core.runs import Run, claim_default_folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Settings of a training on a file, which fits a text baseline."""
    folder = tmp_path_factory.mktemp("own")
    return {
        "train_file": str(write_csv(folder / "reviews.csv", reviews())),
        "model": str(write_tiny_checkpoint(folder / "bert", "bert")),
        "epochs": 1,
        "validation_fraction": 0.2,
        "threads": 1,
        "precision": "fp32",
    }


@pytest.fixture(scope="module")
def undisturbed(own: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return gluetune.train(**own, output=tmp_path_factory.mktemp("runs") / "whole", progress=False)


@pytest.mark.parametrize("moment", FIRST_MOMENTS)
def test_a_run_killed_at_its_start_begins_again_in_its_folder(
    own: dict[str, Any], undisturbed: Run, tmp_path: Path, moment: str
) -> None:
    output = tmp_path / "run"
    assert train_and_die(moment, 1, {**own, "output": output}) == -9
    if moment == "text baseline":
        assert Run(output).status == "running"
        assert Run(output).record.majority_baseline is not None
        run = gluetune.train(resume=output, progress=False)
    else:
        with pytest.raises(RunError, match="is not a run"):
            Run(output)
        run = gluetune.train(**own, output=output, progress=False)
    assert outcome(run) == outcome(undisturbed)
    assert run.record.text_baseline == undisturbed.record.text_baseline is not None


def test_resuming_a_run_without_a_record_says_what_to_type(
    own: dict[str, Any], undisturbed: Run, tmp_path: Path
) -> None:
    output = tmp_path / "a run"
    assert train_and_die("first record", 1, {**own, "output": output}) == -9
    with pytest.raises(RunError, match="killed before") as caught:
        gluetune.train(resume=output, progress=False)
    words = shlex.split(caught.value.findings[0].hint.removeprefix("Type: "))
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert ended.value.code == 0
    assert outcome(Run(output)) == outcome(undisturbed)


def test_ctrl_c_while_the_text_baseline_is_fitted_leaves_a_run_to_resume(
    own: dict[str, Any], undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gluetune.training.history.kept_baseline", interrupted)
        with pytest.raises(KeyboardInterrupt):
            gluetune.train(**own, output=tmp_path / "run", progress=False)
    assert Run(tmp_path / "run").status == "interrupted"
    assert outcome(gluetune.train(resume=Run(tmp_path / "run"), progress=False)) == outcome(
        undisturbed
    )


@pytest.mark.parametrize(
    "names", [["config.yaml"], [".lock", "notes.txt"], [".lock", "config.yaml", "model"], ["a.txt"]]
)
def test_a_folder_of_somebody_else_is_not_taken(
    bench: Bench, tmp_path: Path, names: list[str]
) -> None:
    for name in names:
        (tmp_path / name).write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        bench.train(output=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert all((tmp_path / name).read_text() == "mine" for name in names)


def test_two_trainings_with_one_output_one_of_them_is_refused(bench: Bench) -> None:
    output = bench.new_output()
    output.mkdir(parents=True)
    with locked(output), pytest.raises(RunError, match=r"Another process .* is working in"):
        bench.train(output=output)
    assert bench.train(output=output).status == "finished"
    with pytest.raises(RunError, match="already holds a run"):
        bench.train(output=output)


def _claim(folder: str, barrier: Any, found: Any) -> None:
    import os

    os.chdir(folder)
    barrier.wait()
    for _ in range(20):
        found.put(str(claim_default_folder("cola", "minilm", 42)))


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    barrier, found = FORKS.Barrier(3), FORKS.Queue()
    processes = [
        FORKS.Process(target=_claim, args=(str(tmp_path), barrier, found)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    names = [found.get(timeout=60) for _ in range(60)]
    for process in processes:
        process.join()
    assert len(set(names)) == 60


@pytest.mark.parametrize("verb", ["train", "search", "suite"])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "file").write_text("")
    words = ["suite"] if verb == "suite" else [verb, "cola"]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--model", "nowhere/at/all", "--output", str(tmp_path / "file" / "run")])
    assert ended.value.code == 5
    assert "file is not a folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(StorageError, match="cannot be written"):
        gluetune.train("cola", model="nowhere/at/all", progress=False)
