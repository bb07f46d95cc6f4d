"""Reads a folder in the layout of `nyu-mll/glue` on the Hub: one parquet file or more a split.

`<folder>/<hub_config>/<split>.parquet`, `<split>-00000-of-0000N.parquet`, or
`<split>/<any>.parquet`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gluetune.core.errors import DataError
from gluetune.core.tasks import TASKS, TaskSpec
from gluetune.data.sources.splits import require_split
from gluetune.data.tables import canonical_table

EXPECTED = "<task>/<split>.parquet (cola/train.parquet), also in shards or in a folder a split"
"""The layout in words, for the error about a folder that is in none."""

_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})")


class ParquetFolder:
    """A folder in the Hub's layout, as a source."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.name = str(self._folder)

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` that have a file here, in the task's order."""
        return tuple(split for split in task.splits if self._shards(task, split))

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises DataError with everything wrong in it."""
        place = self._folder / task.hub_config
        require_split(task, split, self.splits(task), place=str(place))
        return read_shards(self._shards(task, split), task, split)

    def _shards(self, task: TaskSpec, split: str) -> list[Path]:
        folder = self._folder / task.hub_config
        single = folder / f"{split}.parquet"
        if single.is_file():
            return [single]
        numbered = sorted(folder.glob(f"{split}-*-of-*.parquet"))
        matching = [path for path in numbered if _SHARD.fullmatch(path.stem)]
        return matching or sorted((folder / split).glob("*.parquet"))


def is_parquet_folder(folder: Path) -> bool:
    """Whether `folder` holds a split of any task in this layout."""
    source = ParquetFolder(folder)
    return any(source.splits(task) for task in TASKS.values())


def read_shards(paths: Sequence[Path], task: TaskSpec, split: str) -> pa.Table:
    """Return the canonical table of `split`, whose rows are those of `paths` in their order.

    Raises DataError when a shard is missing or unreadable, and for all that is wrong in the rows.
    """
    _require_every_shard(paths)
    shards = [_read(path) for path in paths]
    ends = list(accumulate(shard.num_rows for shard in shards))

    def locate(row: int) -> str:
        shard = bisect_right(ends, row)
        start = ends[shard - 1] if shard else 0
        return f"{paths[shard]}, row {row - start + 1}"

    place = str(paths[0]) if len(paths) == 1 else str(paths[0].parent)
    return canonical_table(_concatenated(shards, paths), task, split, place=place, locate=locate)


def _require_every_shard(paths: Sequence[Path]) -> None:
    matches = [match for path in paths if (match := _SHARD.fullmatch(path.stem))]
    if not matches:
        return
    count = int(matches[0]["count"])
    missing = sorted(set(range(count)) - {int(match["number"]) for match in matches})
    if len(matches) != count or missing:
        numbers = ", ".join(f"{number:05d}" for number in missing) or "none"
        raise DataError(
            f"{paths[0].parent} holds {len(matches)} shards of '{matches[0]['split']}', "
            f"whose names say {count}. Missing: {numbers}.",
            hint="Download the split again, or remove shards of another version.",
        )


def _read(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as parquet: {error}", hint="Copy or download it again."
        ) from error


def _concatenated(shards: Sequence[pa.Table], paths: Sequence[Path]) -> pa.Table:
    try:
        table = pa.concat_tables(shards, promote_options="permissive")
    except pa.ArrowException as error:
        raise DataError(
            f"The shards in {paths[0].parent} do not have the same columns: {error}"
        ) from error
    return table.replace_schema_metadata(shards[0].schema.metadata)
