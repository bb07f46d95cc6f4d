"""Atomic writes of files and folders, locks, and fingerprints.

A lock is held by a process, and released when it ends, however it ends. It is `flock`'s, on Windows
`msvcrt`'s. Its file names the holder, for messages. A process that is forked while a lock is held
(a data loader's worker) does not keep it.
"""

from __future__ import annotations

import ctypes
import difflib
import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any

from gluetune.core.errors import LockedError, RunError, StorageError
from gluetune.core.text import nearest_of

_FULL_DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
_NO_EXCHANGE = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV}
_HERE = -100  # AT_FDCWD: names are relative to the working folder
_SWAP = 2  # Linux's RENAME_EXCHANGE and macOS's RENAME_SWAP
RUNS_FOLDERS = ("runs", "suites", "searches")
"""Where gluetune makes its folders, in the working folder."""
_RUNS_SHOWN = 3
_LOOKED_AT = 1000
"""Number of file names that one is compared with."""
_LIKE, _BEGINS_LIKE = 0.6, 0.8
"""How alike names are that may be meant."""
# Libraries with a native writer raise their own types: of safetensors and Arrow only the text of
# the system's error survives, of torch.save only that its stream took less than it was given.
_FULL_DISK_WORDS = (
    *(os.strerror(number) for number in _FULL_DISK),
    "iostream error",
    "PytorchStreamWriter failed writing",
    "unexpected pos",
)


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary sibling of `path`, then put it in place in one step.

    Raises StorageError when the disk is full, UnwritableError when the folder takes no files;
    `path` then holds what it held before.
    """
    make_folder(path.parent)
    with disk_errors(path), _unwritable(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with disk_errors(path):
            write(temporary)
            _sync(temporary)
            temporary.chmod(0o666 & ~_umask())
            with _unwritable(path):
                temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def runs_near(path: Path, files: Sequence[str] = ("record.json", "config.json")) -> list[str]:
    """Return folders that may be meant by one without any of `files`, the likeliest first.

    For a folder that contains runs, such as `runs/` or a search's, the newest; for a missing
    folder, those next to it or in `runs/` with a similar name.
    """
    if path.is_dir():
        depths = ("*", "*/*", "*/*/*")  # runs/RUN, a search's final/s42, searches/SEARCH/final/s42
        inside = [found for depth in depths for found in path.glob(f"{depth}/{files[0]}")]
        newest = max(inside, key=_changed, default=None)
        return [] if newest is None else [str(newest.parent)]
    return [str(folder) for folder in _similar(path.name, _nearby(path, files))]


def is_hub_id(name: str) -> bool:
    """Whether a name has the form of a Hub id: not of a path, and at most one slash."""
    return re.fullmatch(r"[^./~\\][^/\\]*(/[^/\\]+)?", name) is not None


def names_hub_model(path: str | PathLike[str]) -> bool:
    """Whether a path where nothing exists is `owner/name` of a model on the Hub.

    It is a folder's where a folder `owner` exists, or where gluetune itself makes folders of that
    name.
    """
    name = os.fspath(path)
    owner, slash, _ = name.partition("/")
    is_here = owner in RUNS_FOLDERS or Path(owner).is_dir()
    return is_hub_id(name) and bool(slash) and not is_here


def hint_of_runs(path: Path, files: Sequence[str] = ("record.json", "config.json")) -> str:
    """Return a question that names what may be meant by a missing folder; possibly empty.

    Where no name is similar, the newest folders next to it and in `runs/` are listed.
    """
    if near := runs_near(path, files):
        return f"Did you mean {' or '.join(near)}?"
    newest = sorted(_nearby(path, files).items(), key=lambda one: _changed(one[0]), reverse=True)
    listed = ", ".join(str(folder) for folder, _ in newest[:_RUNS_SHOWN])
    return f"Near it there are: {listed}." if listed else ""


def nearest_file(path: Path) -> str:
    """Return a hint that names the file most like one that cannot be opened."""
    try:
        names = [each.name for each in islice(path.parent.iterdir(), _LOOKED_AT)]
    except OSError:
        names = []
    near = nearest_of(path.name, names) if path.name not in names else None
    return f"Did you mean {path.parent / near}?" if near else "Check the name of the file."


def _nearby(path: Path, files: Sequence[str]) -> dict[Path, str]:
    """Return the runs, or all folders with one of `files`, next to `path` and in `runs/`."""
    places = dict.fromkeys([path.parent, *(Path(name) for name in RUNS_FOLDERS)])
    return {
        found.parent: found.parent.name
        for place in places
        for file in files
        for found in place.glob(f"*/{file}")
    }


def _similar(name: str, folders: Mapping[Path, str]) -> list[Path]:
    """Return the folders whose names are most like `name`, the newest of equals first."""
    likeness = {folder: _likeness(name, known) for folder, known in folders.items()}
    best = max(likeness.values(), default=0.0)
    if best < _LIKE:
        return []
    alike = [folder for folder, value in likeness.items() if value == best]
    return sorted(alike, key=_changed, reverse=True)[:_RUNS_SHOWN]


def _likeness(name: str, known: str) -> float:
    """Return from 0 to 1 how similar a name is to a known one, or to its beginning.

    The names of runs end in the time, which is hard to remember.
    """
    whole = difflib.SequenceMatcher(None, name, known).ratio()
    begun = difflib.SequenceMatcher(None, name, known[: len(name)]).ratio()
    return max(whole, begun if begun >= _BEGINS_LIKE else 0.0)


def _changed(path: Path) -> float:
    return path.stat().st_mtime


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def make_folder(path: Path) -> None:
    """Make a folder with its parents, if need be. Raises UnwritableError where that is refused."""
    with disk_errors(path), _unwritable(path):
        path.mkdir(parents=True, exist_ok=True)


def check_writable(path: Path) -> None:
    """Raise UnwritableError where `path` cannot be created or written, as far as is known now.

    Nothing is created: this is a check before a long computation that writes there.
    """
    there = _existing(path.absolute())
    if not there.is_dir() and there != path.absolute():
        raise _refused(path, f"{there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK if there.is_dir() else os.W_OK):
        raise _refused(path, f"{there} takes no files")


def is_unused(path: Path, *first: str) -> bool:
    """Whether something new can begin at `path`: it is absent, or an empty folder.

    The folder of a process that was killed at its start counts as empty. `first` are the files that
    it writes before anything else; the lock next to them shows that nothing else made the folder.
    """
    if not path.is_dir():
        return not path.exists()
    names = {entry.name for entry in path.iterdir()}
    if ".lock" not in names:
        return not names
    halves = tuple(f".{name}." for name in first)
    return all(name.startswith(halves) for name in names - {".lock", *first})


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and move it to `path` when the block succeeds.

    What was at `path` is replaced in one step, and unchanged after an error. A process that is
    killed meanwhile leaves the old folder or the new one (`restore_folder`). Raises RunError
    immediately where another process is writing `path`.
    """
    path = path.resolve() if path.is_symlink() else path
    make_folder(path.parent)
    with _writing(path):
        _restore(path)
        staging = path.parent / f".{path.name}.writing"
        _remove(staging)
        make_folder(staging)
        try:
            with disk_errors(path):
                yield staging
                for file in staging.rglob("*"):
                    if file.is_file():
                        _sync(file)
                with _unwritable(path):
                    _replace_folder(path, staging)
        finally:
            _remove(staging)


