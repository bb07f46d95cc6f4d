"""The request of a search determines its name, and its folder is checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import Findings, RunError
from gluetune.core.settings import make_settings
from gluetune.core.settings_files import dump_yaml, read_settings
from gluetune.core.tasks import TASKS
from gluetune.experiments.search.request import (
    SearchFolder,
    SearchRequest,
    check_folder,
    load_or_create,
)
from gluetune.experiments.search.space import parse_space
from gluetune.experiments.settings import SearchSettings, check_settings

SPACE = parse_space({"epochs": [1, 2], "learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}})
FOUND = {"resolved": {"threads": 2}, "fingerprints": {"train": "a", "holdout": "b"}}


def _settings(**changed: Any) -> SearchRequest:
    names = ("space", "direction", "pruner")
    own: dict[str, Any] = {name: changed.pop(name) for name in names if name in changed}
    base = make_config({"task": "cola", "model": "some/Model_X", **changed})
    given: dict[str, Any] = {"space": SPACE, **own}
    return SearchRequest(base=base, **given)


def test_the_name_depends_on_the_request() -> None:
    name = _settings().name
    assert name.startswith("cola-model-x-")
    assert name == _settings(output="elsewhere").name
    # A setting that is in the space is not a fixed one.
    assert name == _settings(epochs=3, learning_rate=1e-2).name
    others = [
        _settings(seed=1),
        _settings(fraction=0.5),
        _settings(holdout=0.1),
        _settings(metric="loss"),
        _settings(threads=1),
        _settings(training_args={"max_grad_norm": 2}),
        _settings(space=parse_space({"epochs": [1, 3]})),
        _settings(pruner="asha"),
        _settings(direction="minimize"),
    ]
    assert len({name, *(other.name for other in others)}) == 1 + len(others)


def test_the_name_depends_on_settings_that_differ_from_the_default() -> None:
    assert _settings().name == "cola-model-x-f313e87b"
    assert _settings(batch_size=TrainConfig.model_fields["batch_size"].default).name == (
        _settings().name
    )
    own = {"task": None, "train_file": "reviews.csv", "metric": "f1"}
    spec = replace(TASKS["cola"], labels=("no", "yes"))
    names = {
        positive: replace(_settings(**own, positive=positive), task=spec).name
        for positive in ("no", "yes", None)
    }
    # F1 is of the last class where none is chosen.
    assert names["yes"] == names[None] != names["no"]
    assert _settings(**own, quoting="none").name != _settings(**own).name


def test_a_search_with_the_name_of_another_release_is_found(tmp_path: Path) -> None:
    request = _settings()
    named = tmp_path / request.name
    assert request.find(tmp_path) == named
    load_or_create(SearchFolder(tmp_path / "cola-model-x-other"), request, FOUND)
    assert request.find(tmp_path) == named, "an --output of another form is the user's own"
    before = SearchFolder(tmp_path / "cola-model-x-00000000")
    load_or_create(before, request, FOUND)
    broken = tmp_path / "cola-model-x-11111111"
    broken.mkdir()
    (broken / "search.yaml").write_text("request: 3\n")
    assert request.find(tmp_path) == before.path
    assert _settings(seed=7).find(tmp_path) == tmp_path / _settings(seed=7).name
    # Settings that were not there yet are those of before there were any.
    kept = read_settings(before.settings)
    asked = kept.pop("request")
    del asked["fixed"]["on_bad_row"], asked["pruner"]
    before.settings.write_text(dump_yaml({"asked": asked, **kept}))
    assert request.find(tmp_path) == before.path
    assert load_or_create(before, request, FOUND) == FOUND


def test_functions_are_identified_by_their_source() -> None:
    def one(trial: Any) -> dict[str, Any]:
        return {"epochs": trial.suggest_int("epochs", 1, 2)}

    def two(trial: Any) -> dict[str, Any]:
        return {"epochs": trial.suggest_int("epochs", 1, 3)}

    first = _settings(space=one).name
    assert first == _settings(space=one).name
    assert first != _settings(space=two).name


def test_a_folder_keeps_what_was_resolved_at_the_start(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    assert load_or_create(folder, _settings(), FOUND) == FOUND
    other = {**FOUND, "resolved": {"threads": 1}}
    assert load_or_create(folder, _settings(), other) == FOUND
    assert read_settings(folder.settings)["request"]["space"]["epochs"] == [1, 2]


def test_a_folder_of_another_search_is_refused_with_the_difference(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    load_or_create(folder, _settings(), FOUND)
    before = folder.settings.read_bytes()
    with pytest.raises(RunError) as caught:
        load_or_create(folder, _settings(seed=7, space=parse_space({"epochs": [1]})), FOUND)
    message = str(caught.value)
    assert "seed was 42 and is 7" in message
    assert "space.epochs was 1,2 and is 1" in message
    assert folder.settings.read_bytes() == before


def test_changed_data_are_refused(tmp_path: Path) -> None:
    folder = SearchFolder(tmp_path)
    load_or_create(folder, _settings(), FOUND)
    other = {**FOUND, "fingerprints": {"train": "a", "holdout": "c"}}
    with pytest.raises(RunError, match=r"data have changed .* holdout"):
        load_or_create(folder, _settings(), other)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    check_folder(tmp_path / "new")
    check_folder(tmp_path)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(RunError, match="is not a search"):
        check_folder(tmp_path)
    with pytest.raises(RunError, match="is not a search"):
        check_folder(tmp_path / "letter.txt")
    (tmp_path / "search.yaml").touch()
    check_folder(tmp_path)


@pytest.mark.parametrize(
    ("typed", "seconds"), [("90", 90), ("30m", 1800), ("1.5h", 5400), ("20 s", 20), (7, 7)]
)
def test_a_timeout_has_units(typed: Any, seconds: float) -> None:
    assert make_settings(SearchSettings, {"timeout": typed}).timeout == seconds


def test_all_invalid_options_are_reported_together() -> None:
    findings = Findings()
    given = {"trials": "0", "timeout": "soon", "jobs": "many", "seeds": 0, "tune_on": "test"}
    valid = check_settings(SearchSettings, {**given, "sampler": "random"}, findings)
    assert (valid.trials, valid.sampler) == (20, "random"), "what is valid is checked further"
    messages = [str(finding) for finding in findings.error().findings]
    expected = (
        "trials='0': must be at least 1.",
        "timeout='soon': must be a number.",
        "tune_on='test': choose from train, validation.",
        "jobs='many': must be a whole number.",
        "seeds=0: must be at least 1.",
    )
    assert [
        part for part, finding in zip(expected, messages, strict=True) if part in finding
    ] == list(expected)
