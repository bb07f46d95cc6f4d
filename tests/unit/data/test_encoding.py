from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.glue_folders import make_table
from tests.support.tiny_tokenizers import TOKENIZERS

from gluetune.core.errors import ConfigurationError
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data import encoding
from gluetune.data.encoding import Encoded, encode, encode_one, tokenizer_processes

COLA, RTE, STSB, MNLI = (get_task(name) for name in ("cola", "rte", "stsb", "mnli"))
TEXTS = ["the man read a book", "no", "it was not very good said the woman in the old house"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tokens"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of rows of each batch that was tokenized rather than found in the cache."""
    seen: list[int] = []
    tokenize = encoding._tokenize

    def counted(rows: Any, *args: Any) -> Any:
        seen.append(len(next(iter(rows.values()))))
        return tokenize(rows, *args)

    monkeypatch.setattr(encoding, "_tokenize", counted)
    return seen


def table_of(task: TaskSpec, split: str = "train", **options: Any) -> pa.Table:
    return make_table(task, split, **{"texts": TEXTS, "rows": 6, **options})


def encoded(task: TaskSpec, table: pa.Table, tokenizer: Any = None, **options: Any) -> Encoded:
    given = {"max_length": 64, "outputs": tuple(range(task.num_labels)), **options}
    return encode(table, task, tokenizer or TOKENIZERS["bert"](), **given)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "xlnet"])
@pytest.mark.parametrize("task", [COLA, RTE], ids=["one sentence", "two sentences"])
def test_rows_are_tokenized_in_order(task: TaskSpec, architecture: str) -> None:
    tokenizer, table = TOKENIZERS[architecture](), table_of(task)
    found = encoded(task, table, tokenizer)
    rows = table.to_pylist()
    assert len(found.examples) == len(rows) == 6
    for row, example in zip(rows, found.examples, strict=True):
        expected = dict(tokenizer(*(row[column] for column in task.text_columns)))
        assert example == {**expected, "labels": row["label"]}
    assert found.lengths.dtype == np.int64
    assert list(found.lengths) == [len(example["input_ids"]) for example in found.examples]
    assert found.truncated == 0


def test_encode_one_returns_the_tokens_of_encode() -> None:
    tokenizer, table = TOKENIZERS["bert"](), table_of(RTE)
    found = encoded(RTE, table, tokenizer, max_length=9)
    for row, example in zip(table.to_pylist(), found.examples, strict=True):
        shown = encode_one(row, RTE, tokenizer, max_length=9)
        assert shown == {name: example[name] for name in shown}
    assert "token_type_ids" in shown


@pytest.mark.parametrize("task", [COLA, RTE], ids=["one sentence", "two sentences"])
@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2", "t5"])
def test_truncated_rows_are_counted_and_rows_that_just_fit_are_not(
    architecture: str, task: TaskSpec
) -> None:
    tokenizer, table = TOKENIZERS[architecture](), table_of(task)
    whole = encoded(task, table, tokenizer, max_length=None)
    assert whole.truncated == 0
    for limit in sorted(set(whole.lengths.tolist())):
        if limit <= tokenizer.num_special_tokens_to_add(pair=len(task.text_columns) == 2):
            continue
        cut = encoded(task, table, tokenizer, max_length=limit)
        assert cut.truncated == (whole.lengths > limit).sum()
        assert cut.lengths.tolist() == np.minimum(whole.lengths, limit).tolist()


@pytest.mark.parametrize(("architecture", "special"), [("bert", 3), ("roberta", 4), ("t5", 2)])
def test_a_length_without_room_for_text_is_refused(architecture: str, special: int) -> None:
    """tokenizers cut nothing at all when a pair's special tokens are more than the length."""
    tokenizer = TOKENIZERS[architecture]()
    for length in range(1, special + 1):
        with pytest.raises(ConfigurationError, match=f"--max-length {length} leaves no room"):
            encoded(RTE, table_of(RTE), tokenizer, max_length=length)
    assert set(encoded(RTE, table_of(RTE), tokenizer, max_length=special + 1).lengths) == {
        special + 1
    }


def test_labels_become_the_models_outputs() -> None:
    table = table_of(MNLI)
    found = encoded(MNLI, table, outputs=(1, 2, 0))
    assert table["label"].to_pylist() == [0, 1, 2, 0, 1, 2]
    assert list(found.examples["labels"]) == [1, 2, 0, 1, 2, 0]


