"""F1 of one class: every verb names the class, and a run keeps it; an older one the last class."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sklearn.metrics import f1_score
from tests.support.own_files import write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app
from gluetune.core.errors import RunError
from gluetune.core.runs import Run
from gluetune.core.settings_files import dump_yaml, read_settings
from gluetune.core.tasks import get_task

RARE = "[red]rare"  # as it would colour a terminal, were it taken for markup
NAMED = f"f1 of '{RARE}'"


class Trained:
    """A file of two classes, and runs on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = [
            {"text": f"row {number} {'xx' if rare else 'yy'}", "label": RARE if rare else "usual"}
            for number in range(90)
            for rare in [number % 3 == 0]
        ]
        self.settings: dict[str, Any] = {
            "train_file": str(write_csv(folder / "rows.csv", rows)),
            "model": str(write_tiny_checkpoint(folder / "model", "bert")),
            "metric": "f1",
            "epochs": 2,
            "learning_rate": 3e-3,
            "validation_fraction": 0.3,
            "threads": 1,
            "precision": "fp32",
        }
        output = folder / "run"
        words = [
            word
            for name, value in self.settings.items()
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        self.said = typed("train", *words, "--output", output)
        self.run = Run(output)

    def train(self, name: str, **changed: Any) -> Run:
        """Train once more."""
        settings = {**self.settings, **changed}
        return gluetune.train(**settings, output=self.folder / name, progress=False)


def typed(*words: Any) -> str:
    result = CliRunner(env={"COLUMNS": "250", "NO_COLOR": "1"}).invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("positive"))


@pytest.fixture(scope="module")
def usual(trained: Trained) -> Run:
    return trained.train("usual", positive="usual")


def f1_of(run: Run, label: str) -> float:
    found = run.predictions()
    number = run.task.labels.index(label)
    return float(f1_score(found["label"], found["prediction"], pos_label=number))


def test_training_names_the_class_selects_by_it_and_keeps_it(trained: Trained, usual: Run) -> None:
    run = trained.run
    assert f"F1 is of '{RARE}', the rarer class (30 of 90 rows)" in trained.said
    assert f"epoch 1: {NAMED}" in trained.said
    assert trained.said.count("f1 of") > 4, "the lines of the epochs, and the tables"
    assert run.record.own_task is not None
    assert run.record.own_task.positive == RARE
    assert read_settings(run.folder.config)["positive"] == RARE
    assert usual.task.positive == "usual"
    for one, label in ((run, RARE), (usual, "usual")):
        assert one.score == pytest.approx(f1_of(one, label))
        best = max(epoch.validation.flat()["f1"] or 0 for epoch in one.record.epochs)
        assert one.score == pytest.approx(best)
        baseline = one.record.majority_baseline
        assert baseline is not None
        assert (baseline.score == 0) == (label == RARE)


def test_a_repeat_is_scored_by_the_same_class(trained: Trained) -> None:
    again = gluetune.train(
        config=trained.run.folder.config, output=trained.folder / "again", progress=False
    )
    assert again.task == trained.run.task
    assert again.score == trained.run.score


def test_every_verb_names_the_class(trained: Trained, tmp_path: Path) -> None:
    path = trained.run.path
    assert NAMED in typed("evaluate", path)
    assert json.loads(typed("evaluate", path, "--json"))["positive"] == RARE
    page = (path / "report.html").read_text(encoding="utf-8")
    assert f"f1 of &#39;{RARE}&#39;" in page
    card = typed("push", path, "me/mine", "--dry-run")
    assert "| f1 of '\\[red\\]rare' |" in card
    assert f"name: \"f1 of '{RARE}'\"" in card
    other = trained.train("other", seed=1)
    assert f"27 validation examples, scored by {NAMED}" in typed("compare", path, other.path)
    found = json.loads(typed("compare", path, other.path, "--json"))
    assert (found["score"], found["positive"]) == (NAMED, RARE)


