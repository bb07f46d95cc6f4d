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
from gluetune.models.fast.dropout import DropoutMasks, at_least_single, draw, drop
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
    layout = attending.layout
    states = [_by_token(each) for each in (query, key, value)]
    outputs = [
        _attend(tuple(each[group.rows] for each in states), group, rule, attending.masks)
        for group in layout.groups
    ]
    return torch.cat([*outputs, _spare(outputs[0], layout)])[None], None


def _spare(output: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return zeros for the rows that nothing reads."""
    return output.new_zeros(len(layout.tokens) - layout.count, *output.shape[1:])


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


def attend_packed(
    states: torch.Tensor,
    query: torch.Tensor | None,
    layout: Layout,
    heads: int,
    probability: float,
    masks: DropoutMasks | None,
) -> torch.Tensor:
    """Compute attention in both directions within each sequence.

    `states` are queries, keys and values side by side, of shape (tokens, 3 x size), and the result
    has the shape (tokens, size). With `query`, of shape (sequences, size) for the first token of
    each sequence, `states` are keys and values, and the result has the shape of `query`.
    """
    parts = 3 if query is None else 2
    apart = states.unflatten(1, (parts, heads, -1))
    of_first = None if query is None else query.unflatten(1, (heads, -1))
    if _is_for_flash(apart):
        return _by_flash(apart, of_first, layout, probability).flatten(1)
    keeps_probabilities = torch.is_grad_enabled() or probability > 0
    is_alone = layout.rows == 1  # then the kernel's one call is faster than many small ones
    is_slow = not is_alone and all(_is_slow(states, group) for group in layout.groups)
    if not keeps_probabilities and not is_slow:
        return _by_kernel(apart, of_first, layout).flatten(1)
    found: torch.Tensor = _PackedAttention.apply(apart, of_first, layout, probability, masks)
    return found.flatten(1)


_FLASH_SIZES = range(8, 257, 8)
"""Sizes of a head that the flash kernel takes."""


def _is_for_flash(states: torch.Tensor) -> bool:
    """Return whether torch's flash kernel takes these states: half precision on a CUDA device."""
    half = states.dtype in (torch.bfloat16, torch.float16)
    return half and states.device.type == "cuda" and states.shape[-1] in _FLASH_SIZES


def _by_flash(
    states: torch.Tensor, query: torch.Tensor | None, layout: Layout, probability: float
) -> torch.Tensor:
    """Compute attention over packed sequences by the flash kernel, with dropout.

    `torch.nn.attention.varlen.varlen_attn` has no dropout; this is the operation under it.
    """
    *own, key, value = states.unbind(1)
    queries = own[0] if query is None else query
    bounds = layout.bounds
    of_queries = bounds if query is None else layout.single_bounds
    longest = layout.longest
    found: torch.Tensor = torch.ops.aten._flash_attention_forward(
        queries,
        key,
        value,
        of_queries,
        bounds,
        longest if query is None else 1,
        longest,
        probability,
        is_causal=False,
        return_debug_mask=False,
    )[0]
    return found


def _by_kernel(states: torch.Tensor, query: torch.Tensor | None, layout: Layout) -> torch.Tensor:
    """Compute attention by torch's kernel, which keeps no probabilities: for inference."""
    outputs = []
    for group in layout.groups:
        *own, key, value = (_pad(each, group) for each in states[group.rows].unbind(1))
        queries = own[0] if query is None else query[group.sequences].unsqueeze(2)
        allowed = _allowed(group, first_only=query is not None)
        padded = functional.scaled_dot_product_attention(queries, key, value, attn_mask=allowed)
        outputs.append(_unpad(padded, group) if query is None else padded.squeeze(2))
    if query is None:
        outputs.append(_spare(outputs[0], layout))
    return torch.cat(outputs)


def _allowed(group: Group, *, first_only: bool) -> torch.Tensor | None:
    """Return the attention mask of all positions, or of the first one."""
    if not first_only:
        return group.allowed(causal=False, window=None)
    return None if group.is_even else group.real[:, None, None, :]


class _PackedAttention(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Attention of all groups as matrix products; see `attend_packed`."""

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        query: torch.Tensor | None,
        layout: Layout,
        probability: float,
        masks: DropoutMasks | None,
    ) -> torch.Tensor:
        _, _, heads, size = states.shape
        ctx.layout, ctx.size = layout, size
        output = states.new_zeros(len(states) if query is None else len(query), heads, size)
        saved, scales = [], []
        for group in layout.groups:
            *own, key, value = _side_by_side(states, group)
            queries = own[0] if query is None else query[group.sequences].reshape(-1, 1, size)
            scores = torch.bmm(queries, key.transpose(1, 2)).mul_(size**-0.5)
            apart = scores.unflatten(0, (group.count, heads))
            allowed = _allowed(group, first_only=query is not None)
            if allowed is not None:
                apart.masked_fill_(~allowed, float("-inf"))
            probabilities = scores.softmax(dim=-1, dtype=at_least_single(scores))
            kept, scale = draw(masks, probabilities, probability)
            dropped = drop(probabilities, kept, scale).to(scores.dtype)
            found = torch.bmm(dropped, value).unflatten(0, (group.count, heads))
            if query is None:
                output[group.rows] = _unpad(found, group)
            else:
                output[group.sequences] = found.squeeze(2)
            saved += [queries, key, value, probabilities, dropped, kept]
            scales.append(scale)
        ctx.save_for_backward(*saved)
        ctx.scales, ctx.first_only, ctx.shape = scales, query is not None, states.shape
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layout: Layout = ctx.layout
        saved = ctx.saved_tensors
        of_states = gradient.new_zeros(ctx.shape)
        of_first = torch.empty_like(gradient) if ctx.first_only else None
        for index, group in enumerate(layout.groups):
            query, key, value, probabilities, dropped, kept = saved[6 * index : 6 * index + 6]
            if ctx.first_only:
                outer = gradient[group.sequences].reshape(-1, 1, ctx.size)
            else:
                outer = _pad_gradient(gradient[group.rows], group).flatten(0, 1)
            single = probabilities.dtype
            of_dropped = torch.bmm(outer, value.transpose(1, 2)).to(single)
            of_probabilities = drop(of_dropped, kept, ctx.scales[index])
            of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, single)
            of_scores = of_scores.mul_(ctx.size**-0.5).to(query.dtype)
            of_query = torch.bmm(of_scores, key)
            found = [
                torch.bmm(of_scores.transpose(1, 2), query),
                torch.bmm(dropped.transpose(1, 2), outer),
            ]
            if of_first is not None:
                of_first[group.sequences] = of_query.view(group.count, -1, ctx.size)
            else:
                found.insert(0, of_query)
            for part, each in enumerate(found):
                apart = each.unflatten(0, (group.count, -1))
                of_states[group.rows, part] = _unpad(apart, group)
        return of_states, of_first, None, None, None


def _side_by_side(states: torch.Tensor, group: Group) -> torch.Tensor:
    """Pad a group's rows of (tokens, parts, heads, size): (parts, count * heads, width, size)."""
    rows = states[group.rows]
    if not group.is_even:
        rows = rows.index_select(0, group.sources)
    apart = rows.unflatten(0, (group.count, group.width))
    return apart.permute(2, 0, 3, 1, 4).flatten(1, 2).contiguous()


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