def test_hidden_labels_stay_hidden() -> None:
    found = encoded(MNLI, table_of(MNLI, "test_matched"), outputs=(1, 2, 0))
    assert list(found.examples["labels"]) == [-1] * 6


def test_a_regressions_labels_are_its_numbers() -> None:
    table = table_of(STSB)
    found = encoded(STSB, table)
    assert found.examples.features["labels"].dtype == "float32"
    labels = np.asarray(found.examples["labels"], np.float32)
    assert labels.tolist() == table["label"].to_pylist()
    hidden = encoded(STSB, table_of(STSB, "test"))
    assert list(hidden.examples["labels"]) == [-1.0] * 6


def same(one: Encoded, other: Encoded) -> bool:
    return (
        one.examples.to_list() == other.examples.to_list()
        and one.lengths.tolist() == other.lengths.tolist()
        and one.truncated == other.truncated
    )


def test_the_same_rows_are_tokenized_once(calls: list[int], cache: Path) -> None:
    table, tokenizer = table_of(RTE), TOKENIZERS["bert"]()
    first = encoded(RTE, table, tokenizer, max_length=9)
    assert first.truncated > 0
    assert calls == [6]
    tokenizer(["words in between"], truncation=True, padding=True, max_length=5)
    assert same(first, encoded(RTE, table, tokenizer, max_length=9)), "what it did is no rule"
    assert same(first, encoded(RTE, table, TOKENIZERS["bert"](), max_length=9))
    assert calls == [6]
    assert len(list(cache.glob("*.arrow"))) == 1


def test_parallel_and_serial_rows_and_caches_are_the_same(
    calls: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(RTE, rows=31)
    serial = encoded(RTE, table, max_length=9)
    assert sum(calls) == 31
    there = encoded(RTE, table, max_length=9, processes=3)
    assert same(serial, there), "read from the cache"
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path / "other"))
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    calls.clear()
    environment, known = os.environ, dict(os.environ)
    parallel = encoded(RTE, table, max_length=9, processes=3)
    assert os.environ is environment, "others hold it too"
    assert dict(os.environ) == known
    assert same(serial, parallel)
    assert calls == [], "other processes tokenize"
    assert parallel.examples.features == serial.examples.features
    names = sorted(path.name[32:] for path in (tmp_path / "other" / "tokens").iterdir())
    assert names == [f"_0000{number}_of_00003.arrow" for number in range(3)]
    assert same(serial, encoded(RTE, table, max_length=9))
    assert same(serial, encoded(RTE, table, max_length=9, processes=2))
    assert calls == [], "what several have cached is found by one, and by fewer"
    assert len(list((tmp_path / "other" / "tokens").iterdir())) == 3


def test_processes_are_started_only_for_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (99_999, 100_000, 10_000_000)
    assert [tokenizer_processes(count, 8) for count in rows] == [1, 2, 8]
    assert tokenizer_processes(10_000_000, 1) == 1
    monkeypatch.setattr("multiprocessing.parent_process", object)
    assert tokenizer_processes(10_000_000, 8) == 1, "a worker has others beside it"


def test_labels_are_not_cached(calls: list[int]) -> None:
    table = table_of(RTE)
    turned = table.set_column(
        table.column_names.index("label"), "label", pa.array([1, 0, 1, 0, 1, 0])
    )
    assert list(encoded(RTE, table).examples["labels"]) == [0, 1, 0, 1, 0, 1]
    assert list(encoded(RTE, turned).examples["labels"]) == [1, 0, 1, 0, 1, 0]
    assert list(encoded(RTE, table, outputs=(1, 0)).examples["labels"]) == [1, 0, 1, 0, 1, 0]
    assert calls == [6]


