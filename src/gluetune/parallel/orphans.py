"""Workers whose parent process is gone: known by the locks that they hold.

A worker of a search or a suite holds `FOLDER/.worker-HOST-PID.lock` for as long as it lives. When
the process that started it is killed, it saves its state and ends, which takes as long as a step.
Whoever takes the folder up meanwhile waits for that: two processes would write the same runs.
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
from gluetune.core.files import locked
from gluetune.core.locks import held, holder_of

PATIENCE = 60.0
"""Seconds that orphans may take to save what they do, before they are killed."""
_KILLED_SECONDS = 10.0
"""Seconds until the system has taken away a process that was killed."""
_LOOK_SECONDS = 0.2
_NAME = re.compile(r"\.worker-(?P<host>.+)-(?P<pid>\d+)\.lock")


@dataclass(frozen=True)
class _Orphan:
    lock: Path
    host: str
    pid: int

    def is_alive(self) -> bool:
        """Whether its process still holds the lock: a number alone may be another process's."""
        return holder_of(self.lock) is not None

    def __str__(self) -> str:
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"process {self.pid}{where}"


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Let it be seen, as long as the block lasts, that this process works in `folder`."""
    name = f".worker-{socket.gethostname()}-{os.getpid()}.lock"
    with held(folder / name, temporary=True):
        yield


def end_orphans(folder: Path, say: Callable[[str], object]) -> None:
    """Wait for the workers that a killed process left in `folder`, and kill those that stay.

    The caller holds the folder's lock, so whoever is registered there has lost its driver. What a
    worker has not saved by then is lost since its last checkpoint. Raises RunError where one is
    left that cannot be killed from here.
    """
    orphans = _orphans(folder)
    if not orphans:
        return
    say(
        f"Workers of a command that was killed still save what they do ({_listed(orphans)}): "
        f"waiting for at most {PATIENCE:.0f} seconds."
    )
    left = _wait(orphans, PATIENCE)
    for orphan in left:
        say(f"{str(orphan).capitalize()} has not ended, and is killed.")
        _kill(orphan)
    if left := _wait(left, _KILLED_SECONDS):
        raise RunError(
            f"Workers of a command that was killed still work in {folder}: {_listed(left)}.",
            hint="Stop them where they run, then type the same command again.",
        )
    _orphans(folder)  # takes away their locks


def wait_until_free(run: Path, say: Callable[[str], object]) -> None:
    """Wait until no other process works in a run's folder. Raises RunError where one stays."""
    end = time.monotonic() + PATIENCE
    told = False
    while run.is_dir():
        try:
            with locked(run):
                return
        except LockedError as error:
            if time.monotonic() > end:
                raise
            if not told:
                say(f"{error.findings[0].message} Waiting for it.")
                told = True
            time.sleep(_LOOK_SECONDS)


def _orphans(folder: Path) -> list[_Orphan]:
    """Return the registered workers that are alive; take away what the dead left."""
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
    """Return those of `orphans` that are alive after so many seconds, or when none is."""
    end = time.monotonic() + seconds
    while orphans := [orphan for orphan in orphans if orphan.is_alive()]:
        if time.monotonic() > end:
            break
        time.sleep(_LOOK_SECONDS)
    return orphans


def _kill(orphan: _Orphan) -> None:
    """Kill a worker with its loaders: it is in a process group of its own.

    Its lock is held at this moment, so its number is still its own.
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
