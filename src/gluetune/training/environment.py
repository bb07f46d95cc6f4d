"""The software and hardware of a run, for its record."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from gluetune.core.records import EnvironmentRecord
from gluetune.inference.devices import device_name
from gluetune.inference.logits import ResolvedPrecision

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
    """Return the versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def describe(
    precision: ResolvedPrecision, chosen: torch.device, processes: int | None = None
) -> EnvironmentRecord:
    """Describe the environment of this process and the chosen device."""
    return EnvironmentRecord(
        versions=versions(),
        platform=platform.platform(),
        device=device_name(chosen),
        precision=precision,
        threads=torch.get_num_threads(),
        processes=processes or 1,
        git_commit=_git_commit(),
    )


def _git_commit() -> str | None:
    """Return the git commit of the working folder, the user's own repository, if any."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def reset_peak_memory(device: torch.device) -> None:
    """Let `peak_memory` count from now on, where the system can (Linux, GPUs)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int | None:
    """Return the bytes that this process has used at most: of the GPU, else of main memory.

    None where the system does not say (Windows).
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return None
    if sys.platform == "linux":
        with suppress(OSError):
            lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
            if found := re.search(r"^VmHWM:\s*(\d+) kB$", lines, re.MULTILINE):
                return int(found[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
