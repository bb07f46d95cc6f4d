"""What the machine is, and how fast it multiplies matrices: the ceiling of any training."""

from __future__ import annotations

import time
from typing import Any

import torch
from benchmarks.peers import notebook
from benchmarks.speed.stopwatch import synchronise

from gluetune.inference.devices import device, multiplies_bf16

SHAPE = (1024, 384, 1536)
"""Tokens, width and inner width: the larger product of a MiniLM layer at a usual batch."""
_SECONDS = 1.0
_LARGE = 4096
"""On an accelerator, small products measure its launches: there all three sides are this."""


def describe() -> dict[str, Any]:
    """Return hardware, versions, native bf16, and GEMM rates in FLOP/s by precision."""
    chosen = device()
    native = multiplies_bf16(chosen)
    rates = {"fp32": gemm_rate(torch.float32, chosen)}
    if native:
        rates["bf16"] = gemm_rate(torch.bfloat16, chosen)
    return {
        "hardware": notebook.hardware(chosen),
        "versions": notebook.versions(),
        "native_bf16": native,
        "gemm": rates,
        "shape": list(_shape(chosen)),
    }


def gemm_rate(dtype: torch.dtype, chosen: torch.device) -> float:
    """Return the rate of `torch.mm` in FLOP/s: the best of many short bursts."""
    rows, inner, columns = _shape(chosen)
    left = torch.randn(rows, inner, device=chosen).to(dtype)
    right = torch.randn(inner, columns, device=chosen).to(dtype)
    best, ends = float("inf"), time.perf_counter() + _SECONDS
    while time.perf_counter() < ends:
        best = min(best, _burst(left, right))
    return 2 * rows * inner * columns / best


def _shape(chosen: torch.device) -> tuple[int, int, int]:
    return SHAPE if chosen.type == "cpu" else (_LARGE, _LARGE, _LARGE)


def _burst(left: torch.Tensor, right: torch.Tensor, count: int = 10) -> float:
    """Return the seconds of one product, as the mean of a few."""
    synchronise(left.device)
    began = time.perf_counter()
    for _ in range(count):
        torch.mm(left, right)
    synchronise(left.device)
    return (time.perf_counter() - began) / count
