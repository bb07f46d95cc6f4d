"""LoRA: adapters are trained, interrupted, saved, reloaded, merged and pushed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.support.hub_server import Hub
from tests.support.tiny_runs import At, Bench, outcome, resumed, send_signal
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import gluetune
from gluetune.core.errors import ConfigurationError, GluetuneError
from gluetune.core.runs import Run
from gluetune.models.checkpoints import find_checkpoint
from gluetune.models.classifiers import load_trained, reload_classifier

HAS_PEFT = importlib.util.find_spec("peft") is not None
needs_peft = pytest.mark.skipif(not HAS_PEFT, reason="needs peft: pip install 'gluetune[lora]'")
_TEXTS = ["the cat sat", "a dog ran home", "they say so"]


@pytest.fixture(scope="module", params=["bert", "modernbert", "qwen3", "gpt2", "roberta"])
def adapted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp(request.param), architecture=request.param)


@pytest.fixture(scope="module")
def trained(adapted: Bench) -> Run:
    return adapted.train("mnli", method="lora", lora_rank=4)


@needs_peft
def test_adapters_and_head_are_saved_and_agree_to_the_bit(adapted: Bench, trained: Run) -> None:
    record = trained.record
    assert record.best is not None
    assert record.best.agrees
    assert record.method is not None
    assert record.model is not None
    assert 0 < record.method.trained_parameters < record.model.parameters
    assert record.method.peak_memory is None or record.method.peak_memory > 0
    saved = load_file(trained.path / "model" / "adapter_model.safetensors")
    assert sum(weights.numel() for weights in saved.values()) == record.method.trained_parameters
    for name in record.model.new_weights:
        assert f"base_model.model.{name}" in saved
    files = {path.name for path in (trained.path / "model").iterdir()}
    assert {"adapter_config.json", "config.json", "tokenizer.json"} <= files
    assert not {"model.safetensors", "README.md", "training_args.bin"} & files
    kept = trained.predictions("validation_matched").column("logits").to_pylist()
    again = adapted.train("mnli", method="lora", lora_rank=4)
    assert outcome(again) == outcome(trained)
    assert again.predictions("validation_matched").column("logits").to_pylist() == kept


@needs_peft
def test_an_interrupted_run_comes_to_the_same_bits(adapted: Bench, trained: Run) -> None:
    output = adapted.new_output()
    with pytest.raises(KeyboardInterrupt):
        adapted.train(
            "mnli",
            method="lora",
            lora_rank=4,
            output=output,
            callbacks=[At("on_step_begin", 4, send_signal())],
        )
    (checkpoint,) = (output / "checkpoints").glob("step-*")
    assert (checkpoint / "adapter_model.safetensors").exists()
    assert not (checkpoint / "model.safetensors").exists()
    assert outcome(resumed(output)) == outcome(trained)


@needs_peft
def test_peft_and_gluetune_load_the_same_model(trained: Run) -> None:
    from peft import AutoPeftModelForSequenceClassification

    folder = trained.path / "model"
    plain = AutoPeftModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    own = reload_classifier(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "right"
    plain.config.pad_token_id = own.config.pad_token_id
    inputs = tokenizer(_TEXTS, _TEXTS[::-1], padding=True, return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(plain.eval()(**inputs).logits, own.eval()(**inputs).logits)
    merged = load_trained(find_checkpoint(str(trained.path))).model
    assert not any("lora" in name for name, _ in merged.named_modules())
    with torch.no_grad():
        assert torch.allclose(merged.eval()(**inputs).logits, own(**inputs).logits, atol=1e-4)


@needs_peft
def test_merged_weights_predict_what_was_scored(trained: Run) -> None:
    found = trained.evaluate(split="validation_matched", batch_size=7)
    logits = trained.predictions("validation_matched").column("logits").to_pylist()
    assert np.allclose(found.splits["validation_matched"].predictions.logits, logits, atol=1e-4)


@needs_peft
def test_an_adapter_is_pushed_and_loaded_by_name(
    tmp_path: Path, writable: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    writable.models["me/base"] = bench.model
    run = bench.train("rte", method="lora", model="me/base")
    gluetune.push(run, "me/adapter")
    stated = json.loads((writable.models["me/adapter"] / "adapter_config.json").read_text())
    assert stated["base_model_name_or_path"] == "me/base"
    card = (writable.models["me/adapter"] / "README.md").read_text()
    assert (
        'AutoPeftModelForSequenceClassification.from_pretrained("me/adapter", num_labels=2' in card
    )
    loaded = gluetune.load("me/adapter", precision="fp32")
    ours = gluetune.load(run.path)
    pairs = list(zip(_TEXTS, _TEXTS[::-1], strict=True))
    # A checkpoint by name is computed with padding, a run as it was trained.
    np.testing.assert_allclose(loaded.logits(pairs), ours.logits(pairs), rtol=1e-5, atol=1e-6)


@needs_peft
def test_an_adapter_for_a_local_folder_is_not_pushed(trained: Run) -> None:
    with pytest.raises(GluetuneError, match="is an adapter for"):
        gluetune.push(trained, "me/adapter", dry_run=True)


@needs_peft
def test_a_full_fine_tuning_starts_from_an_adapter(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first = bench.train("rte", method="lora")
    second = bench.train("rte", model=str(first.path), learning_rate=1e-12, epochs=1)
    assert second.record.model is not None
    assert second.record.model.new_weights == []
    assert (second.path / "model" / "model.safetensors").exists()
    plain = AutoModelForSequenceClassification.from_pretrained(second.path / "model")
    merged = load_trained(find_checkpoint(str(first.path))).model
    for name, weights in merged.named_parameters():
        assert torch.allclose(plain.get_parameter(name), weights, atol=1e-5)


@needs_peft
def test_layers_without_the_given_names_are_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    run = bench.train("rte", method="lora", lora_targets="query,value", epochs=1)
    saved = load_file(run.path / "model" / "adapter_model.safetensors")
    layers = {name.split(".lora_")[0].rpartition(".")[2] for name in saved if ".lora_" in name}
    assert layers == {"query", "value"}
    with pytest.raises(ConfigurationError, match="no linear layers called q_proj"):
        bench.train("rte", method="lora", lora_targets="q_proj")


@needs_peft
def test_the_learning_rate_has_a_default_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    settings = bench.settings("rte", method="lora", epochs=1)
    del settings["learning_rate"]
    run = gluetune.train(**settings, output=bench.new_output(), progress=False)
    assert run.config.learning_rate == 5e-4


def test_what_lora_needs_is_said_before_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    find = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name in ("peft", "bitsandbytes") else find(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(ConfigurationError, match="needs the package peft") as caught:
        bench.train("rte", method="lora")
    assert "gluetune[lora]" in str(caught.value)
    with pytest.raises(ConfigurationError, match="--lora-rank has no effect with --method full"):
        bench.train("rte", lora_rank=4)


@needs_peft
def test_four_bits_are_refused_without_a_gpu(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigurationError, match="4bit needs a CUDA GPU"):
        Bench(tmp_path).train("rte", method="lora", quantization="4bit")
