"""Batches of mixed lengths for a tiny checkpoint, and a model's results for them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from transformers import AutoModelForSequenceClassification

from gluetune.models.fast.batches import split_by_length

LEFT_PADDED = frozenset({"xlnet"})


def load_tiny(folder: Path, architecture: str, *, num_labels: int = 3, **options: Any) -> Any:
    """Return a random model with a head, in float32, that pads with a token of its own."""
    path = folder / f"{architecture}-{num_labels}"
    if not path.exists():
        write_tiny_checkpoint(path, architecture, num_labels=num_labels, **options)
    model = AutoModelForSequenceClassification.from_pretrained(path, dtype=torch.float32)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = 0
    return model


def make_batch(
    model: Any,
    lengths: Sequence[int],
    *,
    seed: int = 0,
    pairs: bool = False,
    end: int = 4,
    width: int | None = None,
) -> dict[str, torch.Tensor]:
    """Return random tokens of these lengths, padded to the longest; ids from `end` + 1 on.

    `width` is a longer padded length, as `pad_to_multiple_of` makes it.
    With `pairs` the second half of each text is a second sentence, for models that know two.
    """
    draw = torch.Generator().manual_seed(seed)
    config, width = model.config, width or max(lengths)
    ids = torch.full((len(lengths), width), int(config.pad_token_id))
    mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        places = torch.arange(width - length, width) if _pads_left(model) else torch.arange(length)
        ids[row, places] = torch.randint(end + 1, config.vocab_size, (length,), generator=draw)
        mask[row, places] = 1
        kinds[row, places[length // 2 :]] = 1
    labels = torch.arange(len(lengths)) % max(config.num_labels, 2)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if pairs and getattr(config, "type_vocab_size", 0) >= 2:
        batch["token_type_ids"] = kinds
    if config.is_encoder_decoder:  # their heads read the last end-of-text token
        lasts = mask.sum(dim=1) - 1
        batch["input_ids"][torch.arange(len(lengths)), lasts] = int(config.eos_token_id)
    return batch


def _pads_left(model: Any) -> bool:
    return model.config.model_type in LEFT_PADDED


@dataclass
class Step:
    """What one batch gives: its logits, its loss and every gradient."""

    logits: torch.Tensor
    loss: torch.Tensor
    gradients: Mapping[str, torch.Tensor]


def take_step(model: Any, batch: Mapping[str, torch.Tensor], *, by_length: bool = False) -> Step:
    """Run a batch forward and backward, in groups of similar length if `by_length`."""
    model.zero_grad()
    rows = torch.arange(len(batch["labels"]))
    whole = {**batch, "row": rows}
    parts = list(split_by_length(whole, len(rows))) if by_length else [whole]
    logits = torch.zeros(len(rows), model.config.num_labels, dtype=model.dtype)
    total = torch.zeros((), dtype=model.dtype)
    for part in parts:
        given = {name: part[name] for name in part if name not in ("labels", "row")}
        answers = model(**given).logits.to(model.dtype)
        loss = _loss(answers, part["labels"]) / len(rows)
        loss.backward()
        logits[part["row"]] = answers.detach()
        total += loss.detach()
    gradients = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return Step(logits, total, gradients)


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if logits.shape[1] == 1:
        return (logits[:, 0] - 0.3 * labels).square().sum()
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def distance(found: Step, plain: Step) -> float:
    """Return the largest error of a gradient, relative to its tolerance.

    That is the larger of the gradient's own size and a thousandth of the whole gradient's.
    Attention key biases, whose true gradient is 0, are compared with the whole gradient's size.
    """
    assert found.gradients.keys() == plain.gradients.keys()
    sizes = {name: float(value.norm()) for name, value in plain.gradients.items()}
    whole = math.hypot(*sizes.values())
    return max(
        float((found.gradients[name] - value).norm())
        / (whole if is_key_bias(name) else max(sizes[name], 1e-3 * whole))
        for name, value in plain.gradients.items()
    )


def is_key_bias(name: str) -> bool:
    """Return whether a parameter shifts all scores of a query alike, which softmax does not see."""
    return name.endswith(("key.bias", "k_lin.bias", "k_proj.bias"))
