"""transformers' Trainer, with the loss averaged rightly and memory failures survived.

It stays a Trainer: its arguments, callbacks, collators and trackers all work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
import transformers
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

from gluetune.errors import ConfigurationError, TrainingError
from gluetune.training.losses import ClassificationLoss

if TYPE_CHECKING:
    from torch import nn


class Trainer(transformers.Trainer):
    """A Trainer whose step means the same however it is cut into micro-batches.

    `micro_batch_size` is how many examples pass through the model at once; the optimiser's step
    keeps its size. When memory runs out it is halved, and the step is done again.
    """

    compute_loss_func: Any
    control: Any

    def __init__(self, *args: Any, micro_batch_size: int | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.micro_batch_size = micro_batch_size or self.args.train_batch_size
        if self.compute_loss_func is None:
            self.compute_loss_func = ClassificationLoss(
                regression=_is_regression(self.model.config),
                label_smoothing=self.args.label_smoothing_factor,
            )
        # The loss above does the scaling: no head does, though its **kwargs make it look so.
        self.model_accepts_loss_kwargs = False
        self._loss_shifts_labels = False
        self._losses_unchecked: torch.Tensor | None = None

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add the gradient of one batch, in micro-batches; return its loss.

        Raises TrainingError when the loss is not finite, or a single example does not fit.
        """
        while True:
            try:
                loss = self._accumulate(model, inputs, num_items_in_batch)
            except RuntimeError as error:
                self._shrink_micro_batch(model, error)
            else:
                self._watch(loss)
                return loss

    def check_losses(self) -> None:
        """Raise TrainingError if a loss since the last check was not finite."""
        total, self._losses_unchecked = self._losses_unchecked, None
        if total is not None and not torch.isfinite(total).item():
            raise TrainingError(
                f"The loss is not finite at step {self.state.global_step + 1}: training diverged.",
                hint="Lower --learning-rate, add --warmup 0.1, or take --precision fp32.",
            )

    def _accumulate(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None,
    ) -> torch.Tensor:
        micro_batches = list(_split(inputs, self.micro_batch_size))
        losses = []
        for micro_batch in micro_batches[:-1]:
            with self.accelerator.no_sync(model):
                losses.append(super().training_step(model, micro_batch, num_items_in_batch))
        losses.append(super().training_step(model, micro_batches[-1], num_items_in_batch))
        return torch.stack(losses).sum()

    def _shrink_micro_batch(self, model: nn.Module, error: RuntimeError) -> None:
        """Halve the micro-batch and forget the step's partial gradients, or raise."""
        if not should_reduce_batch_size(error):
            raise error
        if self.micro_batch_size == 1:
            raise TrainingError(
                "There is not enough memory to train on a single example.",
                hint="Cut examples with --max-length, or choose a smaller checkpoint.",
            ) from error
        if self.args.world_size > 1 or self.current_gradient_accumulation_steps > 1:
            raise TrainingError(
                "There is not enough memory for this batch.",
                hint=f"Type: --micro-batch-size {self.micro_batch_size // 2}",
            ) from error
        self.micro_batch_size //= 2
        model.zero_grad()
        clear_device_cache(garbage_collection=True)

    def _watch(self, loss: torch.Tensor) -> None:
        """Check the loss now where that is free, else when Trainer logs (it then waits anyway)."""
        unchecked = self._losses_unchecked
        self._losses_unchecked = loss if unchecked is None else unchecked + loss
        steps = self.state.logging_steps or 1
        if loss.device.type == "cpu" or (self.state.global_step + 1) % steps == 0:
            self.check_losses()


def _split(inputs: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """Cut a batch into micro-batches of examples of like length, each with its own padding only.

    The order of examples inside a step means nothing to its sum; what a micro-batch is spared is
    the padding of longer examples that stand in another.
    """
    mask = inputs.get("attention_mask")
    count = max(len(value) for value in inputs.values() if isinstance(value, torch.Tensor))
    if count <= size:
        yield inputs  # as the collator padded it: a fixed length is there for a reason
        return
    order = torch.arange(count) if mask is None else torch.argsort(mask.sum(dim=1), stable=True)
    for rows in order.split(size):
        yield _trim({name: _take(value, rows) for name, value in inputs.items()})


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


def _is_regression(config: Any) -> bool:
    """Decide as transformers' heads do: by the problem type, else by the number of outputs.

    Raises ConfigurationError for several labels per example, whose loss is another.
    """
    if config.problem_type == "multi_label_classification":
        raise ConfigurationError(
            "The model's problem type is multi_label_classification, which has no loss here.",
            hint="Pass compute_loss_func.",
        )
    if config.problem_type is None:
        return bool(config.num_labels == 1)
    return bool(config.problem_type == "regression")
