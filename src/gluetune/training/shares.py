"""What each of several processes takes of a batch: its share, and never an example twice.

accelerate hands out whole batches in turn, and fills the last ones up with examples of the first,
which are then trained on twice. Here every process takes every n-th example of each batch, so that
the batches are those of one process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MAY_SKIP = ("layerdrop", "expert")
"""Parts of the names by which a configuration says that a batch may pass by some weights."""


class Shares(BatchSampler):
    """One process's share of each batch of a sampler.

    `size` is that of the whole batch. Where the last batch has fewer examples than there are
    processes, those that have none take one that is another's, and `is_empty` says so.
    """

    def __init__(
        self, sampler: Sampler[int], size: int, *, process: int, processes: int, drop_last: bool
    ) -> None:
        super().__init__(sampler, size, drop_last)
        self.process, self.processes = process, processes

    @property
    def is_empty(self) -> bool:
        """Whether this process has no example of its own in the last batch."""
        rest = len(self.sampler) % self.batch_size
        return not self.drop_last and 0 < rest <= self.process

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            yield batch[self.process :: self.processes] or batch[:1]


def share_batches(loader: DataLoader[Any], *, process: int, processes: int) -> Shares:
    """Have a loader that accelerate prepared give this process its shares."""
    split = loader.batch_sampler  # accelerate's, which gives a process every n-th batch
    batches = split.batch_sampler
    size = processes * batches.batch_size
    shares = Shares(
        batches.sampler, size, process=process, processes=processes, drop_last=batches.drop_last
    )
    split.batch_sampler = shares
    split.num_processes, split.process_index, split.even_batches = 1, 0, False
    return shares


def uses_all_weights(model: PreTrainedModel, inputs: Mapping[str, Any]) -> bool:
    """Return whether every batch gives all of the model's weights a gradient.

    Processes then need not look in every step which of them got none. No random number is drawn.
    """
    told = model.config.to_dict()
    if any(word in name and value for name, value in told.items() for word in _MAY_SKIP):
        return False
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    training = model.training
    model.eval()
    try:
        given = {name: value for name, value in inputs.items() if name != "labels"}
        logits = model(**given)["logits"]
        gradients = torch.autograd.grad(logits.float().sum(), weights, allow_unused=True)
    finally:
        model.train(training)
    return all(gradient is not None for gradient in gradients)
