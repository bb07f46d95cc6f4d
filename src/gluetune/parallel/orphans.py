"""Orphaned workers: those whose parent process was killed, found by the locks that they hold.

A worker of a search or a suite holds `FOLDER/.worker-HOST-PID.lock` as long as it lives. When the
process that started it is killed, it saves its state and exits, which takes as long as a step. A
process that resumes the folder waits for that; otherwise two processes would write the same runs.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gluetune.core.errors import LockedError, RunError
from gluetune.core.files import held, is_held, locked

PATIENCE = 60.0
"""Seconds that orphans may take to save their state before they are killed."""
_KILLED_SECONDS = 10.0
"""Seconds that the system may take to remove a killed process."""
_POLL_SECONDS = 0.2
_NAME = re.compile(r"\.worker-(?P<host>.+)-(?P<pid>\d+)\.lock")


@dataclass(frozen=True)
class _Orphan:
    lock: Path
    host: str
    pid: int

    def is_alive(self) -> bool:
        """Whether its process still holds the lock: a process id may have been reused."""
        return is_held(self.lock)

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where}"


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Register this process as a worker in `folder` while the block runs."""
    name = f".worker-{socket.gethostname()}-{os.getpid()}.lock"
    with held(folder / name, temporary=True):
        yield


def end_orphans(folder: Path, log: Callable[[str], object]) -> None:
    """Wait for the workers that a killed process left in `folder`, and kill those that remain.

    The caller holds the folder's lock, so a worker registered there has lost its parent. A worker
    that is killed loses what it did since its last checkpoint.

    Raises RunError where a worker remains that cannot be killed from here.
    """
    orphans = _orphans(folder)
    if not orphans:
        return
    log(
        f"Workers of a killed command are saving their state ({_listed(orphans)}): waiting for at "
        f"most {PATIENCE:.0f} seconds."
    )
    left = _wait(orphans, PATIENCE)
    for orphan in left:
        log(f"{str(orphan).capitalize()} has not exited and is killed.")
        _kill(orphan)
    if left := _wait(left, _KILLED_SECONDS):
        raise RunError(
            f"Workers of a killed command still run in {folder}: {_listed(left)}.",
            hint="Stop them where they run, then type the same command again.",
        )
    _orphans(folder)  # removes their locks


def wait_until_free(run: Path, log: Callable[[str], object]) -> None:
    """Wait until no other process uses a run's folder. Raises LockedError where one remains."""
    end = time.monotonic() + PATIENCE
    is_logged = False
    while run.is_dir():
        try:
            with locked(run):
                return
        except LockedError as error:
            if time.monotonic() > end:
                raise
            if not is_logged:
                log(f"{error.findings[0].message} Waiting for it.")
                is_logged = True
            time.sleep(_POLL_SECONDS)


def _orphans(folder: Path) -> list[_Orphan]:
    """Return the registered workers that are alive; remove the locks of the others."""
    found = []
    for path in sorted(folder.glob(".worker-*.lock")):
        if match := _NAME.fullmatch(path.name):
            orphan = _Orphan(path, match["host"], int(match["pid"]))
            if orphan.is_alive():
                found.append(orphan)
            else:
                path.unlink(missing_ok=True)
    return found


def _wait(orphans: list[_Orphan], seconds: float) -> list[_Orphan]:
    """Wait until none of `orphans` is alive, at most `seconds`; return those that are."""
    end = time.monotonic() + seconds
    while orphans := [orphan for orphan in orphans if orphan.is_alive()]:
        if time.monotonic() > end:
            break
        time.sleep(_POLL_SECONDS)
    return orphans


def _kill(orphan: _Orphan) -> None:
    """Kill a worker and its data loaders: it has a process group of its own.

    Its lock is held at this moment, so its process id has not been reused.
    """
    if orphan.host != socket.gethostname() or not orphan.is_alive():
        return
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(orphan.pid, signal.SIGKILL)
        else:
            os.kill(orphan.pid, signal.SIGTERM)


def _listed(orphans: list[_Orphan]) -> str:
    return ", ".join(map(str, orphans))
