"""Runs against runs: what is compared with what, by which test, and in which words."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.predictions import classified, estimated, random_classified
from typer.testing import CliRunner

import gluetune
from gluetune.analysis.comparison import compare
from gluetune.cli.app import app
from gluetune.core.config import make_config
from gluetune.core.errors import RunError
from gluetune.core.records import (
    BestRecord,
    DataRecord,
    Predictions,
    Record,
    ScoreRecord,
    Status,
    now,
)
from gluetune.core.runs import Run
from gluetune.core.tasks import get_task
from gluetune.statistics.scores import score_task


def write_run(
    folder: Path,
    found: Predictions,
    *,
    task: str = "rte",
    seed: int = 1,
    data: str = "same",
    status: Status = Status.FINISHED,
    **settings: Any,
) -> Path:
    """Write a finished run of these answers, as far as a comparison reads it."""
    folder.mkdir(parents=True)
    make_config({"task": task, "seed": seed, **settings}).save(folder / "config.yaml")
    spec = get_task(task)
    score = score_task(spec, {"validation": found.predicted}, {"validation": found.labels})
    scores = ScoreRecord(score=score.score.value, metrics={"validation": {}})
    Record(
        status=status,
        task=task,
        seed=seed,
        started=now(),
        updated=now(),
        command="gluetune train",
        data=DataRecord(
            source="x", rows={}, fingerprints={"train": "t", "validation": data}, truncated={}
        ),
        best=BestRecord(epoch=1.0, step=1, validation=scores),
    ).save(folder / "record.json")
    (folder / "predictions").mkdir()
    pq.write_table(found.table(), folder / "predictions" / "validation.parquet")
    return folder


def _better(found: Predictions, count: int) -> Predictions:
    """Put right the first `count` wrong answers."""
    predicted = found.predicted.copy()
    wrong = np.flatnonzero(predicted != found.labels)[:count]
    predicted[wrong] = found.labels[wrong]
    return classified(found.labels, predicted)


def test_two_runs_are_held_together_example_by_example(tmp_path: Path) -> None:
    first = random_classified(277, right=0.7)
    one = write_run(tmp_path / "one", first, learning_rate=1e-5)
    two = write_run(tmp_path / "two", _better(first, 20), learning_rate=2e-5)
    found = compare(one, two)
    (pair,) = found.pairs
    assert found.examples == 277
    assert pair.test == "McNemar's exact test"
    assert pair.difference == pytest.approx(20 / 277)
    assert pair.p_value == pytest.approx(2 * 0.5**20)
    assert pair.low is not None
    assert pair.high is not None
    assert pair.low < pair.difference < pair.high
    assert pair.verdict.startswith("B is better than A by 7.2 points [")
    assert found.differing == {"learning_rate": (1e-5, 2e-5)}
    assert any("One seed a side" in note for note in found.notes)


def test_a_run_that_starts_from_another_names_that_model_and_no_more(tmp_path: Path) -> None:
    answers = random_classified(50)
    one = write_run(tmp_path / "one", answers)
    two = write_run(tmp_path / "two", answers, model=str(one / "model"))
    three = write_run(tmp_path / "three", answers, model=str(two / "model"))
    assert compare(one, two).differing["model"] == (Run(one).config.model, str(one / "model"))
    assert compare(two, three).differing["model"] == (str(one / "model"), str(two / "model"))


def test_the_better_run_is_named_whichever_comes_first(tmp_path: Path) -> None:
    first = random_classified(277, right=0.7)
    worse = write_run(tmp_path / "worse", first, epochs=1)
    better = write_run(tmp_path / "better", _better(first, 20), epochs=2)
    verdict = compare(better, worse).pairs[0].verdict
    assert verdict.startswith("A is better than B by 7.2 points [")
    assert "-" not in verdict.partition("]")[0]


def test_what_could_not_have_been_seen_is_said(tmp_path: Path) -> None:
    first = random_classified(277, right=0.7)
    one = write_run(tmp_path / "one", first)
    two = write_run(tmp_path / "two", _better(first, 3), epochs=3)
    (pair,) = compare(one, two).pairs
    assert pair.verdict.startswith("No difference is shown: B scores 1.1 points [")
    assert "With 277 examples a difference below" in pair.verdict
    assert pair.visible is not None
    assert 0.01 < pair.visible < 0.1


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_other_metrics_take_the_paired_bootstrap(tmp_path: Path, task: str) -> None:
    first = random_classified(300, right=0.7)
    one = write_run(tmp_path / "one", first, task=task)
    two = write_run(tmp_path / "two", _better(first, 30), task=task, epochs=3)
    (pair,) = compare(one, two).pairs
    assert pair.test == "paired bootstrap"
    assert pair.p_value < 0.01


def test_numbers_can_be_compared(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = random.uniform(0, 5, 200)
    one = write_run(
        tmp_path / "one", estimated(labels, labels + random.normal(0, 2, 200)), task="stsb"
    )
    two = write_run(
        tmp_path / "two",
        estimated(labels, labels + random.normal(0, 1, 200)),
        task="stsb",
        epochs=3,
    )
    assert compare(one, two).pairs[0].verdict.startswith("B is better than A")


def _seeds(folder: Path, rights: list[float], **settings: Any) -> list[Path]:
    return [
        write_run(
            folder / f"s{seed}", random_classified(277, right=right, seed=9), seed=seed, **settings
        )
        for seed, right in enumerate(rights)
    ]


def test_seeds_are_held_against_seeds(tmp_path: Path) -> None:
    low = _seeds(tmp_path / "low", [0.60, 0.61, 0.62], epochs=1)
    high = _seeds(tmp_path / "high", [0.80, 0.81, 0.82], epochs=2)
    found = compare(*low, *high)
    assert [side.seeds for side in found.sides] == [(0, 1, 2), (0, 1, 2)]
    (pair,) = found.pairs
    assert pair.test == "permutation test, 3 seeds against 3"
    assert pair.p_value == pair.smallest_p == pytest.approx(0.1)
    assert "cannot give a p below 0.1" in pair.verdict
    assert pair.low is not None
    assert pair.low > 0
    assert not any("One seed" in note for note in found.notes)


def test_more_seeds_can_show_it_and_several_sides_are_corrected_for(tmp_path: Path) -> None:
    runs = [
        _seeds(tmp_path / str(epochs), [start + 0.01 * seed for seed in range(5)], epochs=epochs)
        for epochs, start in ((1, 0.5), (2, 0.7), (3, 0.7))
    ]
    found = compare(*(run for group in runs for run in group))
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("A", "B"),
        ("A", "C"),
        ("B", "C"),
    ]
    assert found.pairs[0].adjusted_p == pytest.approx(3 * found.pairs[0].p_value)
    assert "corrected for 3 comparisons" in found.pairs[0].verdict
    assert found.pairs[0].verdict.startswith("B is better than A")
    assert "score the same" in found.pairs[2].verdict


def test_runs_of_one_recipe_are_compared_one_by_one(tmp_path: Path) -> None:
    found = compare(*_seeds(tmp_path, [0.6, 0.8]))
    assert [side.name for side in found.sides] == ["A", "B"]
    assert found.differing == {"seed": (0, 1)}


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    answers = random_classified(50)
    good = write_run(tmp_path / "good", answers)
    going = write_run(tmp_path / "going", answers, status=Status.RUNNING)
    other = write_run(tmp_path / "other", answers, task="sst2")
    with pytest.raises(RunError) as caught:
        compare(good, good, going, other)
    text = str(caught.value)
    for words in ("given twice", "is running", "--resume", "several tasks: rte, sst2"):
        assert words in text


def test_a_repeat_is_no_new_seed(tmp_path: Path) -> None:
    answers = random_classified(277)
    runs = [
        write_run(tmp_path / f"{epochs}-{number}", answers, epochs=epochs)
        for epochs in (1, 2)
        for number in range(2)
    ]
    with pytest.raises(RunError, match="a repeat is no new seed") as caught:
        compare(*runs)
    assert len(caught.value.findings) == 2


def test_answers_are_paired_by_index_whatever_the_order_of_their_rows(tmp_path: Path) -> None:
    answers = random_classified(277)
    one = write_run(tmp_path / "one", answers)
    two = write_run(tmp_path / "two", answers, epochs=2)
    path = two / "predictions" / "validation.parquet"
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(len(table)))[::-1]), path)
    assert compare(one, two).pairs[0].verdict.startswith("B and A score the same")
    pq.write_table(table.slice(1), path)
    with pytest.raises(RunError, match="predict other examples of 'validation'"):
        compare(one, two)


def test_what_is_not_said_or_not_there_is_no_agreement(tmp_path: Path) -> None:
    answers = random_classified(50)
    one = write_run(tmp_path / "one", answers)
    two = write_run(tmp_path / "two", answers, epochs=2)
    record = json.loads((two / "record.json").read_text())
    (two / "record.json").write_text(json.dumps({**record, "data": None}))
    (one / "predictions" / "validation.parquet").unlink()
    with pytest.raises(RunError) as caught:
        compare(one, two)
    assert "does not record which data" in str(caught.value)
    assert "has no predictions on 'validation'" in str(caught.value)
    with pytest.raises(RunError) as caught:
        compare(tmp_path / "nowhere", tmp_path / "neither")
    assert len(caught.value.findings) == 2


def test_other_data_and_a_single_run_are_refused(tmp_path: Path) -> None:
    answers = random_classified(50)
    one = write_run(tmp_path / "one", answers)
    two = write_run(tmp_path / "two", answers, data="other")
    with pytest.raises(RunError, match="scored on other data than"):
        compare(one, two)
    with pytest.raises(RunError, match="One run cannot be compared"):
        compare(one)


def test_the_command_prints_the_verdict_or_json(tmp_path: Path) -> None:
    first = random_classified(277, right=0.7)
    paths = [
        str(write_run(tmp_path / "one", first)),
        str(write_run(tmp_path / "two", _better(first, 20), epochs=3)),
    ]
    runner = CliRunner()
    told = runner.invoke(app, ["compare", *paths], env={"COLUMNS": "160"})
    assert told.exit_code == 0, told.output
    assert "B is better than A by 7.2 points" in told.output
    assert "What differs" in told.output
    parsed = json.loads(runner.invoke(app, ["compare", "--json", *paths]).output)
    expected = dataclasses.asdict(gluetune.compare(*paths))
    assert parsed["pairs"][0]["verdict"] == expected["pairs"][0]["verdict"]


def test_a_comparison_is_a_value_that_shows_itself(tmp_path: Path) -> None:
    labels = random_classified(277).labels
    one = write_run(tmp_path / "one", classified(labels, labels))
    two = write_run(tmp_path / "two", classified(labels, 1 - labels), epochs=2)
    found = compare(one, two)
    assert repr(found).startswith("Comparison(rte: A=1.0000, B=0.0000; A is better than B by 100.0")
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["pairs"][0]["verdict"] == found.verdicts[0]
    assert plain["sides"][0]["runs"] == [str(one)]
    frames = found.to_pandas()
    assert frames["sides"]["score"].tolist() == [1.0, 0.0]
    assert found.to_pandas("differing")["setting"].tolist() == ["epochs"]
    assert found.to_pandas("pairs")["interval_high"][0] == found.pairs[0].high
    assert "A is better than B" in found._repr_html_()
