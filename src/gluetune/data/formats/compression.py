"""Compressed files: gzip and Zstandard around a file of any format, undone while it is read."""

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
    """A way of compressing files. Each function wraps the bytes of an open file."""

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
"""By the end of the file's name."""


def is_compressed(path: Path) -> bool:
    """Whether the end of a file's name is a compression's."""
    return path.suffix.lower() in COMPRESSIONS


@contextmanager
def decompressed(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Give the plain bytes of an open file, compressed or not by the end of `path`.

    Raises DataError where they cannot be read to their end.
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
    """Open the plain bytes of a file that may be compressed."""
    with path.open("rb") as raw, decompressed(raw, path) as plain:
        yield plain


@contextmanager
def decompressed_copy(raw: BinaryIO, path: Path) -> Iterator[Path]:
    """Give a file with the plain bytes, for formats that are read from their end."""
    if not is_compressed(path):
        yield path
        return
    # A folder: Windows opens no file a second time that is removed when it is closed.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / path.stem
        with decompressed(raw, path) as plain, copy.open("wb") as file:
            shutil.copyfileobj(plain, file)
        yield copy


@contextmanager
def compressed(raw: BinaryIO, ending: str) -> Iterator[BinaryIO]:
    """Give a stream that writes into an open file, compressed for the end `ending` of its name."""
    compression = COMPRESSIONS.get(ending.lower())
    if compression is None:
        yield raw
        return
    with compression.writing(raw) as stream:
        yield stream
