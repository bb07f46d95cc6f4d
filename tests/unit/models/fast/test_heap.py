"""Freed memory stays with the process where glibc would hand it back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.mixed_batches import load_tiny

from gluetune.core.config import ComputePath
from gluetune.models.fast import paths as heap
from gluetune.models.fast.paths import computing

# Only the first round tells: glibc moves its thresholds as it sees large blocks freed.
ROUND = """
import resource
import sys
from pathlib import Path
from gluetune.models.fast.paths import keep_freed_memory
import torch
if sys.argv[1] == "keep":
    assert keep_freed_memory()
pages = lambda: int(Path("/proc/self/statm").read_text().split()[1])
resident = lambda: pages() * resource.getpagesize() >> 20
torch.ones(1)
before = resident()
blocks = [torch.ones(6 << 20) for _ in range(4)]
assert resident() - before > 90
del blocks
print(resident() - before)
"""


def _mib_left_of_96(how: str) -> int:
    out = subprocess.run(
        [sys.executable, "-c", ROUND, how], capture_output=True, text=True, check=True
    )
    return int(out.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")
def test_what_is_freed_stays_with_the_process() -> None:
    assert _mib_left_of_96("keep") > 90
    assert _mib_left_of_96("leave") < 10


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not heap.keep_freed_memory.__wrapped__()


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ctypes.CDLL", lambda name: object())
    assert not heap.keep_freed_memory.__wrapped__()


@pytest.mark.parametrize("path", ["unpadded", "grouped", "padded"])
def test_memory_is_kept_unless_all_is_to_be_plain(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: ComputePath
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("gluetune.models.fast.paths.keep_freed_memory", lambda: asked.append(path))
    with computing(load_tiny(tmp_path, "bert"), path):
        pass
    assert asked == ([path] if path != "padded" else [])
