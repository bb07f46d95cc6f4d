"""Examples for the page: of every class, the same each time, or the reason why there are none."""

from __future__ import annotations

import shutil

import pytest
from tests.support.tiny_runs import Bench, write_task

from gluetune.core.runs import Run
from gluetune.inference.predictor import Predictor, load
from gluetune.serving.page import find_examples


def test_a_runs_examples_go_round_its_classes(pairs: Run) -> None:
    found, note = find_examples(load(pairs.path).opened)
    assert note == ""
    assert len(found) == 6
    assert {example.label for example in found} == {"equivalent", "not_equivalent"}
    assert all(len(example.texts) == 2 for example in found)
    assert found == find_examples(load(pairs.path).opened)[0]


def test_numbers_go_from_small_to_large(numbers: Run) -> None:
    found, _ = find_examples(load(numbers.path).opened)
    values = [float(example.label) for example in found]
    assert len(values) == 6
    assert values == sorted(values)


def test_several_labels_go_round_the_sets_that_there_are(several: Run) -> None:
    found, note = find_examples(load(several.path).opened)
    assert note == ""
    shown = [example.label for example in found]
    assert len(set(shown)) == len(shown) == 6, "there are more sets than examples"
    assert any(", " in label for label in shown)
    labels = {*several.task.labels, "none of the labels"}
    assert {name for label in shown for name in label.split(", ")} <= labels


def test_a_checkpoint_has_none_and_says_so(emotions: Predictor) -> None:
    found, note = find_examples(emotions.opened)
    assert found == []
    assert "not a run has no data" in note


@pytest.mark.parametrize("change", ["gone", "other"])
def test_data_that_are_gone_or_changed_give_none(bench: Bench, change: str) -> None:
    own = Bench(bench.folder / change)
    run = own.train("rte", epochs=1)
    shutil.rmtree(own.data / "rte")
    if change == "other":
        own.train_rows = 41
        shutil.rmtree(own.data)
        own.settings("rte")
        write_task(own.data, "rte", validation=13)
    found, note = find_examples(load(run.path).opened)
    assert found == []
    assert note.startswith("No examples are shown: ")
    assert ("has changed" in note) == (change == "other")
