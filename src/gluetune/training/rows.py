"""Which rows of the word embeddings a training will ever look at, where that can be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, default_data_collator
from transformers.training_args import OptimizerNames

from gluetune.modeling.vocabulary import is_worthwhile, word_embeddings

if TYPE_CHECKING:
    import transformers
    from torch import nn

_ADAMW = (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED)
_FORMATS = (None, "torch", "numpy", "python")
"""What a data set may give its rows as; anything else may be a function that changes them."""


def occurring_rows(
    trainer: transformers.Trainer, data: Sequence[Any]
) -> tuple[nn.Embedding, torch.Tensor] | None:
    """Return the model's table of word embeddings and the rows of it that `data` use, ascending.

    None where leaving the others out would not be the same, or not be worth it: another optimiser
    than AdamW, one that the user made, a model made anew for every trial, sharded weights, scaled
    losses whose steps may be skipped, data or a collator that could bring other ids.
    """
    arguments = trainer.args
    if (
        trainer.optimizer is not None
        or trainer.optimizer_cls_and_kwargs is not None
        or trainer.model_init is not None
        or arguments.optim not in _ADAMW
        or arguments.fp16
        or trainer.is_deepspeed_enabled
        or trainer.is_fsdp_enabled
        or not _adds_no_ids(trainer.data_collator)
    ):
        return None
    table = word_embeddings(trainer.model)
    used = None if table is None else _used(trainer, data, table.num_embeddings)
    if table is None or used is None or not is_worthwhile(table, used):
        return None
    return table, used


def _adds_no_ids(collator: Any) -> bool:
    return type(collator) is DataCollatorWithPadding or collator is default_data_collator


def _used(trainer: transformers.Trainer, data: Sequence[Any], count: int) -> torch.Tensor | None:
    used = np.zeros(count, dtype=bool)
    for split in data:
        ids = _ids(split)
        if ids is None or (len(ids) and not 0 <= ids.min() <= ids.max() < count):
            return None
        used[ids] = True
    used[[token for token in _special(trainer) if 0 <= token < count]] = True
    return torch.from_numpy(np.flatnonzero(used))


def _ids(data: Any) -> NDArray[Any] | None:
    """Return every token id of a data set; None where it cannot be known without running it."""
    import datasets

    if isinstance(data, datasets.Dataset):
        if "input_ids" not in data.column_names or data.format["type"] not in _FORMATS:
            return None
        column = data.with_format("arrow")["input_ids"]
        return _flat(column)
    if isinstance(data, list | tuple) and all("input_ids" in row for row in data):
        return np.concatenate([np.asarray(row["input_ids"]) for row in data] or [np.empty(0, int)])
    return None


def _flat(column: Any) -> NDArray[Any]:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)


def _special(trainer: transformers.Trainer) -> list[int]:
    """Return the ids that a tokenizer or a model may put in by itself, and 0 to be sure."""
    tokenizer = trainer.processing_class or getattr(trainer.data_collator, "tokenizer", None)
    found = [0, *getattr(tokenizer, "all_special_ids", ())]
    named = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id")
    for name in named:
        value = getattr(trainer.model.config, name, None)
        if isinstance(value, int):
            found.append(value)
    return found
