"""A worker waits for a folder that another process has locked, recognised by the error's type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gluetune.core.errors import LockedError, RunError
from gluetune.core.files import locked
from gluetune.parallel.pool import Outcome, failure_of
from gluetune.parallel.ray import _is_locked


def test_a_locked_folder_is_recognised_by_the_type_of_its_error(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from gluetune.core.files import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(LockedError, match="is working in") as caught, locked(tmp_path):
            pass
        assert other.stdin is not None
        other.stdin.close()
    assert isinstance(caught.value, RunError)
    assert _is_locked(Outcome("key", failure=failure_of(caught.value)))
    alike = RunError("Another process has said something.")
    assert not _is_locked(Outcome("key", failure=failure_of(alike)))
    assert not _is_locked(Outcome("key", 1))
