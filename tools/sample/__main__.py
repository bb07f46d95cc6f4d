"""Write the sample as the package ships it: `python -m tools.sample [FOLDER]`.

A table that is there already and holds the same rows is left alone, so that another version of
Parquet's writer changes no file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tools.sample.tables import DISTINCT_ROWS, generate

from gluetune.core.tasks import TASKS
from gluetune.data.sources import OFFICIAL_FOLDER, SAMPLE_FOLDER


def tables() -> dict[Path, pa.Table]:
    """Return every table that is shipped, by its file relative to SAMPLE_FOLDER."""
    official = OFFICIAL_FOLDER.relative_to(SAMPLE_FOLDER)
    made = {}
    for task in (task for task in TASKS.values() if task.name == task.hub_config):
        for split in task.splits:
            name = Path(task.hub_config) / f"{split}.parquet"
            made[name] = generate(task, split)
            if split in task.test_splits:
                rows = min(task.rows[split], DISTINCT_ROWS)
                made[official / name] = generate(task, split, rows=rows)
    return made


def write(folder: Path) -> None:
    """Write every table into `folder`."""
    for name, table in tables().items():
        path = folder / name
        if path.exists() and pq.read_table(path, partitioning=None).equals(table):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path, compression="zstd", compression_level=19)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SAMPLE_FOLDER)
    write(parser.parse_args().folder)
