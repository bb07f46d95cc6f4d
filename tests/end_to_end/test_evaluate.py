"""A trained model evaluated again, in another process and with another order of classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, matthews_corrcoef
from tests.support.processes import finish, fork_code
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import Bench
from transformers import AutoModelForSequenceClassification
from typer.testing import CliRunner

import gluetune
from gluetune.cli.app import app
from gluetune.core.errors import CheckpointError, ConfigurationError, DataError, RenamedWarning
from gluetune.core.runs import Run, recipe_of
from gluetune.core.tasks import get_task

MNLI = get_task("mnli")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="module")
def run(bench: Bench) -> Run:
    return bench.train("mnli", epochs=1)


def test_a_run_evaluated_in_another_process_gives_the_same_bits(run: Run, tmp_path: Path) -> None:
    code = (
        "import sys, gluetune, numpy as np\n"
        f"found = gluetune.evaluate({str(run.path)!r})\n"
        f"np.savez({str(tmp_path / 'logits.npz')!r}, "
        "**{split: one.logits for split, one in found.predictions.items()})"
    )
    ended, _, err = finish(fork_code(code))
    assert ended == 0, err
    logits = np.load(tmp_path / "logits.npz")
    assert set(logits) == {"validation_matched", "validation_mismatched"}
    for split in logits:
        kept = np.array(run.predictions(split)["logits"].to_pylist(), dtype=np.float32)
        np.testing.assert_array_equal(logits[split], kept)


def test_both_sets_of_mnli_have_their_scores_and_intervals(run: Run) -> None:
    found = gluetune.evaluate(run.path)
    assert run.record.best is not None
    assert found.score == run.record.best.validation
    assert found.intervals.keys() == {"score", "matched accuracy", "mismatched accuracy"}
    assert found.rows == {"validation_matched": 12, "validation_mismatched": 12}
    assert found.settings["compute"] == "unpadded"


def test_padded_and_fast_predictions_agree(run: Run, tmp_path: Path) -> None:
    """A plain checkpoint is evaluated with padding, a run by the path of its training."""
    fast = gluetune.evaluate(run.path)
    padded = gluetune.evaluate(
        run.model_path, task="mnli", data=run.config.data, precision=run.config.precision
    )
    assert padded.settings["compute"] == "padded"
    for split, one in fast.predictions.items():
        other = padded.predictions[split]
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(one.predicted, other.predicted)


def _permuted(run: Run, folder: Path, names: list[str] | None) -> Path:
    """Write the run's model with its outputs turned round, named or without names."""
    model = AutoModelForSequenceClassification.from_pretrained(run.model_path)
    order = [2, 0, 1]
    model.classifier.weight.data = model.classifier.weight.data[order]
    model.classifier.bias.data = model.classifier.bias.data[order]
    own = model.config.id2label
    labels = names or [own[index] for index in order]
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {name: index for index, name in enumerate(labels)}
    model.save_pretrained(folder)
    for file in run.model_path.glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_head_in_another_order_is_mapped_by_name(run: Run, tmp_path: Path) -> None:
    turned = _permuted(run, tmp_path / "turned", None)
    found = gluetune.evaluate(
        turned, task="mnli", data=run.config.data, precision=run.config.precision
    )
    for split, one in found.predictions.items():
        kept = np.array(run.predictions(split)["logits"].to_pylist())
        np.testing.assert_allclose(one.logits, kept, atol=1e-4)


