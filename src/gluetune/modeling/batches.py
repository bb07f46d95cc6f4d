"""How a batch is cut into the parts that pass through the model one after another.

The order of examples inside a step means nothing to its sum, so parts hold examples of like length,
each padded to its own longest only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

_PASS = 128
"""What one more pass through the model costs, in tokens of padding that it must save: a guess."""


def split(inputs: Mapping[str, Any], size: int) -> Iterator[Mapping[str, Any]]:
    """Cut a batch into parts of `size` examples at most; a batch that small stays as it is."""
    if _count(inputs) <= size:
        yield inputs  # as the collator padded it: a fixed length is there for a reason
        return
    order = torch.argsort(_lengths(inputs), stable=True)
    for rows in order.split(size):
        yield _part(inputs, rows)


def split_by_length(inputs: Mapping[str, Any], size: int) -> Iterator[Mapping[str, Any]]:
    """Cut a batch so that padding and passes cost least, `size` examples at most a part."""
    lengths = _lengths(inputs)
    order = torch.argsort(lengths, stable=True)
    for rows in order.split(cheapest_parts(lengths[order].cpu().numpy(), size)):
        yield _part(inputs, rows)


def cheapest_parts(
    lengths: np.ndarray[Any, Any], size: int, *, most_tokens: int | None = None
) -> list[int]:
    """Return the numbers of examples per part, for ascending lengths, by dynamic programming.

    A part has `size` examples at most, and with its padding `most_tokens`, unless it is one alone.
    """
    count = len(lengths)
    costs = np.zeros(count + 1)
    starts = np.zeros(count + 1, dtype=int)
    for end in range(1, count + 1):
        longest = max(int(lengths[end - 1]), 1)
        room = size if most_tokens is None else min(size, max(1, most_tokens // longest))
        candidates = np.arange(max(0, end - room), end)
        totals = costs[candidates] + (end - candidates) * longest + _PASS
        best = int(totals.argmin())
        costs[end], starts[end] = totals[best], candidates[best]
    sizes, end = [], count
    while end:
        sizes.append(int(end - starts[end]))
        end = int(starts[end])
    return sizes[::-1]


def is_mixed(inputs: Mapping[str, Any]) -> bool:
    """Return whether a batch has padding that could be left out."""
    mask = inputs.get("attention_mask")
    return mask is not None and mask.dim() == 2 and not bool(mask.all())


def sample(inputs: Mapping[str, Any], count: int) -> Mapping[str, Any]:
    """Take `count` examples of a batch, from its shortest to its longest."""
    order = torch.argsort(_lengths(inputs), stable=True)
    if len(order) <= count:
        return inputs
    places = torch.linspace(0, len(order) - 1, count, device=order.device).round().long()
    return _part(inputs, order[places])


def _count(inputs: Mapping[str, Any]) -> int:
    return max(len(value) for value in inputs.values() if isinstance(value, torch.Tensor))


def _lengths(inputs: Mapping[str, Any]) -> torch.Tensor:
    mask = inputs.get("attention_mask")
    return torch.zeros(_count(inputs)) if mask is None else mask.sum(dim=1)


def _part(inputs: Mapping[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    return _trim({name: _take(value, rows) for name, value in inputs.items()})


def _take(value: Any, rows: torch.Tensor) -> Any:
    return value[rows.to(value.device)] if isinstance(value, torch.Tensor) else value


def _trim(inputs: dict[str, Any]) -> dict[str, Any]:
    """Drop the positions that are padding in every example, at either end."""
    mask = inputs.get("attention_mask")
    if mask is None or mask.dim() != 2:
        return inputs
    used = mask.any(dim=0).nonzero()
    if not len(used):
        return inputs
    start, end = int(used[0]), int(used[-1]) + 1
    return {
        name: value[:, start:end]
        if isinstance(value, torch.Tensor) and value.shape[:2] == mask.shape
        else value
        for name, value in inputs.items()
    }
