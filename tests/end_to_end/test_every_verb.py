"""Every verb works on every kind of label: a table of kinds (`tests/support/kinds.py`) by verbs.

A verb is a function below with `@verb`, which receives a `Trained`: a run of a kind, and what the
verbs share of it. Whoever adds a kind or a verb adds one entry, and all of its pairs are tried.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.support.kinds import KINDS, Kind
from tests.support.servers import serving_run
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At, outcome
from transformers import pipeline
from typer.testing import CliRunner, Result

import gluetune
from gluetune.cli.app import app
from gluetune.core.runs import Run, read_export
from gluetune.core.text import visible
from gluetune.kinds.base import Prediction

_WIDE = {"COLUMNS": "300", "NO_COLOR": "1"}


@dataclass
class Trained:
    """A finished run of one kind, and what several verbs need besides."""

    kind: Kind
    folder: Path
    file: Path
    model: Path

    def typed(self, *words: Any, text: bytes | None = None) -> Result:
        """Run a command line that has to succeed, and return what came of it."""
        result = CliRunner(env=_WIDE).invoke(app, [str(word) for word in words], input=text)
        assert result.exit_code == 0, result.output + result.stderr
        return result

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a run."""
        columns = dict(zip(("text", "text_pair"), self.kind.text_columns, strict=False))
        return {
            "train_file": str(self.file),
            "model": str(self.model),
            "epochs": 2,
            "learning_rate": 3e-3,
            "validation_fraction": 0.3,
            "threads": 1,
            "precision": "fp32",
            **columns,
            **self.kind.settings,
        }

    def flags(self, *left_out: str) -> list[str]:
        """Return the settings as they are typed."""
        return [
            word
            for name, value in self.settings.items()
            if name not in left_out
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]

    @cached_property
    def run(self) -> Run:
        """The run, trained by its command line."""
        output = self.folder / "run"
        self.typed("train", *self.flags(), "--output", output)
        return Run(output)

    @cached_property
    def other(self) -> Run:
        """The same with another seed."""
        output = self.folder / "other"
        self.typed("train", "--config", self.run.folder.config, "--seed", 7, "--output", output)
        return Run(output)

    def texts(self, count: int = 12) -> list[Any]:
        """Return texts, or pairs, as `gluetune.load` takes them."""
        rows = (self.kind.texts(number) for number in range(count))
        return [row if self.kind.pairs else row[0] for row in rows]

    @cached_property
    def answers(self) -> list[Prediction]:
        """What the run's model says of `texts`, from Python."""
        return gluetune.load(self.run.path)(self.texts())


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: kind.name)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return the run of a kind, which all verbs share."""
    kind: Kind = request.param
    folder = tmp_path_factory.mktemp(kind.name)
    model = write_tiny_checkpoint(folder / "model", kind.checkpoint)
    return Trained(kind, folder, kind.write(folder), model)


_VERBS: dict[str, Callable[[Trained], None]] = {}


def verb(check: Callable[[Trained], None]) -> Callable[[Trained], None]:
    """Add a verb to the table."""
    _VERBS[check.__name__] = check
    return check


@verb
def check(trained: Trained) -> None:
    kind = trained.kind
    words = [word for word in trained.flags() if word not in ("--train-file", str(trained.file))]
    known = {"--text", "--text-pair", "--kind", "--label-order"}
    pairs = zip(words[::2], words[1::2], strict=True)
    given = [word for flag, value in pairs if flag in known for word in (flag, value)]
    said = trained.typed("check", trained.file, *given).output
    assert all(label in said for label in kind.shown_labels)
    assert "gluetune train --train-file" in said


@verb
def train(trained: Trained) -> None:
    run = trained.run
    assert run.status == "finished"
    assert run.task.labels == trained.kind.labels
    best = run.record.best
    assert best is not None
    assert best.agrees, "what was saved is what was scored"
    assert run.score is not None
    config = json.loads((run.model_path / "config.json").read_text(encoding="utf-8"))
    assert config["problem_type"].startswith(trained.kind.problem)
    if trained.kind.labels:
        assert {int(number): name for number, name in config["id2label"].items()} == dict(
            enumerate(trained.kind.labels)
        )


@verb
def train_config(trained: Trained) -> None:
    output = trained.folder / "repeat"
    trained.typed("train", "--config", trained.run.folder.config, "--output", output)
    assert outcome(Run(output)) == outcome(trained.run)


@verb
def train_resume(trained: Trained) -> None:
    def stop(**state: Any) -> None:
        raise KeyboardInterrupt

    output = trained.folder / "resumed"
    given = {**trained.settings, "checkpoint_minutes": 1e-9, "output": output}
    with pytest.raises(KeyboardInterrupt):
        gluetune.train(**given, callbacks=[At("on_step_end", 4, stop)], progress=False)
    trained.typed("train", "--resume", output)
    assert outcome(Run(output)) == outcome(trained.run)


@verb
def train_further(trained: Trained) -> None:
    """The run's own head is kept: its outputs are known by name."""
    output = trained.folder / "further"
    words = trained.flags("model", "epochs")
    trained.typed(
        *("train", *words, "--epochs", 1, "--model", trained.run.model_path, "--output", output)
    )
    assert Run(output).record.model is not None
    assert Run(output).record.model.new_weights == []  # type: ignore[union-attr]  # just asserted


