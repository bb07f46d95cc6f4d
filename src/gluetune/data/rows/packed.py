"""Files packed by gzip or Zstandard, unpacked as they are read."""

from __future__ import annotations

import gzip
import io
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from gluetune.errors import DataError

PACKED = (".gz", ".zst")
"""Ends of names of packed files."""


@contextmanager
def unpacked(raw: BinaryIO, path: Path) -> Iterator[BinaryIO]:
    """Give the plain bytes of an open file, which the end of `path` says to be packed or not.

    Raises DataError where they cannot be unpacked to their end.
    """
    kind = path.suffix.lower()
    if kind not in PACKED:
        yield raw
        return
    import pyarrow as pa

    try:
        if kind == ".gz":
            with gzip.open(raw) as plain:
                yield cast(BinaryIO, plain)
        else:
            stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
            yield cast(BinaryIO, io.BufferedReader(stream, 2**16))
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"{path} cannot be unpacked: {str(error).splitlines()[0]}",
            hint="Copy or download it again.",
        ) from error


@contextmanager
def unpacked_copy(raw: BinaryIO, path: Path) -> Iterator[Path]:
    """Give a file with the plain bytes, for formats that are read from their end."""
    if path.suffix.lower() not in PACKED:
        yield path
        return
    with tempfile.NamedTemporaryFile(suffix=".unpacked") as copy:
        with unpacked(raw, path) as plain:
            shutil.copyfileobj(plain, copy)
        copy.flush()
        yield Path(copy.name)


@contextmanager
def packing(raw: BinaryIO, kind: str) -> Iterator[BinaryIO]:
    """Give a stream whose bytes are packed into an open file; `kind` is an end of PACKED."""
    if kind == ".gz":
        # No time and no name: the same rows give the same bytes.
        with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as stream:
            yield cast(BinaryIO, stream)
    elif kind == ".zst":
        import pyarrow as pa

        with pa.CompressedOutputStream(pa.PythonFile(raw, mode="w"), "zstd") as stream:
            yield cast(BinaryIO, stream)
    else:
        yield raw
