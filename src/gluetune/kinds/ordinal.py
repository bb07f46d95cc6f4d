"""Ordinal classification: each example has one of several classes that have an order.

The head and the prediction are those of any classifier: an output a class, of which the largest is
predicted. So `pipeline()`, `AutoModelForSequenceClassification`, the Hub's widget, ONNX and servers
need no order, and predict what was scored. Only the loss depends on it: the cross-entropy plus the
ranked probability score (Epstein 1969), which is the squared earth mover's distance between the
predicted distribution and the true class (Hou et al. 2016, arXiv 1611.05916). Both are strictly
proper scoring rules (Gneiting & Raftery 2007), so their sum is: probabilities stay calibrated,
where targets that are smoothed by distance would flatten them. The cross-entropy keeps the gradient
of a confident wrong prediction, which the second part alone would lose. A cumulative link model
(CORAL, proportional odds) would save parameters, but needs a head and a decoder of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gluetune.kinds.base import IGNORED
from gluetune.kinds.single_label import SingleLabel, softmax

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


class Ordinal(SingleLabel):
    """One of several ordered classes an example: ids are ranks, and errors have a distance."""

    name = "ordinal"
    default_metrics = ("quadratic_weighted_kappa", "mae", "accuracy")
    label_order_names_classes = True
    units = "ordered classes"
    constant_word = "median"
    constant_name = "median class"
    constant_description = "median label of train"

    def constant(self, labels: NDArray[Any], size: int) -> Any:
        """Return the median class, which has the lowest mean absolute error: the lower of two."""
        import numpy as np

        cumulated = np.cumsum(self.counts(labels.astype(np.int64), size))
        return int(np.searchsorted(cumulated, cumulated[-1] / 2))

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        weights: torch.Tensor | None,
        smoothing: float,
        order: Sequence[int] = (),
        focal: float = 0.0,
    ) -> torch.Tensor:
        """Return the cross-entropy and the ranked probability score, in the order of the classes.

        Both have the same target, smoothed evenly, and the same weights.
        """
        import torch

        if order:
            outputs = torch.tensor(order, device=logits.device)
            ranks = torch.where(labels == IGNORED, 0, labels)
            labels = torch.where(labels == IGNORED, labels, outputs.argsort()[ranks])
            logits = logits[:, outputs]
            weights = None if weights is None else weights[outputs]
        cross_entropy = super().loss(
            logits, labels, weights=weights, smoothing=smoothing, focal=focal
        )
        classes = torch.arange(logits.shape[1], device=logits.device)
        reached = (classes >= labels[:, None]).to(logits.dtype)
        evenly = (classes + 1) / logits.shape[1]
        target = reached * (1 - smoothing) + smoothing * evenly
        distances = (logits.softmax(dim=1).cumsum(dim=1) - target).square().sum(dim=1)
        if weights is not None:
            distances = distances * weights[labels.clamp(min=0)]
        return cross_entropy + distances.masked_fill(labels == IGNORED, 0.0).sum()

    def losses(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the cross-entropy and the ranked probability score of each example."""
        import numpy as np

        reached = np.arange(logits.shape[1]) >= labels[:, None]
        distances = ((softmax(logits).cumsum(axis=1) - reached) ** 2).sum(axis=1)
        total: NDArray[np.float64] = super().losses(logits, labels) + distances
        return total

    def rank_errors(
        self, labels: NDArray[Any], predicted: NDArray[Any], logits: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return the wrong predictions by their distance, then by the true class's probability."""
        import numpy as np

        given = self.probabilities(logits)[np.arange(len(labels)), labels]
        worst = np.lexsort((given, -np.abs(predicted - labels)))
        wrong: NDArray[np.int64] = worst[predicted[worst] != labels[worst]]
        return wrong

    def outputs_text(self, names: str, label_range: tuple[float, float] | None) -> str:
        """Return what the model predicts, with the names of the classes."""
        return f"one of these, in order: {names}"


ORDINAL = Ordinal()
