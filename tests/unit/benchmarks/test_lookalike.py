"""The synthetic GLUE has GLUE's lengths in tokens, its labels, and no accidental patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.lookalike import LENGTHS, measured, single_token_words, write_task
from benchmarks.peers.notebook import minilm_folder
from transformers import AutoTokenizer

from gluetune.core.tasks import GLUE_TASKS
from gluetune.data.sources import open_source

SHAPE = {
    "tokens": 40,
    "first": 0.75,
    "rows": {"train": {"8": 30, "20": 10}, "validation": {"12": 5}},
}


def _write(folder: Path, task: str, **changes: Any) -> Any:
    spec = GLUE_TASKS[task]
    write_task(folder, spec, SHAPE, single_token_words(), np.random.default_rng(3), **changes)
    return open_source(str(folder)), spec


def test_lengths_are_those_requested_in_tokens(tmp_path: Path) -> None:
    source, spec = _write(tmp_path, "rte")
    table = source.read(spec, "train")
    tokenizer = AutoTokenizer.from_pretrained(minilm_folder())
    pairs = [
        [len(tokenizer(row[column], add_special_tokens=False)["input_ids"]) for column in row]
        for row in table.select(spec.text_columns).to_pylist()
    ]
    assert table.num_rows == 2490
    assert {tuple(pair) for pair in pairs} == {(6, 2), (15, 5)}
    assert 0.7 < sum(pair == [6, 2] for pair in pairs) / len(pairs) < 0.8
    assert set(table["label"].to_pylist()) == {0, 1}


def test_written_lengths_are_the_requested_ones(tmp_path: Path) -> None:
    _, spec = _write(tmp_path, "wnli")
    found = measured(spec, str(tmp_path))
    assert found["tokens"] == 40
    assert found["first"] == pytest.approx(0.75, abs=0.01)
    assert set(found["rows"]["train"]) == {8, 20}


def test_rows_can_be_fewer_and_numbers_stay_in_their_range(tmp_path: Path) -> None:
    source, spec = _write(tmp_path, "stsb", most_rows=50)
    labels = source.read(spec, "train")["label"].to_pylist()
    assert len(labels) == 50
    assert 0 <= min(labels) < 1 < 4 < max(labels) <= 5


def test_the_same_seed_writes_the_same_rows(tmp_path: Path) -> None:
    first, again = (_write(tmp_path / name, "cola", most_rows=20) for name in ("first", "again"))
    assert first[0].read(first[1], "train").equals(again[0].read(again[1], "train"))


def test_every_task_was_measured() -> None:
    shapes = json.loads(LENGTHS.read_text(encoding="utf-8"))
    assert shapes.keys() == GLUE_TASKS.keys()
    for name, task in GLUE_TASKS.items():
        assert {"train", *task.validation_splits} == shapes[name]["rows"].keys()
