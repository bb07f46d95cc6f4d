"""The data of a case, read and encoded once, so that every turn starts from the same tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from benchmarks.peers import notebook
from benchmarks.speed.setting import notebook_settings
from transformers import AutoTokenizer

from gluetune.core.tasks import get_task
from gluetune.data.sources import open_source

PADDED_LENGTH = 128
"""What run_glue.py pads to."""


def prepare(
    *,
    task: str,
    checkpoint: str | None,
    data: str,
    folder: str,
    paddings: list[str],
    cut: int | None,
) -> dict[str, Any]:
    """Write `folder`/<padding>/<train|validation> as encoded data sets; return their sizes.

    No checkpoint means MiniLM. Texts are encoded as the notebook does it, and for "max_length" as
    run_glue.py does it. `cut` is the longest example in tokens, for checkpoints that say none.
    """
    checkpoint = checkpoint or notebook.minilm_folder()
    settings = _write_tables(task, data, Path(folder))
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if cut is not None:
        tokenizer.model_max_length = min(cut, tokenizer.model_max_length)
    rows = {}
    for name, split in (("train", "train"), ("validation", settings.validation_split)):
        texts = notebook.read_split(settings, split, Path(folder))
        rows[name] = len(texts)
        for padding in paddings:
            encoded = (
                notebook.encode(texts, settings, tokenizer)
                if padding == "longest"
                else _encode_padded(texts, settings, tokenizer)
            )
            encoded.save_to_disk(str(Path(folder) / padding / name))
    official = get_task(task).rows
    return {
        "checkpoint": checkpoint,
        "source": open_source(data).name,
        "rows": rows,
        "official": rows["train"] == official["train"],
    }


def _write_tables(task: str, data: str, folder: Path) -> notebook.Settings:
    """Write the splits in the layout that the notebook reads, whatever the source's own."""
    source, spec = open_source(data), get_task(task)
    tables = folder / "tables" / task
    tables.mkdir(parents=True)
    for split in ("train", spec.validation_splits[0]):
        pq.write_table(source.read(spec, split), tables / f"{split}.parquet")
    return notebook_settings(task, tables.parent)


def _encode_padded(texts: Any, settings: notebook.Settings, tokenizer: Any) -> Any:
    columns = notebook.TEXT_COLUMNS[settings.task]
    return texts.map(
        lambda rows: tokenizer(
            *(rows[column] for column in columns),
            padding="max_length",
            max_length=PADDED_LENGTH,
            truncation=True,
        ),
        batched=True,
    )
