"""Half precision on a CPU goes by products of our own, up to a length."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from gluetune.models.fast.attention import (
    _LONG,
    _by_flash,
    begin_attending,
    end_attending,
    unpadded_attention,
)
from gluetune.models.fast.layout import Layout


def _attend(lengths: list[int], dtype: torch.dtype, **asked: Any) -> tuple[torch.Tensor, ...]:
    """Return what attention answers on random states, and the gradient of the first of them."""
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    layout = Layout.of(mask)
    assert layout is not None
    draw = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(1, 2, sum(lengths), 8, generator=draw).to(dtype).requires_grad_()
        for _ in range(3)
    )
    token = begin_attending(layout, None)
    try:
        answer, _ = unpadded_attention(torch.nn.Module(), query, key, value, None, **asked)
    finally:
        end_attending(token)
    (gradient,) = torch.autograd.grad(answer.float().square().sum(), query)
    return answer.detach().float(), gradient.float()


@pytest.mark.parametrize("asked", [{}, {"sliding_window": 3}], ids=["all", "a window"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [[9, 9], [3, 7, 24, 40]], ids=["even", "uneven"])
def test_half_precision_answers_as_single_does(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], causal: bool, asked: dict[str, Any]
) -> None:
    single = _attend(lengths, torch.float32, is_causal=causal, **asked)
    kernels: list[int] = []
    monkeypatch.setattr(functional, "scaled_dot_product_attention", kernels.append)
    half = _attend(lengths, torch.bfloat16, is_causal=causal, **asked)
    assert not kernels
    for found, expected in zip(half, single, strict=True):
        assert float((found - expected).norm() / expected.norm()) < 0.02


@pytest.mark.parametrize(
    ("length", "dtype"), [(_LONG + 1, torch.bfloat16), (9, torch.float32)], ids=["long", "single"]
)
def test_elsewhere_torchs_kernel_computes(
    monkeypatch: pytest.MonkeyPatch, length: int, dtype: torch.dtype
) -> None:
    kernel, calls = functional.scaled_dot_product_attention, []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return kernel(*args, **kwargs)

    monkeypatch.setattr(functional, "scaled_dot_product_attention", counted)
    _attend([length], dtype, is_causal=False)
    assert len(calls) == 1


@pytest.mark.parametrize("first_only", [False, True])
def test_the_flash_kernel_is_given_every_sequence(first_only: bool) -> None:
    """On meta tensors, which have shapes alone; the operation has a gradient."""
    lengths = [3, 9, 13]
    layout = Layout.of(torch.arange(13) < torch.tensor(lengths)[:, None], torch.device("meta"))
    on_cpu = Layout.of(torch.arange(13) < torch.tensor(lengths)[:, None])
    assert layout is not None
    assert on_cpu is not None
    assert on_cpu.bounds.tolist() == [0, 3, 12, 25, 32]
    assert on_cpu.single_bounds.tolist() == [0, 1, 2, 3, 3]
    assert layout.longest == 13
    parts, rows = (2, 3) if first_only else (3, 32)
    states = torch.empty(32, parts, 4, 8, dtype=torch.bfloat16, device="meta", requires_grad=True)
    query = torch.empty(3, 4, 8, dtype=torch.bfloat16, device="meta", requires_grad=True)
    found = _by_flash(states, query if first_only else None, layout, 0.1)
    assert found.shape == (rows, 4, 8)
    found.sum().backward()
    assert states.grad.shape == states.shape