@verb
def learning_curve(trained: Trained) -> None:
    points = gluetune.learning_curve(trained.run, shares=(0.5,))
    assert len(points) == 2
    assert points[-1].score == trained.run.score


@verb
def evaluate(trained: Trained) -> None:
    run = trained.run
    said = trained.typed("evaluate", run.path).output
    assert all(label in said for label in trained.kind.shown_labels)
    found = json.loads(trained.typed("evaluate", run.path, "--json").output)
    assert found["score"]["score"] == pytest.approx(run.score)
    assert found["splits"]["validation"]["agreement"]["largest_difference"] < 1e-5
    again = trained.typed("evaluate", run.path, "--data", trained.file, "--json").output
    assert json.loads(again)["rows"] == {"validation": trained.kind.rows}


@verb
def predict_typed(trained: Trained) -> None:
    """What is printed says which labels are predicted, and is what Python gives."""
    answer = trained.answers[0]
    words = trained.kind.texts(0)
    lines = trained.typed("predict", trained.run.path, *words).output.splitlines()
    plain = json.loads(trained.typed("predict", trained.run.path, *words, "--json").output)
    if trained.kind.problem == "regression":
        assert plain == {"score": pytest.approx(answer.score, abs=1e-5)}
        assert float(lines[0]) == pytest.approx(answer.score, abs=1e-3)
        return
    assert plain["probabilities"] == pytest.approx(answer.probabilities, abs=1e-5)
    if trained.kind.problem == "multi_label":
        assert plain["labels"] == list(answer.labels or ())
        assert lines[0] == f"predicted: {', '.join(answer.labels or ()) or 'none of the labels'}"
        marked = [line for line in lines[1:] if "(predicted: above" in line]
        assert len(marked) == len(answer.labels or ())
        assert len(lines) == 1 + len(trained.kind.labels)
    else:
        assert plain["label"] == answer.label
        assert lines[0].split("  ", 1)[1] == visible(str(answer.label))


@verb
def predict_file(trained: Trained) -> None:
    target = trained.folder / f"said{trained.file.suffix}"
    trained.typed(
        *("predict", trained.run.path, "--file", trained.file, "--output", target),
        *("--prefix", "said_"),
    )
    found = _predicted(trained, target.read_text(encoding="utf-8"))
    assert len(found) == trained.kind.rows
    _assert_same(trained, found)


@verb
def predict_stdin(trained: Trained) -> None:
    lines = "".join("\t".join(trained.kind.texts(number)) + "\n" for number in range(12))
    said = trained.typed(
        *("predict", trained.run.path, "--format", "text", "--prefix", "said_"),
        text=lines.encode(),
    )
    _assert_same(trained, [json.loads(line) for line in said.stdout.splitlines()])


def _predicted(trained: Trained, text: str) -> list[dict[str, Any]]:
    if trained.file.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines()]
    return list(csv.DictReader(text.splitlines()))


def _assert_same(trained: Trained, found: list[dict[str, Any]]) -> None:
    """Hold rows of a file against what Python says of the same texts."""
    for row, answer in zip(found, trained.answers, strict=False):
        if trained.kind.problem == "multi_label":
            assert row["said_labels"] == list(answer.labels or ())
        elif trained.kind.problem == "regression":
            assert float(row["said_score"]) == pytest.approx(answer.score, abs=1e-4)
        else:
            assert row["said_label"] == answer.label


@verb
def compare(trained: Trained) -> None:
    said = trained.typed("compare", trained.run.path, trained.other.path).output
    assert "p = " in said
    found = json.loads(
        trained.typed("compare", trained.run.path, trained.other.path, "--json").output
    )
    difference = (trained.other.score or 0) - (trained.run.score or 0)
    assert found["pairs"][0]["difference"] == pytest.approx(difference, abs=1e-5)


@verb
def report(trained: Trained) -> None:
    page = trained.folder / "page.html"
    trained.typed("report", trained.run.path, trained.other.path, "--output", page)
    for text in (page.read_text("utf-8"), (trained.run.path / "report.html").read_text("utf-8")):
        assert "are not shown" not in text
        assert all(label in text for label in trained.kind.shown_labels)


@verb
def search(trained: Trained) -> None:
    space = trained.folder / "space.yaml"
    space.write_text("learning_rate: [1.0e-3, 3.0e-3]\n", encoding="utf-8")
    output = trained.folder / "search"
    said = trained.typed(
        *("search", *trained.flags("learning_rate", "epochs"), "--epochs", 1, "--trials", 2),
        *("--space", space, "--output", output, "--holdout", 0.3),
    ).output
    assert "2 finished" in said or "1 finished" in said
    assert Run(output / "final" / "s42").status == "finished"
    assert (output / "search.html").exists()


