"""Methods: how a checkpoint is fitted to a task, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tests.support.kinds import KINDS, Kind
from tests.support.own_files import reviews, write_csv
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At, Bench, outcome, resumed, send_signal
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import gluetune
from gluetune.core.errors import ConfigurationError
from gluetune.core.runs import Run
from gluetune.kinds import SINGLE_LABEL
from gluetune.training.methods import METHODS, probe

_KINDS = [
    kind for kind in KINDS if kind.name in ("two-classes", "several-labels", "ordered", "a-number")
]


def _train(folder: Path, **settings: Any) -> Run:
    model = folder / "bert"
    if not model.exists():
        write_tiny_checkpoint(model, "bert", dropout=0.1)
    given = {"model": str(model), "epochs": 2, "learning_rate": 1e-3, "threads": 1}
    if settings.get("method") == "probe":
        given = {"model": str(model), "threads": 1}
    return gluetune.train(**{**given, "precision": "fp32", **settings}, progress=False)


@pytest.mark.parametrize("method", [name for name in METHODS if name != "full"])
@pytest.mark.parametrize("kind", _KINDS, ids=lambda kind: kind.name)
def test_every_method_learns_every_kind(tmp_path: Path, kind: Kind, method: str) -> None:
    if method == "lora":
        pytest.importorskip("peft", reason="needs peft: pip install 'gluetune[lora]'")
    file = kind.write(tmp_path)
    columns = dict(zip(("text", "text_pair"), kind.text_columns, strict=False))
    given = {**kind.settings, **columns, "train_file": file, "method": method}
    run = _train(tmp_path, output=tmp_path / "run", **given)
    record = run.record
    assert run.status == "finished"
    assert record.best is not None
    assert record.best.agrees
    assert record.method is not None
    assert record.method.name == method
    assert (record.frozen_baseline is None) == (method == "probe")
    if method == "lora":
        return  # tests/unit/training/test_lora.py counts its weights
    loaded = AutoModelForSequenceClassification.from_pretrained(run.path / "model")
    weights = sum(each.numel() for each in loaded.parameters())
    assert record.method.trained_parameters == (
        sum(each.numel() for each in loaded.classifier.parameters())
        if method == "probe"
        else weights
    )


def _pooled(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        states = [
            model.bert(**tokenizer(text, truncation=True, return_tensors="pt")).pooler_output
            for text in texts
        ]
    found: np.ndarray[Any, Any] = torch.cat(states).numpy()
    return found


def test_a_probe_is_scikit_learns_logistic_regression_of_the_pooled_states(tmp_path: Path) -> None:
    rows, held = reviews(60), reviews(20)
    run = _train(
        tmp_path,
        train_file=write_csv(tmp_path / "train.csv", rows),
        validation_file=write_csv(tmp_path / "validation.csv", held),
        method="probe",
        output=tmp_path / "run",
    )
    model = AutoModelForSequenceClassification.from_pretrained(run.path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    states = _pooled(model, tokenizer, [row["text"] for row in rows])
    labels = [model.config.label2id[row["label"]] for row in rows]
    assert run.record.method is not None
    assert run.record.method.regularisation is not None
    scaler = StandardScaler().fit(states)
    fitted = LogisticRegression(C=1 / (run.record.method.regularisation * len(rows)), max_iter=1000)
    fitted.fit(scaler.transform(states), labels)
    expected = fitted.predict_proba(
        scaler.transform(_pooled(model, tokenizer, [row["text"] for row in held]))
    )
    found = gluetune.load(run.path)([row["text"] for row in held])
    names = model.config.id2label
    for prediction, chances in zip(found, expected, strict=True):
        for output, chance in enumerate(chances):
            assert prediction.probabilities[names[output]] == pytest.approx(chance, abs=2e-3)


def test_pooled_states_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_csv(tmp_path / "train.csv", reviews(50))
    first = _train(tmp_path, train_file=file, method="probe", output=tmp_path / "first")

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(probe, "compute_logits", refuse)
    second = _train(tmp_path, train_file=file, method="probe", output=tmp_path / "second")
    assert outcome(second) == outcome(first)
    with pytest.raises(AssertionError, match="computed again"):  # of another length
        _train(tmp_path, train_file=file, method="probe", max_length=5, output=tmp_path / "third")


def test_lp_ft_starts_from_a_linear_head(tmp_path: Path) -> None:
    settings = {"train_file": write_csv(tmp_path / "train.csv", reviews(50)), "epochs": 1}
    tuned = _train(
        tmp_path, **settings, method="lp-ft", learning_rate=1e-12, output=tmp_path / "lp-ft"
    )
    full = _train(tmp_path, **settings, learning_rate=1e-12, output=tmp_path / "full")
    assert tuned.record.frozen_baseline is not None
    assert tuned.score == tuned.record.frozen_baseline.score == 1.0
    assert full.score != 1.0


def test_a_head_for_dropout_is_fitted_with_its_regularisation() -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(200) % 2
    features = 1 + 1e-3 * draw.normal(size=(200, 8))  # nearly constant, as pooled states may be
    features[:, 0] += 2e-3 * labels
    plain = SINGLE_LABEL.fit_head(features, labels, 2)
    careful = SINGLE_LABEL.fit_head(features, labels, 2, for_dropout=True)
    assert np.abs(plain.weights).max() > 100
    assert np.abs(careful.weights).max() < 1
    assert careful.strength >= 3e-2


def test_the_frozen_encoder_is_a_baseline_that_changes_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "train.csv", reviews(50))
    run = _train(tmp_path, train_file=file, output=tmp_path / "run")
    probed = _train(tmp_path, train_file=file, method="probe", output=tmp_path / "probe")
    assert probed.record.best is not None
    assert run.record.frozen_baseline == probed.record.best.validation
    evaluation = run.evaluate()
    assert evaluation.scores.baselines["frozen_encoder"].name == "frozen encoder"
    monkeypatch.setattr("gluetune.training.job.frozen_baseline", lambda prepared: None)
    alone = _train(tmp_path, train_file=file, output=tmp_path / "alone")
    assert outcome(alone) == outcome(run)


@pytest.mark.parametrize("architecture", ["roberta", "distilbert", "gpt2", "llama", "xlnet", "t5"])
def test_pooled_states_are_found_in_every_head(tmp_path: Path, architecture: str) -> None:
    bench = Bench(tmp_path, architecture=architecture)
    settings = bench.settings()
    for name in ("epochs", "learning_rate"):
        settings.pop(name)
    run = gluetune.train(**settings, method="probe", output=bench.new_output(), progress=False)
    assert run.record.best is not None
    assert run.record.best.agrees
    assert (run.record.steps, run.record.epochs[0].train_loss) == (0, None)


@pytest.mark.parametrize("method", ["lp-ft"])
def test_an_interrupted_run_of_a_method_comes_to_the_same_bits(bench: Bench, method: str) -> None:
    whole = bench.train(method=method)
    output = bench.new_output()
    with pytest.raises(KeyboardInterrupt):
        bench.train(method=method, output=output, callbacks=[At("on_step_begin", 4, send_signal())])
    done = resumed(output)
    assert outcome(done) == outcome(whole)
    assert done.record.method is not None
    assert whole.record.method is not None
    assert done.record.method.regularisation == whole.record.method.regularisation


def test_a_probe_that_stops_after_its_checkpoint_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "train.csv", reviews(50))
    whole = _train(tmp_path, train_file=file, method="probe", output=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("gluetune.training.job.Job._finish", _cut_power)
        with pytest.raises(MemoryError):
            _train(tmp_path, train_file=file, method="probe", output=tmp_path / "cut")
    monkeypatch.setattr(probe, "fit_head", _cut_power)
    assert outcome(resumed(tmp_path / "cut")) == outcome(whole)


def _cut_power(*args: Any, **kwargs: Any) -> None:
    raise MemoryError("no clean-up of gluetune's own")


def test_settings_that_a_probe_does_not_have_are_refused(bench: Bench) -> None:
    with pytest.raises(ConfigurationError) as caught:
        bench.train(method="probe", label_smoothing=0.1, early_stopping=2)
    messages = [finding.message for finding in caught.value.findings]
    assert messages == [
        f"{flag} has no effect with --method probe."
        for flag in ("--label-smoothing", "--early-stopping", "--epochs", "--learning-rate")
    ]
