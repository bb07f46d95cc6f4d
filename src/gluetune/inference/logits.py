"""Compute logits for every example of a split, batched by length."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size
from numpy.typing import NDArray

from gluetune.core.errors import TrainingError
from gluetune.data.encoding import Encoded
from gluetune.models.fast.layout import send
from gluetune.parallel.collectives import ALONE, Processes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]

ResolvedPrecision = Literal["fp32", "bf16", "fp16"]
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def compute_logits(
    model: PreTrainedModel,
    split: Encoded,
    collate: Collator,
    *,
    batch_size: int,
    precision: ResolvedPrecision,
    processes: Processes = ALONE,
) -> NDArray[np.float32]:
    """Return the model's logits, of shape (examples, outputs), without dropout.

    Each of `processes` computes every n-th batch and receives the others: the batches, and so the
    bits, are those of one process, and every process computes the same scores.

    Examples run in order of length, longest first, so that padding is small and a lack of memory
    shows in the first batch; batches are then made smaller. The first batch has `batch_size`
    examples; later batches have no more positions than it. No random number is drawn, so an
    evaluation does not affect training. Raises TrainingError if a single example does not fit into
    memory.
    """
    if split.window is not None:
        how = {"batch_size": batch_size, "precision": precision, "processes": processes}
        return by_window(split, lambda windows: compute_logits(model, windows, collate, **how))  # type: ignore[arg-type]  # of a dict
    order = np.argsort(-split.lengths, kind="stable")
    positions = batch_size * int(split.lengths.max(initial=1))
    mine = _batches(order, split.lengths, positions)[processes.index :: processes.count]
    training = model.training
    model.eval()
    try:
        # Autocast caches the weights that it has cast, except in inference mode.
        with torch.no_grad(), autocast(model.device, precision):
            parts = _run(model, split, collate, mine)
    finally:
        model.train(training)
    computed = torch.cat(parts).cpu().numpy() if parts else None
    shares = processes.gather((np.concatenate([order[:0], *mine]), computed))
    rows = np.concatenate([rows for rows, _ in shares])
    found = np.concatenate([logits for _, logits in shares if logits is not None])
    in_order: NDArray[np.float32] = found[np.argsort(rows)]
    return in_order


def by_window(
    split: Encoded, compute: Callable[[Encoded], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Return the mean logits of the windows of each example; `compute` takes windows as rows.

    Memory is that of windows, however long the examples are.
    """
    if split.window is None or not len(split.lengths):
        return compute(replace(split, window=None))
    counts = np.maximum(1, -(-split.lengths // split.window))
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = split.window * (np.arange(len(owner)) - first[owner])
    lengths = np.minimum(split.window, split.lengths[owner] - starts)
    logits = compute(_Windows(split.examples, lengths, 0, owner=owner, starts=starts, whole=split))
    means = np.add.reduceat(logits, first) / counts[:, None]
    return means.astype(np.float32)


@dataclass(frozen=True)
class _Windows(Encoded):
    """The windows of examples, as examples."""

    owner: NDArray[np.intp] = field(kw_only=True)
    """The example of each window."""
    starts: NDArray[np.intp] = field(kw_only=True)
    """Its first token in that example."""
    whole: Encoded = field(kw_only=True)

    def rows(self, numbers: NDArray[np.intp]) -> list[dict[str, Any]]:
        """Return windows by index."""
        owners, places = np.unique(self.owner[numbers], return_inverse=True)
        examples = self.whole.rows(owners)
        return [
            _window(examples[place], int(self.starts[number]), int(self.lengths[number]))
            for number, place in zip(numbers, places, strict=True)
        ]


def _window(example: dict[str, Any], start: int, length: int) -> dict[str, Any]:
    end = start + length
    return {name: it if name == "labels" else it[start:end] for name, it in example.items()}


def autocast(device: torch.device, precision: ResolvedPrecision) -> AbstractContextManager[Any]:
    """Return the autocast context for a precision."""
    if precision == "fp32":
        return nullcontext()
    context: AbstractContextManager[Any] = torch.autocast(device.type, dtype=_DTYPES[precision])
    return context


def keep_cast_weights() -> None:
    """Keep autocast's cache of cast weights for all later forward passes of this thread.

    Only for inference threads: training would use outdated weights. Autocast clears its cache at
    the end of its outermost context, so this increments the nesting.
    """
    torch.autocast_increment_nesting()


def _run(
    model: PreTrainedModel,
    split: Encoded,
    collate: Collator,
    batches: Sequence[NDArray[np.intp]],
) -> list[torch.Tensor]:
    parts: list[torch.Tensor] = []
    waiting = deque(batches)
    while waiting:
        rows = waiting[0]
        try:
            parts.append(_forward(model, collate(split.rows(rows))))
        except RuntimeError as error:
            if not should_reduce_batch_size(error):
                raise
            positions = _smaller(len(rows), error) * int(split.lengths[rows[0]])
            waiting = deque(_batches(np.concatenate(waiting), split.lengths, positions))
        else:
            waiting.popleft()
    return parts


def _batches(
    order: NDArray[np.intp], lengths: NDArray[np.int64], positions: int
) -> list[NDArray[np.intp]]:
    """Cut examples, the longest first, into batches with at most `positions` when padded."""
    found, start = [], 0
    while start < len(order):
        size = max(1, positions // max(1, int(lengths[order[start]])))
        found.append(order[start : start + size])
        start += size
    return found


def _forward(model: PreTrainedModel, batch: dict[str, Any]) -> torch.Tensor:
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    inputs = send(inputs, model.device)
    logits = model(**inputs)["logits"].float()
    return logits.reshape(len(logits), -1)


def _smaller(batch_size: int, error: RuntimeError) -> int:
    if batch_size == 1:
        raise TrainingError(
            "There is not enough memory to evaluate a single example.",
            hint="Cut examples with --max-length, or choose a smaller checkpoint.",
        ) from error
    return batch_size // 2
