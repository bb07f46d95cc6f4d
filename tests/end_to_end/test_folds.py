"""Cross-validation: every row is predicted by a model that was not trained on it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support.killed_runs import train_and_die
from tests.support.own_files import write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app
from gluetune.core.errors import ConfigurationError, DataError, GluetuneError, RunError
from gluetune.core.records import Predictions
from gluetune.core.runs import Run
from gluetune.inference.scoring import score_predictions

FOLDS = 3
FILLING = ("rain", "kettle", "quietly", "river", "blue", "stone", "雨", "дождь", "مطر")


def _rows(labels: Callable[[int], Any], count: int) -> list[dict[str, Any]]:
    """Return rows, every tenth of which repeats the text before it in capitals."""
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(count):
        text = f"{' '.join(draw.choices(FILLING, k=4))} {number} word{number % 7}"
        if number % 10 == 9:
            text = rows[-1]["text"].upper()
        label = labels(number - (number % 10 == 9))
        rows.append({"text": text, "label": label, "user": f"u{number // 4}"})
    return rows


def two_classes(folder: Path) -> dict[str, Any]:
    names = ("плохо", "хорошо")
    rows = _rows(lambda number: names[number // 2 % 2], 60)
    return {"train_file": write_csv(folder / "two.csv", rows)}


def a_thousand_classes(folder: Path) -> dict[str, Any]:
    rows = [
        {"text": f"text {number} of {number % 1000}", "label": f"类 {number % 1000}"}
        for number in range(3000)
    ]
    return {"train_file": write_csv(folder / "many.csv", rows), "batch_size": 200}


def several_labels(folder: Path) -> dict[str, Any]:
    names = ("#1", "не очень", "好")
    rows = _rows(lambda number: [names[bit] for bit in range(3) if number >> bit & 1], 90)
    path = folder / "tags.jsonl"
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return {"train_file": path}


def numbers(folder: Path) -> dict[str, Any]:
    rows = _rows(lambda number: number % 5 + number / 1000, 60)
    return {"train_file": write_csv(folder / "prices.csv", rows), "kind": "regression"}


def ordered(folder: Path) -> dict[str, Any]:
    rows = _rows(lambda number: number // 2 % 4 + 1, 80)
    return {"train_file": write_csv(folder / "stars.csv", rows), "kind": "ordinal"}


def groups(folder: Path) -> dict[str, Any]:
    return {**two_classes(folder), "group": "user"}


KINDS = (two_classes, a_thousand_classes, several_labels, numbers, ordered, groups)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_checkpoint(tmp_path_factory.mktemp("model"), "bert")


def train(model: Path, output: Path | None, **settings: Any) -> Run:
    fixed: dict[str, Any] = {"epochs": 1, "threads": 1, "precision": "fp32", "folds": FOLDS}
    given = {**fixed, "model": model, **settings}
    return gluetune.train(**given, output=output, progress=False)


def columns(run: Run, repeat: int = 1) -> Mapping[str, NDArray[Any]]:
    assert run.folds is not None
    table = run.folds.out_of_fold(repeat)
    return {name: table[name].to_numpy() for name in ("idx", "line", "row", "fold")}


@pytest.mark.parametrize("write", KINDS)
def test_every_row_is_predicted_once_out_of_fold(
    write: Callable[[Path], dict[str, Any]], model: Path, tmp_path: Path
) -> None:
    settings = write(tmp_path)
    run = train(model, tmp_path / "run", **settings)
    assert run.status == "finished"
    assert run.folds is not None
    found, task = Predictions.of_table(run.folds.out_of_fold()), run.task
    where = columns(run)
    count = len(where["row"])
    assert list(where["row"]) == list(range(count))
    assert list(where["line"]) == list(where["idx"])
    assert {*where["fold"]} == {1, 2, 3}
    sizes = np.bincount(where["fold"])[1:]
    assert sizes.max() - sizes.min() <= max(4, 0.1 * count), "folds are of like size"
    _check_same_texts(settings["train_file"], where, settings.get("group"))
    _check_folds(run, found, where["fold"])
    score = score_predictions(task, {"oof": found})
    assert run.folds.score == run.score == score.score
    interval = run.folds.table.interval
    assert (interval is None) == (score.score is None)
    assert gluetune.load(run)("some text").score is not None
    assert run.folds.to_dict()["table"]["score"] == score.score
    assert list(run.folds.to_pandas("folds")["rows"][:FOLDS]) == list(sizes)
    assert "Score of each fold" in run.folds._repr_html_()
    assert (run.path / "report.html").exists()
    evaluation = gluetune.evaluate(run)
    assert evaluation.score == score
    assert evaluation.splits["oof"].texts, "the texts are found again"


def _check_same_texts(path: Path, where: Mapping[str, NDArray[Any]], group: str | None) -> None:
    """Rows with the same text, or of one group, are in one fold."""
    import pandas as pd

    frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)
    first = 2 if path.suffix == ".csv" else 1
    frame = frame.iloc[where["line"] - first]
    for keys in (frame["text"].str.lower(), *([frame[group]] if group else [])):
        folds = pd.Series(where["fold"], index=frame.index).groupby(keys).nunique()
        assert folds.max() == 1
    assert group is None or frame[group].duplicated().any()


def _check_folds(run: Run, found: Predictions, numbers: NDArray[Any]) -> None:
    """Each fold's rows are predicted by its own run, which was trained on the others."""
    assert run.folds is not None
    assert [one.record.status for one in run.folds.runs] == ["finished"] * FOLDS
    for fold, one in enumerate(run.folds.runs, start=1):
        held = Predictions.of_table(one.predictions("holdout"))
        mine = numbers == fold
        assert np.array_equal(held.index, found.index[mine])
        assert np.array_equal(held.logits, found.logits[mine])
        assert one.record.data is not None
        rows = one.record.data.rows
        assert sum(rows.values()) == len(numbers), "thresholds are tuned on training rows"
        assert not (one.path / "model").exists(), "the model on all rows is kept"