@pytest.mark.parametrize("given", [["--positive", RARE], []])
def test_a_search_names_the_class_of_its_objective(
    trained: Trained, tmp_path: Path, given: list[str]
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("learning_rate: [1.0e-3, 3.0e-3]\n", encoding="utf-8")
    output = tmp_path / "search"
    said = typed(
        *("search", "--train-file", trained.settings["train_file"], "--objective", "f1", *given),
        *("--model", trained.settings["model"], "--epochs", 1, "--holdout", 0.3, "--trials", 1),
        *("--space", space, "--output", output),
    )
    assert f"rows: {NAMED} on" in said
    page = (output / "search.html").read_text(encoding="utf-8")
    assert f"Objective: maximize f1 of &#39;{RARE}&#39;" in page
    runs = [Run(output / "trials" / "0000"), Run(output / "final" / "s42")]
    assert [run.config.positive for run in runs] == [RARE, RARE]


def test_a_search_refuses_with_its_own_flags(trained: Trained) -> None:
    words = ["search", "--train-file", trained.settings["train_file"], "--positive", "usual"]
    words += ["--objective", "accuracy", "--model", trained.settings["model"]]
    result = CliRunner().invoke(app, words)
    assert result.exit_code != 0
    assert "Type: --objective f1 --positive usual" in str(result.exception)


def test_runs_of_other_classes_are_not_compared(trained: Trained, usual: Run) -> None:
    with pytest.raises(RunError, match=r"F1 of other classes: '\[red\]rare' and 'usual'") as caught:
        gluetune.compare(trained.run.path, usual.path)
    assert "--positive '[red]rare'" in caught.value.findings[0].hint


def made_older(run: Path, target: Path) -> Path:
    """Copy a run as it was before there was a choice: nothing in it names a class."""
    shutil.copytree(run, target)
    record = json.loads((target / "record.json").read_text(encoding="utf-8"))
    del record["own_task"]["positive"]
    (target / "record.json").write_text(json.dumps(record), encoding="utf-8")
    settings = read_settings(target / "config.yaml")
    del settings["positive"]
    (target / "config.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    return target


def test_an_older_run_keeps_the_last_class_with_a_note(
    trained: Trained, usual: Run, tmp_path: Path
) -> None:
    """What was scored by the last class then is evaluated and compared by it now."""
    old = made_older(usual.path, tmp_path / "old")
    found = gluetune.evaluate(old)
    assert found.score.score == pytest.approx(usual.score)
    assert found.spec.positive_label == "usual"
    said = typed("evaluate", old)
    assert "f1 of 'usual'" in said
    assert (
        "does not state a positive class: its metrics of one class are of 'usual', the last one"
        in said
    )
    compared = gluetune.compare(old, usual.path)
    assert compared.pairs[0].difference == 0
    assert any("does not state a positive class" in note for note in compared.notes)
    with pytest.raises(RunError, match="F1 of other classes"):
        gluetune.compare(old, trained.run.path)
    gluetune.report(old)
    assert "does not state a positive class" in (old / "report.html").read_text(encoding="utf-8")
    assert "does not state a positive class" in typed("push", old, "me/mine", "--dry-run")
    points = gluetune.learning_curve(old, shares=(0.5,))
    assert Run(points[0].run).task.positive == "usual"


def test_an_older_run_is_resumed_with_its_class(
    trained: Trained, usual: Run, tmp_path: Path
) -> None:
    def stop(**state: Any) -> None:
        raise KeyboardInterrupt

    begun = tmp_path / "begun"
    with pytest.raises(KeyboardInterrupt):
        gluetune.train(
            **trained.settings,
            positive="usual",
            checkpoint_minutes=1e-9,
            callbacks=[At("on_step_end", 5, stop)],
            output=begun,
            progress=False,
        )
    old = made_older(begun, tmp_path / "old")
    done = gluetune.train(resume=old, progress=False)
    assert done.score == usual.score
    assert done.record.epochs[-1].validation == usual.record.epochs[-1].validation


def test_f1_of_glue_tasks_is_of_the_official_class() -> None:
    assert get_task("mrpc").metric_title("f1") == "f1 of 'equivalent'"
    assert get_task("qqp").metric_title("f1") == "f1 of 'duplicate'"
