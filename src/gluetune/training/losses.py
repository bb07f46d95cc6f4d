"""The loss of a classification head, as a mean over the whole step.

Heads in transformers take `num_items_in_batch` and ignore it, so Trainer, which believes that they
do not, adds up means where it should average them (huggingface/transformers issue 47688). Here the
sum over a micro-batch is divided by the examples of the whole step, which is right however the
step is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gluetune.kinds import SINGLE_LABEL
from gluetune.kinds.base import Kind


class ClassificationLoss:
    """The loss of a kind of task: cross-entropy, squared error, binary cross-entropy, …

    They are transformers' own losses, rightly averaged. `label_smoothing` is TrainingArguments'
    `label_smoothing_factor`: that share of the target is spread over all classes; of several labels
    0 and 1 become half of it and 1 less half of it.

    `weights` are those of the outputs, shape (outputs,), or for several labels (2, outputs): of a
    label that is not given, and of one that is. The weighted sum is divided by the number of
    examples, not by the sum of their weights as torch's mean does: what an example weighs must not
    depend on whom it shares a batch with.
    """

    def __init__(
        self,
        kind: Kind = SINGLE_LABEL,
        *,
        label_smoothing: float = 0.0,
        weights: torch.Tensor | None = None,
        order: Sequence[int] = (),
    ) -> None:
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.weights = weights
        self.order = tuple(order)

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Return the sum over these examples, divided by the number of examples in the step.

        Of several labels an example both are counted over all labels, as Trainer counts. What has
        no label adds nothing to either.
        """
        logits = outputs["logits"]
        if logits.dtype is not torch.float64:
            logits = logits.float()
        if num_items_in_batch is None:
            num_items_in_batch = self.kind.is_labelled(labels).sum().clamp(min=1)
        weights = None if self.weights is None else self.weights.to(logits)
        smoothing, order = self.label_smoothing, self.order
        total = self.kind.loss(logits, labels, weights=weights, smoothing=smoothing, order=order)
        return total / num_items_in_batch