def restore_folder(path: Path) -> None:
    """Restore the folder that a killed process left between two renames of `write_folder`.

    Nothing is done while a process is writing `path`, nor where the folder cannot be changed.
    """
    if not _replaced(path).exists():
        return
    with suppress(RunError, StorageError, OSError), _writing(path):
        _restore(path)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn any library's error about a full disk into StorageError naming `path`."""
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise StorageError(
            f"There is no room to write {path}.",
            hint=f"Free some space ({shutil.disk_usage(_existing(path)).free / 1e9:.1f} GB are "
            "free) or lift the file size limit, then resume: gluetune train --resume RUN",
        ) from error


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class UnwritableError(StorageError):
    """A folder cannot be written: it is read-only, or not a folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock `folder` for this process; the lock is released when the process ends, however it ends.

    Raises LockedError where another process has the lock, StorageError where there are no locks.
    """
    with held(folder / ".lock", f"is working in {folder}"):
        yield


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Keep other processes from replacing the folder `path` meanwhile."""
    lock = path.parent / f".{path.name}.lock"
    with held(lock, f"is writing {path}", temporary=True):
        yield


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(model: Path) -> str:
    """Return the SHA-256 of a saved model's weights, over all its shards."""
    digests = [sha256(file) for file in sorted(model.glob("*.safetensors"))]
    return digests[0] if len(digests) == 1 else ",".join(digests)


def cache_folder() -> Path:
    """Return gluetune's cache: GLUETUNE_CACHE, or `gluetune` in the user's cache folder."""
    chosen = os.environ.get("GLUETUNE_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gluetune"


def remove_oldest(folder: Path, pattern: str, count: int) -> None:
    """Delete all but the newest `count` files of a cache."""
    files = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    for path in files[:-count]:
        path.unlink(missing_ok=True)


def cache_part(name: str) -> Path:
    """Return a folder of gluetune's cache, made if need be. Raises StorageError where it cannot."""
    folder = cache_folder() / name
    try:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}, a part of the cache, cannot be made: {error.strerror}.",
            hint="Choose another place: export GLUETUNE_CACHE=DIR",
        ) from error
    return folder


