"""A layout holds every real token once, and its groups waste little."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gluetune.models.fast.layout import Group, Layout, rounded_up

LENGTHS = st.lists(st.integers(1, 90), min_size=2, max_size=20).filter(lambda it: len(set(it)) > 1)


def _mask(lengths: list[int], *, left: bool = False) -> torch.Tensor:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return mask.flip(1) if left else mask


def _layout(lengths: list[int], *, left: bool = False) -> Layout:
    layout = Layout.of(_mask(lengths, left=left))
    assert layout is not None
    return layout


def _first_tokens(values: torch.Tensor, left: bool, lengths: list[int]) -> torch.Tensor:
    columns = [values.shape[1] - length if left else 0 for length in lengths]
    return values[torch.arange(len(lengths)), torch.tensor(columns)]


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.booleans())
def test_dropping_and_restoring_keep_every_token_in_its_place(
    lengths: list[int], left: bool
) -> None:
    mask = _mask(lengths, left=left)
    values = torch.randn(*mask.shape, 3) * mask[..., None]
    layout = _layout(lengths, left=left)
    flat = layout.drop_padding(values)
    assert flat.shape == (1, rounded_up(sum(lengths)), 3)
    assert torch.equal(flat[0, layout.firsts][layout.ranks], _first_tokens(values, left, lengths))
    assert torch.equal(layout.restore_padding(flat), values)


@settings(max_examples=60, deadline=None)
@given(LENGTHS)
def test_groups_hold_each_sequence_once_and_lengths_that_are_close(lengths: list[int]) -> None:
    layout = _layout(lengths)
    assert [length for group in layout.groups for length in group.lengths] == sorted(lengths)
    start = 0
    for group in layout.groups:
        assert group.start == start
        start += group.tokens
        assert group.lengths[0] >= 0.75 * group.longest or group.longest <= 32
        flat = torch.arange(group.tokens)
        padded = flat[group.sources].view(group.count, group.width)
        assert torch.equal(padded[group.real], flat)
        assert torch.equal(padded.flatten()[group.positions], flat)


class _OnAnAccelerator(torch.Tensor):  # type: ignore[misc]  # torch is not followed
    """A tensor that notes what is asked of it."""

    asked: ClassVar[list[str]] = []

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        cls.asked.append(func.__name__)
        answer = super().__torch_function__(func, types, args, kwargs or {})
        return answer.as_subclass(torch.Tensor) if func.__name__ == "cpu" else answer


def test_an_accelerator_is_waited_for_once() -> None:
    mask = _mask([3, 30, 31, 40]).as_subclass(_OnAnAccelerator)
    _OnAnAccelerator.asked.clear()
    layout = Layout.of(mask)
    assert layout is not None
    for group in layout.groups:
        _ = group.real, group.sources, group.positions, group.allowed(causal=True, window=3)
    assert set(_OnAnAccelerator.asked) == {"dim", "cpu", "__get__"}  # shape and device by __get__
    assert _OnAnAccelerator.asked.count("cpu") == 1


def test_where_nothing_is_padded_all_is_one_group() -> None:
    layout = _layout([24, 24, 24])
    (group,) = layout.groups
    assert group.is_even
    assert layout.is_full
    assert layout.tokens[: layout.count].tolist() == list(range(72))


def test_rows_come_from_a_small_set_and_few_are_spare() -> None:
    sizes = {rounded_up(count) for count in range(1, 8193)}
    assert len(sizes) < 80
    assert all(0 <= rounded_up(count) - count < max(8, count / 7) for count in range(1, 8193))
    assert rounded_up(8192) == 8192


def test_spare_rows_repeat_a_token_that_is_there() -> None:
    layout = _layout([2, 3])
    assert layout.tokens.tolist() == [0, 1, 3, 4, 5, 5, 5, 5]
    assert (layout.count, layout.is_full) == (5, False)


def test_short_groups_are_as_wide_as_a_vector_on_a_cpu() -> None:
    (group,) = _layout([3, 9, 9]).groups
    assert (group.longest, group.width, group.is_even) == (9, 16, False)
    assert group.real.sum(1).tolist() == [3, 9, 9]
    assert Group(0, (9, 9), torch.device("meta")).width == 9
    assert Group(0, (5, 5), torch.device("cpu")).width == 16
    assert Group(0, (17, 17), torch.device("cpu")).width == 24


def test_what_one_row_holds_for_all_is_taken_by_place() -> None:
    layout = _layout([2, 3])
    places = torch.tensor([[10, 11, 12]])
    assert layout.holds(places)
    assert layout.drop_padding(places)[0, : layout.count].tolist() == [10, 11, 10, 11, 12]


@pytest.mark.parametrize(
    "mask",
    [
        [[1, 0, 1], [1, 1, 1]],
        [[0, 0], [1, 1]],
        [[[1, 0], [1, 1]]],
    ],
    ids=["a hole", "an empty sequence", "three dimensions"],
)
def test_what_has_no_layout(mask: list[list[int]]) -> None:
    assert Layout.of(torch.tensor(mask)) is None


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("causal", [False, True])
def test_who_may_look_at_whom(causal: bool, window: int | None) -> None:
    (group,) = _layout([2, 4]).groups
    allowed = group.allowed(causal=causal, window=window)
    assert allowed is not None
    for row, length in enumerate(group.lengths):
        for query in range(group.width):
            for key in range(group.width):
                near = window is None or abs(query - key) < window
                behind = not causal or key <= query
                expected = query >= length or (key < length and near and behind)
                assert bool(allowed[row, 0, query, key]) == expected


def test_a_group_of_one_length_needs_no_mask() -> None:
    (short, long) = _layout([40, 40, 80]).groups
    assert short.is_even
    assert long.is_even
    assert short.allowed(causal=False, window=None) is None
    assert short.allowed(causal=False, window=80) is None, "a window that all are within"
