"""The tiny checkpoints load as published ones do, and keep the traps of their architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from tests.support.tiny_tokenizers import TOKENIZERS
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

TEXTS = [
    "The man read a book.",
    "It was not very good, said the woman who wrote 3 long stories: naïve 東京 🙂!",
]


def _load(folder: Path, **options: Any) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    options.setdefault("pad_token_id", tokenizer.pad_token_id)
    return tokenizer, AutoModelForSequenceClassification.from_pretrained(folder, **options).eval()


def _logits(tokenizer: Any, model: Any, texts: list[str]) -> torch.Tensor:
    with torch.no_grad():
        logits: torch.Tensor = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    return logits


def test_the_list_of_architectures() -> None:
    assert len(ARCHITECTURES) == 25
    assert set(TOKENIZERS) == set(ARCHITECTURES)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_base_checkpoint_takes_a_new_head_and_runs_a_padded_batch(
    tmp_path: Path, architecture: str
) -> None:
    folder = write_tiny_checkpoint(tmp_path, architecture)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    assert AutoConfig.from_pretrained(folder).model_type == architecture
    tokenizer, model = _load(folder, num_labels=3)
    assert tokenizer.is_fast
    assert sum(parameter.numel() for parameter in model.parameters()) < 200_000
    logits = _logits(tokenizer, model, TEXTS)
    assert logits.shape == (2, 3)
    assert torch.isfinite(logits).all()
    alone = _logits(tokenizer, model, TEXTS[:1])
    torch.testing.assert_close(alone, logits[:1], rtol=1e-3, atol=1e-3)
    assert (logits[0] - logits[1]).abs().max() > 1e-2


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_and_its_labels_are_kept(tmp_path: Path, architecture: str) -> None:
    labels = {0: "no", 1: "yes"}
    write_tiny_checkpoint(tmp_path / "a", architecture, seed=1, id2label=labels)
    write_tiny_checkpoint(tmp_path / "b", architecture, seed=1, id2label=labels)
    write_tiny_checkpoint(tmp_path / "c", architecture, seed=2, num_labels=2)
    first, again, other = (_load(tmp_path / name) for name in "abc")
    assert first[1].config.id2label == labels
    assert other[1].config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert torch.equal(_logits(*first, TEXTS), _logits(*again, TEXTS))
    assert not torch.allclose(_logits(*first, TEXTS), _logits(*other, TEXTS))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_tokenizer_that_loads_is_the_one_that_was_written(
    tmp_path: Path, architecture: str
) -> None:
    written = TOKENIZERS[architecture]()
    loaded = AutoTokenizer.from_pretrained(write_tiny_checkpoint(tmp_path, architecture))
    assert type(loaded) is type(written)
    assert loaded(TEXTS, TEXTS).data == written(TEXTS, TEXTS).data
    known = loaded("the man was not there", add_special_tokens=False).input_ids
    assert len(known) <= 8
    assert loaded.unk_token_id is None or loaded.unk_token_id not in known


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_is_none_unless_asked_for(tmp_path: Path, architecture: str) -> None:
    write_tiny_checkpoint(tmp_path / "none", architecture, num_labels=2)
    write_tiny_checkpoint(tmp_path / "some", architecture, num_labels=2, dropout=0.5)
    for name, same in (("none", True), ("some", False)):
        tokenizer, model = _load(tmp_path / name)
        model.train()
        first, second = (_logits(tokenizer, model, TEXTS) for _ in range(2))
        assert torch.equal(first, second) is same


@pytest.mark.parametrize("architecture", sorted(set(ARCHITECTURES) - {"t5", "xlnet"}))
def test_the_longest_input_fits(tmp_path: Path, architecture: str) -> None:
    tokenizer, model = _load(write_tiny_checkpoint(tmp_path, architecture, max_length=24))
    assert tokenizer.model_max_length == 24
    batch = tokenizer(["the man " * 40], truncation=True, return_tensors="pt")
    assert batch.input_ids.shape == (1, 24)
    assert torch.isfinite(model(**batch).logits).all()


def test_the_traps_are_kept(tmp_path: Path) -> None:
    def tokenizer(architecture: str) -> Any:
        return AutoTokenizer.from_pretrained(
            write_tiny_checkpoint(tmp_path / architecture, architecture)
        )

    assert tokenizer("gpt2").pad_token is None
    assert tokenizer("qwen2").pad_token is not None
    for architecture in ("gpt2", "qwen2"):
        assert AutoConfig.from_pretrained(tmp_path / architecture).pad_token_id is None
    assert tokenizer("xlnet").padding_side == "left"
    assert tokenizer("xlnet").model_max_length > 1e20
    for architecture in ("roberta", "xlm-roberta", "camembert", "mpnet", "bart"):
        assert tokenizer(architecture).pad_token_id == 1


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    write_tiny_checkpoint(tmp_path, "bert", seed=9)
    assert torch.equal(torch.rand(4), expected)


def test_any_field_of_the_configuration_can_be_given(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert", num_hidden_layers=1, type_vocab_size=1)
    config = AutoConfig.from_pretrained(folder)
    assert (config.num_hidden_layers, config.type_vocab_size) == (1, 1)
