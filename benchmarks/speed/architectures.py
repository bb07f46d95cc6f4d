"""Random checkpoints of every architecture, large enough that their arithmetic can be timed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import notebook
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from transformers import AutoTokenizer

WIDTH, LAYERS, HEADS, INNER = 256, 4, 4, 1024
VOCABULARY = 30_000
"""As many rows as a usual table has, though the tokenizer knows a few hundred pieces."""
LONGEST = 128
"""Tokens of the longest example: these tokenizers spell most words, so texts are long."""

_COMMON = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "vocab_size": VOCABULARY,
    "initializer_range": 0.02,
}
_ENCODER = {**_COMMON, "intermediate_size": INNER}
_SIZES: Mapping[str, Mapping[str, Any]] = {
    "albert": {**_ENCODER, "embedding_size": 128},
    "bart": {
        "d_model": WIDTH,
        "encoder_layers": LAYERS,
        "decoder_layers": LAYERS,
        "encoder_ffn_dim": INNER,
        "decoder_ffn_dim": INNER,
        "vocab_size": VOCABULARY,
        "init_std": 0.02,
    },
    "deberta-v2": {**_ENCODER, "pooler_hidden_size": WIDTH},
    "distilbert": {**_COMMON, "hidden_dim": INNER},
    "electra": {**_ENCODER, "embedding_size": 128},
    "gpt2": _COMMON,
    "modernbert": {
        **_ENCODER,
        "local_attention": 32,
        "layer_types": ["full_attention", *["sliding_attention"] * (LAYERS - 1)],
    },
    "qwen2": {**_ENCODER, "layer_types": ["full_attention"] * LAYERS},
    "t5": {
        "d_model": WIDTH,
        "d_kv": WIDTH // HEADS,
        "d_ff": INNER,
        "num_layers": LAYERS,
        "num_decoder_layers": LAYERS,
        "vocab_size": VOCABULARY,
    },
    "xlnet": {**_COMMON, "d_head": WIDTH // HEADS, "d_inner": INNER},
}

BERT_BASE = "bert-base"
"""One of the size that people fine-tune, with the tokenizer of bert-base-uncased."""


def write_checkpoints(*, names: list[str], folder: str) -> dict[str, Any]:
    """Write a random checkpoint, with dropout 0.1, of each architecture; no names mean all.

    Returns the folder of each, and the longest example in tokens that they take.
    """
    known = (*ARCHITECTURES, BERT_BASE)
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ValueError(f"No architecture {', '.join(unknown)}: {', '.join(known)}.")
    written = {name: str(Path(folder) / name) for name in names or ARCHITECTURES}
    for name, path in written.items():
        if name == BERT_BASE:
            _write_bert_base(Path(path))
        else:
            sizes = _SIZES.get(name, _ENCODER)
            write_tiny_checkpoint(Path(path), name, dropout=0.1, max_length=LONGEST, **sizes)
    return {"checkpoints": written, "longest": LONGEST}


def _write_bert_base(path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(notebook.minilm_folder())
    write_tiny_checkpoint(
        path,
        "bert",
        dropout=0.1,
        max_length=LONGEST,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.02,
    )
    tokenizer.save_pretrained(path)
