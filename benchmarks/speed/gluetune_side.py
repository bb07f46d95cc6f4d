"""gluetune's side: its Trainer in place of transformers', and its own evaluation."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from benchmarks.speed.plain_side import Predictor, trainer_logits
from benchmarks.speed.setting import Setting
from datasets import Dataset
from numpy.typing import NDArray

import gluetune
from gluetune.data.encoding import Encoded
from gluetune.inference.logits import compute_logits
from gluetune.models.fast.paths import computing, resolve_compute

DROP_IN = "Trainer.predict"


def make_trainer(setting: Setting) -> Any:
    """Return gluetune's Trainer, built as transformers' is; `switches` are its own keywords.

    Raises ValueError for a switch that this version of gluetune does not have.
    """
    switches = setting.turn.switches
    unknown = sorted(set(switches) - set(inspect.signature(gluetune.Trainer.__init__).parameters))
    if unknown:
        raise ValueError(f"gluetune.Trainer of this version takes no {', '.join(unknown)}.")
    return gluetune.Trainer(**setting.for_trainer(), **switches)


def predictors(trainer: Any, setting: Setting) -> Mapping[str, Predictor]:
    """Return gluetune's own evaluation, and Trainer's as the drop-in has it."""
    return {
        "": lambda examples: _logits(trainer, setting, examples),
        DROP_IN: lambda examples: trainer_logits(trainer, examples),
    }


def _logits(trainer: Any, setting: Setting, examples: Dataset) -> NDArray[np.float32]:
    inputs = [name for name in setting.tokenizer.model_input_names if name in examples.features]
    kept = examples.select_columns(inputs)
    lengths = np.array([len(ids) for ids in kept["input_ids"]], dtype=np.int64)
    model = trainer.model.to(trainer.args.device)
    with computing(model, resolve_compute(trainer.compute, model)):
        return compute_logits(
            model,
            Encoded(examples=kept, lengths=lengths, truncated=0),
            setting.collator,
            batch_size=setting.turn.eval_batch_size,
            precision=setting.turn.precision,
        )
