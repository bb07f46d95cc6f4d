"""When a run evaluates, saves and stops; and how several processes share its batches.

A callback replaces Trainer's strategies for evaluation and saving.

accelerate assigns whole batches to processes in turn, and pads the last ones with examples of the
first, which are then trained on twice. Here every process takes every n-th example of each batch,
so that the batches are those of one process.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import BatchSampler, DataLoader, Sampler
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gluetune.parallel.collectives import ALONE, Processes
from gluetune.parallel.signals import StopRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_BETWEEN_AGREEMENTS = 1.0
"""Seconds between two synchronisations of stop requests among processes."""


class Flow(TrainerCallback):
    """Evaluates and saves after every epoch, and saves at intervals within an epoch.

    A checkpoint is never saved right before an epoch's evaluation: the resumed run would skip it.
    `early_stopping` counts epochs without a better one. With `last_only` only the last epoch is
    evaluated, and an epoch before it is saved only on request. Several processes agree on every
    decision, since a signal reaches them in different steps, and their clocks differ.
    """

    def __init__(
        self,
        stop: StopRequest,
        *,
        checkpoint_minutes: float,
        early_stopping: int | None,
        last_only: bool = False,
        processes: Processes = ALONE,
    ) -> None:
        self.stop = stop
        self.last_only: bool = last_only
        self.interval: float = 60 * checkpoint_minutes
        self.early_stopping = early_stopping
        self.processes = processes
        self._saved_at = self._agreed_at = time.monotonic()
        self._agreed_step = self._next_agreement = 0
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether to stop; several processes have agreed on it."""
        return self.stop.made if self.processes.count == 1 else self._stopping

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save, or save and stop, between two steps of an epoch."""
        if not within_epoch(state, kwargs):
            # The end of the epoch does both in order; other callbacks may have requested them.
            control.should_evaluate = control.should_save = False
            return
        is_due = self._agree(state.global_step)
        if self.stopping:
            control.should_save = control.should_training_stop = True
        elif is_due:
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate and save, unless training stops within the epoch."""
        left = self.stopping and within_epoch(state, kwargs)
        is_skipped = self.last_only and state.global_step < state.max_steps
        control.should_evaluate = not (left or is_skipped)
        control.should_save = self.stopping and not left if is_skipped else not left

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop after saving, on request or by early stopping."""
        self._saved_at = time.monotonic()
        self._agree(state.global_step, immediately=True)
        if self.stopping or self.is_exhausted(state, len(kwargs["train_dataloader"])):
            control.should_training_stop = True

    def is_exhausted(self, state: TrainerState, steps_per_epoch: int) -> bool:
        """Return whether early stopping ends the run."""
        if self.early_stopping is None or state.best_global_step is None:
            return False
        waited: int = state.global_step - state.best_global_step
        return waited >= self.early_stopping * steps_per_epoch

    def _agree(self, step: int, *, immediately: bool = False) -> bool:
        """Agree on whether to stop; return whether to save, by the clock of the main process."""
        now = time.monotonic()
        is_due = self.processes.is_first and now - self._saved_at >= self.interval
        if self.processes.count == 1:
            return is_due
        if step < self._next_agreement and not immediately:
            return False
        rate = (step - self._agreed_step) / max(now - self._agreed_at, 1e-6)
        requested = self.stop.signal or 0
        # The slowest process decides: the largest of negative numbers.
        number, due, pause = self.processes.largest(
            [int(requested), int(is_due), -max(1, int(rate * _BETWEEN_AGREEMENTS))]
        )
        self._agreed_at, self._agreed_step, self._next_agreement = now, step, step - pause
        if number and not self._stopping:
            self._stopping = True
            self.stop.signal = signal.Signals(number)
            self.stop.announce()
        return bool(due)


def within_epoch(state: TrainerState, given: Mapping[str, Any]) -> bool:
    """Return whether steps of the epoch are left; `given` are a callback's keyword arguments."""
    steps: int = len(given["train_dataloader"])
    step: int = state.global_step
    last: int = state.max_steps
    return step % steps != 0 and step < last


_MAY_SKIP = ("layerdrop", "expert")
"""Parts of configuration names that mean that a batch may skip some weights."""


class Shares(BatchSampler):
    """One process's share of each batch of a sampler.

    `size` is that of the whole batch. If the last batch has fewer examples than there are
    processes, those without one take the first example, and `is_empty` is true.
    """

    def __init__(
        self, sampler: Sampler[int], size: int, *, process: int, processes: int, drop_last: bool
    ) -> None:
        super().__init__(sampler, size, drop_last)
        self.process, self.processes = process, processes

    @property
    def is_empty(self) -> bool:
        """Whether this process has no example of the last batch."""
        rest = len(self.sampler) % self.batch_size
        return not self.drop_last and 0 < rest <= self.process

    def __iter__(self) -> Iterator[list[int]]:
        for batch in super().__iter__():
            yield batch[self.process :: self.processes] or batch[:1]


def share_batches(loader: DataLoader[Any], *, process: int, processes: int) -> Shares:
    """Make a loader that accelerate has prepared yield this process's shares."""
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

    DistributedDataParallel then need not search for unused ones. No random number is drawn.
    """
    config = model.config.to_dict()
    if any(word in name and value for name, value in config.items() for word in _MAY_SKIP):
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