def test_probabilities_are_calibrated_and_no_prediction_changes(
    model: Path, tmp_path: Path
) -> None:
    run = train(model, tmp_path / "run", learning_rate=1e-2, **several_labels(tmp_path))
    assert run.folds is not None
    found = run.folds.table.calibration
    assert found is not None
    config = json.loads((run.path / "model/config.json").read_text(encoding="utf-8"))
    names = run.task.labels
    temperatures = dict(zip(names, found.temperatures, strict=True))
    assert config["calibration"] == {"temperature": temperatures}
    assert all(one != 1 for one in temperatures.values())
    texts = [f"rain {word} stone word{number}" for number, word in enumerate(FILLING)]
    with_, without = run.load(), run.load(uncalibrated=True)
    logits = with_.logits(texts)
    assert np.array_equal(logits, without.logits(texts))
    scaled = 1 / (1 + np.exp(-logits.astype(np.float64) / np.array(found.temperatures)))
    assert with_.scores(logits) == pytest.approx(scaled)
    assert without.scores(logits) == pytest.approx(1 / (1 + np.exp(-logits.astype(np.float64))))
    for one, other in zip(with_(texts), without(texts), strict=True):
        assert one.labels == other.labels
        assert one.probabilities != other.probabilities
        assert one.labels is not None
        limits = with_.thresholds
        above = {name for name, share in one.probabilities.items() if share > limits[name]}
        assert above == {*one.labels}
    assert "Temperature of each label" in run.folds._repr_html_()
    changed = {**two_classes(tmp_path), "final": "none", "new_head": True}
    again = train(run.model_path, tmp_path / "again", **changed)
    kept = json.loads((again.path / "fold-1/model/config.json").read_text(encoding="utf-8"))
    assert "calibration" not in kept, "of an earlier task"


