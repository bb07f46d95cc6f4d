"""Attention among the tokens of each sequence, where the sequences of a batch stand in one row.

The function is registered with transformers' AttentionInterface, so every architecture that calls
attention through it can use it. Which tokens belong together is said by the layout that
`begin_attending` sets for the time of one forward pass.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from gluetune.models.fast.dropout import DropoutMasks, at_least_single, drop
from gluetune.models.fast.fallback import UnsupportedError
from gluetune.models.fast.layouts import Group, Layout

NAME = "gluetune_unpadded"
"""What the function is called in transformers' AttentionInterface."""

_LONG = 256
"""Tokens from which on the square of the length is too much to keep without need."""


@dataclass(frozen=True)
class _Attending:
    layout: Layout
    masks: DropoutMasks | None


_now: ContextVar[_Attending | None] = ContextVar("gluetune_layout", default=None)


def begin_attending(layout: Layout, masks: DropoutMasks | None) -> Token[Any]:
    """Make `layout` the one that attention goes by, until `end_attending`.

    `masks` draws the dropout of training on a CPU; torch does where it is None.
    """
    return _now.set(_Attending(layout, masks))


def end_attending(token: Token[Any]) -> None:
    """Forget the layout."""
    _now.reset(token)


class UnsupportedAttentionError(UnsupportedError):
    """The model asks of attention what this function does not do."""

    def __init__(self, asked: str) -> None:
        super().__init__(f"its attention needs what this path does not do ({asked})")


@dataclass(frozen=True)
class _Rule:
    """What holds for every sequence of a layer."""

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
    """Attend within each sequence; the signature is transformers'.

    Shapes are (1, heads, tokens, size) in and (1, tokens, heads, size) out. Raises
    UnsupportedAttentionError where no layout is set, for a mask, and for what only some models ask
    for: capped scores, sinks, position biases.
    """
    attending = _now.get()
    asked = [name for name in _UNSUPPORTED if kwargs.get(name) is not None]
    if attending is None or attention_mask is not None or asked:
        raise UnsupportedAttentionError(f"{type(module).__name__}: {', '.join(asked) or 'a mask'}")
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (states.repeat_interleave(repeats, dim=1) for states in (key, value))
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
    rule = _Rule(scaling or query.shape[-1] ** -0.5, causal, sliding_window, dropout)
    states = [_by_token(each) for each in (query, key, value)]
    sizes = [group.tokens for group in attending.layout.groups]
    parts = zip(*(each.split(sizes) for each in states), strict=True)
    answers = [
        _attend(part, group, rule, attending.masks)
        for part, group in zip(parts, attending.layout.groups, strict=True)
    ]
    return torch.cat(answers)[None], None


_UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache", "output_attentions")

AttentionInterface.register(NAME, unpadded_attention)


def _by_token(states: torch.Tensor) -> torch.Tensor:
    """Turn (1, heads, tokens, size) into (tokens, heads, size), as autocast would multiply it."""
    device = states.device.type
    if torch.is_autocast_enabled(device):
        states = states.to(torch.get_autocast_dtype(device))
    return states[0].transpose(0, 1)


def _attend(
    states: tuple[torch.Tensor, ...], group: Group, rule: _Rule, masks: DropoutMasks | None
) -> torch.Tensor:
    """Attend within each sequence of one group.

    `states` are query, key and value, of shape (tokens, heads, size).
    """
    query, key, value = states
    allowed = group.allowed(causal=rule.causal, window=rule.window)
    composed = masks is not None if rule.dropout else _is_slow(query, group)
    if composed:
        shape = torch.Size((group.count, query.shape[1], group.width, group.width))
        kept, scale = masks.draw(shape, rule.dropout) if masks and rule.dropout else (None, 1.0)
        answer: torch.Tensor = _ComposedAttention.apply(
            query, key, value, group, allowed, rule.scaling, kept, scale
        )
        return answer
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
    """Return whether torch's kernel is slower than products one after the other.

    In half precision it is on a CPU, up to ten times in training; long sequences want its memory.
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
    return flat if group.is_even else flat.index_select(0, group.places)


class _ComposedAttention(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Attention as products, where torch has no kernel for its dropout (CPU), or a slow one.

    What dropout keeps is handed in, or None. Written with its gradient, for it then keeps the
    probabilities alone and passes over them as few times as can be.
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
        answer = torch.bmm(dropped.flatten(0, 1), value)
        return _unpad(answer.view(*heads, -1), group)

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
    """Turn (tokens, heads, size) into (count, heads, width, size), 0 where nothing was read."""
    if not group.is_even:
        padded = gradient.new_zeros(group.count * group.width, *gradient.shape[1:])
        gradient = padded.index_copy_(0, group.places, gradient)
    return gradient.unflatten(0, (group.count, group.width)).transpose(1, 2)
