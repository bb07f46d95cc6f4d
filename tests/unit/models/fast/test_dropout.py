"""Masks from the fast generator: the right rate, the right mean, the same again from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.mixed_batches import load_tiny, make_batch, take_step
from torch import nn
from torch.nn import functional

from gluetune.models.fast.attention import _ComposedAttention
from gluetune.models.fast.dropout import DropoutMasks, drop, fast_dropout
from gluetune.models.fast.layout import Layout
from gluetune.models.fast.unpadded import unpadded


def _masks(seed: int = 0) -> DropoutMasks:
    torch.manual_seed(seed)
    masks = DropoutMasks()
    masks.reseed()
    return masks


@settings(max_examples=25, deadline=None)
@given(st.floats(0.001, 0.999))
def test_the_rate_is_kept_to_a_ten_thousandth(probability: float) -> None:
    kept, scale = _masks().draw(torch.Size((10,)), probability)
    assert kept.dtype == torch.bool
    assert abs((1 - 1 / scale) - probability) < 1e-4


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_as_many_are_dropped_as_should_be(probability: float) -> None:
    count = 2**20
    kept, scale = _masks().draw(torch.Size((count,)), probability)
    error = float(kept.float().mean()) - (1 - probability)
    assert abs(error) < 5 * (probability * (1 - probability) / count) ** 0.5
    assert abs(float(drop(torch.ones(count), kept, scale).mean()) - 1) < 0.01


def test_neighbours_are_independent() -> None:
    kept, _ = _masks().draw(torch.Size((2**18,)), 0.5)
    signs = kept.numpy() * 2.0 - 1
    for lag in (1, 2, 3, 4, 8, 384):
        assert abs(float(np.mean(signs[:-lag] * signs[lag:]))) < 5 / 2**9, lag


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_nothing_and_everything_can_be_dropped(probability: float) -> None:
    kept, scale = _masks().draw(torch.Size((7, 3)), probability)
    assert bool(kept.all()) == (probability == 0)
    assert drop(torch.ones(7, 3), kept, scale).sum() == (21 if probability == 0 else 0)


def test_torchs_generator_decides_the_stream() -> None:
    shape = torch.Size((101, 7))
    first = [_masks(5).draw(shape, 0.3)[0], _masks(5).draw(shape, 0.3)[0]]
    assert torch.equal(*first)
    masks = _masks(5)
    assert not torch.equal(masks.draw(shape, 0.3)[0], masks.draw(shape, 0.3)[0])
    assert not torch.equal(first[0], _masks(6).draw(shape, 0.3)[0])


def test_the_gradient_is_what_autograd_gives() -> None:
    value = torch.randn(5, 9, dtype=torch.float64, requires_grad=True)
    kept, scale = _masks().draw(value.shape, 0.4)
    assert torch.equal(drop(value, kept, scale), value * kept * scale)
    assert torch.autograd.gradcheck(lambda x: drop(x, kept, scale), value)


def test_a_model_draws_new_masks_at_every_pass_and_none_in_evaluation(tmp_path: Any) -> None:
    model = load_tiny(tmp_path, "bert", dropout=0.5).train()
    batch = make_batch(model, [3, 9, 9])
    masks = DropoutMasks()
    torch.manual_seed(1)
    with fast_dropout(model, masks), unpadded(model, masks):
        first, second = (take_step(model, batch).logits for _ in range(2))
        torch.manual_seed(1)
        again = take_step(model, batch).logits
        model.eval()
        state = torch.get_rng_state()
        quiet = take_step(model, batch).logits
        assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    torch.testing.assert_close(quiet, take_step(model, batch).logits, rtol=1e-5, atol=1e-5)
    assert not any("forward" in vars(module) for module in model.modules()), "all is taken back"


def test_other_kinds_of_dropout_are_left_alone() -> None:
    class Own(nn.Dropout):  # type: ignore[misc]  # torch is not followed
        pass

    model = nn.Sequential(Own(0.5), nn.Dropout(0.5), nn.Dropout(0.0))
    with fast_dropout(model, DropoutMasks()):
        assert [("forward" in vars(module)) for module in model] == [False, True, True]
        values = torch.ones(4)
        assert torch.equal(model[2](values), values)


def test_dropout_is_called_as_torchs_is() -> None:
    with fast_dropout(model := nn.Sequential(nn.Dropout(0.5)), DropoutMasks()):
        assert set(model[0](input=torch.ones(99)).tolist()) == {0.0, 2.0}


def test_dropout_that_works_in_place_or_is_somebody_elses_is_left_alone() -> None:
    model = nn.Sequential(nn.Dropout(0.5, inplace=True), nn.Dropout(0.5))
    model[1].forward = own = lambda value: value + 1
    with fast_dropout(model, DropoutMasks()):
        assert "forward" not in vars(model[0])
        assert model[1].forward is own
    assert model[1].forward is own


@pytest.mark.parametrize("lengths", [[4, 4, 4], [3, 5, 7]], ids=["even", "uneven"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_composed_attention_is_its_formula(lengths: list[int], causal: bool, rate: float) -> None:
    """Against autograd through softmax, one text at a time, with the same mask."""
    torch.manual_seed(0)
    heads, size = 2, 3
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    layout = Layout.of(torch.cat([mask, torch.zeros(len(lengths), 1)], dim=1))
    assert layout is not None
    (group,) = layout.groups
    states = [
        torch.randn(sum(lengths), heads, size, dtype=torch.float64, requires_grad=True)
        for _ in range(3)
    ]
    allowed = group.allowed(causal=causal, window=None)
    shape = torch.Size((len(lengths), heads, group.width, group.width))
    kept, scale = _masks().draw(shape, rate)
    handed = kept if rate else None

    def fast(*states: torch.Tensor) -> Any:
        return _ComposedAttention.apply(*states, group, allowed, 0.7, handed, scale)

    def plain(*states: torch.Tensor) -> torch.Tensor:
        answers = []
        for row, (query, key, value) in enumerate(
            zip(*(each.split(lengths) for each in states), strict=True)
        ):
            length = lengths[row]
            scores = torch.einsum("qhd,khd->hqk", query, key) * 0.7
            if causal:
                scores = scores.masked_fill(~torch.ones(length, length).tril().bool(), -torch.inf)
            chances = functional.softmax(scores, dim=-1) * kept[row, :, :length, :length] * scale
            answers.append(torch.einsum("hqk,khd->qhd", chances, value))
        return torch.cat(answers)

    torch.testing.assert_close(fast(*states), plain(*states))
    weights = torch.randn(sum(lengths), heads, size, dtype=torch.float64)
    ours = torch.autograd.grad((fast(*states) * weights).sum(), states)
    theirs = torch.autograd.grad((plain(*states) * weights).sum(), states)
    for found, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, expected)