def test_an_exported_model_is_calibrated_too(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    run = train(model, tmp_path / "run", learning_rate=1e-2, **two_classes(tmp_path))
    assert run.folds is not None
    assert run.folds.table.calibration is not None
    assert run.export().is_good
    predictor = run.load(backend="onnx")
    assert predictor.temperatures == tuple(run.folds.table.calibration.temperatures)
    expected = run.load()("some text").probabilities
    assert predictor("some text").probabilities == pytest.approx(expected, abs=1e-4)
    plain = run.load(backend="onnx", uncalibrated=True)("some text").probabilities
    assert plain != pytest.approx(expected, abs=1e-4)


def _with_errors(folder: Path) -> dict[str, Any]:
    """Return rows in which a word says the class, three of them labelled wrongly, and a pair of
    one text with both classes."""
    rows = [
        {
            "text": f"{FILLING[number % 6]} {number} {'good' if number % 2 else 'bad'}",
            "label": number % 2,
        }
        for number in range(120)
    ]
    for number in (10, 51, 90):
        rows[number]["label"] = 1 - number % 2
    rows += [{"text": "the same", "label": 0}, {"text": "The  same", "label": 1}]
    return {"train_file": write_csv(folder / "errors.csv", rows), "learning_rate": 3e-3}


def test_an_audit_lists_wrong_labels_and_they_can_be_left_out(model: Path, tmp_path: Path) -> None:
    settings = _with_errors(tmp_path)
    run = train(model, tmp_path / "run", epochs=8, final="none", **settings)
    assert (run.score or 0) > 0.9
    found = run.audit(output=tmp_path / "suspects.csv")
    lines = [one.line for one in found.suspects]
    assert {12, 53, 92} <= {*lines[:5]}, "the planted ones, by the lines of the file"
    planted = next(one for one in found.suspects if one.line == 53)
    assert (planted.given, planted.suggested) == ("0", "1")
    assert planted.texts == {"text": "river 51 good"}
    assert [one.score for one in found.suspects] == sorted(one.score for one in found.suspects)
    assert len(found.scores) == found.rows == 122
    (pair,) = found.disagreements
    assert (pair.lines, pair.labels) == ((122, 123), ("0", "1"))
    assert "of 122 labels suspect" in repr(found)
    assert list(found.to_pandas("suspects")["line"]) == [str(line) for line in lines]
    assert found.to_dict()["suspects"][0]["line"] == lines[0]
    words = ["audit", str(run.path), "--most", "2", "--output", str(tmp_path / "again.csv")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "--exclude" in done.output
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "suspects.csv").read_bytes()
    page = (run.path / "report.html").read_text(encoding="utf-8")
    for part in ("Cross-validation", "Labels that are probably wrong", "river 51 good"):
        assert part in page
    for title in (
        "Score of each fold",
        "Errors by coverage",
        "Calibration: accuracy by probability",
    ):
        assert f"<title>{title}</title>" in page
    assert gluetune.report(run) == run.path / "report.html"
    without = train(model, tmp_path / "without", exclude=tmp_path / "suspects.csv", **settings)
    assert without.record.data is not None
    assert without.record.data.left_out == {
        str(settings["train_file"]): {"rows that --exclude names": len(lines)}
    }
    assert without.folds is not None
    kept = without.folds.out_of_fold()["line"].to_pylist()
    assert sorted({*kept, *lines}) == list(range(2, 124))
    assert not {*kept} & {*lines}


BAD_EXCLUSIONS = {
    "a line that is not there": ("5\n999\n", r"has no row with the line 999"),
    "no column of lines": ("text,label\na,b\n", r"has no column 'line' or 'idx'"),
    "another text": ("line,text\n3,something\n", r"line 3 of .* has another 'text' now"),
    "not a number": ("line\nthree\n", r"row 2: 'three' is not a line number"),
    "every row": ("\n".join(map(str, range(2, 62))), r"no row of .* is left"),
}


@pytest.mark.parametrize("name", BAD_EXCLUSIONS)
def test_rows_to_leave_out_have_to_be_there(name: str, model: Path, tmp_path: Path) -> None:
    content, message = BAD_EXCLUSIONS[name]
    (tmp_path / "out.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        train(model, tmp_path / "run", exclude=tmp_path / "out.csv", **two_classes(tmp_path))
    assert not (tmp_path / "run").exists()


def test_an_audit_needs_folds(tmp_path: Path) -> None:
    run = Bench(tmp_path).train("rte", epochs=1)
    with pytest.raises(RunError, match=r"no predictions of rows by models that were not") as caught:
        gluetune.audit(run)
    assert "--folds 5" in str(caught.value)


def test_rows_of_glue_are_left_out_by_their_index(tmp_path: Path) -> None:
    (tmp_path / "out.txt").write_text("0\n3\n", encoding="utf-8")
    run = Bench(tmp_path).train("rte", epochs=1, exclude=tmp_path / "out.txt")
    assert run.record.data is not None
    assert run.record.data.rows["train"] == 38
    assert [*run.record.data.left_out.values()] == [{"rows that --exclude names": 2}]


def test_uncertain_predictions_are_marked_when_asked(model: Path, tmp_path: Path) -> None:
    settings = _with_errors(tmp_path)
    run = train(model, tmp_path / "run", epochs=8, **settings)
    assert run.folds is not None
    assert run.folds.table.risk
    texts = ["rain 3 good", "rain 4 bad", "quietly"]
    assert [one.uncertain for one in run.load()(texts)] == [None] * 3
    predictor = run.load(coverage=0.5)
    assert predictor.threshold is not None
    assert predictor.threshold.coverage == pytest.approx(0.5, abs=0.02)
    for one in predictor(texts):
        assert one.uncertain == (one.score < predictor.threshold.confidence)
    precise = run.load(min_precision=0.8).threshold
    assert precise is not None
    assert precise.low >= 0.8
    everything = run.load(coverage=1.0)
    assert everything.threshold is not None
    (tmp_path / "new.csv").write_text("text\nrain 3 good\n???\n", encoding="utf-8")
    words = ["predict", str(run.path), "--coverage", "0.5", "--file", str(tmp_path / "new.csv")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "Uncertain below a probability of" in done.output
    assert ",uncertain," in done.output
    typed = ["predict", str(run.path), "???", "--coverage", "0.01", "--json"]
    assert '"uncertain": true' in CliRunner().invoke(app, typed).output
    from starlette.testclient import TestClient

    from gluetune.serving.app import make_app
    from gluetune.serving.settings import Limits

    with TestClient(make_app(predictor, Limits()), base_url="http://127.0.0.1") as client:
        found = client.post("/predict", json={"inputs": "???"}).json()
        assert found[0]["uncertain"] == predictor("???").uncertain
        assert client.get("/info").json()["min_confidence"] == predictor.threshold.confidence


UNREACHABLE: Mapping[str, tuple[dict[str, Any], str]] = {
    "too precise": (
        {"min_precision": 0.999},
        r"--min-precision 0.999: no threshold reaches it. The highest bound is \d+\.\d%",
    ),
    "both": ({"min_precision": 0.9, "coverage": 0.9}, r"choose two thresholds"),
    "too much": ({"coverage": 1.5}, r"coverage=1.5: must be at most 1"),
}


def test_thresholds_that_cannot_be_chosen(model: Path, tmp_path: Path) -> None:
    run = train(model, tmp_path / "run", **two_classes(tmp_path))
    for given, message in UNREACHABLE.values():
        with pytest.raises(ConfigurationError, match=message):
            run.load(**given)
    with pytest.raises(ConfigurationError, match=r"is not a run, so it has no out-of-fold"):
        gluetune.load(run.model_path, min_precision=0.9)
    several = train(model, tmp_path / "several", **several_labels(tmp_path))
    with pytest.raises(ConfigurationError, match=r"is of kind multi_label, which has no single"):
        several.load(coverage=0.9)


def test_folds_do_not_depend_on_the_seed(model: Path, tmp_path: Path) -> None:
    settings = two_classes(tmp_path)
    runs = [
        train(model, tmp_path / str(seed), seed=seed, final="none", **settings) for seed in (1, 2)
    ]
    folds = [columns(run)["fold"] for run in runs]
    assert np.array_equal(folds[0], folds[1])
    other = train(model, tmp_path / "other", fold_seed=7, final="none", **settings)
    assert not np.array_equal(folds[0], columns(other)["fold"])
    with pytest.raises(RunError, match="only its folds have been trained"):
        _ = other.model_path
    assert other.folds is not None
    assert (other.folds.runs[0].path / "model").is_dir()
    found = gluetune.compare(*runs)
    (pair,) = found.by_fold
    assert pair.result.folds == FOLDS
    assert pair.result.low <= pair.result.difference <= pair.result.high
    assert "corrected resampled t-test" in found._repr_html_()
    assert gluetune.compare(runs[0], other).by_fold == (), "other folds"


@pytest.mark.parametrize("write", [two_classes, several_labels, numbers])
def test_the_folds_can_be_the_model_together(
    write: Callable[[Path], dict[str, Any]], model: Path, tmp_path: Path
) -> None:
    settings = {**write(tmp_path), "learning_rate": 1e-2}
    alone = train(model, tmp_path / "none", final="none", **settings)
    run = train(model, tmp_path / "run", final="ensemble", **settings)
    names = sorted(path.name for path in run.model_path.glob("*.safetensors"))
    assert names == ["member-2.safetensors", "member-3.safetensors", "model.safetensors"]
    texts = ["rain 3 word1", "kettle quietly 雨 word4"]
    assert alone.folds is not None
    members = [one.load().logits(texts) for one in alone.folds.runs]
    kind = run.task.kind
    predictor = run.load(uncalibrated=True)
    together = predictor.scores(predictor.logits(texts))
    expected = np.mean([kind.probabilities(logits) for logits in members], axis=0)
    assert together == pytest.approx(expected, abs=1e-5)
    assert not any(np.allclose(kind.probabilities(one), expected, atol=1e-6) for one in members)
    assert not (run.path / "fold-1/model").exists()
    if write is two_classes:
        pytest.importorskip("onnxruntime")
        assert run.export().is_good
        exported = run.load(backend="onnx", uncalibrated=True)
        assert exported.scores(exported.logits(texts)) == pytest.approx(expected, abs=1e-4)


def test_repeats_have_other_folds(model: Path, tmp_path: Path) -> None:
    run = train(model, tmp_path / "run", fold_repeats=2, final="none", **two_classes(tmp_path))
    assert run.folds is not None
    assert len(run.folds.runs) == 2 * FOLDS
    assert not np.array_equal(columns(run, 1)["fold"], columns(run, 2)["fold"])
    scores = run.folds.table.repeats
    assert run.folds.score == pytest.approx(sum(score or 0 for score in scores) / 2)


def test_a_cross_validation_that_was_killed_ends_the_same(model: Path, tmp_path: Path) -> None:
    settings = {
        **two_classes(tmp_path),
        "model": model,
        "threads": 1,
        "precision": "fp32",
        "folds": FOLDS,
        "epochs": 2,
    }
    whole = gluetune.train(**settings, output=tmp_path / "whole", progress=False)
    killed = {**settings, "output": tmp_path / "killed"}
    assert train_and_die("step", 7, killed) == -9
    assert train_and_die("predictions", 2, killed) == -9
    again = gluetune.train(**killed, progress=False)
    for name in ("predictions/oof.parquet", "model/model.safetensors", "model/config.json"):
        assert (again.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert again.folds is not None
    assert whole.folds is not None
    assert again.folds.table == whole.folds.table


def test_the_same_call_trains_nothing_again(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = two_classes(tmp_path)
    first = train(model, None, **settings)
    before = {path: path.stat().st_mtime_ns for path in first.path.glob("*/record.json")}
    assert len(before) == FOLDS + 1
    again = train(model, None, **settings)
    assert again.path == first.path
    assert before == {path: path.stat().st_mtime_ns for path in first.path.glob("*/record.json")}
    resumed = gluetune.train(resume=first.path, progress=False)
    assert resumed.score == first.score
    assert train(model, None, **settings, epochs=2).path != first.path
    with pytest.raises(RunError, match=r"another cross-validation: epochs was 1.0 and is 2.0"):
        train(model, first.path, **settings, epochs=2)


def test_two_folds_at_a_time_are_the_same(model: Path, tmp_path: Path) -> None:
    settings = two_classes(tmp_path)
    one = train(model, tmp_path / "one", **settings)
    two = train(model, tmp_path / "two", jobs=2, **settings)
    assert one.folds is not None
    assert two.folds is not None
    assert one.folds.out_of_fold().equals(two.folds.out_of_fold())


def test_glue_is_divided_too_and_the_last_model_is_scored_on_validation(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.train("rte", folds=FOLDS, epochs=1, fraction=0.5)
    assert run.folds is not None
    table = run.folds.out_of_fold()
    assert len(table) == 20, "half of the 40 rows"
    assert "line" not in table.column_names
    assert run.folds.table.final is not None
    assert list(run.folds.table.final.metrics) == ["validation"]
    assert gluetune.evaluate(run).rows == {"validation": 12}


MISTAKES: Mapping[str, tuple[dict[str, Any], str]] = {
    "one fold": ({"folds": 1}, r"folds=1: must be at least 2"),
    "a rare class": ({"folds": 40}, r"--folds 40: the rarest class, 'плохо', has 2\d rows"),
    "a large group": (
        {"folds": 8, "group": "user", "large": True},
        r"--folds 8: a fold has 8 of the 60 rows, and 30 rows stay together",
    ),
    "a held-out part": ({"holdout": 0.2}, r"--holdout 0.2 and --folds"),
    "early stopping": ({"early_stopping": 1}, r"--early-stopping 1 and --folds: the last epoch"),
    "no such fold": ({"fold": 4}, r"--fold 4: there are 3 folds"),
    "a fold of none": ({"folds": None, "fold": 1}, r"--fold 1 goes with --folds"),
    "repeats of none": ({"folds": None, "fold_repeats": 2}, r"--fold-repeats goes with --folds"),
    "adapters": ({"final": "ensemble", "method": "lora"}, r"--final ensemble and --method lora"),
    "no repeat": ({"fold_repeats": 0}, r"fold_repeats=0: must be at least 1"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_reported_before_anything_is_trained(
    name: str, model: Path, tmp_path: Path
) -> None:
    changed, message = MISTAKES[name]
    settings = two_classes(tmp_path)
    if changed.pop("large", False):
        rows = _rows(lambda number: f"c{number // 2 % 2}", 60)
        rows = [
            row | {"user": "all" if number < 30 else row["user"]} for number, row in enumerate(rows)
        ]
        settings["train_file"] = write_csv(tmp_path / "large.csv", rows)
    with pytest.raises((ConfigurationError, DataError), match=message) as caught:
        train(model, tmp_path / "run", **{**settings, **changed})
    assert isinstance(caught.value, GluetuneError)
    assert not (tmp_path / "run").exists()
