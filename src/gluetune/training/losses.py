"""The loss of a classification head, as a mean over the whole step.

Heads in transformers take `num_items_in_batch` and ignore it, so Trainer, which believes that they
do not, adds up means where it should average them (huggingface/transformers issue 47688). Here the
sum over a micro-batch is divided by the examples of the whole step, which is right however the
step is cut.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

IGNORED = -100
"""The label of an example that does not count, as in torch's cross-entropy."""


class ClassificationLoss:
    """Cross-entropy, or squared error for one output: transformers' own losses, rightly averaged.

    `label_smoothing` is TrainingArguments' `label_smoothing_factor`.
    """

    def __init__(self, *, regression: bool, label_smoothing: float = 0.0) -> None:
        self.regression = regression
        self.label_smoothing = label_smoothing

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Return the sum over these examples, divided by the number of examples in the step."""
        logits = outputs["logits"]
        if logits.dtype is not torch.float64:
            logits = logits.float()
        count = len(labels) if num_items_in_batch is None else num_items_in_batch
        if self.regression:
            errors = logits.reshape(-1) - labels.to(logits.dtype)
            total = errors.square().masked_fill(labels == IGNORED, 0.0).sum()
        else:
            total = functional.cross_entropy(
                logits, labels, reduction="sum", label_smoothing=self.label_smoothing
            )
        return total / count
