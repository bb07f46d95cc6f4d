"""Files that are whole or absent, locks that die with their process, and fingerprints."""

from __future__ import annotations

import difflib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gluetune.errors import RunError, StorageError

_FULL_DISK = {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}
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

    Raises StorageError when the disk is full; `path` then holds what it held before.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with disk_errors(path):
            write(temporary)
            _sync(temporary)
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def runs_near(path: Path) -> str:
    """Return the folder of a run or model that may be meant by one that is none; empty if none is.

    Of a folder with runs in it, as `runs/` or a search's, the newest; of a folder that is not
    there, the one beside it with the most similar name.
    """
    if path.is_dir():
        depths = ("*", "*/*", "*/*/*")  # runs/RUN, a search's final/s42, searches/SEARCH/final/s42
        inside = [record for depth in depths for record in path.glob(f"{depth}/record.json")]
        newest = max(inside, key=lambda record: record.stat().st_mtime, default=None)
        return "" if newest is None else str(newest.parent)
    beside = {
        folder.name: folder
        for file in ("record.json", "config.json")
        for folder in (found.parent for found in path.parent.glob(f"*/{file}"))
    }
    near = difflib.get_close_matches(path.name, beside, n=1)
    return str(beside[near[0]]) if near else ""


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and move it to `path` when the block ends well.

    What stood at `path` before is replaced; after an error it still stands, and nothing else does.
    """
    staging = path.parent / f".{path.name}.writing"
    shutil.rmtree(staging, ignore_errors=True)
    with disk_errors(path):
        staging.mkdir(parents=True)
    try:
        with disk_errors(path):
            yield staging
            for file in staging.rglob("*"):
                if file.is_file():
                    _sync(file)
            _replace_folder(path, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn any library's complaint about a full disk into StorageError naming `path`."""
    try:
        yield
    except Exception as error:
        if not _is_full_disk(error):
            raise
        raise StorageError(
            f"There is no room to write {path}.",
            hint=f"Free some space ({shutil.disk_usage(_existing(path)).free / 1e9:.1f} GB are "
            "free) or lift the file size limit, then go on with: gluetune train --resume RUN",
        ) from error


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process alone; the lock goes when the process does, however it ends.

    Raises RunError when another process holds it.
    """
    path = folder / ".lock"
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            raise RunError(
                f"Another process{f' ({holder})' if holder else ''} is working in {folder}.",
                hint="Wait for it, stop it, or choose another folder with --output DIR.",
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()}")
        lock.flush()
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


def cache_part(name: str) -> Path:
    """Return a folder of gluetune's cache, made if need be. Raises StorageError where it cannot."""
    folder = cache_folder() / name
    try:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{folder}, a part of the cache, cannot be made: {error.strerror}.",
            hint="Type where it may lie: export GLUETUNE_CACHE=DIR",
        ) from error
    return folder


def _replace_folder(path: Path, new: Path) -> None:
    """Put `new` at `path`. What stood there is moved aside first: deleting could be cut short."""
    old = path.parent / f".{path.name}.replaced"
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    _sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _is_full_disk(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL_DISK:
        return True
    return any(words in str(error) for words in _FULL_DISK_WORDS)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
