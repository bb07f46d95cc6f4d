"""A Run or a Suite is accepted wherever its folder is."""

from __future__ import annotations

import errno
import inspect
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub_server import Hub
from tests.support.own_files import write_csv
from tests.support.tiny_runs import Bench, outcome

import gluetune
from gluetune.core.runs import Run
from gluetune.serving import server


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def run(bench: Bench) -> Run:
    return bench.train(epochs=1)


def test_it_is_evaluated_loaded_predicted_with_reported_and_published(
    bench: Bench, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, by_folder = gluetune.evaluate(run), gluetune.evaluate(run.path)
    assert (found.model, found.score) == (by_folder.model, by_folder.score)
    assert gluetune.load(run)("rain walks") == gluetune.load(run.path)("rain walks")
    rows = write_csv(tmp_path / "rows.csv", [{"text": "rain walks"}, {"text": "a river"}])
    assert gluetune.predict(run, rows, output=tmp_path / "answers.csv", text="text").rows == 2
    page = gluetune.report(run)
    assert page == run.path / "report.html"
    assert gluetune.report(str(run.path)) == page
    assert gluetune.push(run, "me/model", dry_run=True).status == "dry run"
    other = bench.train(epochs=1, seed=43)
    assert gluetune.compare(run, other) == gluetune.compare(run.path, other.path)
    assert run.evaluate().to_dict()["score"] == found.to_dict()["score"]
    assert run.compare(other) == gluetune.compare(run, other)
    assert run.load()("rain walks") == gluetune.load(run)("rain walks")
    assert run.predict(rows, output=tmp_path / "more.csv", text="text").rows == 2
    assert run.report() == page
    assert run.push("me/model", dry_run=True).status == "dry run"
    points = gluetune.learning_curve(run, shares=[0.5])
    assert [point.share for point in points] == [0.5, 1.0]
    started = bench.train(model=run, epochs=1)
    assert started.config.model == str(run.model_path)
    with pytest.raises(gluetune.ConfigurationError, match="No run is on sst2, mrpc"):
        gluetune.submit(run)

    def stop(app: Any, limits: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "make_server", stop)
    messages: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        gluetune.serve(run, port=0, on_message=messages.append)
    assert f"Serving {run.path} on" in messages[-1]
    with pytest.raises(KeyboardInterrupt):
        run.serve(port=0)


def test_it_is_resumed(bench: Bench, run: Run) -> None:
    unfinished = bench.new_output()

    def stop(epoch: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gluetune.train(**bench.settings(epochs=1), output=unfinished, on_epoch=stop, progress=False)
    assert outcome(gluetune.train(resume=Run(unfinished), progress=False)) == outcome(run)


def test_a_suite_is_reported_compared_and_published(bench: Bench, tmp_path: Path) -> None:
    bench.settings("cola")
    made = [
        gluetune.suite(
            str(bench.model),
            tasks=["cola"],
            seeds=1,
            data=str(bench.data),
            output=tmp_path / name,
            progress=False,
            epochs=epochs,
            threads=1,
        )
        for name, epochs in (("one", 1), ("two", 2))
    ]
    assert gluetune.report(made[0]) == made[0].path / "report.html"
    assert set(gluetune.compare_suites(*made)) == {"cola"}
    assert gluetune.compare(*made) == gluetune.compare(*(each.path for each in made))
    (pushed,) = gluetune.push_suite(made[0], "me/suite", dry_run=True)
    assert pushed.repo == "me/suite-cola"


def test_every_function_with_a_run_folder_accepts_a_run() -> None:
    """Also those whose annotations a checker reads: `model`, `run`, `runs` and `resume`."""
    taken = {
        (name, parameter.name): str(parameter.annotation)
        for name in gluetune.__all__
        if inspect.isfunction(function := getattr(gluetune, name))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name in ("model", "run", "runs", "resume")
    }
    assert len(taken) >= 10
    assert [place for place, words in taken.items() if "Run" not in words] == []


MISSING: dict[str, Callable[[str], object]] = {
    "evaluate": gluetune.evaluate,
    "load": gluetune.load,
    "load onnx": lambda name: gluetune.load(name, backend="onnx"),
    "export": gluetune.export,
    "export elsewhere": lambda name: gluetune.export(name, output="onnx", task="cola"),
    "predict": lambda name: gluetune.predict(name, "rows.csv", output="answers.csv"),
    "serve": lambda name: gluetune.serve(name, port=0),
    "train from": lambda name: gluetune.train("cola", model=name, data="sample", progress=False),
    "resume": lambda name: gluetune.train(resume=name, progress=False),
    "report": gluetune.report,
    "compare": lambda name: gluetune.compare(name, name),
    "submit": gluetune.submit,
    "push": lambda name: gluetune.push(name, "me/model", dry_run=True),
    "learning curve": gluetune.learning_curve,
}


@pytest.mark.parametrize("verb", MISSING)
def test_a_missing_run_is_reported_with_the_nearest_name(
    run: Run, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    hub.use_in_process(monkeypatch)
    shutil.copytree(run.path, tmp_path / "runs" / "cola-tiny-s42")
    (tmp_path / "rows.csv").write_text("sentence\nA row.\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(gluetune.GluetuneError) as caught:
        MISSING[verb]("runs/cola-tiny-s41")
    assert any(
        finding.message.startswith(("There is no run runs/cola-", "There is no checkpoint folder"))
        and finding.hint == "Did you mean runs/cola-tiny-s42?"
        for finding in caught.value.findings
    )
    assert hub.requests == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.csv", "runs"]


def test_a_run_without_files_is_evaluated_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Root may write anywhere, so the system's refusal is made here."""
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "predictions" / "validation.parquet").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with caplog.at_level(logging.WARNING):
        found = gluetune.evaluate(tmp_path / "run")
    assert found.score == gluetune.evaluate(run).score
    assert "validation.parquet cannot be written: Read-only file system" in caplog.text
    with pytest.raises(gluetune.StorageError, match=r"report\.html cannot be written"):
        gluetune.report(tmp_path / "run")
