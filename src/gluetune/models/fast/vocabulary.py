"""Train only the rows of the word embeddings that occur in the data.

A row that never occurs has no gradient, and AdamW, whose moments for it stay 0, only decays it:
after k steps it is multiplied by the product of (1 - learning rate x weight decay). So only the
rows that occur are trained, and the whole table is restored whenever the model is saved. For a
multilingual model this saves most of the work of the optimiser and of the gradient's norm.

Ids are translated inside the embedding module, never in `input_ids`, which positions (RoBERTa) and
pooling (GPT-2, BART) read.

`occurring_rows` finds the rows that a run reads, if that can be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import DataCollatorWithPadding, default_data_collator
from transformers.training_args import OptimizerNames

from gluetune.core.errors import TrainingError
from gluetune.models.fast import UnsupportedError

if TYPE_CHECKING:
    import transformers
    from transformers import PreTrainedModel


_WORTHWHILE = 0.9
"""A table of which a larger part occurs is not made compact."""


def word_embeddings(model: PreTrainedModel) -> nn.Embedding | None:
    """Return the model's word embeddings, None if they cannot be made compact.

    That is, if they are not a plain nn.Embedding, or share their weights with another module.
    """
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:
        return None
    if type(table) is not nn.Embedding or table.max_norm is not None or table.sparse:
        return None
    if table.scale_grad_by_freq or not table.weight.requires_grad:
        return None
    owners = [
        module
        for module in model.modules()
        if any(parameter is table.weight for parameter in module.parameters(recurse=False))
    ]
    return table if owners == [table] else None


@dataclass(frozen=True)
class Lookups:
    """The ids that a model looks up in its word embeddings for a batch."""

    names: frozenset[str]
    """Inputs that are looked up unchanged: `input_ids`, for GPT-2 `token_type_ids` too."""
    ids: torch.Tensor
    """All ids: shape (ids,)."""


def look_up(model: PreTrainedModel, table: nn.Embedding, inputs: Mapping[str, Any]) -> Lookups:
    """Run a batch, on the model's device, and record the lookups in `table`.

    Dropout is off, and no random number is drawn.
    """
    seen: list[torch.Tensor] = []
    handle = table.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(**inputs)
    finally:
        model.train(training)
        handle.remove()
    looked_up = {StorageWeakRef(ids.untyped_storage()) for ids in seen}
    names = (name for name, value in inputs.items() if isinstance(value, torch.Tensor))
    return Lookups(
        frozenset(
            name for name in names if StorageWeakRef(inputs[name].untyped_storage()) in looked_up
        ),
        torch.cat([ids.flatten() for ids in seen]).unique() if seen else torch.empty(0).long(),
    )


class CompactVocabulary:
    """Word embeddings of which only `rows` are kept and trained.

    The parameter is the same object under the same name; it is only shorter until `restore`.
    """

    def __init__(self, table: nn.Embedding, rows: torch.Tensor) -> None:
        """`rows` are the ids that occur, in ascending order, padding among them."""
        self.table = table
        self.rows: torch.Tensor = rows.to(table.weight.device)
        self.decay: float = 1.0
        """Factor by which weight decay has multiplied the rows that do not occur."""
        self._first = table.weight.data
        """The initial table; its rows that occur are outdated."""
        self._base = self._first
        self._padding = table.padding_idx
        self._places = torch.full((len(self._first),), -1, device=self.rows.device)
        self._places[self.rows] = torch.arange(len(rows), device=self.rows.device)
        table.weight.data = self._first[self.rows].clone()
        if self._padding is not None:
            table.padding_idx = int(self._places[self._padding])
        self._followed: list[torch.optim.Optimizer] = []
        self._handles: list[Any] = [
            table.register_forward_pre_hook(self._translate),
            table.register_state_dict_post_hook(partial(self._write_whole)),
            table.register_load_state_dict_pre_hook(self._read_rows),
        ]

    def whole(self) -> torch.Tensor:
        """Return the whole table, as in training without a compact vocabulary."""
        table = self._base * self.decay
        table[self.rows] = self.table.weight.data
        return table

    def restore(self) -> None:
        """Restore the whole embeddings and remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self.table.padding_idx = self._padding
        self.table.weight.data = self.whole()
        self.table.weight.grad = None

    def follow(self, optimizer: torch.optim.Optimizer) -> None:
        """Track the weight decay of every step of `optimizer`."""
        if optimizer in self._followed:
            return
        self._followed.append(optimizer)

        def count(*_: Any) -> None:
            # Read again at every step: accelerate replaces the dictionaries.
            for group in optimizer.param_groups:
                if any(parameter is self.table.weight for parameter in group["params"]):
                    self.decay *= 1 - float(group["lr"]) * group["weight_decay"]

        self._handles.append(optimizer.register_step_pre_hook(count))

    def expand_moments(self, optimizer: torch.optim.Optimizer | None) -> None:
        """Expand the optimiser's moments to a row for every embedding."""
        state = {} if optimizer is None else optimizer.state.get(self.table.weight, {})
        for name, moment in state.items():
            if isinstance(moment, torch.Tensor) and moment.shape == self.table.weight.shape:
                state[name] = torch.zeros_like(self._first).index_copy_(0, self.rows, moment)

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs in addition to the whole table."""
        return {"decay": self.decay.hex(), "rows": len(self.rows)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Resume from `state`, after the whole table of that step has been loaded.

        Rows that do not occur are then computed from the initial table, so that the result is
        bit-identical to that of an uninterrupted run. Raises TrainingError for other data.
        """
        if state["rows"] != len(self.rows):
            raise TrainingError(
                f"The data use {len(self.rows)} rows of the vocabulary, the checkpoint "
                f"{state['rows']}.",
                hint="Resume with the data that the run started with.",
            )
        decay = float.fromhex(state["decay"])
        absent = self._places < 0
        if torch.equal((self._first * decay)[absent], self._base[absent]):
            self._base, self.decay = self._first, decay

    def _translate(self, table: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        ids, *rest = args
        places = self._places[ids]
        if places.device.type == "cpu" and places.numel() and int(places.min()) < 0:
            unknown = ids[places < 0].unique()[:5].tolist()
            raise TrainingError(
                f"Token ids {unknown} do not occur in the data of the run.",
                hint="To train every row: --no-compact-vocabulary, in Python "
                "compact_vocabulary=False.",
            )
        return (places, *rest)

    def _write_whole(
        self, table: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
    ) -> None:
        state_dict[f"{prefix}weight"] = self.whole()

    def _read_rows(
        self, table: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
    ) -> None:
        name = f"{prefix}weight"
        if name in state_dict:
            self._base = state_dict[name].to(self._first)
            self.decay = 1.0
            state_dict[name] = self._base[self.rows]


@contextmanager
def compact_vocabulary(table: nn.Embedding, rows: torch.Tensor) -> Iterator[CompactVocabulary]:
    """Train only `rows` of `table` inside the block."""
    vocabulary = CompactVocabulary(table, rows)
    try:
        yield vocabulary
    finally:
        vocabulary.restore()


def is_worthwhile(table: nn.Embedding, rows: torch.Tensor) -> bool:
    """Return whether enough rows never occur to save time."""
    return len(rows) <= _WORTHWHILE * int(table.num_embeddings)


_ADAMW = (OptimizerNames.ADAMW_TORCH, OptimizerNames.ADAMW_TORCH_FUSED)
_LIBRARIES = ("transformers", "gluetune")
_FORMATS = (None, "torch", "numpy", "python")
"""Formats of a data set that return its rows unchanged; others may transform them."""


def occurring_rows(
    trainer: transformers.Trainer, data: Sequence[Any]
) -> tuple[nn.Embedding, torch.Tensor] | None:
    """Return the model's word embeddings and the rows that `data` use, ascending.

    None if leaving the others out would change the result or save nothing: another optimiser than
    AdamW, the user's own optimiser, a `model_init`, sharded weights, loss scaling (which may skip
    steps), data or a collator that may add other ids. Raises UnsupportedError if the model itself
    looks up other ids, and any error of the model on two examples.
    """
    arguments = trainer.args
    if (
        trainer.optimizer is not None
        or trainer.optimizer_cls_and_kwargs is not None
        or trainer.model_init is not None
        or arguments.optim not in _ADAMW
        or _overrides_optimizer(trainer)
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
            raise UnsupportedError(f"it looks up ids that are not in the data ({more[:5]})")
    return table, used


def _overrides_optimizer(trainer: transformers.Trainer) -> bool:
    """Return whether a subclass of the user creates the optimiser."""
    methods = (type(trainer).create_optimizer, type(trainer).get_optimizer_cls_and_kwargs)
    return any(method.__module__.split(".")[0] not in _LIBRARIES for method in methods)


def _some(trainer: transformers.Trainer, data: Any) -> dict[str, Any]:
    """Return a batch of two examples on the model's device."""
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
    """Return whether a data set has a column that can be read without running user code."""
    import datasets

    if isinstance(data, datasets.Dataset):
        return name in data.column_names and data.format["type"] in _FORMATS
    return isinstance(data, list | tuple) and all(name in row for row in data)


def _ids(data: Any, name: str) -> NDArray[Any]:
    """Return all ids in a column of a data set."""
    import datasets

    if isinstance(data, datasets.Dataset):
        return _flat(data.with_format("arrow")[name])
    return np.concatenate([np.asarray(row[name]) for row in data] or [np.empty(0, int)])


def _flat(column: Any) -> NDArray[Any]:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.empty(0, dtype=np.int64)


def _special(trainer: transformers.Trainer) -> list[int]:
    """Return the ids that a tokenizer or a model may add, and 0."""
    tokenizer = trainer.processing_class or getattr(trainer.data_collator, "tokenizer", None)
    found = [0, *getattr(tokenizer, "all_special_ids", ())]
    named = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id")
    for name in named:
        value = getattr(trainer.model.config, name, None)
        if isinstance(value, int):
            found.append(value)
    return found
