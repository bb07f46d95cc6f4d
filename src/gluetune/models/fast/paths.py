"""The execution path of a batch through a model: unpadded, in groups of similar length, or padded.

All three compute the same function; they differ in the arithmetic that is spent on padding.

On Linux the process also keeps freed memory for the next step. glibc returns large blocks to the
kernel as soon as they are free, and new ones are zeroed page by page: about 9,000 page faults in a
step of MiniLM on CoLA at batch size 16, and 1,000 with freed memory kept.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from gluetune.core.config import Compute, ComputePath
from gluetune.core.errors import ConfigurationError
from gluetune.models.fast import attempt
from gluetune.models.fast.architectures import architecture_of
from gluetune.models.fast.batches import count_examples, split_by_length
from gluetune.models.fast.dropout import DropoutMasks, fast_dropout
from gluetune.models.fast.packed import packed
from gluetune.models.fast.unpadded import can_be_unpadded, computes_layers_twice, unpadded

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-4}
"""Largest difference of logits, relative to the largest logit (at least 1)."""
_TOLERANCE = 0.05
"""The same in half precision."""


def resolve_compute(compute: Compute, model: PreTrainedModel) -> ComputePath:
    """Resolve `auto` to an execution path, by the model's own flags.

    Raises ConfigurationError if the model does not support the path.
    """
    able = architecture_of(model) is not None or can_be_unpadded(model)
    if compute == "auto":
        return "unpadded" if able else "grouped"
    if compute == "unpadded" and not able:
        raise ConfigurationError(
            f"--compute unpadded: the attention of {type(model).__name__} cannot be replaced.",
            hint="Type: --compute auto",
        )
    return compute


def computing(
    model: PreTrainedModel, path: ComputePath, masks: DropoutMasks | None = None
) -> AbstractContextManager[None]:
    """Run `model` on an execution path; for `grouped`, the caller splits the batches.

    `masks` draws attention's dropout in training on a CPU. There, unless `path` is `padded`, the
    process keeps freed memory from now on.
    """
    if path != "padded" and model.device.type == "cpu":
        keep_freed_memory()
    if path != "unpadded":
        return nullcontext()
    return unpadded(model, masks) if architecture_of(model) is None else packed(model, masks)


def dropping(
    model: PreTrainedModel, path: ComputePath, masks: DropoutMasks | None
) -> AbstractContextManager[None]:
    """Draw the model's other dropout from `masks` too, unless the path is `padded`."""
    # A layer that is recomputed in the backward pass would draw other masks.
    if masks is None or path == "padded" or computes_layers_twice(model):
        return nullcontext()
    return fast_dropout(model, masks)


def disagreement(model: PreTrainedModel, batch: Mapping[str, Any], path: ComputePath) -> str:
    """Describe how the logits of `path` differ from the padded ones; "" if they agree.

    The comparison is without dropout, in the precision of the weights; no random number is drawn.
    """
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), _in_own_precision(model):
            plain = model(**inputs)["logits"]
            found, problem = attempt(lambda: _logits_by(model, inputs, path))
    finally:
        model.train(training)
    return problem if found is None else _difference(found, plain)


def _logits_by(
    model: PreTrainedModel, inputs: Mapping[str, Any], path: ComputePath
) -> torch.Tensor:
    with computing(model, path):
        return _logits(model, inputs, path)


def _difference(found: torch.Tensor, plain: torch.Tensor) -> str:
    if found.shape != plain.shape:
        return f"its logits have the shape {tuple(found.shape)}, not {tuple(plain.shape)}"
    same = (found == plain) | (found.isnan() & plain.isnan())
    scale = max(1.0, float(plain.abs().max()))
    distance = float((found - plain).abs().masked_fill(same, 0.0).max()) / scale
    if distance <= _TOLERANCES.get(plain.dtype, _TOLERANCE):  # false for NaN
        return ""
    return f"its logits differ by {distance:.2g} from the padded ones"


@contextmanager
def _in_own_precision(model: PreTrainedModel) -> Iterator[None]:
    """Compute in the precision of the weights: without autocast, also accelerate's."""
    wrapped = vars(model).get("forward")
    if wrapped is not None and (own := getattr(model, "_original_forward", None)) is not None:
        model.forward = own
    try:
        with torch.autocast(model.device.type, enabled=False):
            yield
    finally:
        if wrapped is not None:
            model.forward = wrapped


def _logits(model: PreTrainedModel, inputs: Mapping[str, Any], path: ComputePath) -> torch.Tensor:
    if path != "grouped":
        whole: torch.Tensor = model(**inputs)["logits"]
        return whole
    rows = torch.arange(count_examples(inputs))
    parts = list(split_by_length({**inputs, "row": rows}, len(rows)))
    order = torch.cat([part.pop("row") for part in parts])  # type: ignore[attr-defined]  # dicts
    logits = torch.cat([model(**part)["logits"] for part in parts])
    return logits[torch.argsort(order).to(logits.device)]


# Of malloc.h. The threshold of mmap may not be higher than this on 64 bits.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_SETTINGS = (
    (_ARENA_MAX, 1),  # the arenas of other threads are returned regardless of the thresholds
    (_MMAP_THRESHOLD, 32 << 20),
    (_TRIM_THRESHOLD, 1 << 30),
    (_TOP_PAD, 64 << 20),
)


@cache
def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory; return whether the C library can.

    This overrides settings of the environment (MALLOC_…_, GLIBC_TUNABLES), lasts until the process
    ends, and changes no result.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(name, value) for name, value in _SETTINGS)
