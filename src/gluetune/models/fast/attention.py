"""Attention on the real tokens of a padded batch, within each sequence.

A layout, made once per batch, describes which tokens are real and which sequences have similar
lengths. The encoder runs on the real tokens only, in one row, the shortest sequence first;
attention runs on groups of sequences with similar lengths, so that it has little padding too. The
layout is computed on the CPU and then sent, so that the accelerator is synchronised once per batch,
when its mask is read.

The attention function is registered with transformers' AttentionInterface, so every architecture
that calls attention through it can use it. `begin_attending` sets the layout for one forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from gluetune.models.fast import UnsupportedError
from gluetune.models.fast.dropout import DropoutMasks, at_least_single, drop

_CLOSE = 0.75
"""A group's shortest sequence is at least this part of its longest …"""
_SHORT = 24
"""… unless all are this short: one matrix product is then cheaper than several."""
_VECTOR = 16
"""Numbers from which on torch's softmax on a CPU is vectorised."""
_SLOW = range(8, _VECTOR)
"""Over these sizes softmax takes longer than over 16, up to six times."""


@dataclass(frozen=True)
class Group:
    """Adjacent sequences of similar length in a layout, padded to the longest for attention."""

    start: int
    """First token of the group in the layout's order."""
    lengths: tuple[int, ...]
    device: torch.device

    @property
    def count(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return self.lengths[-1]

    @property
    def width(self) -> int:
        """Padded length: that of the longest sequence, or more if that is faster."""
        return _VECTOR if self.longest in _SLOW and self.device.type == "cpu" else self.longest

    @property
    def tokens(self) -> int:
        """Real tokens in the group."""
        return sum(self.lengths)

    @property
    def is_even(self) -> bool:
        """Whether no sequence is padded."""
        return self.lengths[0] == self.width

    @cached_property
    def real(self) -> torch.Tensor:
        """Mask of the real tokens: bool, shape (count, width)."""
        return self._send(self._real)

    @cached_property
    def sources(self) -> torch.Tensor:
        """Index in the group of the token at each padded position: shape (count * width,).

        Padding repeats the sequence's last token; nothing attends to it.
        """
        lengths = torch.tensor(self.lengths)
        starts = lengths.cumsum(0) - lengths
        positions = torch.arange(self.width)
        return self._send(
            (starts[:, None] + torch.minimum(positions, lengths[:, None] - 1)).flatten()
        )

    @cached_property
    def positions(self) -> torch.Tensor:
        """The padded position of each of the group's tokens: shape (tokens,)."""
        return self._send(self._real.flatten().nonzero().squeeze(1))

    @cached_property
    def _real(self) -> torch.Tensor:
        return torch.arange(self.width) < torch.tensor(self.lengths)[:, None]

    @cached_property
    def _allowed(self) -> dict[tuple[bool, int | None], torch.Tensor | None]:
        return {}

    def allowed(self, *, causal: bool, window: int | None) -> torch.Tensor | None:
        """Return the attention mask: bool, shape (count or 1, 1, width, width), None for no mask.

        A position attends to others at a distance below `window`. Padding attends to everything:
        its output is not used, and a row without any position would be NaN.
        """
        key = (causal, window if window is not None and window < self.width else None)
        if key not in self._allowed:
            made = self._make_allowed(*key)
            self._allowed[key] = None if made is None else self._send(made)
        return self._allowed[key]

    def _make_allowed(self, causal: bool, window: int | None) -> torch.Tensor | None:
        if self.is_even and not causal and window is None:
            return None
        positions = torch.arange(self.width)
        offset = positions[:, None] - positions
        near = offset.abs() < window if window is not None else torch.ones_like(offset).bool()
        if causal:
            near = near & (offset >= 0)
        if self.is_even:
            return near[None, None]
        real = self._real[:, None, :]
        return ((near & real) | ~real.transpose(1, 2))[:, None]

    def _send(self, made: torch.Tensor) -> torch.Tensor:
        return made.to(self.device, non_blocking=True)


@dataclass(frozen=True)
class Layout:
    """The real tokens of a batch of shape (rows, width), sequences in order of length."""

    rows: int
    width: int
    tokens: torch.Tensor
    """Index of each real token in the flattened batch: shape (tokens,), int64."""
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, mask: torch.Tensor) -> Layout | None:
        """Make the layout of an attention mask of shape (rows, width): 1 for tokens, 0 for padding.

        None if a sequence is empty or has padding between its tokens.
        """
        if mask.dim() != 2:
            return None
        real = mask.cpu() != 0
        lengths = real.sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        lengths = lengths[order]
        found, columns = real[order].nonzero(as_tuple=True)
        sizes = lengths.tolist()
        if not sizes or sizes[0] == 0 or _has_holes(columns, lengths):
            return None
        tokens = order[found] * mask.shape[1] + columns
        sent = tokens.to(mask.device, non_blocking=True)
        return cls(mask.shape[0], mask.shape[1], sent, _groups(sizes, mask.device))

    @property
    def is_full(self) -> bool:
        """Whether there is no padding."""
        return len(self.tokens) == self.rows * self.width

    def holds(self, value: torch.Tensor) -> bool:
        """Return whether a tensor has the shape (rows or 1, width, …)."""
        return (
            value.dim() >= 2 and value.shape[1] == self.width and value.shape[0] in (1, self.rows)
        )

    def drop_padding(self, value: torch.Tensor) -> torch.Tensor:
        """Select the real tokens of a padded tensor: shape (1, tokens, …)."""
        shared = value.shape[0] == 1 and self.rows > 1
        index = self.tokens % self.width if shared else self.tokens
        return value.flatten(0, 1).index_select(0, index)[None]

    def restore_padding(self, value: torch.Tensor) -> torch.Tensor:
        """Put tokens of shape (1, tokens, …) back into (rows, width, …); padding becomes 0."""
        padded = value.new_zeros(self.rows * self.width, *value.shape[2:])
        return padded.index_copy(0, self.tokens, value[0]).unflatten(0, (self.rows, self.width))


def _has_holes(columns: torch.Tensor, lengths: torch.Tensor) -> bool:
    """Return whether a sequence has padding between its tokens."""
    ends = lengths.cumsum(0) - 1
    spans = columns[ends] - columns[ends - lengths + 1] + 1
    return bool((spans != lengths).any())


def _groups(lengths: Sequence[int], device: torch.device) -> tuple[Group, ...]:
    """Cut ascending lengths into groups of similar ones."""
    groups: list[Group] = []
    last, start = len(lengths), sum(lengths)
    while last:
        longest = lengths[last - 1]
        close = 1 if longest <= _SHORT else _CLOSE * longest
        first = last - 1
        while first and lengths[first - 1] >= close:
            first -= 1
        members = tuple(lengths[first:last])
        start -= sum(members)
        groups.append(Group(start, members, device))
        last = first
    return tuple(reversed(groups))


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
