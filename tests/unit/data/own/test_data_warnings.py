"""Warnings about a user's splits equal those computed with dictionaries, for any batches."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.own_files import own_config, write_csv
from tests.unit.data.own.test_broken_files import BROKEN, check

from gluetune.data.own.source import OwnSource
from gluetune.data.sampling import take_fraction
from gluetune.data.sources import without_held_out
from gluetune.data.tables import contained_in, digests, fingerprint, first_rows
from gluetune.inference.file_checks import check_files

TEXTS = ("one", "One ", " one  two", "one two", "ONE\ttwo", "third", "Élan 😀", "élan 😀", "i3")
KINDS: dict[str, Callable[[random.Random], Any]] = {
    "classes": lambda draw: draw.choice(("neg", "pos", "odd one", "x", "x", "x", "")),
    "number": lambda draw: "NA" if draw.random() < 0.05 else round(draw.uniform(-5, 5), 2),
    "auto": lambda draw: draw.randint(1, 5),
    "labels": lambda draw: [name for name in "abc" if draw.random() < 0.4],
}


def rows_of(seed: int, kind: str, count: int = 90) -> list[dict[str, Any]]:
    """Rows that repeat each other, some of which cannot be used."""
    draw = random.Random(seed)
    few = draw.random() < 0.5
    return [
        {
            "text": draw.choice(TEXTS) + ("" if few else f" {draw.randrange(count)}"),
            "second": draw.choice(("same", "other")),
            "label": KINDS[kind](draw),
            "user": draw.randrange(count // 4),
        }
        for _ in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def cut_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rows pass through memory three at a time."""
    monkeypatch.setattr("gluetune.data.own.reading.BATCH", 3)
    monkeypatch.setattr("gluetune.data.tables._KEPT_PAGES", 2)
    monkeypatch.setattr("gluetune.data.tables._CHUNK", 2)
    monkeypatch.setattr("gluetune.data.tables._HASHED_ROWS", 2)


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_findings_in_broken_files_do_not_depend_on_batches(
    tmp_path: Path, case: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = check(tmp_path / case.name, case)
    cut_up(monkeypatch)
    assert check(tmp_path / case.name, case) == whole


@pytest.mark.parametrize("more", [{}, {"group": "user"}, {"text_pair": "second"}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_findings_splits_and_fingerprints_do_not_depend_on_batches(
    tmp_path: Path, seed: int, kind: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "rows.jsonl", rows_of(seed, kind))
    more = {**more, "kind": kind}

    def found() -> Any:
        source = OwnSource(own_config(path, on_bad_row="skip", **more))
        prints = {name: fingerprint(table) for name, table in source.own.tables.items()}
        return check_files(path, **more), check_files(path, on_bad_row="skip", **more), prints

    whole = found()
    assert set(whole[2]) >= {"train", "validation"}
    cut_up(monkeypatch)
    assert found() == whole


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip()).lower()


def expected_remarks(train: list[dict[str, Any]], validation: list[dict[str, Any]]) -> list[str]:
    """The remarks about repeated texts, computed with dictionaries."""
    first: dict[str, int] = {}
    again: list[tuple[int, int]] = []
    for number, row in enumerate(train):
        at = first.setdefault(plain(row["text"]), number)
        if at != number:
            again.append((number, at))
    messages = []
    if again:
        messages.append(
            f"{len(again)} {'row' if len(again) == 1 else 'rows'} of train "
            f"{'repeats' if len(again) == 1 else 'repeat'} an earlier text, first train.jsonl:"
            f"{again[0][0] + 1}, which repeats line {again[0][1] + 1}."
        )
    other = [number for number, at in again if train[number]["label"] != train[at]["label"]]
    if other:
        at = first[plain(train[other[0]]["text"])]
        messages.append(
            f"{len(other)} of them {'has' if len(other) == 1 else 'have'} another label, "
            f"first train.jsonl:{other[0] + 1} "
            f"({train[other[0]]['label']}; line {at + 1}: {train[at]['label']})."
        )
    stand = [n for n, row in enumerate(validation) if plain(row["text"]) in first]
    if stand:
        messages.append(
            f"{len(stand)} of {len(validation)} texts of validation are also in train, first "
            f"validation.jsonl:{stand[0] + 1}: the score is too high because of it."
        )
    return messages


@settings(max_examples=40, deadline=None)
@given(
    train=st.lists(st.tuples(st.sampled_from(TEXTS), st.booleans()), min_size=4, max_size=60),
    validation=st.lists(st.tuples(st.sampled_from((*TEXTS, "new")), st.booleans()), min_size=1),
)
def test_repeated_and_shared_texts_match_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory,
    train: list[tuple[str, bool]],
    validation: list[tuple[str, bool]],
) -> None:
    folder = tmp_path_factory.mktemp("files")
    sides = {
        "train": [*train, *((f"{name} of all", name == "x") for name in "xyxy")],
        "validation": validation,
    }
    rows = {
        side: [{"text": text, "label": "pos" if positive else "neg"} for text, positive in values]
        for side, values in sides.items()
    }
    paths = [write(folder / f"{side}.jsonl", one) for side, one in rows.items()]
    messages = [remark.replace(f"{folder}/", "") for remark in check_files(*paths).remarks]
    about_texts = [one for one in messages if re.search("repeat|another label|too high", one)]
    assert about_texts == expected_remarks(rows["train"], rows["validation"])


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3) | st.just(2**63), max_size=60))
def test_first_rows_match_a_dictionary(values: list[int]) -> None:
    keys = np.array(values, dtype=np.uint64)
    first: dict[int, int] = {}
    expected = [first.setdefault(value, row) for row, value in enumerate(values)]
    assert first_rows(keys).tolist() == expected
    known = np.sort(keys[::2])
    assert contained_in(keys, known).tolist() == [value in set(values[::2]) for value in values]


