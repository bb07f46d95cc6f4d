from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gluetune.cli.app import main


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Work in an empty folder; the settings that `train` was called with are put in here."""
    from gluetune.training import run

    given: dict[str, Any] = {}

    def train(task: str | None, **settings: Any) -> None:
        given.clear()
        given.update(settings, task=task)
        raise SystemExit(0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "train", train)
    return given


def _run(*words: str) -> object:
    with pytest.raises(SystemExit) as left:
        main(words)
    return left.value.code


def test_what_is_typed_overrides_variables_they_tables_and_these_the_lines_for_all_verbs(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gluetune.toml").write_text(
        'model = "for-all"\nepochs = 1\nseed = 1\nbatch-size = 8\nset = {adam_beta1 = 0.8}\n'
        "compact_vocabulary = false\nextra-metrics = ['f1', 'accuracy']\n"
        "[train]\nepochs = 2\nseed = 2\nbatch-size = 16\n[suite]\nseeds = 3\n"
    )
    monkeypatch.setenv("GLUETUNE_SEED", "3")
    monkeypatch.setenv("GLUETUNE_BATCH_SIZE", "32")
    assert _run("train", "cola", "--batch-size", "64") == 0
    assert {name: trained[name] for name in ("model", "epochs", "seed", "batch_size")} == {
        "model": "for-all",
        "epochs": "2",
        "seed": "3",
        "batch_size": "64",
    }
    assert trained["training_args"] == {"adam_beta1": 0.8}
    assert trained["compact_vocabulary"] is False
    assert trained["extra_metrics"] == "f1,accuracy"
    assert "'3' (GLUETUNE_SEED)" in capsys.readouterr().err


def test_a_file_of_settings_and_a_recipe_override_defaults_and_a_resumed_run_has_none(
    trained: dict[str, Any],
) -> None:
    Path("gluetune.toml").write_text("epochs = 1\nmax-length = 99\nlearning_rate = 1e-3\n")
    Path("mine.yaml").write_text("max_length: 50\n")
    assert _run("train", "cola", "--config", "mine.yaml", "--recipe", "stable") == 0
    assert not {"epochs", "learning_rate", "max_length"} & trained.keys()
    assert _run("train", "--resume", "runs/x") == 0
    assert not {"epochs", "learning_rate", "max_length"} & trained.keys()


def test_mistakes_of_the_file_are_reported_together(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gluetune.toml").write_text(
        "epoch = 1\ntrust-remote-code = true\n[train]\nbatchsize = 3\n[trian]\nseed = 1\n"
    )
    assert _run("train", "cola") == 2
    said = capsys.readouterr().err
    assert "gluetune.toml: unknown setting 'epoch'.\n       Did you mean epochs?" in said
    assert "gluetune.toml: trust-remote-code cannot be a default." in said
    assert "gluetune.toml: [train] unknown setting 'batchsize'." in said
    assert "unknown setting 'trian'" in said
    assert trained == {}


def test_a_file_that_is_no_toml_is_named_with_its_line(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("gluetune.toml").write_text("epochs: 3\n")
    assert _run("train", "cola") == 2
    said = capsys.readouterr().err
    assert "gluetune.toml cannot be read" in said
    assert "line 1" in said


def test_a_value_of_a_wrong_type_is_refused(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLUETUNE_WORST_ERRORS", "many")
    assert _run("evaluate", "runs/x") == 2
    assert "many" in capsys.readouterr().err


def test_env_shows_the_defaults(
    trained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gluetune.cli import env

    monkeypatch.setattr(env, "_facts", dict)
    Path("gluetune.toml").write_text('model = "a"\n[train]\nepochs = 2\n')
    monkeypatch.setenv("GLUETUNE_SEED", "3")
    with pytest.raises(SystemExit):
        main(["env", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["defaults"] == {
        "model": {"value": "a", "place": "gluetune.toml: model"},
        "train.epochs": {"value": 2, "place": "gluetune.toml: [train] epochs"},
        "seed": {"value": "3", "place": "GLUETUNE_SEED"},
    }
    with pytest.raises(SystemExit):
        main(["env"])
    assert "2 (gluetune.toml: [train] epochs)" in capsys.readouterr().out
