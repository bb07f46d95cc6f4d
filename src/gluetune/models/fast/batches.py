"""Cut a batch into parts of similar length, which run through the model sequentially.

The order of examples in a step does not change its gradient, so each part has examples of similar
length and is padded to its own longest example only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

_PASS = 128
"""Estimated cost of one more forward pass, in tokens of padding."""


_BY_TOKEN = (
    *("input_ids", "inputs_embeds", "attention_mask"),
    *("token_type_ids", "position_ids", "special_tokens_mask"),
)
"""Inputs of shape (examples or 1, positions, …)."""


def split(inputs: Mapping[str, Any], size: int) -> Iterator[Mapping[str, Any]]:
    """Cut a batch into parts of at most `size` examples; a batch that fits is not changed."""
    if count_examples(inputs) <= size:
        yield inputs  # as the collator padded it: a fixed length may be intended
        return
    order = torch.argsort(_lengths(inputs), stable=True)
    for rows in order.split(size):
        yield _part(inputs, rows)


def split_by_length(inputs: Mapping[str, Any], size: int) -> Iterator[Mapping[str, Any]]:
    """Cut a batch at the lowest cost of padding and passes, with at most `size` examples a part."""
    lengths = _lengths(inputs)
    order = torch.argsort(lengths, stable=True)
    for rows in order.split(cheapest_parts(lengths[order].cpu().numpy(), size)):
        yield _part(inputs, rows)


def cheapest_parts(
    lengths: np.ndarray[Any, Any], size: int, *, most_tokens: int | None = None
) -> list[int]:
    """Return the numbers of examples per part, for ascending lengths, by dynamic programming.

    A part has at most `size` examples and, unless it has one, at most `most_tokens` with padding.
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
    """Return whether a batch has padding."""
    mask = _mask(inputs)
    return mask is not None and not bool(mask.all())


def with_padding(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a batch that has padding: the first example is cut in half, if none has any.

    The ids under the padding stay, so this is for models that read no place by its id.
    """
    mask = _mask(inputs)
    if mask is None or is_mixed(inputs) or mask.shape[1] < 2:
        return inputs
    cut = mask.clone()
    cut[0, (mask.shape[1] + 1) // 2 :] = 0
    return {**inputs, "attention_mask": cut}


def count_examples(inputs: Mapping[str, Any]) -> int:
    """Return how many examples a batch has."""
    known = (inputs.get(name) for name in ("input_ids", "inputs_embeds", "attention_mask"))
    given = [value for value in known if value is not None] or inputs.values()
    return max(len(value) for value in given if isinstance(value, torch.Tensor) and value.dim())


def sample(inputs: Mapping[str, Any], count: int) -> Mapping[str, Any]:
    """Take `count` examples of a batch, evenly from its shortest to its longest."""
    order = torch.argsort(_lengths(inputs), stable=True)
    if len(order) <= count:
        return inputs
    chosen = torch.linspace(0, len(order) - 1, count, device=order.device).round().long()
    return _part(inputs, order[chosen])


def _lengths(inputs: Mapping[str, Any]) -> torch.Tensor:
    mask = _mask(inputs)
    return torch.zeros(count_examples(inputs)) if mask is None else mask.sum(dim=1)


def _mask(inputs: Mapping[str, Any]) -> torch.Tensor | None:
    """Return the attention mask of shape (rows, positions), if the batch has one."""
    mask: torch.Tensor | None = inputs.get("attention_mask")
    return mask if mask is not None and mask.dim() == 2 else None


def _part(inputs: Mapping[str, Any], rows: torch.Tensor) -> dict[str, Any]:
    count = count_examples(inputs)
    return _trim({name: _take(value, rows, count) for name, value in inputs.items()})


def _take(value: Any, rows: torch.Tensor, count: int) -> Any:
    """Take the rows of a tensor with one per example; other values are shared by all examples."""
    if not isinstance(value, torch.Tensor) or not value.dim() or len(value) != count:
        return value
    return value[rows.to(value.device)]


def _trim(inputs: dict[str, Any]) -> dict[str, Any]:
    """Drop the positions that are padding in every example, at either end.

    Inputs by token are known by their names, since the shape of others, such as eight labels per
    text, may be the same. If an unknown input has the mask's shape, nothing is dropped.
    """
    mask = _mask(inputs)
    if mask is None or any(_is_doubtful(name, value, mask) for name, value in inputs.items()):
        return inputs
    used = mask.any(dim=0).nonzero()
    if not len(used):
        return inputs
    start, end = int(used[0]), int(used[-1]) + 1
    return {
        name: value[:, start:end] if name in _BY_TOKEN and value is not None else value
        for name, value in inputs.items()
    }


def _is_doubtful(name: str, value: Any, mask: torch.Tensor) -> bool:
    is_known = name in _BY_TOKEN or name.startswith("label")
    return not is_known and isinstance(value, torch.Tensor) and value.shape[:2] == mask.shape