@verb
def export(trained: Trained) -> None:
    """What ONNX Runtime predicts is what PyTorch predicts, and the count of changes is true."""
    pytest.importorskip("onnxruntime")
    run = trained.run
    trained.typed("export", run.path, "--onnx", "--int8", "--max-loss", 1)
    record = read_export(run.folder.onnx / "export.json")
    exact, rough = record.checked
    assert exact.good
    assert exact.score == pytest.approx(run.score, abs=1e-4)
    before = _predictions(gluetune.load(run.path), trained)
    after = _predictions(gluetune.load(run.path, backend="onnx-int8"), trained)
    changed = sum(one != other for one, other in zip(before, after, strict=True))
    assert rough.changed == (0 if trained.kind.problem == "regression" else changed)
    exactly = gluetune.load(run.path, backend="onnx")(trained.texts())
    assert [(one.label, one.labels) for one in exactly] == [
        (one.label, one.labels) for one in trained.answers
    ]


def _predictions(predictor: Any, trained: Trained) -> list[Any]:
    """Return what a model predicts for every row that the run was validated on."""
    kept = {int(line) for line in trained.run.predictions("validation")["idx"].to_pylist()}
    header = trained.file.suffix == ".csv"
    texts = [
        row if trained.kind.pairs else row[0]
        for number in range(trained.kind.rows)
        if number + 1 + header in kept
        for row in [trained.kind.texts(number)]
    ]
    assert len(texts) == len(kept)
    return [(one.label if one.labels is None else one.labels) for one in predictor(texts)]


@verb
def serve(trained: Trained) -> None:
    """The server over HTTP: the page, /info, and a prediction for each kind."""
    with serving_run(trained.run.path) as url, httpx.Client(base_url=url, timeout=30) as client:
        texts = trained.kind.texts(0)
        inputs = list(texts) if trained.kind.pairs else texts[0]
        found = client.post("/predict", json={"inputs": inputs}).json()
        raw = client.post("/predict", json={"inputs": inputs, "raw_scores": True}).json()
        info, page = client.get("/info").json(), client.get("/").text
    answer = trained.answers[0]
    scores = {one["label"]: one["score"] for one in found}
    if trained.kind.problem == "regression":
        assert scores == {"score": pytest.approx(answer.score, abs=1e-5)}
        assert raw == found
        return
    assert scores == pytest.approx(answer.probabilities, abs=1e-5)
    assert info["problem_type"].startswith(trained.kind.problem)
    assert "From the validation set" in page, "there are examples"
    if trained.kind.problem == "multi_label":
        predicted = {name for name, score in scores.items() if score > info["thresholds"][name]}
        assert predicted == set(answer.labels or ())
        logits = {one["label"]: one["score"] for one in raw}
        for name, score in scores.items():
            assert score == pytest.approx(1 / (1 + np.exp(-logits[name])))


@verb
def serve_without_data(trained: Trained) -> None:
    """A model that was copied out of its run predicts as the run does."""
    with serving_run(trained.run.model_path, precision="fp32") as url:
        texts = trained.kind.texts(0)
        inputs = list(texts) if trained.kind.pairs else texts[0]
        found = httpx.post(f"{url}/predict", json={"inputs": inputs}, timeout=30).json()
        info = httpx.get(f"{url}/info", timeout=30).json()
    answer = trained.answers[0]
    scores = {one["label"]: one["score"] for one in found}
    assert scores == pytest.approx(answer.probabilities or {"score": answer.score}, abs=1e-4)
    if trained.kind.problem == "multi_label":
        predicted = {name for name, score in scores.items() if score > info["thresholds"][name]}
        assert predicted == set(answer.labels or ())


@verb
def push(trained: Trained) -> None:
    """The card's own code gives the run's predictions."""
    card = trained.typed("push", trained.run.path, "me/mine", "--dry-run").output
    code = card.split("```python\n")[1].split("\n```")[0]
    model = pipeline("text-classification", str(trained.run.model_path))
    code = code.replace('pipeline("text-classification", "me/mine")', "model")
    for number, answer in enumerate(trained.answers[:4]):
        texts = trained.kind.texts(number)
        filled = code.replace('"A text."', json.dumps(texts[0]))
        filled = filled.replace('"Another text."', json.dumps(texts[-1]))
        *statements, last = filled.split("\n")
        names: dict[str, Any] = {"model": model}
        exec("\n".join(statements), names)  # the card's code is what is tested
        found = eval(last, names)  # as above
        if trained.kind.problem == "multi_label":
            assert set(found) == set(answer.labels or ())
        elif trained.kind.problem == "regression":
            assert _first(found)["score"] == pytest.approx(answer.score, abs=1e-3)
        else:
            assert _first(found)["label"] == answer.label
    if trained.kind.problem == "multi_label":
        assert "any of, or none of" in card
        assert "| threshold |" in card
    for label in trained.kind.shown_labels:
        assert label.replace("#", "") in card


def _first(found: Any) -> dict[str, Any]:
    first: dict[str, Any] = found[0] if isinstance(found, list) else found
    return first


@pytest.mark.parametrize("name", _VERBS)
def test_every_verb_works_on_every_kind(trained: Trained, name: str) -> None:
    _VERBS[name](trained)
