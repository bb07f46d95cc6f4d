"""The mean of a model's weights over the last epochs, as stochastic weight averaging."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gluetune.training.flow import within_epoch

if TYPE_CHECKING:
    from torch import nn

FILE = "average.pt"
"""The mean in a checkpoint, next to the optimiser's state."""


class WeightAverage(TrainerCallback):
    """A running mean of the trained weights of `model` at the end of each of the last epochs."""

    def __init__(self, model: nn.Module, last_epochs: int) -> None:
        self.model = model
        self.last_epochs = last_epochs
        self.count = 0
        self._mean: dict[str, torch.Tensor] = {}

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the weights of an epoch that is one of the last, also if it is not evaluated."""
        left = args.num_train_epochs - (state.epoch or 0.0)
        if round(left, 6) < self.last_epochs and not within_epoch(state, kwargs):
            self.add()

    def add(self) -> None:
        """Add the current weights to the mean."""
        self.count += 1
        with torch.no_grad():
            for name, weights in self._trained():
                if self.count == 1:
                    self._mean[name] = weights.detach().clone()
                else:
                    self._mean[name] += (weights - self._mean[name]) / self.count

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the mean weights inside the block; without any, its own."""
        kept = {}
        for name, weights in self._trained() if self.count else ():
            kept[name] = weights.data
            weights.data = self._mean[name]
        try:
            yield
        finally:
            for name, weights in self._trained() if self.count else ():
                weights.data = kept[name]

    def save(self, folder: Path) -> None:
        """Write the mean into a checkpoint."""
        if self.count:
            torch.save({"count": self.count, "mean": self._mean}, folder / FILE)

    def load(self, folder: Path) -> None:
        """Read the mean of a checkpoint; none before the first of the last epochs."""
        if (folder / FILE).exists():
            first = next(self.model.parameters())
            state = torch.load(folder / FILE, map_location=first.device, weights_only=True)
            self.count, self._mean = state["count"], state["mean"]

    def _trained(self) -> Iterator[tuple[str, torch.Tensor]]:
        found = self.model.named_parameters()
        return ((name, weights) for name, weights in found if weights.requires_grad)
