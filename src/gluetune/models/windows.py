"""Let a model read examples that are several windows, joined in a row.

A row is a whole number of windows of the same length, but for the last, which may be shorter. The
model computes each window as an example of its own; the logits of an example are their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BY_TOKEN = ("input_ids", "attention_mask", "token_type_ids")


def pool_windows(model: PreTrainedModel, width: int) -> None:
    """Make `model` return the mean logits of the windows of each row longer than `width`."""
    pooling = _Pooling(width, int(model.config.pad_token_id or 0))
    model.register_forward_pre_hook(pooling.cut, with_kwargs=True)
    model.register_forward_hook(pooling.pool, always_call=True)


class _Pooling:
    def __init__(self, width: int, padding: int) -> None:
        self.width, self.padding = width, padding
        self._owner: torch.Tensor | None = None
        """The row of each window."""
        self._rows = 0

    def cut(
        self, model: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Turn rows of windows into a batch of windows."""
        ids, mask = kwargs.get("input_ids"), kwargs.get("attention_mask")
        if ids is None or mask is None or ids.shape[1] <= self.width:
            return None
        self._rows = len(ids)
        windows = {
            name: self._windows(kwargs[name], self.padding if name == "input_ids" else 0)
            for name in _BY_TOKEN
            if kwargs.get(name) is not None
        }
        used = windows["attention_mask"].any(dim=1)
        owner = torch.arange(len(ids), device=ids.device)
        self._owner = owner.repeat_interleave(len(used) // len(ids))[used]
        return args, {**kwargs, **{name: value[used] for name, value in windows.items()}}

    def pool(self, model: torch.nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Return the mean logits of each row."""
        owner, self._owner = self._owner, None
        if owner is None or output is None:
            return None
        logits = output["logits"]
        totals = logits.new_zeros((self._rows, *logits.shape[1:])).index_add(0, owner, logits)
        output["logits"] = totals / torch.bincount(owner, minlength=self._rows)[:, None]
        return output

    def _windows(self, values: torch.Tensor, padding: int) -> torch.Tensor:
        missing = -values.shape[1] % self.width
        return functional.pad(values, (0, missing), value=padding).reshape(-1, self.width)
