"""When to evaluate, save and stop: one callback that decides, in place of Trainer's strategies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gluetune.training.signals import StopRequest


class Flow(TrainerCallback):
    """Evaluates and saves at the end of every epoch, and saves now and then in between.

    A state is never saved right before an epoch's evaluation: taken up from there, the run would
    go on without it. `early_stopping` counts epochs without a better one.
    """

    def __init__(
        self, stop: StopRequest, *, checkpoint_minutes: float, early_stopping: int | None
    ) -> None:
        self.stop = stop
        self.interval = 60 * checkpoint_minutes
        self.early_stopping = early_stopping
        self._saved_at = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Save, or save and stop, between two steps of an epoch."""
        if not _within_epoch(state, kwargs):
            # The epoch's end does both, in the right order, whatever other callbacks asked for.
            control.should_evaluate = control.should_save = False
            return
        if self.stop.made:
            control.should_save = control.should_training_stop = True
        elif time.monotonic() - self._saved_at >= self.interval:
            control.should_save = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate and save, unless the epoch was left in the middle to be taken up again."""
        left = self.stop.made and _within_epoch(state, kwargs)
        control.should_evaluate = control.should_save = not left

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop once saved, when asked to or when no better epoch came for long enough."""
        self._saved_at = time.monotonic()
        if self.stop.made or self.is_exhausted(state, len(kwargs["train_dataloader"])):
            control.should_training_stop = True

    def is_exhausted(self, state: TrainerState, steps_per_epoch: int) -> bool:
        """Return whether early stopping has waited long enough."""
        if self.early_stopping is None or state.best_global_step is None:
            return False
        waited: int = state.global_step - state.best_global_step
        return waited >= self.early_stopping * steps_per_epoch


def _within_epoch(state: TrainerState, given: Mapping[str, Any]) -> bool:
    """Return whether steps of the epoch are left; `given` is what every callback is given."""
    steps: int = len(given["train_dataloader"])
    step: int = state.global_step
    last: int = state.max_steps
    return step % steps != 0 and step < last
