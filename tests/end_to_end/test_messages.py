"""Errors are reported once, clearly, with what to type next; and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import ProcessLimits, finish, fork, start
from tests.support.tiny_runs import At, Bench, checkpoints_of, outcome, write_task

import gluetune
from gluetune.cli.app import main
from gluetune.core.files import locked
from gluetune.core.runs import Run

Tell = Callable[..., str]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Run a command that must fail, and return what it said."""

    def run(*words: object, code: int = 2) -> str:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        assert caught.value.code == code
        return _said(*capsys.readouterr())

    return run


def _said(out: str, err: str) -> str:
    assert out == ""
    assert "Traceback" not in err
    assert err.count("error:") == 1
    return err


def test_a_wrong_task(tell: Tell) -> None:
    said = tell("train", "colla")
    assert "colla" in said
    assert "cola" in said.replace("colla", "")


def test_a_missing_column(bench: Bench, tell: Tell, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    write_task(tmp_path, "cola")
    (file,) = (tmp_path / "cola").glob("validation-*")
    table = pq.read_table(file)
    pq.write_table(table.rename_columns(["text", *table.column_names[1:]]), file)
    said = tell(*bench.arguments(data=str(tmp_path)), code=3)
    assert "sentence" in said
    assert str(file.name) in said


def test_a_missing_split(bench: Bench, tell: Tell, tmp_path: Path) -> None:
    write_task(tmp_path, "cola")
    for file in (tmp_path / "cola").glob("validation-*"):
        file.unlink()
    said = tell(*bench.arguments(data=str(tmp_path)), code=3)
    assert "'validation'" in said
    assert "--data" in said


def test_a_missing_checkpoint(bench: Bench, tell: Tell) -> None:
    said = tell(*bench.arguments(model="./nowhere"), code=3)
    assert "./nowhere" in said
    assert "minilm" in said


def test_an_output_that_exists(bench: Bench, tell: Tell, tmp_path: Path) -> None:
    run = bench.train(epochs=0.1)
    before = sorted(path.name for path in run.path.rglob("*"))
    said = tell(*bench.arguments(output=run.path))
    assert "already holds a run" in said
    assert f"gluetune train --resume {run.path}" in said
    assert sorted(path.name for path in run.path.rglob("*")) == before

    (tmp_path / "mine.txt").write_text("mine")
    assert "not empty" in tell(*bench.arguments(output=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_finished_run_resumed(bench: Bench, tell: Tell) -> None:
    run = bench.train(epochs=0.1)
    before = outcome(run)
    said = tell("train", "--resume", run.path)
    assert "is finished" in said
    assert f"gluetune train --config {run.path}/config.yaml" in said
    assert outcome(Run(run.path)) == before


def test_a_folder_that_is_not_a_run(tell: Tell, tmp_path: Path) -> None:
    assert "is not a run" in tell("train", "--resume", tmp_path)
    assert list(tmp_path.iterdir()) == []


def _give_up(**kwargs: Any) -> None:
    raise KeyboardInterrupt


def _unfinished(bench: Bench, **settings: Any) -> Path:
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(output=output, callbacks=[At("on_step_end", 4, _give_up)], **settings)
    return output


def test_a_second_process_in_the_folder(bench: Bench, tell: Tell) -> None:
    output = _unfinished(bench)
    record = (output / "record.json").read_bytes()
    with locked(output):
        said = tell("train", "--resume", output)
    assert "Another process" in said
    assert "working in" in said
    assert (output / "record.json").read_bytes() == record
    assert gluetune.train(resume=output, progress=False).status == "finished"


def test_a_damaged_record(bench: Bench, tell: Tell) -> None:
    output = _unfinished(bench)
    (output / "record.json").write_text("{", encoding="utf-8")
    assert "damaged" in tell("train", "--resume", output)


def test_a_full_disk_while_a_checkpoint_is_written(bench: Bench) -> None:
    """The optimizer's file is the largest of all, so a limit strikes there and not before."""
    whole = bench.train()
    output = _unfinished(bench)
    (checkpoint,) = checkpoints_of(output)
    largest = sorted(path.stat().st_size for path in checkpoint.iterdir() if path.is_file())
    assert largest[-1] > largest[-2]

    limits = ProcessLimits(largest_file=(largest[-1] + largest[-2]) // 2)
    code, out, err = finish(fork(["train", "--resume", str(output)], limits=limits))

    assert code == 5, err
    assert "no room to write" in _said(out, err)
    assert "gluetune train --resume" in err
    run = Run(output)
    assert run.status == "failed"
    assert run.record.error is not None
    assert run.record.error.type == "StorageError"
    assert [path.name for path in checkpoints_of(output)] == [checkpoint.name]
    assert outcome(gluetune.train(resume=output, progress=False)) == outcome(whole)


def test_a_hub_that_cannot_be_reached(bench: Bench, tmp_path: Path) -> None:
    words = bench.arguments(model="nobody/nothing", output=tmp_path / "run")
    environment = {
        "HF_ENDPOINT": "http://127.0.0.1:9",  # the port that discards: nobody listens
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    code, out, err = finish(start(words, environment=environment))
    assert code == 4, err
    said = _said(out, err)
    assert "nobody/nothing" in said
    assert "--model" in said
    assert not (tmp_path / "run").exists()
