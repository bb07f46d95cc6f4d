"""Rows that Python holds (pandas, datasets, Arrow) as a Parquet file: a run can be repeated.

The file lies in gluetune's cache under a name made from its content, and config.yaml names it.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from gluetune.core.errors import ConfigurationError
from gluetune.core.files import cache_part, disk_errors, sha256

_DIGITS = 12


def as_file(rows: Any, setting: str) -> str:
    """Return the path of a file with `rows`: a path as it is, else a pandas DataFrame, a
    datasets.Dataset or a pyarrow.Table written down.

    Raises ConfigurationError, naming `setting`, for anything else.
    """
    if isinstance(rows, str | os.PathLike):
        return os.fspath(rows)
    import pyarrow.parquet as pq

    table = _table(rows, setting)
    folder = cache_part("frames")
    with disk_errors(folder):
        handle, name = tempfile.mkstemp(dir=folder, suffix=".parquet")
        os.close(handle)
        written = Path(name)
        pq.write_table(table, written)
        path = folder / f"frame-{sha256(written)[:_DIGITS]}.parquet"
        written.replace(path)
    return str(path)


def _table(rows: Any, setting: str) -> Any:
    import pyarrow as pa

    kind = f"{type(rows).__module__}.{type(rows).__name__}"
    if isinstance(rows, pa.Table):
        return rows
    if kind.startswith("pandas.") and kind.endswith(".DataFrame"):
        try:
            return pa.Table.from_pandas(rows, preserve_index=False)
        except pa.ArrowException as error:
            raise ConfigurationError(
                f"{setting}: the data frame cannot be written: {error}",
                hint="Give every column values of one type.",
            ) from error
    if kind.startswith("datasets.") and kind.endswith(".Dataset"):
        table = rows.with_format("arrow")[:]
        return table.replace_schema_metadata(rows.features.arrow_schema.metadata)
    raise ConfigurationError(
        f"{setting}: {kind} holds no rows that can be read.",
        hint="Give the path of a file, a pandas DataFrame, a datasets.Dataset or a pyarrow.Table.",
    )
