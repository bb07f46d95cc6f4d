"""Dropout masks from a fast generator.

torch draws a CPU mask at about 8 ns per element, which is more than the arithmetic around it.
Sixteen random bits per element from NumPy's SFC64 cost a tenth of that. The probability is rounded
to 1/65536, and kept elements are scaled by the rounded probability, so that the mean is exact. The
stream is seeded from torch's generator at every forward pass: a run that is resumed with torch's
state draws the same masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

_STEPS = 1 << 16


class DropoutMasks:
    """Draws masks. `reseed` before every forward pass."""

    def __init__(self) -> None:
        self._bits = np.random.SFC64(0)

    def reseed(self) -> None:
        """Start a stream with a seed from torch's generator."""
        self._bits = np.random.SFC64(int(torch.randint(2**62, ())))

    def draw(self, shape: torch.Size, probability: float) -> tuple[torch.Tensor, float]:
        """Return the mask of kept elements (bool, of `shape`) and their scale."""
        dropped = round(probability * _STEPS)
        if dropped == _STEPS:
            return torch.zeros(shape, dtype=torch.bool), 0.0
        count = shape.numel()
        words = self._bits.random_raw((count + 3) // 4)
        bits = torch.from_numpy(words.view(np.int16))[:count].view(shape)
        return bits >= dropped - _STEPS // 2, _STEPS / (_STEPS - dropped)


def at_least_single(value: torch.Tensor) -> torch.dtype:
    """Return the dtype of elementwise arithmetic: on a CPU, half precision is slower."""
    return torch.promote_types(value.dtype, torch.float32)


def drop(value: torch.Tensor, kept: torch.Tensor | None, scale: float) -> torch.Tensor:
    """Return `value * scale` where `kept`, and 0 elsewhere; for None, return `value`."""
    if kept is None:
        return value
    found = kept.to(at_least_single(value)).mul_(value).mul_(scale)
    return found.to(value.dtype)


def dropout_of(module: nn.Module | None) -> float:
    """Return the probability with which a dropout module drops now; 0 outside training."""
    return float(module.p) if isinstance(module, nn.Dropout) and module.training else 0.0


def draw(
    masks: DropoutMasks | None, like: torch.Tensor, probability: float
) -> tuple[torch.Tensor | None, float]:
    """Return a mask of kept elements of the shape of `like`, and their scale.

    None and 1 where nothing is dropped. Without `masks` torch's generator draws.
    """
    if not probability:
        return None, 1.0
    if masks is not None and like.device.type == "cpu":
        return masks.draw(like.shape, probability)
    if probability == 1:
        return torch.zeros(like.shape, dtype=torch.bool, device=like.device), 0.0
    drawn = torch.rand(like.shape, device=like.device)
    return drawn >= probability, 1 / (1 - probability)


class _Dropout(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Dropout with a given mask; its gradient is the same product."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, kept: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return drop(value, kept, scale)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return drop(gradient, kept, ctx.scale), None, None


@contextmanager
def fast_dropout(model: nn.Module, masks: DropoutMasks) -> Iterator[None]:
    """Draw the CPU dropout of `model` from `masks`, reseeded at every forward pass.

    Only modules of type `nn.Dropout` are changed, and only in training mode; not those that work in
    place, or whose `forward` has been replaced.
    """

    def forward_of(module: nn.Dropout) -> Any:
        plain = module.forward

        def forward(input: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's name, for keywords
            if not module.training or module.p == 0 or input.device.type != "cpu":
                return plain(input)
            dropped: torch.Tensor = _Dropout.apply(input, *masks.draw(input.shape, module.p))
            return dropped

        return forward

    def reseed(module: nn.Module, *_: Any) -> None:
        if module.training:
            masks.reseed()

    dropouts = [
        module
        for module in model.modules()
        if type(module) is nn.Dropout and not module.inplace and "forward" not in vars(module)
    ]
    hook = model.register_forward_pre_hook(reseed)
    for module in dropouts:
        module.forward = forward_of(module)
    try:
        yield
    finally:
        hook.remove()
        for module in dropouts:
            del module.forward  # restores the method of the class
