"""Counts how often weights are cast to half precision, by watching torch's operations."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class WeightCasts(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
    """While it is entered, counts the casts of each of a model's weights, by name."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self._names = {weight.data_ptr(): name for name, weight in model.named_parameters()}
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, and count it if it casts a weight."""
        sources = []
        if func is torch.ops.aten._to_copy.default:
            sources = [args[0]]
        elif func is torch.ops.aten._foreach_copy_.default:
            sources = args[1]
        for source in sources:
            if source.data_ptr() in self._names:
                self.counts[self._names[source.data_ptr()]] += 1
        return func(*args, **(kwargs or {}))
