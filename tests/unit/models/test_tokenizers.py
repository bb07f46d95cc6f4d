from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from transformers import AutoConfig, AutoModelForSequenceClassification

from gluetune.core.errors import CheckpointError
from gluetune.models.checkpoints import Checkpoint, find_checkpoint
from gluetune.models.tokenizers import input_limit, load_config, load_tokenizer

LIMIT = 40
UNLIMITED = {"t5", "xlnet"}


def written(folder: Path, architecture: str, **options: Any) -> Checkpoint:
    return find_checkpoint(
        str(write_tiny_checkpoint(folder, architecture, max_length=LIMIT, **options))
    )


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def limit_of(checkpoint: Checkpoint) -> int | None:
    config = load_config(checkpoint)
    return input_limit(config, load_tokenizer(checkpoint, config))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_longest_input_fits_and_one_more_is_known_not_to(
    tmp_path: Path, architecture: str
) -> None:
    """The tokenizer's own limit is taken away, as many published ones have none (1e30)."""
    checkpoint = written(tmp_path, architecture)
    edit(tmp_path / "tokenizer_config.json", model_max_length=int(1e30))
    limit = limit_of(checkpoint)
    assert limit == (None if architecture in UNLIMITED else LIMIT)
    config = load_config(checkpoint)
    config.pad_token_id = load_tokenizer(checkpoint, config).pad_token_id
    config.num_labels = 2
    model = AutoModelForSequenceClassification.from_config(config).eval()
    with torch.no_grad():
        assert model(**_inputs(checkpoint, limit or 3 * LIMIT)).logits.shape == (1, 2)
    if architecture in ("bert", "roberta", "mpnet", "bart", "gpt2"):
        with pytest.raises((IndexError, RuntimeError)), torch.no_grad():
            model(**_inputs(checkpoint, LIMIT + 1))


def _inputs(checkpoint: Checkpoint, length: int) -> dict[str, torch.Tensor]:
    """Return one text of `length` tokens, special ones counted."""
    tokenizer = load_tokenizer(checkpoint)
    options = {"truncation": True, "max_length": length, "return_tensors": "pt"}
    inputs = dict(tokenizer(["the man read a book " * length], **options))
    assert inputs["input_ids"].shape == (1, length)
    return inputs


@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2"])
def test_the_smaller_of_both_limits_counts(tmp_path: Path, architecture: str) -> None:
    checkpoint = written(tmp_path, architecture)
    edit(tmp_path / "tokenizer_config.json", model_max_length=17)
    assert limit_of(checkpoint) == 17
    edit(tmp_path / "tokenizer_config.json", model_max_length=1000)
    assert limit_of(checkpoint) == LIMIT


@pytest.mark.parametrize("architecture", sorted(UNLIMITED))
def test_a_tokenizers_limit_counts_where_the_model_has_none(
    tmp_path: Path, architecture: str
) -> None:
    checkpoint = written(tmp_path, architecture)
    edit(tmp_path / "tokenizer_config.json", model_max_length=512)
    assert limit_of(checkpoint) == 512


def test_gpt2_borrows_its_end_token_for_padding(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(written(tmp_path, "gpt2"))
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"


def test_a_tokenizer_without_any_token_to_pad_with_is_refused(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, "gpt2")
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    edit(tmp_path / "tokenizer_config.json", **dict.fromkeys(names))
    with pytest.raises(CheckpointError, match="no pad, end or unknown token"):
        load_tokenizer(checkpoint)


@pytest.mark.parametrize("stated", ["left", "right"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_padding_stands_where_the_head_can_bear_it(
    tmp_path: Path, architecture: str, stated: str
) -> None:
    checkpoint = written(tmp_path, architecture)
    edit(tmp_path / "tokenizer_config.json", padding_side=stated)
    expected = "left" if architecture == "xlnet" else "right"
    assert load_tokenizer(checkpoint).padding_side == expected


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    checkpoint = written(tmp_path, "bert")
    tokens = AutoConfig.from_pretrained(tmp_path).vocab_size
    edit(tmp_path / "config.json", vocab_size=tokens + 100)
    assert len(load_tokenizer(checkpoint)) == tokens, "a padded vocabulary is usual"
    edit(tmp_path / "config.json", vocab_size=tokens - 1)
    with pytest.raises(CheckpointError, match=f"has {tokens} tokens, its model {tokens - 1}"):
        load_tokenizer(checkpoint)


@pytest.mark.parametrize("content", ["", "{", '{"model_type": "not-there"}', "{}"])
def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path, content: str) -> None:
    checkpoint = written(tmp_path, "bert")
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=f"config of {tmp_path} cannot be read") as caught:
        load_config(checkpoint)
    assert "\n" not in caught.value.findings[0].message


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_checkpoint_without_a_tokenizer_is_refused(tmp_path: Path, architecture: str) -> None:
    """transformers makes an empty one, to which every word is unknown."""
    checkpoint = written(tmp_path, architecture)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(CheckpointError, match=f"{tmp_path}.*(has no tokenizer|cannot be read)"):
        load_tokenizer(checkpoint)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    checkpoint = written(tmp_path, "bert")
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=f"tokenizer of {tmp_path} cannot be read"):
        load_tokenizer(checkpoint)
