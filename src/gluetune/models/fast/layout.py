"""The layout of a padded batch: which tokens are real, and which sequences have similar lengths.

The encoder runs on the real tokens only, in one row, the shortest sequence first; attention runs on
groups of sequences with similar lengths, so that it has little padding too. The layout is computed
on the CPU: `send` makes it before the batch is sent, so that the accelerator is never waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

_CLOSE = 0.75
"""A group's shortest sequence is at least this part of its longest …"""
_SHORT = 32
"""… unless all are this short: one matrix product is then cheaper than several."""
_STEP = 8
"""Rows are rounded up to multiples of this number …"""
_PARTS = 4
"""… or of a power of two: at most 2 ** (this - 1) sizes between one power and the next."""
_VECTOR = 16
"""torch's softmax over fewer numbers is not vectorised on a CPU, and up to six times slower."""
_MULTIPLE = 8
"""Widths are multiples of it on a CPU, so that attention's products have few shapes."""


@dataclass(frozen=True)
class Group:
    """Adjacent sequences of similar length in a layout, padded to the longest for attention."""

    start: int
    """First token of the group in the layout's order."""
    lengths: tuple[int, ...]
    device: torch.device
    before: int = 0
    """Number of sequences in the groups before it."""

    @property
    def rows(self) -> slice:
        """The group's tokens in the layout's order."""
        return slice(self.start, self.start + self.tokens)

    @property
    def sequences(self) -> slice:
        """The group's sequences in the layout's order."""
        return slice(self.before, self.before + self.count)

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
        if self.device.type != "cpu":
            return self.longest
        return max(_VECTOR, -(-self.longest // _MULTIPLE) * _MULTIPLE)

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
    """Index of each real token in the flattened batch: shape (tokens,), int64.

    The last one is repeated, for rows that nothing reads, up to a number from a small set.
    """
    count: int
    """Number of real tokens."""
    ranks: torch.Tensor
    """Place of each row of the batch among the sequences in order of length: shape (rows,)."""
    firsts: torch.Tensor
    """Index in `tokens` of the first token of each sequence: shape (rows,)."""
    starts_left: bool
    """Whether every sequence starts in the first column."""
    bounds: torch.Tensor
    """First row of each sequence and of the spare ones, and their number: (rows + 2,), int32."""
    single_bounds: torch.Tensor
    """The same for one row of each sequence, and no spare rows."""
    groups: tuple[Group, ...]

    @property
    def longest(self) -> int:
        """Rows of the longest sequence, or of the spare rows."""
        return max(self.groups[-1].longest, len(self.tokens) - self.count)

    @classmethod
    def of(cls, mask: torch.Tensor, device: torch.device | None = None) -> Layout | None:
        """Make the layout of an attention mask of shape (rows, width): 1 for tokens, 0 for padding.

        Its tensors are on `device`, by default that of the mask. None if a sequence is empty or has
        padding between its tokens. The mask of a batch that `send` has sent is not read.
        """
        if mask in _sent:
            known: Layout | None = _sent[mask]
            return known
        if mask.dim() != 2:
            return None
        device = device or mask.device
        real = mask.cpu() != 0
        lengths = real.sum(dim=1)
        order = torch.argsort(lengths, stable=True)
        lengths = lengths[order]
        found, columns = real[order].nonzero(as_tuple=True)
        sizes = lengths.tolist()
        if not sizes or sizes[0] == 0 or _has_holes(columns, lengths):
            return None
        tokens = order[found] * mask.shape[1] + columns
        count = len(tokens)
        firsts = lengths.cumsum(0) - lengths
        starts_left = not bool(columns[firsts].any())

        def send(made: torch.Tensor) -> torch.Tensor:
            return made.to(device, non_blocking=True)

        spare = tokens[-1:].expand(rounded_up(count) - count)
        return cls(
            rows=mask.shape[0],
            width=mask.shape[1],
            tokens=send(torch.cat([tokens, spare])),
            count=count,
            ranks=send(torch.argsort(order)),
            firsts=send(firsts),
            starts_left=starts_left,
            bounds=send(torch.cat([firsts, torch.tensor([count, rounded_up(count)])]).int()),
            single_bounds=send(torch.arange(len(sizes) + 2).clamp(max=len(sizes)).int()),
            groups=_groups(sizes, device),
        )

    @property
    def is_full(self) -> bool:
        """Whether there is no padding."""
        return self.count == self.rows * self.width

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
        real = value[0][: self.count]
        places = self.tokens[: self.count]
        return padded.index_copy(0, places, real).unflatten(0, (self.rows, self.width))


_sent: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
"""The layouts of masks on an accelerator that were on the CPU before."""


def send(inputs: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Send a batch to a device without waiting for it: its layout is made before, on the CPU."""
    sent = {
        name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for name, value in inputs.items()
    }
    mask = inputs.get("attention_mask")
    if isinstance(mask, torch.Tensor) and mask.device.type == "cpu" != device.type:
        _sent[sent["attention_mask"]] = Layout.of(mask, device)
    return sent


def rounded_up(count: int) -> int:
    """Return the number of rows for so many tokens: a multiple of 8, of 16 from 128 on, and so on.

    oneDNN generates a kernel for every shape of a product that it has not met: 2 to 21 ms each.
    """
    step = max(_STEP, 1 << max(0, count.bit_length() - _PARTS))
    return -(-count // step) * step


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
        groups.append(Group(start, members, device, before=first))
        last = first
    return tuple(reversed(groups))
