"""Attention on the real tokens of a padded batch, within each sequence.

The attention function is registered with transformers' AttentionInterface, so every architecture
that calls attention through it can use it. `begin_attending` sets the layout for one forward pass.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from gluetune.models.fast import UnsupportedError
from gluetune.models.fast.dropout import DropoutMasks, at_least_single, drop
from gluetune.models.fast.layout import Group, Layout

NAME = "gluetune_unpadded"
"""Name of the function in transformers' AttentionInterface."""

_LONG = 256
"""Length from which the memory of all attention probabilities is too large."""


@dataclass(frozen=True)
class _Attending:
    layout: Layout
    masks: DropoutMasks | None


_now: ContextVar[_Attending | None] = ContextVar("gluetune_layout", default=None)


def begin_attending(layout: Layout, masks: DropoutMasks | None) -> Token[Any]:
    """Set the layout that attention uses, until `end_attending`.

    `masks` draws the dropout of training on a CPU; None for torch's dropout.
    """
    return _now.set(_Attending(layout, masks))


def end_attending(token: Token[Any]) -> None:
    """Reset the layout."""
    _now.reset(token)


class UnsupportedAttentionError(UnsupportedError):
    """The model needs an attention feature that this function does not support."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"its attention needs what this path does not support ({wanted})")


@dataclass(frozen=True)
class _Rule:
    """Parameters of a layer's attention."""

    scaling: float
    causal: bool
    window: int | None
    dropout: float


def unpadded_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Compute attention within each sequence; the signature is transformers'.

    Shapes are (1, heads, tokens, size) in and (1, tokens, heads, size) out. Raises
    UnsupportedAttentionError if no layout is set, for a mask, and for features of some models:
    capped scores, sinks, position biases.
    """
    attending = _now.get()
    wanted = [name for name in _UNSUPPORTED if kwargs.get(name) is not None]
    if attending is None or attention_mask is not None or wanted:
        raise UnsupportedAttentionError(f"{type(module).__name__}: {', '.join(wanted) or 'a mask'}")
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    rule = _Rule(scaling or query.shape[-1] ** -0.5, causal, sliding_window, dropout)
    states = [_by_token(each) for each in (query, key, value)]
    sizes = [group.tokens for group in attending.layout.groups]
    parts = zip(*(each.split(sizes) for each in states), strict=True)
    outputs = [
        _attend(part, group, rule, attending.masks)
        for part, group in zip(parts, attending.layout.groups, strict=True)
    ]
    return torch.cat(outputs)[None], None


_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache", "output_attentions")

AttentionInterface.register(NAME, unpadded_attention)


def _by_token(states: torch.Tensor) -> torch.Tensor:
    """Turn (1, heads, tokens, size) into (tokens, heads, size), in autocast's dtype."""
    device = states.device.type
    if torch.is_autocast_enabled(device):
        states = states.to(torch.get_autocast_dtype(device))
    return states[0].transpose(0, 1)


def _attend(
    states: tuple[torch.Tensor, ...], group: Group, rule: _Rule, masks: DropoutMasks | None
) -> torch.Tensor:
    """Compute attention within each sequence of a group.

    `states` are query, key and value, of shape (tokens, heads, size).
    """
    query, key, value = states
    allowed = group.allowed(causal=rule.causal, window=rule.window)
    composed = masks is not None if rule.dropout else _is_slow(query, group)
    if composed:
        shape = torch.Size((group.count, query.shape[1], group.width, group.width))
        kept, scale = masks.draw(shape, rule.dropout) if masks and rule.dropout else (None, 1.0)
        output: torch.Tensor = _ComposedAttention.apply(
            query, key, value, group, allowed, rule.scaling, kept, scale
        )
        return output
    padded = functional.scaled_dot_product_attention(
        _pad(query, group),
        _pad(key, group),
        _pad(value, group),
        attn_mask=allowed,
        dropout_p=rule.dropout,
        scale=rule.scaling,
    )
    return _unpad(padded, group)


def _is_slow(states: torch.Tensor, group: Group) -> bool:
    """Return whether torch's kernel is slower than separate matrix products.

    It is in half precision on a CPU, up to ten times in training; long sequences need its lower
    memory.
    """
    half = states.dtype in (torch.bfloat16, torch.float16)
    return half and states.device.type == "cpu" and group.width <= _LONG


def _pad(states: torch.Tensor, group: Group) -> torch.Tensor:
    """Turn (tokens, heads, size) into (count, heads, width, size)."""
    if not group.is_even:
        states = states.index_select(0, group.sources)
    return states.unflatten(0, (group.count, group.width)).transpose(1, 2)


def _unpad(states: torch.Tensor, group: Group) -> torch.Tensor:
    """Turn (count, heads, width, size) into (tokens, heads, size)."""
    flat = states.transpose(1, 2).flatten(0, 1)
    return flat if group.is_even else flat.index_select(0, group.positions)


class _ComposedAttention(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Attention as matrix products, for CPUs: torch's kernel has no dropout, or is slower.

    `kept` is the dropout mask, or None. The gradient is explicit, so that only the probabilities
    are saved, and memory passes are few.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        group: Group,
        allowed: torch.Tensor | None,
        scaling: float,
        kept: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        heads = (group.count, query.shape[1], group.width)
        query, key, value = (_pad(each, group).flatten(0, 1) for each in (query, key, value))
        scores = torch.bmm(query, key.transpose(1, 2)).mul_(scaling).unflatten(0, heads[:2])
        if allowed is not None:
            scores.masked_fill_(~allowed, float("-inf"))
        probabilities = scores.softmax(dim=-1, dtype=at_least_single(scores))
        dropped = drop(probabilities, kept, scale).to(scores.dtype)
        ctx.save_for_backward(query, key, value, probabilities, dropped, kept)
        ctx.group, ctx.scaling, ctx.scale = group, scaling, scale
        output = torch.bmm(dropped.flatten(0, 1), value)
        return _unpad(output.view(*heads, -1), group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, probabilities, dropped, kept = ctx.saved_tensors
        group = ctx.group
        gradient = _pad_gradient(gradient, group).flatten(0, 1)
        of_value = torch.bmm(dropped.flatten(0, 1).transpose(1, 2), gradient)
        of_dropped = torch.bmm(gradient, value.transpose(1, 2)).view(probabilities.shape)
        single = probabilities.dtype
        of_probabilities = drop(of_dropped.to(single), kept, ctx.scale)
        of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, single)
        of_scores = of_scores.mul_(ctx.scaling).flatten(0, 1).to(query.dtype)
        of_query = torch.bmm(of_scores, key)
        of_key = torch.bmm(of_scores.transpose(1, 2), query)
        heads = probabilities.shape[:3]
        gradients = (_unpad(each.view(*heads, -1), group) for each in (of_query, of_key, of_value))
        return (*gradients, None, None, None, None, None)


def _pad_gradient(gradient: torch.Tensor, group: Group) -> torch.Tensor:
    """Turn (tokens, heads, size) into (count, heads, width, size), 0 at padding."""
    if not group.is_even:
        padded = gradient.new_zeros(group.count * group.width, *gradient.shape[1:])
        gradient = padded.index_copy_(0, group.positions, gradient)
    return gradient.unflatten(0, (group.count, group.width)).transpose(1, 2)
