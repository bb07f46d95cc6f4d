"""The tasks as `nyu-mll/glue` on the Hugging Face Hub holds them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from gluetune.data.parquet_folder import read_shards
from gluetune.data.splits import require_split
from gluetune.tasks import TaskSpec

HUB_REPOSITORY = "nyu-mll/glue"
"""The data set on the Hub. (`glue` alone cannot be loaded any more.)"""


class HubSource:
    """`nyu-mll/glue`, downloaded a task at a time, when one of its splits is asked for."""

    def __init__(self) -> None:
        self.name = HUB_REPOSITORY
        self._downloaded: dict[str, dict[str, list[Path]]] = {}

    def splits(self, task: TaskSpec) -> tuple[str, ...]:
        """Return the splits of `task` on the Hub. Raises HubError when it cannot be asked."""
        files = self._files(task)
        return tuple(split for split in task.splits if split in files)

    def read(self, task: TaskSpec, split: str) -> pa.Table:
        """Return the canonical table of `split`. Raises HubError and DataError."""
        require_split(task, split, self.splits(task), place=self.name)
        return read_shards(self._files(task)[split], task, split)

    def _files(self, task: TaskSpec) -> dict[str, list[Path]]:
        from gluetune.hub import download_data_files

        if task.hub_config not in self._downloaded:
            self._downloaded[task.hub_config] = download_data_files(HUB_REPOSITORY, task.hub_config)
        return self._downloaded[task.hub_config]