def _restore(path: Path) -> None:
    """Finish a replacement of `path` that was cut short between its two renames; the lock is held.

    The old folder is kept: whether the new one was whole is unknown.
    """
    old = _replaced(path)
    if old.exists() and not path.exists():
        old.rename(path)
    _remove(old)


def _replace_folder(path: Path, new: Path) -> None:
    """Put `new` at `path`, and what was there at `new`.

    The system exchanges the two in one step. Where it cannot, the old one is moved aside first, and
    `_restore` puts it back if the process dies before the new one is in place.
    """
    if not path.exists():
        new.rename(path)
    elif not _exchange(path, new):
        old = _replaced(path)
        path.rename(old)
        new.rename(path)
        _sync(path.parent)
        _remove(old)
    _sync(path.parent)


def _replaced(path: Path) -> Path:
    return path.parent / f".{path.name}.replaced"


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; return False where the system or the file system cannot."""
    exchange = _exchange_call()
    if exchange is None:
        return False
    if exchange(os.fsencode(first), os.fsencode(second)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), str(first))


@cache
def _exchange_call() -> Callable[[bytes, bytes], int] | None:
    """Return the C library's function that exchanges two names; None where it has none."""
    if sys.platform not in ("linux", "darwin"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        swap = getattr(library, "renamex_np", None)
        return None if swap is None else lambda first, second: int(swap(first, second, _SWAP))
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return None
    return lambda first, second: int(rename(_HERE, first, _HERE, second, _SWAP))


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write `path` into UnwritableError; a full disk is another."""
    try:
        yield
    except OSError as error:
        if _is_full_disk(error):
            raise
        raise _refused(path, error.strerror or str(error)) from error


def _refused(path: Path, reason: str) -> UnwritableError:
    return UnwritableError(
        f"{path} cannot be written: {reason}.",
        hint="Choose a place that you may write to: --output PATH",
    )


def _is_full_disk(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    return any(words in str(error) for words in _FULL_DISK_WORDS)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def _sync(path: Path) -> None:
    is_windows = sys.platform == "win32"
    if is_windows and path.is_dir():
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDWR if is_windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


_HELD = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}
"""Error numbers of a lock that another process holds."""
_LOCKED_BYTE = 1 << 30
"""Windows locks bytes, which then cannot be read: one far behind the holder's name."""


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


_locks: set[_Lock] = set()
"""The locks of this process."""


def _forget_locks() -> None:
    """Close the copies in a process that was just forked: they would keep the locks held."""
    for lock in _locks:
        with suppress(OSError):
            lock.close()
    _locks.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_locks)


@contextmanager
def held(path: Path, doing: str = "holds a lock", *, temporary: bool = False) -> Iterator[None]:
    """Hold the lock file `path` for this process alone, as long as the block lasts.

    `temporary` removes the file at the end. Raises LockedError immediately where another process
    holds it (`doing` what, for the message), and StorageError where the file cannot be made or its
    file system has no locks.
    """
    lock = _take(path, doing)
    _locks.add(lock)
    try:
        _write_holder(lock)
        yield
    finally:
        # Removed while it is held: a process that has opened it meanwhile sees that it has no name.
        if temporary and lock.descriptor >= 0:
            with suppress(OSError):
                path.unlink()
        _locks.discard(lock)
        lock.release()


def is_held(path: Path) -> bool:
    """Whether another process holds the lock file `path`."""
    if not path.exists():
        return False
    try:
        with held(path):
            return False
    except LockedError:
        return True


def _take(path: Path, doing: str) -> _Lock:
    while True:
        lock = _Lock(path, _open(path))
        try:
            if not _try_lock(lock.descriptor):
                raise _locked_error(path, doing)
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


def _locked_error(path: Path, doing: str) -> LockedError:
    """Return the error for a lock that another process, which its file names, holds."""
    holder = ""
    with suppress(OSError):
        holder = path.read_text(encoding="utf-8", errors="replace").strip()
    return LockedError(
        f"Another process{holder and f' ({holder})'} {doing}.",
        hint="Wait for it, stop it, or choose another folder with --output DIR.",
    )


def _without_locks(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{path.parent} cannot be locked: {error.strerror}. Its file system has no locks, which "
        "keep two processes from writing to one folder.",
        hint="Choose a folder on another disk: --output DIR",
    )
