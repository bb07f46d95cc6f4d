"""The software and hardware that a training runs on, as its record keeps them."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

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
    """Return the version of Python and of each package that a result depends on."""
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
    """Return the record of this process's environment, on the device that was chosen."""
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
    """Return the commit of the working folder: that of the user's own experiment, if any."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
