"""The loss of a classification head, as a mean over the whole step.

Heads in transformers take `num_items_in_batch` and ignore it, so Trainer, which believes that they
do not, adds up means where it should average them (huggingface/transformers issue 47688). Here the
sum over a micro-batch is divided by the examples of the whole step, which is right however the
step is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.typing import NDArray

IGNORED = -100
"""The class id of an example without a label, as in torch's cross-entropy. Of several labels an
example it is one that is not known; as a number it is a label like any other."""

LossKind = Literal["classes", "number", "labels"]


class ClassificationLoss:
    """Cross-entropy, squared error, or binary cross-entropy over several labels an example.

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
        kind: LossKind = "classes",
        *,
        label_smoothing: float = 0.0,
        weights: torch.Tensor | None = None,
    ) -> None:
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.weights = weights

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
            num_items_in_batch = self.counts(labels).sum().clamp(min=1)
        return self._total(logits, labels) / num_items_in_batch

    def counts(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which labels are given: bool, of the shape of `labels`."""
        return (
            torch.ones_like(labels, dtype=torch.bool)
            if self.kind == "number"
            else (labels != IGNORED)
        )

    def _total(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        weights = None if self.weights is None else self.weights.to(logits)
        if self.kind == "number":
            errors = logits.reshape(-1) - labels.to(logits.dtype)
            return errors.square().sum()
        if self.kind == "classes":
            return functional.cross_entropy(
                logits,
                labels,
                weight=weights,
                reduction="sum",
                label_smoothing=self.label_smoothing,
            )
        given = labels.to(logits.dtype)
        target = given * (1 - self.label_smoothing) + self.label_smoothing / 2
        each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if weights is not None:
            each = each * torch.where(given > 0, weights[1], weights[0])
        return each.masked_fill(~self.counts(labels), 0.0).sum()


def balanced_weights(labels: NDArray[Any], outputs: tuple[int, ...]) -> torch.Tensor:
    """Return weights that give every class the same weight in sum, with a mean of 1 over examples.

    `labels` are class ids, shape (examples,), or 0 and 1, shape (examples, labels); `outputs` is
    the model's output for each of them. A class of no example weighs 0 (King & Zeng 2001, as
    scikit-learn's `class_weight="balanced"`: examples / (classes * examples of the class)).
    """
    import numpy as np

    if labels.ndim == 1:
        counts = np.bincount(labels, minlength=len(outputs)).astype(np.float64)[None]
        share = len(labels) / int(np.count_nonzero(counts))
    else:
        given = labels.sum(axis=0, dtype=np.float64)
        counts = np.stack([len(labels) - given, given])
        share = len(labels) / 2
    weights = np.zeros_like(counts)
    np.divide(share, counts, out=weights, where=counts > 0)
    ordered = np.empty_like(weights)
    ordered[:, list(outputs)] = weights
    return torch.from_numpy(ordered[0] if labels.ndim == 1 else ordered)