def test_a_head_without_names_is_refused_until_the_order_is_stated(
    run: Run, tmp_path: Path
) -> None:
    nameless = _permuted(run, tmp_path / "nameless", ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(CheckpointError, match="have no names") as caught:
        gluetune.evaluate(nameless, task="mnli", data=run.config.data)
    assert "--label-order" in str(caught.value)
    found = gluetune.evaluate(
        nameless,
        task="mnli",
        data=run.config.data,
        label_order=("contradiction", "entailment", "neutral"),
    )
    assert found.score == gluetune.evaluate(run.path).score


def test_what_cannot_be_evaluated_is_reported(run: Run, bench: Bench, tmp_path: Path) -> None:
    nameless = _permuted(run, tmp_path / "nameless", ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(ConfigurationError, match="names no GLUE task") as caught:
        gluetune.evaluate(nameless)
    assert "--task" in str(caught.value)
    headless = write_tiny_checkpoint(tmp_path / "headless", "bert")
    with pytest.raises(CheckpointError, match="no trained classification head"):
        gluetune.evaluate(headless, task="mnli", data=run.config.data)
    with pytest.raises(DataError):
        gluetune.evaluate(run.path, split="no_such_split")
    with pytest.raises(DataError, match="hidden"):
        gluetune.evaluate(run.path, data="sample", split="test_matched")


def test_a_new_split_is_kept_in_the_run(bench: Bench) -> None:
    run = bench.train("cola", epochs=1)
    path = run.folder.predictions / "train.parquet"
    assert not path.exists()
    found = gluetune.evaluate(run.path, split="train")
    kept = run.predictions("train")
    assert kept["prediction"].to_pylist() == found.predictions["train"].predicted.tolist()


def test_the_command_prints_tables_or_json(run: Run, tmp_path: Path) -> None:
    runner, file = CliRunner(), tmp_path / "e.json"
    result = runner.invoke(
        app, ["evaluate", str(run.path), "--output", str(file)], env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    for words in (
        "matched accuracy",
        "95% interval",
        "true class by predicted",
        "only 12 examples",
    ):
        assert words in result.output
    parsed = json.loads(runner.invoke(app, ["evaluate", str(run.path), "--json"]).output)
    assert parsed == json.loads(file.read_text())
    assert parsed["score"]["score"] == run.score


def test_the_command_prints_calibration_and_the_worst_errors_with_their_text(run: Run) -> None:
    result = CliRunner().invoke(
        app, ["evaluate", str(run.path), "--worst-errors", "2"], env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert "calibration (expected calibration error 0." in words
    assert result.output.count("worst errors") == 2
    assert "the logits are bit-identical" in result.output
    parsed = json.loads(CliRunner().invoke(app, ["evaluate", str(run.path), "--json"]).output)
    split = parsed["splits"]["validation_matched"]
    assert sum(map(sum, split["confusion"])) == 12
    assert sum(one["count"] for one in split["calibration"]["bins"]) == 12
    assert len(split["worst_errors"]) <= 5


def test_extra_metrics_are_reported_with_intervals_and_the_score_stays(run: Run) -> None:
    plain = gluetune.evaluate(run.path)
    found = run.evaluate(extra_metrics=["log_loss", "accuracy"])
    assert found.score.score == plain.score.score
    assert found.intervals["score"] == plain.intervals["score"]
    assert found.intervals.keys() - plain.intervals.keys() == {
        "matched log_loss",
        "mismatched log_loss",
    }
    typed = ["evaluate", str(run.path), "--extra-metrics", "log_loss", "--json"]
    parsed = json.loads(CliRunner().invoke(app, typed).output)
    for split, one in found.predictions.items():
        value = log_loss(one.labels, MNLI.kind.probabilities(one.logits), labels=range(3))
        assert parsed["score"]["metrics"][split]["log_loss"] == pytest.approx(value)
        name = f"{split.removeprefix('validation_')} log_loss"
        assert parsed["intervals"][name]["low"] < value < parsed["intervals"][name]["high"]
        assert found.scores.table("").to_pandas()["metric"].str.fullmatch(name).sum() == 1
    with pytest.raises(ConfigurationError, match="--extra-metrics mae: a task of kind"):
        run.evaluate(extra_metrics="mae")


def test_a_glue_run_keeps_its_extra_metrics_and_its_score(bench: Bench) -> None:
    plain = bench.train("stsb", epochs=1)
    run = bench.train("stsb", epochs=1, extra_metrics=("rmse",))
    assert run.score == plain.score
    assert run.task.extra_metrics == ("mae", "rmse"), "the task's own, and that"
    assert Run(run.path).history[0]["rmse"] is not None
    assert {*run.evaluate().intervals} == {"score", "pearson", "spearman", "mae", "rmse"}
    assert "rmse" in (run.path / "report.html").read_text(encoding="utf-8")
    again = gluetune.train(config=run.folder.config, output=bench.new_output())
    assert again.task.extra_metrics == run.task.extra_metrics
    assert recipe_of(run) == recipe_of(plain)


def test_the_former_name_of_the_option_works_with_a_warning(run: Run) -> None:
    with pytest.warns(RenamedWarning, match="--hardest is now called --worst-errors"):
        result = CliRunner().invoke(app, ["evaluate", str(run.path), "--hardest", "1", "--json"])
    splits = json.loads(result.output)["splits"].values()
    assert [len(one["worst_errors"]) for one in splits] == [1, 1]


def test_numbers_have_residuals(bench: Bench) -> None:
    scored = bench.train("stsb", epochs=1)
    result = CliRunner().invoke(app, ["evaluate", str(scored.path)], env={"COLUMNS": "160"})
    assert "residuals, prediction less label" in result.output, result.output
    parsed = json.loads(CliRunner().invoke(app, ["evaluate", str(scored.path), "--json"]).output)
    assert parsed["splits"]["validation"]["residuals"]["mean_absolute"] > 0


def test_another_precision_counts_changed_predictions(run: Run) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(run.path), "--precision", "bf16", "--json"])
    parsed = json.loads(result.output)
    assert parsed["settings"]["precision"] == "bf16"
    for one in (split["agreement"] for split in parsed["splits"].values()):
        assert one["examples"] == 12
        assert 0 < one["largest_difference"] < 0.5
        assert one["widest_flip"] <= 2 * one["largest_difference"]
    kept = CliRunner().invoke(app, ["evaluate", str(run.path), "--json"])
    splits = json.loads(kept.output)["splits"].values()
    assert {one["agreement"]["largest_difference"] for one in splits} == {0.0}


def write_diagnostics(path: Path) -> Path:
    head = ("Lexical Semantics", "Predicate-Argument Structure", "Logic", "Knowledge", "Domain")
    names = ("entailment", "neutral", "contradiction")
    rows = [
        (
            *(
                "Factivity" if n % 2 else "",
                "",
                "Negation;Disjunction" if n % 3 else "",
                "",
                "News",
            ),
            *(f"a b {n}", "c d", names[n % 3]),
        )
        for n in range(30)
    ]
    lines = ["\t".join(row) for row in [(*head, "Premise", "Hypothesis", "Label"), *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_labelled_diagnostic_set_is_scored_by_category(run: Run, tmp_path: Path) -> None:
    path = write_diagnostics(tmp_path / "diagnostic-full.tsv")
    found = gluetune.diagnose(run.path, path)
    by_name = {(one.coarse, one.fine): one for one in found.categories}
    assert by_name["", ""].examples == 30
    assert by_name["Lexical Semantics", ""].examples == 15
    assert by_name["Logic", ""].examples == by_name["Logic", "Negation"].examples == 20
    assert ("Knowledge", "") not in by_name
    expected = matthews_corrcoef(
        [n % 3 for n in range(30)],
        [
            list(MNLI.labels).index(str(answer.label))
            for answer in gluetune.load(run.path)([(f"a b {n}", "c d") for n in range(30)])
        ],
    )
    assert by_name["", ""].r3 == pytest.approx(expected)
    result = CliRunner().invoke(
        app,
        ["evaluate", str(run.path), "--diagnostics", str(path)],
        env={"COLUMNS": "160"},
    )
    assert "Factivity" in result.output, result.output
    typed = ["evaluate", str(run.path), "--diagnostics", str(path), "--json"]
    parsed = json.loads(CliRunner().invoke(app, typed).output)
    assert len(parsed["categories"]) == len(found.categories)


def test_diagnostics_need_mnli_models_and_no_other_data(bench: Bench, tmp_path: Path) -> None:
    path = write_diagnostics(tmp_path / "diagnostic-full.tsv")
    with pytest.raises(CheckpointError):
        gluetune.diagnose(bench.train("rte", epochs=1).path, path)
    result = CliRunner().invoke(app, ["evaluate", "x", "--task", "ax", "--diagnostics", str(path)])
    assert isinstance(result.exception, ConfigurationError)
    assert "--task ax is also given" in str(result.exception)
    typed = ["evaluate", "x", "--diagnostics", str(path), "--extra-metrics", "f1"]
    assert "--extra-metrics f1 is also given" in str(CliRunner().invoke(app, typed).exception)
