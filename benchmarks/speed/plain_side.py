"""The peers' side: transformers' own Trainer, untouched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from benchmarks.speed.setting import Setting
from datasets import Dataset
from numpy.typing import NDArray
from transformers import Trainer

Predictor = Callable[[Dataset], NDArray[np.float32]]
"""From examples to logits, of shape (examples, outputs), in the order of the examples."""


def make_trainer(setting: Setting) -> Any:
    """Return the Trainer of a turn."""
    return Trainer(**setting.for_trainer())


def predictors(trainer: Any, setting: Setting) -> Mapping[str, Predictor]:
    """Return every way of evaluating that is timed; "" is the first."""
    return {"": lambda examples: trainer_logits(trainer, examples)}


def trainer_logits(trainer: Any, examples: Dataset) -> NDArray[np.float32]:
    """Return the logits by Trainer's own evaluation: batches in order, each padded."""
    answer = trainer.predict(examples).predictions
    logits: NDArray[np.float32] = answer[0] if isinstance(answer, tuple) else answer
    return logits.reshape(len(examples), -1)
