"""The tasks as `nyu-mll/glue` on the Hugging Face Hub holds them.

How GLUE's own validation sets are known, wherever they are read from: by their fingerprints.

Each is of a split with as many rows as `TaskSpec.rows` says, as made by
`gluetune.data.tables.fingerprint`. QQP's is not listed: no whole copy of it was at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from gluetune.core.records import DataRecord
from gluetune.core.tasks import TaskSpec
from gluetune.data.sources.parquet_folder import read_shards
from gluetune.data.sources.splits import require_split

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
        from gluetune.hub.downloads import download_data_files

        if task.hub_config not in self._downloaded:
            self._downloaded[task.hub_config] = download_data_files(HUB_REPOSITORY, task.hub_config)
        return self._downloaded[task.hub_config]


VALIDATION_FINGERPRINTS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("cola", "validation"): "8970331cc960466836de3471953f39984a5d83c1204c96f338da98f0e4e98780",
        ("sst2", "validation"): "e91f5f554cd5bd142045ba14e92dfc9a6f5736447ff8aba7069a0364a3c98f5c",
        ("mrpc", "validation"): "e502a338e09b793afdb3c58d0bd926a0186d9aafad95209dda2aa9efed69d3cf",
        ("stsb", "validation"): "11550293cfd4caf08dd307cae4ae2f044c19d47e38b1f41edf233a276ac36248",
        (
            "mnli",
            "validation_matched",
        ): "57d61f477f988142aeb804f6f1d3527c388b5733b7532b4b137e8d30b0a22ed3",
        (
            "mnli",
            "validation_mismatched",
        ): "0a36f868e60e033cc471ae745d4667960910701cb798a6f3c6a8c27ce3b56a8d",
        ("qnli", "validation"): "1998deed912fb912b4232b7f4283d1987a68eb179a075a92e1ab680aace56c5c",
        ("rte", "validation"): "b15c8df10d49a42d10dd543274ae32416d4b1b0837e076f73a23520b7be81f02",
        ("wnli", "validation"): "dfd3715e4ac8e3a81075a3a9bc273208f7382638bf298f2d5c05c5cde3f67c6a",
    }
)
"""SHA-256 of the rows, by configuration of `nyu-mll/glue` and split."""


def is_glue(data: DataRecord, task: TaskSpec) -> bool:
    """Say whether a run was validated on GLUE itself: by where it was read from, or by its rows."""
    if data.source == HUB_REPOSITORY:
        return True
    return all(
        VALIDATION_FINGERPRINTS.get((task.hub_config, split)) == data.fingerprints.get(split, "")
        for split in task.validation_splits
    )
