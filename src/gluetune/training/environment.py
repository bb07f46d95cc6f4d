"""The software and hardware that a training runs on."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gluetune.config import Precision
from gluetune.errors import ConfigurationError
from gluetune.evaluation.inference import ResolvedPrecision
from gluetune.records import EnvironmentRecord

_PACKAGES = (
    "gluetune",
    "torch",
    "transformers",
    "accelerate",
    "datasets",
    "tokenizers",
    "safetensors",
    "numpy",
    "scikit-learn",
    "scipy",
)


def versions() -> dict[str, str]:
    """Return the version of Python and of each package that a result depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def device(*, use_cpu: bool = False) -> torch.device:
    """Return where Trainer will train: the first accelerator, else (or if so set) the CPU."""
    if torch.accelerator.is_available() and not use_cpu:
        return torch.device(torch.accelerator.current_accelerator().type, 0)
    return torch.device("cpu")


def device_name(chosen: torch.device) -> str:
    """Return what the device is called, e.g. 'NVIDIA H200' or the CPU's model."""
    if chosen.type == "cuda":
        return str(torch.cuda.get_device_name(chosen))
    if chosen.type == "cpu":
        return _cpu_name()
    return str(chosen.type)


def multiplies_bf16(chosen: torch.device) -> bool:
    """Return whether the device multiplies bfloat16 natively, rather than by way of float32."""
    if chosen.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if chosen.type == "cpu":
        if not hasattr(torch.cpu, "get_capabilities"):  # an older torch
            return bool(torch.cpu._is_avx512_bf16_supported())
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))
    return False


def resolve_precision(asked: Precision, chosen: torch.device) -> ResolvedPrecision:
    """Return the precision that `auto` means here.

    Raises ConfigurationError for fp16 on a CPU, where it has neither speed nor loss scaling.
    """
    if asked == "auto":
        return "bf16" if multiplies_bf16(chosen) else "fp32"
    if asked == "fp16" and chosen.type == "cpu":
        raise ConfigurationError(
            "--precision fp16 needs a GPU.", hint="Type: --precision auto, bf16 or fp32."
        )
    return asked


def describe(precision: ResolvedPrecision, chosen: torch.device) -> EnvironmentRecord:
    """Return the record of this process's environment, on the device that was chosen."""
    return EnvironmentRecord(
        versions=versions(),
        platform=platform.platform(),
        device=device_name(chosen),
        precision=precision,
        threads=torch.get_num_threads(),
        git_commit=_git_commit(),
    )


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo")
    if lines.exists():
        for line in lines.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """Return the commit of the working folder: that of the user's own experiment, if any."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
