"""Compressed files of any format: gzip and Zstandard, decompressed while they are read."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from gluetune.core.errors import DataError


@dataclass(frozen=True)
class Compression:
    """A compression. Each function wraps the stream of an open file."""

    reading: Callable[[BinaryIO], AbstractContextManager[BinaryIO]]
    writing: Callable[[BinaryIO], AbstractContextManager[BinaryIO]]


def _read_gzip(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    return cast(AbstractContextManager[BinaryIO], gzip.open(raw))


def _write_gzip(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    # No time and no name: the same rows give the same bytes.
    stream = gzip.GzipFile("", "wb", fileobj=raw, mtime=0)
    return cast(AbstractContextManager[BinaryIO], stream)


def _read_zstd(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return cast(AbstractContextManager[BinaryIO], io.BufferedReader(stream, 2**16))


def _write_zstd(raw: BinaryIO) -> AbstractContextManager[BinaryIO]:
    import pyarrow as pa

    stream = pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd")
    return cast(AbstractContextManager[BinaryIO], stream)


COMPRESSIONS: Mapping[str, Compression] = {
    ".gz": Compression(_read_gzip, _write_gzip),
    ".zst": Compression(_read_zstd, _write_zstd),
}
"""The compressions, by file extension."""


def is_compressed(path: Path) -> bool:
    """Whether a file's extension is that of a compression."""
    return path.suffix.lower() in COMPRESSIONS


@contextmanager
def decompressed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Decompress an open file, where the extension of `path` is that of a compression.

    Raises DataError where it cannot be decompressed.
    """
    compression = COMPRESSIONS.get(path.suffix.lower())
    if compression is None:
        yield raw
        return
    try:
        with compression.reading(raw) as plain:
            yield plain
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path} cannot be decompressed: {str(error).splitlines()[0]}",
            hint="Copy or download it again.",
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file that may be compressed, for reading."""
    with path.open("rb") as raw, decompressed(raw, path) as plain:
        yield plain


@contextmanager
def decompressed_copy(raw: BinaryIO, path: Path) -> Iterator[Path]:
    """Return the path of a decompressed temporary file, for formats that need to seek."""
    if not is_compressed(path):
        yield path
        return
    # A folder: Windows cannot open a temporary file a second time.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / path.stem
        with decompressed(raw, path) as plain, copy.open("wb") as file:
            shutil.copyfileobj(plain, file)
        yield copy


@contextmanager
def compressed(raw: BinaryIO, ending: str) -> Iterator[BinaryIO]:
    """Compress what is written to an open file, where `ending` is that of a compression."""
    compression = COMPRESSIONS.get(ending.lower())
    if compression is None:
        yield raw
        return
    with compression.writing(raw) as stream:
        yield stream
