"""`gluetune.load`: a model called with text answers as it was scored."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.tiny_runs import Bench

import gluetune
from gluetune.core.errors import ConfigurationError, RenamedWarning
from gluetune.core.runs import Run
from gluetune.inference import predictor as module
from gluetune.inference.predictor import Predictor, load


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def run(bench: Bench) -> Run:
    return bench.train("cola", epochs=1)


@pytest.fixture(scope="module")
def predictor(run: Run) -> Predictor:
    return load(run.path)


def validation_texts(run: Run) -> list[str]:
    from gluetune.core.tasks import get_task
    from gluetune.data.sources import open_source

    table = open_source(run.config.data).read(get_task("cola"), "validation")
    return [str(text) for text in table["sentence"].to_pylist()]


def test_a_runs_own_examples_get_the_kept_logits(run: Run, predictor: Predictor) -> None:
    kept = np.array(run.predictions()["logits"].to_pylist(), dtype=np.float32)
    np.testing.assert_array_equal(predictor.logits(validation_texts(run)), kept)


def test_windows_change_nothing_but_rounding(
    run: Run, predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = validation_texts(run)
    whole = predictor.logits(texts)
    monkeypatch.setattr(module, "WINDOW", 5)
    np.testing.assert_allclose(predictor.logits(texts), whole, rtol=0, atol=1e-5)


def test_one_text_has_one_answer_and_a_list_a_list(predictor: Predictor) -> None:
    one = predictor("a b c")
    assert one.score == one.probabilities[str(one.label)] == max(one.probabilities.values())
    assert sum(one.probabilities.values()) == pytest.approx(1)
    assert tuple(one.probabilities) == predictor.labels == ("unacceptable", "acceptable")
    assert predictor([]) == []
    many = predictor(["a b c", "d"])
    assert [answer.label for answer in many[:1]] == [one.label]
    assert len(many) == 2
    assert repr(predictor).startswith("Predictor('")


def test_answers_is_the_former_name_of_predictions(predictor: Predictor) -> None:
    logits = predictor.logits(["one text"])
    with pytest.warns(RenamedWarning, match=r"answers is now called Predictor\.predictions"):
        assert predictor.answers(logits) == predictor.predictions(logits)


def test_threads_may_ask_at_once(predictor: Predictor, run: Run) -> None:
    texts = validation_texts(run)[:8]
    alone = [predictor.logits([text]) for text in texts]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda text: predictor.logits([text]), texts * 5))
    for number, logits in enumerate(together):
        np.testing.assert_array_equal(logits, alone[number % len(texts)])


def test_pairs_are_two_arguments_or_a_tuple(bench: Bench) -> None:
    asked = load(bench.train("rte", epochs=1).path)
    assert asked("a b", "c") == asked(("a b", "c")) == asked([("a b", "c")])[0]
    assert asked("a b", "c").score != asked("c", "a b").score
    wrongs: list[Any] = ["a b", ["a", "b"], [("a", "b"), "c"], [("a", "b", "c")]]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match="reads two texts per example") as raised:
            asked(wrong)
        assert 'predictor("first", "second")' in raised.value.findings[0].hint
    with pytest.raises(ConfigurationError, match="one first text, not with a list"):
        asked(["a"], "b")  # type: ignore[call-overload]


def test_a_pair_is_too_much_for_a_task_of_one_text(predictor: Predictor) -> None:
    expected = "reads one text per example, and was given 2"
    with pytest.raises(ConfigurationError, match=expected) as raised:
        predictor("a", "b")
    assert 'predictor(["one", "two"])' in raised.value.findings[0].hint
    assert "pair" not in raised.value.findings[0].hint


def test_regression_answers_with_a_number(bench: Bench) -> None:
    answer = load(bench.train("stsb", epochs=1).path)("a b", "c")
    assert answer.label is None
    assert answer.probabilities == {}
    assert isinstance(answer.score, float)


def test_a_plain_checkpoint_answers_with_its_own_classes(run: Run, tmp_path: Path) -> None:
    own = load(_restated(run, tmp_path / "plain", None), precision="fp32")
    assert own.texts_per_example is None
    assert own.labels == ("unacceptable", "acceptable")
    assert own("a b c").score == pytest.approx(load(run.path)("a b c").score, abs=1e-5)
    assert own("a b c", "d").label in own.labels


@pytest.mark.parametrize("stated", ["cola", "CoLA"])
def test_a_checkpoint_that_states_its_task_answers_with_the_tasks_classes(
    run: Run, tmp_path: Path, stated: str
) -> None:
    found = load(_restated(run, tmp_path / "stated", stated), precision="fp32")
    assert found.texts_per_example == 1
    assert found.labels == ("unacceptable", "acceptable")


@pytest.mark.parametrize("stated", ["mnli", "no-task", 3])
def test_a_stated_task_with_other_classes_is_passed_over(
    run: Run, tmp_path: Path, stated: object
) -> None:
    assert load(_restated(run, tmp_path / "stated", stated)).texts_per_example is None


def test_a_run_states_its_task(run: Run) -> None:
    assert _config(run.model_path)["finetuning_task"] == "cola"


def _config(folder: Path) -> dict[str, object]:
    config: dict[str, object] = json.loads((folder / "config.json").read_text())
    return config


def _restated(run: Run, folder: Path, task: object) -> Path:
    """Copy the run's model, with another task stated in its config.json."""
    shutil.copytree(run.model_path, folder)
    config = _config(folder) | {"finetuning_task": task}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_long_text_is_cut_to_what_fits(predictor: Predictor) -> None:
    long = "a b c d " * 2000
    assert predictor(long).label in predictor.labels


def test_it_is_exported() -> None:
    assert gluetune.load is load


def test_label_order_needs_a_task(run: Run) -> None:
    with pytest.raises(ConfigurationError, match="no task is given"):
        load(run.model_path, label_order=["a", "b"])


def test_what_is_no_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(gluetune.GluetuneError):
        load(tmp_path / "nothing")
