"""`gluetune` in a process of its own, to be watched, limited, signalled and killed."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

COMMAND = Path(sys.executable).parent / "gluetune"
_PATIENCE = 120.0
"""Seconds after which a process that does nothing is taken for hung."""


def start(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    largest_file: int | None = None,
    most_files: int | None = None,
) -> subprocess.Popen[str]:
    """Start `gluetune` with `arguments`.

    No file may grow beyond `largest_file` bytes, nor more than `most_files` be open at a time.
    """

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
        if most_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))

    return subprocess.Popen(
        [str(COMMAND), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    )


def wait_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Return as soon as `condition` holds. Fails when the process ends before, or hangs."""
    begin = time.monotonic()
    while not condition():
        if process.poll() is not None:
            raise AssertionError(f"ended too early: {process.communicate()}")
        if time.monotonic() - begin > _PATIENCE:
            process.kill()
            raise AssertionError(f"hung: {process.communicate()}")
        time.sleep(0.002)


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the process; return its exit code, standard output and standard error."""
    out, err = process.communicate(timeout=_PATIENCE)
    return process.returncode, out, err
