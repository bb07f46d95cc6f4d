"""Events of a run."""

from __future__ import annotations

import time
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from gluetune.core.display import line_of
from gluetune.core.events import (
    EvaluationCompleted,
    Event,
    OnEvent,
    RunEnded,
    RunStarted,
    StepCompleted,
    TrainingCompleted,
)
from gluetune.core.records import EpochRecord
from gluetune.core.tasks import TaskSpec


class ProgressCallback(TrainerCallback):
    """Emits the trainer's steps."""

    def __init__(self, on_event: OnEvent) -> None:
        self.on_event = on_event
        self._first_step = 0
        self._seconds = 0.0
        self._resumed_at = 0.0
        self._loss: float | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Emit the start of training."""
        self._first_step = state.global_step
        self.on_event(RunStarted(state.max_steps, state.global_step))

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock, which does not run during evaluation."""
        self._resumed_at = time.monotonic()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Emit the step."""
        seconds = self._seconds + time.monotonic() - self._resumed_at
        steps = state.global_step - self._first_step
        examples = steps * args.train_batch_size * args.world_size
        rate = examples / seconds
        self.on_event(
            StepCompleted(state.global_step, state.max_steps, rate, state.epoch, self._loss)
        )

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the loss, which the next steps are shown with."""
        self._loss = (logs or {}).get("loss", self._loss)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop the clock."""
        self._seconds += time.monotonic() - self._resumed_at

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Emit the end of training."""
        self.on_event(TrainingCompleted())


def evaluation_event(epoch: EpochRecord, best: bool, task: TaskSpec) -> EvaluationCompleted:
    """Return the event of an epoch of `task`, with metrics by their titles."""
    splits = epoch.validation.metrics
    metrics = {
        f"{f'{split} ' if len(splits) > 1 else ''}{task.metric_title(name)}": value
        for split, values in splits.items()
        for name, value in values.items()
    }
    return EvaluationCompleted(
        epoch=epoch.epoch,
        metrics={**metrics, **epoch.extra},
        train_loss=epoch.train_loss,
        is_collapsed=epoch.collapsed,
        is_best=best,
    )


def report_to(reporter: Any) -> OnEvent:
    """Return an `on_event` for a reporter, the former form of `train(progress=…)`.

    Args:
        reporter: Has `say(text)`, `begin(steps, done)`, `advance(done, rate)` and `end()`.
    """

    def on_event(event: Event) -> None:
        if isinstance(event, RunStarted):
            reporter.begin(event.steps, event.step)
        elif isinstance(event, StepCompleted):
            reporter.advance(event.step, event.examples_per_second)
        elif isinstance(event, RunEnded):
            reporter.end()
        elif (line := line_of(event)) is not None:
            reporter.say(line)

    return on_event
