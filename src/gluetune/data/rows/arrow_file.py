"""Arrow's IPC files and streams (`Dataset.save_to_disk` writes streams), a batch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.data.rows.columnar import ColumnarReader
from gluetune.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

_MAGIC = b"ARROW1"


class ArrowReader(ColumnarReader):
    """An Arrow file or stream, opened. Raises DataError when it is none."""

    def __init__(self, path: Path, name: str, wanted: Collection[str] | None = None) -> None:
        import pyarrow as pa

        try:
            with path.open("rb") as file:
                is_file = file.read(len(_MAGIC)) == _MAGIC
            mapped = pa.memory_map(str(path))
            opened: Any = (pa.ipc.open_file if is_file else pa.ipc.open_stream)(mapped)
            batches: Iterable[Any] = _batches(opened) if is_file else opened
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"{name} cannot be read as Arrow: {error}",
                hint="Leave --format out, where it is typed; else write the file again.",
            ) from error
        super().__init__(name, opened.schema, batches, wanted)


def _batches(file: Any) -> Iterator[pa.RecordBatch]:
    return (file.get_batch(number) for number in range(file.num_record_batches))