def variants() -> dict[str, Any]:
    """By what differs, an encoding other than the plain one of `test_anything_else…`."""
    bert = TOKENIZERS["bert"]
    left = bert(truncation_side="left")
    named = bert(model_input_names=["input_ids", "attention_mask"])
    grown = bert()
    grown.add_tokens(["woman"])
    turned = get_task("rte")
    other_order = TaskSpec(
        **{**vars(turned), "text_columns": ("sentence2", "sentence1"), "name": "turned"}
    )
    return {
        "text": (RTE, table_of(RTE, texts=[*TEXTS, "more"]), bert(), 9),
        "order of the rows": (RTE, table_of(RTE).take(list(range(5, -1, -1))), bert(), 9),
        "order of the columns": (other_order, table_of(RTE), bert(), 9),
        "length": (RTE, table_of(RTE), bert(), 8),
        "no length": (RTE, table_of(RTE), bert(), None),
        "vocabulary": (RTE, table_of(RTE), grown, 9),
        "case": (RTE, table_of(RTE), bert(do_lower_case=False), 9),
        "tokenizer": (RTE, table_of(RTE), TOKENIZERS["electra"](unk_token="[MASK]"), 9),
        "side of the cut": (RTE, table_of(RTE), left, 9),
        "inputs": (RTE, table_of(RTE), named, 9),
    }


@pytest.mark.parametrize("what", variants())
def test_other_texts_and_tokenizers_are_tokenized_again(what: str, calls: list[int]) -> None:
    task, table, tokenizer, length = variants()[what]
    encoded(RTE, table_of(RTE), TOKENIZERS["bert"](), max_length=9)
    found = encoded(task, table, tokenizer, max_length=length)
    assert len(calls) == 2, f"another {what} must not find the cached rows"
    first = table.slice(0, 1).to_pylist()[0]
    expected = encode_one(first, task, tokenizer, max_length=length)
    assert {name: found.examples[0][name] for name in expected} == expected


OF_BYTES = frozenset(
    (
        *("bart", "bloom", "falcon", "gemma", "gpt2", "gpt_neox", "llama", "mistral", "modernbert"),
        *("opt", "phi", "qwen2", "qwen3", "roberta", "stablelm"),
    )
)
"""Architectures whose tokenizer makes any text of bytes, so that it knows them all."""
STRANGE = ["你好 世界", "the man 你好", "the old house"]


@pytest.mark.parametrize("architecture", TOKENIZERS)
@pytest.mark.parametrize("length", [64, 5])
def test_unknown_tokens_are_counted_where_texts_are_tokenized(
    architecture: str, length: int, calls: list[int]
) -> None:
    tokenizer, table = TOKENIZERS[architecture](), table_of(COLA, texts=STRANGE)
    found = encoded(COLA, table, tokenizer, max_length=length)
    special = tokenizer.num_special_tokens_to_add()
    ids = [example["input_ids"] for example in found.examples]
    unknown = sum(one.count(tokenizer.unk_token_id) for one in ids)
    share = unknown / (sum(map(len, ids)) - special * len(ids))
    if architecture in ("gpt2", "qwen2"):
        assert tokenizer.unk_token_id == tokenizer.eos_token_id, "no token for what is not known"
        share = 0
    assert found.unknown_share == pytest.approx(share)
    assert (share > 0.1) == (architecture not in OF_BYTES)
    assert encoded(COLA, table, tokenizer, max_length=length).unknown_share == found.unknown_share
    assert calls == [6], "read from the cache"


def test_unknown_tokens_of_a_pair_exclude_special_tokens() -> None:
    table = table_of(RTE, texts=["你 好"])
    assert encoded(RTE, table).unknown_share == 1


def test_truncated_rows_are_counted_without_tokenizing_again() -> None:
    tokenizer, table = TOKENIZERS["bert"](), table_of(COLA)
    seen: list[int] = []

    class Counting:
        def __call__(self, texts: list[str], **options: Any) -> Any:
            seen.append(len(texts))
            return tokenizer(texts, **options)

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer, name)

    found = encoded(COLA, table, Counting(), max_length=7)
    assert found.truncated > 0
    assert seen == [6]


@pytest.mark.parametrize("length", [None, 9])
def test_transformers_does_not_warn_of_long_texts(
    length: int | None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    tokenizer = TOKENIZERS["bert"](model_max_length=8)
    tokenizer(TEXTS[-1])
    assert "Token indices sequence length is longer" in caplog.text, "what transformers says"
    caplog.clear()
    encoded(COLA, table_of(COLA), TOKENIZERS["bert"](model_max_length=8), max_length=length)
    encode_one({"sentence": TEXTS[-1]}, COLA, TOKENIZERS["bert"](model_max_length=8))
    assert caplog.text == ""
