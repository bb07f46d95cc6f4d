"""Random checkpoints of every architecture, small enough to be created and trained in a test.

They have the peculiarities of the published ones: GPT-2 has no pad token, Qwen2 has one that its
configuration does not know, XLNet pads on the left and, like T5, knows no longest input, RoBERTa's
positions start after the pad id, ModernBERT mixes global and sliding attention, ALBERT's layers
share their weights, DeBERTa has relative positions and no absolute ones, OPT's decoder holds the
embeddings next to the layers, BLOOM adds a bias by distance, Mistral attends to a window.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from tests.support.tiny_tokenizers import TOKENIZERS
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

_HIDDEN, _LAYERS, _HEADS, _INNER = 32, 2, 4, 64

_ENCODER = {
    "hidden_size": _HIDDEN,
    "num_hidden_layers": _LAYERS,
    "num_attention_heads": _HEADS,
    "intermediate_size": _INNER,
}
_PART_ROTARY = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}
_SHAPES: Mapping[str, Mapping[str, Any]] = {
    "albert": {**_ENCODER, "embedding_size": 16},
    "bart": {
        "d_model": _HIDDEN,
        "encoder_layers": _LAYERS,
        "decoder_layers": _LAYERS,
        "encoder_attention_heads": _HEADS,
        "decoder_attention_heads": _HEADS,
        "encoder_ffn_dim": _INNER,
        "decoder_ffn_dim": _INNER,
        "init_std": 0.2,
    },
    "bert": _ENCODER,
    "bloom": {"hidden_size": _HIDDEN, "n_layer": _LAYERS, "n_head": _HEADS},
    "camembert": {**_ENCODER, "type_vocab_size": 1},
    "deberta-v2": {
        **_ENCODER,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
    },
    "distilbert": {"dim": _HIDDEN, "n_layers": _LAYERS, "n_heads": _HEADS, "hidden_dim": _INNER},
    "electra": {**_ENCODER, "embedding_size": 16},
    "falcon": {**_ENCODER, "ffn_hidden_size": _INNER},
    "gemma": {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8},
    "gpt_neox": {**_ENCODER, "rope_parameters": _PART_ROTARY},
    "gpt2": {"n_embd": _HIDDEN, "n_layer": _LAYERS, "n_head": _HEADS},
    "llama": {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8},
    "mistral": {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 12},
    "modernbert": {
        **_ENCODER,
        "local_attention": 8,
        "layer_types": ["full_attention", "sliding_attention"],
    },
    "mpnet": _ENCODER,
    "opt": {
        "hidden_size": _HIDDEN,
        "word_embed_proj_dim": 16,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "ffn_dim": _INNER,
        "init_std": 0.2,
    },
    "phi": {**_ENCODER, "rope_parameters": _PART_ROTARY},
    "qwen2": {**_ENCODER, "num_key_value_heads": 2},
    "qwen3": {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8},
    "roberta": {**_ENCODER, "type_vocab_size": 1},
    "stablelm": {**_ENCODER, "num_key_value_heads": 2, "rope_parameters": _PART_ROTARY},
    "t5": {
        "d_model": _HIDDEN,
        "d_kv": _HIDDEN // _HEADS,
        "d_ff": _INNER,
        "num_layers": _LAYERS,
        "num_heads": _HEADS,
        "decoder_start_token_id": 0,
    },
    "xlm-roberta": {**_ENCODER, "type_vocab_size": 1},
    "xlnet": {"d_model": _HIDDEN, "n_layer": _LAYERS, "n_head": _HEADS, "d_inner": _INNER},
}
ARCHITECTURES = tuple(_SHAPES)
"""Every architecture that `write_tiny_checkpoint` can make, by its `model_type`."""

_POSITIONS_AFTER_PAD = frozenset({"camembert", "mpnet", "roberta", "xlm-roberta"})
_NO_LONGEST_INPUT = frozenset({"t5", "xlnet"})
_NO_PAD_IN_CONFIG = frozenset({"gpt2", "qwen2", "qwen3"})


def write_tiny_checkpoint(
    folder: Path,
    architecture: str,
    *,
    seed: int = 0,
    num_labels: int | None = None,
    id2label: Mapping[int, str] = MappingProxyType({}),
    dropout: float = 0.0,
    max_length: int = 128,
    **config: Any,
) -> Path:
    """Write a random checkpoint with its tokenizer into `folder`, as save_pretrained does.

    It is a base model without a head, unless `num_labels` or `id2label` ask for a
    sequence-classification head. `dropout` is every dropout probability of the configuration,
    `max_length` the longest input in tokens, `config` any other field of the configuration.
    The same arguments give the same weights; the random state of the caller is left alone.
    """
    longest = {} if architecture in _NO_LONGEST_INPUT else {"model_max_length": max_length}
    tokenizer = TOKENIZERS[architecture](**longest)
    settings = _config(architecture, tokenizer, dropout, max_length)
    labels = dict(id2label) or {label: f"LABEL_{label}" for label in range(num_labels or 0)}
    if labels:
        settings.id2label = labels
        settings.label2id = {name: label for label, name in labels.items()}
    settings.update(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        maker = AutoModelForSequenceClassification if labels else AutoModel
        model = _without_zeros(maker.from_config(settings))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if labels:
        _write_labels(folder / "config.json", labels)
    return folder


def _config(architecture: str, tokenizer: Any, dropout: float, max_length: int) -> Any:
    positions = max_length + 2 if architecture in _POSITIONS_AFTER_PAD else max_length
    ids = {
        name: getattr(tokenizer, name)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id")
        if getattr(tokenizer, name) is not None
    }
    if architecture in _NO_PAD_IN_CONFIG:
        ids["pad_token_id"] = None
    # Weights larger than the usual 0.02: logits that hardly differ would hide mistakes.
    settings = AutoConfig.for_model(
        architecture,
        **{"initializer_range": 0.2, "vocab_size": len(tokenizer), **ids, **_SHAPES[architecture]},
    )
    if architecture not in _NO_LONGEST_INPUT:
        settings.max_position_embeddings = positions
    for name, value in settings.to_dict().items():
        if ("dropout" in name or "pdrop" in name) and isinstance(value, int | float):
            setattr(settings, name, dropout)
    return settings


def _write_labels(path: Path, labels: Mapping[int, str]) -> None:
    # transformers leaves LABEL_0 and LABEL_1 out as the default, but BART's own default is three.
    config = json.loads(path.read_text(encoding="utf-8"))
    config["id2label"] = {str(label): name for label, name in labels.items()}
    config["label2id"] = {name: label for label, name in labels.items()}
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")


def _without_zeros(model: Any) -> Any:
    """Add noise to biases and normalisation weights, which start at 0 and 1 and would hide much."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model
