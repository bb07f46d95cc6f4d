"""Which rows of the word embeddings a training will ever look at, where that can be known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DataCollatorWithPadding, default_data_collator
from transformers.training_args import OptimizerNames

from gluetune.models.fast import UnsupportedError
from gluetune.models.fast.vocabulary import is_worthwhile, look_up, word_embeddings

if TYPE_CHECKING:
    import transformers
    from torch import nn

_ADAMW = (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED)
_LIBRARIES = ("transformers", "gluetune")
_FORMATS = (None, "torch", "numpy", "python")
"""What a data set may give its rows as; anything else may be a function that changes them."""


def occurring_rows(
    trainer: transformers.Trainer, data: Sequence[Any]
) -> tuple[nn.Embedding, torch.Tensor] | None:
    """Return the model's table of word embeddings and the rows of it that `data` use, ascending.

    None where leaving the others out would not be the same, or not be worth it: another optimiser
    than AdamW, one that the user made, a model made anew for every trial, sharded weights, scaled
    losses whose steps may be skipped, data or a collator that could bring other ids. Raises
    UnsupportedError where the model itself brings other ids, and what it raises on two examples.
    """
    arguments = trainer.args
    if (
        trainer.optimizer is not None
        or trainer.optimizer_cls_and_kwargs is not None
        or trainer.model_init is not None
        or arguments.optim not in _ADAMW
        or _makes_an_optimizer_of_its_own(trainer)
        or arguments.fp16
        or trainer.is_deepspeed_enabled
        or trainer.is_fsdp_enabled
        or not _adds_no_ids(trainer.data_collator)
    ):
        return None
    table = word_embeddings(trainer.model)
    if table is None or not all(_has(split, "input_ids") for split in data):
        return None
    lookups = [look_up(trainer.model, table, _some(trainer, split)) for split in data if len(split)]
    names = {"input_ids"}.union(*(found.names for found in lookups))
    used = _used(trainer, data, names, table.num_embeddings)
    if used is None or not is_worthwhile(table, used):
        return None
    for found in lookups:
        if more := sorted({*found.ids.tolist()}.difference(used.tolist())):
            raise UnsupportedError(f"it looks up ids that no data hold ({more[:5]})")
    return table, used


def _makes_an_optimizer_of_its_own(trainer: transformers.Trainer) -> bool:
    """Return whether a subclass of the user's decides what the optimiser is."""
    methods = (type(trainer).create_optimizer, type(trainer).get_optimizer_cls_and_kwargs)
    return any(method.__module__.split(".")[0] not in _LIBRARIES for method in methods)


def _some(trainer: transformers.Trainer, data: Any) -> dict[str, Any]:
    """Return two examples as the model is given them, on its device."""
    import datasets

    rows, collate = data, trainer.data_collator
    if isinstance(data, datasets.Dataset):
        rows = trainer._remove_unused_columns(data)
    else:
        collate = trainer._get_collator_with_removed_columns(collate)
    batch = collate([rows[row] for row in range(min(2, len(rows)))])
    device = trainer.model.device
    return {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "labels"
    }


def _adds_no_ids(collator: Any) -> bool:
    return type(collator) is DataCollatorWithPadding or collator is default_data_collator


def _used(
    trainer: transformers.Trainer, data: Sequence[Any], names: Iterable[str], count: int
) -> torch.Tensor | None:
    used = np.zeros(count, dtype=bool)
    for split, name in product(data, names):
        if not _has(split, name):
            continue
        ids = _ids(split, name)
        if len(ids) and not 0 <= ids.min() <= ids.max() < count:
            return None
        used[ids] = True
    used[[token for token in _special(trainer) if 0 <= token < count]] = True
    return torch.from_numpy(np.flatnonzero(used))


def _has(data: Any, name: str) -> bool:
    """Return whether a data set has a column that can be read without running any code."""
    import datasets

    if isinstance(data, datasets.Dataset):
        return name in data.column_names and data.format["type"] in _FORMATS
    return isinstance(data, list | tuple) and all(name in row for row in data)


def _ids(data: Any, name: str) -> NDArray[Any]:
    """Return every id in a column that a data set has."""
    import datasets

    if isinstance(data, datasets.Dataset):
        return _flat(data.with_format("arrow")[name])
    return np.concatenate([np.asarray(row[name]) for row in data] or [np.empty(0, int)])


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
