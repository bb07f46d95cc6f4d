"""File locks: held by a process, and released when it ends, however it ends.

A lock is `flock`'s, on Windows `msvcrt`'s. Its file names the holder, for messages. A process that
is forked while a lock is held (a data loader's worker) does not keep it.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gluetune.core.errors import StorageError

_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Error numbers of a lock that another process holds."""
_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, which then cannot be read: one far behind the holder's name."""


class LockHeldError(Exception):
    """Another process holds a lock. `holder` is the text of its file: "process 123", or nothing."""

    def __init__(self, path: Path, holder: str) -> None:
        self.path = path
        self.holder = holder
        super().__init__(f"{path} is held by {holder or 'another process'}")


@dataclass(eq=False)
class _Lock:
    path: Path
    descriptor: int

    def release(self) -> None:
        """Free the lock, also where a process that was just forked still has its file open."""
        if self.descriptor >= 0 and sys.platform != "win32":
            import fcntl

            with suppress(OSError):
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        self.close()

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@dataclass
class _Held:
    """The locks of this process."""

    locks: set[_Lock] = field(default_factory=set)

    def forget(self) -> None:
        """Close the copies in a process that was just forked: they would keep the locks held."""
        for lock in self.locks:
            with suppress(OSError):
                lock.close()
        self.locks.clear()


_here = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_here.forget)


@contextmanager
def held(path: Path, *, temporary: bool = False) -> Iterator[None]:
    """Hold the lock file `path` for this process alone, as long as the block lasts.

    `temporary` removes the file at the end. Raises LockHeldError immediately where another process
    holds it, and StorageError where the file cannot be made or its file system has no locks.
    """
    lock = _take(path)
    _here.locks.add(lock)
    try:
        _write_holder(lock)
        yield
    finally:
        # Removed while it is held: a process that has opened it meanwhile sees that it has no name.
        if temporary and lock.descriptor >= 0:
            with suppress(OSError):
                path.unlink()
        _here.locks.discard(lock)
        lock.release()


def holder_of(path: Path) -> str | None:
    """Return the holder of the lock file `path`; None where it is free."""
    if not path.exists():
        return None
    try:
        with held(path):
            return None
    except LockHeldError as error:
        return error.holder or "another process"


def _take(path: Path) -> _Lock:
    while True:
        lock = _Lock(path, _open(path))
        try:
            if not _try_lock(lock.descriptor):
                raise LockHeldError(path, _read_holder(path))
        except BaseException as error:
            lock.close()
            if isinstance(error, OSError):
                raise _without_locks(path, error) from error
            raise
        if _is_named(lock):
            return lock
        lock.close()  # its holder has removed it between the two


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StorageError(
            f"{path.parent} cannot be written: {error.strerror}.",
            hint="Choose a place that you may write to: --output PATH",
        ) from error


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD:
            return False
        raise
    return True


def _is_named(lock: _Lock) -> bool:
    try:
        return os.path.samestat(os.fstat(lock.descriptor), lock.path.stat())
    except FileNotFoundError:
        return False


def _write_holder(lock: _Lock) -> None:
    with suppress(OSError):  # a full disk: the name is for messages only
        os.ftruncate(lock.descriptor, 0)
        os.lseek(lock.descriptor, 0, os.SEEK_SET)
        os.write(lock.descriptor, f"process {os.getpid()}".encode())


def _read_holder(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _without_locks(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path.parent} cannot be locked: {error.strerror}. Its file system has no locks, which "
        "keep two processes from writing to one folder.",
        hint="Choose a folder on another disk: --output DIR",
    )
