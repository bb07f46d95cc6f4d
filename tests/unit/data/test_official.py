from __future__ import annotations

import os

import pytest

from gluetune.core.records import DataRecord
from gluetune.core.tasks import GLUE_TASKS, get_task
from gluetune.data.sources import VALIDATION_FINGERPRINTS, is_glue, open_source
from gluetune.data.tables import fingerprint


def record(source: str, **fingerprints: str) -> DataRecord:
    return DataRecord(source=source, rows={}, fingerprints=fingerprints, truncated={})


def test_glue_is_recognised_by_source_or_rows() -> None:
    cola, mnli = get_task("cola"), get_task("mnli")
    known = {split: VALIDATION_FINGERPRINTS["mnli", split] for split in mnli.validation_splits}
    assert is_glue(record("nyu-mll/glue"), cola)
    assert is_glue(record("/somewhere", **known), mnli)
    assert not is_glue(record("/somewhere", **known | {"validation_matched": "0"}), mnli)
    assert not is_glue(record("sample", validation="0"), cola)
    assert not is_glue(record("/somewhere"), get_task("qqp"))


@pytest.mark.real
@pytest.mark.skipif("GLUETUNE_DATA" not in os.environ, reason="no true GLUE files (GLUETUNE_DATA)")
def test_the_fingerprints_are_those_of_real_glue() -> None:
    source = open_source(os.environ["GLUETUNE_DATA"])
    whole = {}
    for task in GLUE_TASKS.values():
        for split in set(task.validation_splits) & set(source.splits(task)):
            table = source.read(task, split)
            if len(table) == task.rows[split]:
                whole[task.hub_config, split] = fingerprint(table)
    known = {key: VALIDATION_FINGERPRINTS[key] for key in whole if key[0] != "qqp"}
    assert {key: whole[key] for key in known} == known
    assert len(known) >= 1
