"""One turn, from the request to its measurement: evaluation first, then training.

Each has a model and a Trainer of its own, made afresh, so that neither meets what the other left.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from benchmarks.speed.plain_side import Predictor
from benchmarks.speed.setting import Setting, load_setting
from benchmarks.speed.stopwatch import (
    Stopwatch,
    catch_losses,
    forget_peak,
    peak_bytes,
    synchronise,
)
from benchmarks.speed.turns import Measurement, Phase, Turn
from datasets import Dataset
from transformers import Trainer

_SIDES = {
    "transformers": "benchmarks.speed.plain_side",
    "gluetune": "benchmarks.speed.gluetune_side",
}
_HEAD = 8
"""Tokens of an example that identify it: its first, which no cutting touches."""


def take_turn(request: dict[str, Any]) -> dict[str, Any]:
    """Evaluate, train, and return a Measurement as plain values."""
    turn = Turn(**request)
    side = importlib.import_module(_SIDES[turn.trainer])
    with tempfile.TemporaryDirectory(prefix="speed-") as scratch:
        setting = load_setting(turn, Path(scratch))
        parameters = weights_outside_embeddings(setting.model)
        evaluations, logits = _evaluate(side, setting)
        gc.collect()
        setting = load_setting(turn, Path(scratch))
        training = _train(side, setting)
    if turn.trainer == "transformers" and "gluetune" in sys.modules:
        raise RuntimeError("A plain contestant has imported gluetune.")
    return asdict(
        Measurement(
            case=turn.case,
            round=turn.round,
            contestant=turn.contestant,
            precision=turn.precision,
            parameters=parameters,
            steps=turn.steps,
            evaluations=evaluations,
            logits=logits,
            **training,
        )
    )


def weights_outside_embeddings(model: torch.nn.Module) -> int:
    """Return how many weights multiply every token: all but the tables that are looked up."""
    tables = {
        id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)
    }
    return sum(weight.numel() for weight in model.parameters() if id(weight) not in tables)


def _evaluate(side: Any, setting: Setting) -> tuple[dict[str, Phase], dict[str, list[list[float]]]]:
    trainer, device = side.make_trainer(setting), setting.arguments.device
    few = min(2 * setting.turn.eval_batch_size, len(setting.validation))
    seconds, peaks, logits = {}, {}, {}
    for name, predict in side.predictors(trainer, setting).items():
        predict(setting.validation.select(range(few)))
        forget_peak(device)
        seconds[name], logits[name] = _timed(predict, setting.validation, device)
        peaks[name] = peak_bytes(device)
    real, padded = _tokens(trainer_of(setting).get_eval_dataloader())
    phases = {
        name: Phase(
            seconds=seconds[name],
            examples=len(setting.validation),
            real_tokens=real,
            all_tokens=padded,
            peak_bytes=peaks[name],
        )
        for name in logits
    }
    return phases, logits


def _timed(
    predict: Predictor, examples: Dataset, device: torch.device
) -> tuple[float, list[list[float]]]:
    synchronise(device)
    began = time.perf_counter()
    logits = predict(examples)
    synchronise(device)
    return time.perf_counter() - began, logits.tolist()


def _train(side: Any, setting: Setting) -> dict[str, Any]:
    turn, device = setting.turn, setting.arguments.device
    trainer = side.make_trainer(setting)
    stopwatch = Stopwatch(turn.warmup)
    trainer.add_callback(stopwatch)
    losses = catch_losses(trainer)
    forget_peak(device)
    began = time.perf_counter()
    trainer.train()
    total = time.perf_counter() - began
    peak = peak_bytes(device)
    batches = list(islice(_again(setting), turn.warmup + turn.steps))
    real, padded = _tokens(batches[turn.warmup :])
    return {
        "training": Phase(
            seconds=stopwatch.end - stopwatch.start,
            examples=sum(len(batch["labels"]) for batch in batches[turn.warmup :]),
            real_tokens=real,
            all_tokens=padded,
            peak_bytes=peak,
        ),
        "outside_seconds": total - (stopwatch.end - stopwatch.first),
        "losses": [float(loss) for loss in losses],
        "batches": digest(batches),
    }


def trainer_of(setting: Setting) -> Any:
    """Return a plain Trainer of the same setting: its loaders say what a step is given."""
    return Trainer(**setting.for_trainer())


def _again(setting: Setting) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the batches once more, epoch after epoch, as the plain Trainer loads them."""
    loader = trainer_of(setting).get_train_dataloader()
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def _tokens(batches: Any) -> tuple[int, int]:
    """Return how many tokens are no padding, and how many there are in all."""
    masks = [batch["attention_mask"] for batch in batches]
    return sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


def digest(batches: list[dict[str, torch.Tensor]]) -> str:
    """Return what the same examples in the same order give, however they are padded or cut."""
    found = hashlib.sha256()
    for batch in batches:
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            found.update(repr(ids[mask.bool()][:_HEAD].tolist()).encode())
        found.update(repr(batch["labels"].tolist()).encode())
    return found.hexdigest()[:16]