def test_digests_do_not_change_and_distinguish_texts() -> None:
    texts = ["", "a", "b", "a\0", "é"]
    found = digests([pa.array(texts[:2]), pa.array(texts[2:])], len(texts))
    assert len(set(found.tolist())) == len(texts)
    assert int(found[1]) == int.from_bytes(blake2b(b"a", digest_size=8).digest(), "little")


def write_large(path: Path, several: bool = False) -> Path:
    """Write rows whose whole columns would be 20 MB."""
    rows: list[dict[str, Any]] = [
        {"text": f"{n} {'word ' * 100}", "label": ["ab"[n % 2]] if several else "ab"[n % 2]}
        for n in range(40_000)
    ]
    if path.suffix == ".csv":
        write_csv(path, rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, use_dictionary=False, compression="none")
    assert path.stat().st_size > 20e6
    return path


@contextmanager
def counted_memory() -> Iterator[pa.MemoryPool]:
    """Give Arrow's own count of what it allocates meanwhile."""
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    try:
        yield counted
    finally:
        pa.set_memory_pool(usual)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, ending: str) -> None:
    path = write_large(tmp_path / f"large.{ending}")
    with counted_memory() as counted:
        source = OwnSource(own_config(path))
        prints = [fingerprint(table) for table in source.own.tables.values()]
    assert len(prints) == 2
    assert 0 < counted.max_memory() < 16e6


@pytest.mark.parametrize("several", [False, True], ids=["classes", "labels"])
def test_memory_does_not_grow_with_held_out_and_sampled_rows(tmp_path: Path, several: bool) -> None:
    """Neither part of a training set, nor a fraction of it, is ever whole in memory."""
    config = own_config(write_large(tmp_path / "large.parquet", several), holdout=0.4)
    source = OwnSource(config)
    train = source.read(source.task, "train")
    with counted_memory() as counted:
        stays, held = without_held_out(source, train, source.task, config)
        part = take_fraction(stays, source.task, 0.9, 1)
        prints = {fingerprint(table) for table in (stays, held, part)}
    assert len(prints) == 3
    assert len(stays) + len(held) == len(train)
    assert min(len(held), len(part)) > 10_000
    # Of every row its label and a few numbers; the texts alone are 20 MB.
    assert 0 < counted.max_memory() < 5e6
    assert counted.bytes_allocated() < 1e6, "the parts lie on disk"
