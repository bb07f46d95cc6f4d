"""All mistakes in a suite are reported together before its first job."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.support.hub_server import Hub
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import write_task
from tests.unit.test_docs import parse

import gluetune
from gluetune.core.errors import GluetuneError
from gluetune.experiments.suite.preflight import Checked, check


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny", "bert"))


def checked(model: str, **changed: Any) -> Checked:
    settings = {"seeds": 2, "data": "sample", "fraction": 1.0}
    own = changed.pop("settings", {})
    return check(changed.pop("model", model), {**settings, **changed, **own})


def faults(model: str, **changed: Any) -> list[str]:
    with pytest.raises(GluetuneError) as caught:
        checked(model, **changed)
    assert caught.value.exit_code in (2, 3)
    return [str(finding) for finding in caught.value.findings]


def test_settings_typed_as_text_give_the_same_request(model: str) -> None:
    typed = checked(
        model,
        seeds=[42, 43],
        tasks=["CoLA", "sts-b", "cola"],
        fraction="0.5",
        settings={"epochs": "2", "training_args": {"adam_beta2": 0.9}},
    ).request
    called = checked(
        str(Path(model) / ".." / Path(model).name),
        tasks=["cola", "stsb"],
        fraction=0.5,
        settings={"epochs": 2, "training_args": {"adam_beta2": 0.9}},
    ).request
    assert typed == called
    assert typed.tasks == ("cola", "stsb")


@pytest.mark.parametrize("option", ["train_file", "data_set"])
def test_own_text_is_refused_once_with_the_command_that_trains_it(model: str, option: str) -> None:
    (messages,) = faults(model, settings={option: "my/reviews"})
    assert "a suite trains GLUE's tasks, not text of your own" in messages
    words = shlex.split(messages.partition("Type for each seed: gluetune ")[2])
    assert parse(words)[option] == "my/reviews"


def test_settings_that_do_not_affect_scores_are_not_in_the_request(model: str) -> None:
    plain = checked(model)
    tuned = checked(model, settings={"threads": "2", "checkpoint_minutes": "3"})
    assert tuned.request == plain.request
    assert tuned.machine == {"threads": 2, "checkpoint_minutes": 3.0}
    assert plain.machine == {}


def test_the_default_fraction_of_the_sample_is_an_eighth(model: str, tmp_path: Path) -> None:
    assert checked(model, fraction=None).request.fraction == 0.125
    assert checked(model, fraction=1).request.fraction == 1
    data = write_task(tmp_path / "glue", "cola")
    other = checked(model, fraction=None, data=str(data), tasks=["cola"])
    assert other.request.fraction == 1


def test_all_mistakes_are_reported_together(model: str) -> None:
    messages = faults(
        "./nothing",
        seeds=0,
        tasks=["cola", "colaa", "ax"],
        data="nowhere",
        recipe="stabel",
        jobs=0,
        settings={"epochs": -1, "training_args": {"nothing": 1}, "seed": 3},
    )
    for part in (
        "--seeds 0",
        "no task 'colaa'",
        "each run of mnli predicts it",
        "there is no such folder",
        "There is no checkpoint folder",
        "jobs=0",
        "no such field",
        "seed: a suite has no such setting",
    ):
        assert any(part in text for text in messages), (part, messages)
    messages = faults(model, tasks=["cola", "rte"], recipe="stabel", settings={"epochs": -1})
    assert len(messages) == 1
    assert "Did you mean 'stable'" in messages[0]
    messages = faults(model, tasks=["cola", "rte"], settings={"epochs": -1}, fraction=2)
    assert len(messages) == 2, "each is said once, however many tasks have it"


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"seeds": []}, "--seeds is empty"),
        ({"seeds": [1, 2, 1]}, "--seeds has 1 more than once"),
        ({"seeds": [-1]}, "-1 is not a valid seed"),
        ({"tasks": []}, "--tasks is empty"),
        ({"recipe": "modernbert"}, "no settings for wnli"),
        ({"mnli_init": True, "tasks": ["rte"]}, "--tasks mnli,rte"),
        ({"mnli_init": True, "tasks": ["mnli", "cola"]}, "has no effect"),
    ],
)
def test_one_mistake_is_one_message(model: str, changed: dict[str, Any], part: str) -> None:
    messages = faults(model, **changed)
    assert len(messages) == 1
    assert part in messages[0]


def test_missing_tasks_of_a_folder_are_each_reported(model: str, tmp_path: Path) -> None:
    data = write_task(tmp_path / "glue", "cola")
    messages = faults(model, data=str(data), tasks=["cola", "rte", "mnli"])
    assert [text.split()[0] for text in messages] == ["'rte'", "'mnli'"]


def test_a_head_for_other_classes_is_reported_without_a_new_head(tmp_path: Path) -> None:
    model = write_tiny_checkpoint(
        tmp_path / "nli", "bert", id2label={0: "entailment", 1: "neutral", 2: "contradiction"}
    )
    messages = faults(str(model), tasks=["mnli", "cola", "rte"])
    assert len(messages) == 2
    assert all("has a trained head" in text for text in messages)
    checked(str(model), tasks=["mnli"])
    checked(str(model), tasks=["mnli", "cola"], settings={"new_head": True})
    checked(str(model), tasks=["mnli", "rte"], mnli_init=True)


def test_an_unreachable_hub_is_reported_once(hub: Hub, tmp_path: Path) -> None:
    from tests.support.processes import finish, start

    environment = {**hub.environment, "HF_ENDPOINT": "http://127.0.0.1:9", "GLUETUNE_DATA": ""}
    process = start(
        ["suite", "--model", "some/model", "--output", str(tmp_path / "s")],
        environment=environment,
    )
    code, _, err = finish(process)
    assert code == 4
    assert "Traceback" not in err
    assert err.count("error:") == 2, err
    assert "--data sample" in err
    assert "--model minilm" in err
    assert not (tmp_path / "s").exists()


def test_a_folder_of_something_else_is_refused(model: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    with pytest.raises(gluetune.RunError, match="exists and is not a suite"):
        gluetune.suite(model, data="sample", output=tmp_path / "other", progress=False)
