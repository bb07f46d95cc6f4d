"""Device, precision and number of threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from gluetune.core.config import Precision
from gluetune.core.errors import ConfigurationError
from gluetune.inference.logits import ResolvedPrecision


def device(*, use_cpu: bool = False) -> torch.device:
    """Return the device that Trainer uses: the first accelerator, or the CPU."""
    if torch.accelerator.is_available() and not use_cpu:
        return torch.device(torch.accelerator.current_accelerator().type, 0)
    return torch.device("cpu")


def visible_devices() -> tuple[str, ...]:
    """Return the GPUs by their names in CUDA_VISIBLE_DEVICES; empty if there is only one."""
    count = torch.cuda.device_count()
    if count < 2:
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(named.split(",")) if named else tuple(map(str, range(count)))


def device_name(chosen: torch.device) -> str:
    """Return the device's name, e.g. 'NVIDIA H200' or the CPU's model."""
    if chosen.type == "cuda":
        return str(torch.cuda.get_device_name(chosen))
    if chosen.type == "cpu":
        return _cpu_name()
    return str(chosen.type)


def multiplies_bf16(chosen: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 natively."""
    if chosen.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if chosen.type == "cpu":
        if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
            return bool(torch.cpu._is_avx512_bf16_supported())
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))
    return False


def resolve_precision(requested: Precision, chosen: torch.device) -> ResolvedPrecision:
    """Resolve `auto` to a precision for a device.

    Raises ConfigurationError for fp16 on a CPU, where it has neither speed nor loss scaling.
    """
    if requested == "auto":
        return "bf16" if multiplies_bf16(chosen) else "fp32"
    if requested == "fp16" and chosen.type == "cpu":
        raise ConfigurationError(
            "--precision fp16 needs a GPU.", hint="Type: --precision auto, bf16 or fp32."
        )
    return requested


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Compute with `count` CPU threads, on which the last bits of results depend."""
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        for line in lines.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
