"""Freed memory stays with the process, and comes back without a page fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gluetune.training import heap

COUNT = """
import resource, sys
from gluetune.training.heap import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
blocks = lambda: [torch.ones(6 << 20) for _ in range(4)]
for _ in range(3):
    blocks()
before = faults()
for _ in range(10):
    blocks()
print(faults() - before)
"""


def _faults(how: str) -> int:
    out = subprocess.run(
        [sys.executable, "-c", COUNT, how], capture_output=True, text=True, check=True
    )
    return int(out.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_what_is_freed_comes_back_without_page_faults() -> None:
    kept, left = _faults("keep"), _faults("leave")
    assert kept < left / 2, (kept, left)


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not heap.keep_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not heap.keep_freed_memory()
