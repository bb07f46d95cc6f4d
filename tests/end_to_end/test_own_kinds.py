"""Every kind of label is learned from generated text, and works with every later verb."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.own_files import write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import outcome

import gluetune
from gluetune.core.records import best_epoch

WORDS = [f"{first}{last}" for first in "bcdfgklmnp" for last in ("ab", "en", "ix", "ol")]


def _text(draw: random.Random, *marks: str) -> str:
    words = [*draw.choices(WORDS[20:], k=4), *marks]
    draw.shuffle(words)
    return " ".join(words)


def several_labels(folder: Path, draw: random.Random) -> dict[str, Any]:
    rows = []
    for _ in range(240):
        given = [
            name for name, share in (("a", 0.5), ("b", 0.3), ("c", 0.3)) if draw.random() < share
        ]
        marks = [WORDS["abc".index(name)] for name in given]
        rows.append({"text": _text(draw, *marks), "label": given})
    path = folder / "tags.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"train_file": path, "class_weights": "balanced", "label_smoothing": 0.02}


def numbers(folder: Path, draw: random.Random) -> dict[str, Any]:
    rows = [
        {"text": _text(draw, *[WORDS[0]] * count), "label": count / 2 + draw.random() / 5}
        for count in (draw.randrange(5) for _ in range(240))
    ]
    return {"train_file": write_csv(folder / "prices.csv", rows)}


def five_stars(folder: Path, draw: random.Random) -> dict[str, Any]:
    rows = [
        {"text": _text(draw, *[WORDS[stars]] * 3), "label": stars}
        for stars in (draw.randint(1, 5) for _ in range(240))
    ]
    return {"train_file": write_csv(folder / "stars.csv", rows), "metric": "f1_macro"}


def a_long_tail(folder: Path, draw: random.Random) -> dict[str, Any]:
    shares = [1 / (rank + 1) for rank in range(20)]
    kinds = [*range(20), *range(20), *draw.choices(range(20), shares, k=300)]
    rows = [{"text": _text(draw, *[WORDS[kind]] * 3), "label": f"kind {kind}"} for kind in kinds]
    return {"train_file": write_csv(folder / "kinds.csv", rows), "class_weights": "balanced"}


def two_texts(folder: Path, draw: random.Random) -> dict[str, Any]:
    rows = []
    for number in range(240):
        mark = WORDS[number % 2]
        rows.append(
            {
                "question": _text(draw),
                "answer": _text(draw, mark, mark),
                "good": ("no", "yes")[number % 2],
                "user": number // 3,
            }
        )
    return {
        "train_file": write_csv(folder / "pairs.csv", rows),
        "text": "question",
        "text_pair": "answer",
        "label": "good",
        "group": "user",
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("model") / "bert", "bert", dropout=0.0)


@pytest.mark.parametrize(
    "make",
    [several_labels, numbers, five_stars, a_long_tail, two_texts],
    ids=lambda one: one.__name__,
)
def test_it_is_learned_scored_compared_and_predicted(
    tmp_path: Path, model: Path, make: Callable[[Path, random.Random], dict[str, Any]]
) -> None:
    made = make(tmp_path, random.Random(3))
    settings: dict[str, Any] = {
        **made,
        "train_file": str(made["train_file"]),
        "model": str(model),
        "learning_rate": 5e-3,
        "epochs": 6,
        "validation_fraction": 0.2,
        "threads": 1,
        "precision": "fp32",
    }
    run = gluetune.train(**settings, output=tmp_path / "run", progress=False)
    baseline = run.record.majority_baseline
    assert baseline is not None
    assert run.score is not None
    assert run.score > (baseline.score or 0) + 0.1
    assert run.record.text_baseline is not None
    assert (run.record.text_baseline.score or 0) > (baseline.score or 0)
    assert not best_epoch(run.record).collapsed
    assert run.record.best is not None
    assert run.record.best.reloaded is not None
    assert run.record.best.agrees, "to the last bit, of numbers too"

    again = gluetune.train(config=run.folder.config, output=tmp_path / "again", progress=False)
    assert outcome(again)["final"] == outcome(run)["final"]
    assert outcome(again)["best"] == outcome(run)["best"]
    assert again.task.labels == run.task.labels

    measured = gluetune.evaluate(run.path)
    assert measured.score.score == pytest.approx(run.score, rel=1e-6)
    assert measured.agreement["validation"].largest_difference < 1e-5
    assert measured.intervals["score"] is not None

    other = gluetune.train(
        config=run.folder.config, epochs=1, output=tmp_path / "other", progress=False
    )
    (pair,) = gluetune.compare(other.path, run.path).pairs
    assert pair.difference == pytest.approx(run.score - (other.score or 0), abs=1e-5)

    target = tmp_path / f"answers{made['train_file'].suffix}"
    done = gluetune.predict(run.path, made["train_file"], output=target, prefix="said_")
    assert done.rows == len(made["train_file"].read_text().splitlines()) - (target.suffix == ".csv")
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert all(label in page for label in run.task.labels)
    assert "are not shown" not in page
    assert "bag of words" in page


@pytest.mark.parametrize(
    ("write", "metric"), [(several_labels, "roc_auc"), (numbers, "rmse"), (five_stars, "f1_macro")]
)
def test_extra_metrics_are_those_of_the_same_rows(
    tmp_path: Path, model: Path, write: Any, metric: str
) -> None:
    settings = write(tmp_path, random.Random(3))
    run = gluetune.train(
        **settings, model=str(model), epochs=1, threads=1, output=tmp_path / "run", progress=False
    )
    plain, further = run.evaluate(), run.evaluate(extra_metrics=metric)
    assert (further.data, further.rows) == (plain.data, plain.rows)
    assert further.score.score == plain.score.score == run.score
    assert further.score.metrics["validation"][metric] is not None
    assert further.intervals[metric] is not None


def test_thresholds_are_stored_in_the_run_and_with_the_model(tmp_path: Path, model: Path) -> None:
    draw = random.Random(8)
    rows = []
    for _ in range(300):
        given = [name for name in ("rare", "often") if draw.random() < (0.2, 0.6)[name == "often"]]
        # A misleading word: the best threshold is not one half.
        marks = [WORDS[0]] * ("rare" in given or draw.random() < 0.1)
        rows.append(
            {
                "text": _text(draw, *marks, WORDS[2] if "often" in given else WORDS[3]),
                "label": ";".join(given),
            }
        )
    run = gluetune.train(
        train_file=str(write_csv(tmp_path / "tags.csv", rows)),
        label_separator=";",
        model=str(model),
        learning_rate=5e-3,
        epochs=2,
        threads=1,
        precision="fp32",
        output=tmp_path / "run",
        progress=False,
    )
    assert run.record.data is not None
    assert run.record.data.rows["tuning"] > 20
    config = json.loads((run.model_path / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert tuple(config["thresholds"][name] for name in run.task.labels) == run.task.thresholds
    alone = gluetune.load(run.model_path, precision=run.config.precision)
    whole = gluetune.load(run.path)
    texts = [row["text"] for row in rows[:40]]
    assert [one.labels for one in alone(texts)] == [one.labels for one in whole(texts)]
    answered = tmp_path / "out.csv"
    gluetune.predict(run.path, tmp_path / "tags.csv", output=answered, prefix="p_")
    assert answered.read_text().splitlines()[0] == (
        "text,label,p_labels,p_probability_often,p_probability_rare"
    )
