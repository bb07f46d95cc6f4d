"""A kind is one object, by its name or the name that it had before."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gluetune.core.config import TrainConfig, make_config
from gluetune.core.errors import RenamedWarning
from gluetune.core.records import Record
from gluetune.core.tasks import get_task
from gluetune.kinds import FORMER_NAMES, KINDS, MULTI_LABEL, REGRESSION, Kind, KindName, get_kind
from gluetune.training.trainer import ClassificationLoss

OWN = replace(get_task("mrpc"), rows={})


def test_every_kind_can_be_asked_for() -> None:
    assert get_args(KindName) == tuple(KINDS)
    for name in KINDS:
        assert make_config({"train_file": "a.csv", "kind": name}).kind == name


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_copy_in_another_process_is_the_same_object(kind: Kind) -> None:
    task = replace(OWN, kind=kind)
    assert pickle.loads(pickle.dumps(kind)) is kind
    assert copy.deepcopy(task) == task


@pytest.mark.parametrize(("former", "name"), FORMER_NAMES.items())
def test_a_former_name_is_read_and_warned_of_where_it_is_typed(former: str, name: str) -> None:
    assert get_kind(former).name == name
    saved = {"train_file": "a.csv", "kind": former}
    assert make_config(saved).kind == name
    with pytest.warns(RenamedWarning, match=f"kind {former} is now called {name}"):
        typed = make_config(saved, places={"kind": "kind"})
    assert typed.kind == name


def test_a_kind_that_there_is_not_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="Did you mean 'ordinal'"):
        get_kind("ordinals")


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
def test_a_record_holds_the_name_of_its_kind(kind: Kind, tmp_path: Path) -> None:
    labels = ("a", "b") if kind.fewest_labels else ()
    record = _record(replace(OWN, kind=kind, labels=labels))
    record.save(tmp_path / "record.json")
    assert f'"kind": "{kind.name}"' in (tmp_path / "record.json").read_text("utf-8")
    text = (tmp_path / "record.json").read_text("utf-8")
    assert Record.model_validate_json(text).own_task == record.own_task


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"labels": ["a", "b"], "multi_label": False}, "single_label"),
        ({"labels": ["a", "b"], "multi_label": True}, "multi_label"),
        ({"labels": [], "multi_label": False}, "regression"),
    ],
)
def test_a_record_without_a_kind_is_read_as_before(given: dict[str, Any], kind: str) -> None:
    plain = _record(replace(OWN, metrics=("accuracy",))).model_dump(mode="json")
    del plain["own_task"]["kind"]
    plain["own_task"].update(given)
    own = Record.model_validate(plain).own_task
    assert own is not None
    assert own.kind is KINDS[kind]


def _record(task: Any) -> Record:
    return Record(task="own", own_task=task, seed=1, started="", updated="", command="")


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
@given(data=st.data())
def test_the_loss_of_an_evaluation_is_that_of_training(kind: Kind, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 5)) if kind.fewest_labels else 1
    rows = data.draw(st.integers(1, 6))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    logits = random.normal(size=(rows, size))
    labels = kind.decode(random.normal(size=(rows, size)))
    loss = ClassificationLoss(kind)({"logits": torch.from_numpy(logits)}, torch.from_numpy(labels))
    assert loss.item() == pytest.approx(kind.losses(logits, labels).mean())


@pytest.mark.parametrize("kind", KINDS.values(), ids=str)
@given(data=st.data())
def test_margins_and_answers_are_of_what_is_decoded(kind: Kind, data: st.DataObject) -> None:
    size = data.draw(st.integers(2, 5)) if kind.fewest_labels else 1
    logits = np.random.default_rng(data.draw(st.integers(0, 1000))).normal(size=(6, size))
    names = tuple("abcde"[:size]) if kind.fewest_labels else ()
    limits = (0.5,) * size if kind.has_thresholds else ()
    predicted = kind.decode(logits, limits)
    texts = [kind.label_text(names, one) for one in predicted]
    for text, answer in zip(texts, kind.predictions(names, logits, limits), strict=True):
        given = answer.label or f"{answer.score:.2f}"
        assert text == (given if answer.labels is None else ", ".join(answer.labels) or "-")
    positive = kind.margins(logits, limits) > 0
    assert [", ".join(np.array(names)[row]) or "-" for row in positive] == texts or not names
    assert kind.changes(predicted, predicted, logits, limits) == (0, 0.0)


def test_the_kinds_of_published_tasks() -> None:
    assert get_task("stsb").kind is REGRESSION
    with pytest.warns(RenamedWarning):
        assert get_task("stsb").is_regression
    with pytest.warns(RenamedWarning):
        assert replace(OWN, kind=MULTI_LABEL).multi_label


def test_the_setting_names_every_kind() -> None:
    description = TrainConfig.model_fields["kind"].description or ""
    assert all(name in description for name in KINDS)
