"""From text to token ids, with a tokenizer that is handed in: batched, cached, truncated."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gluetune.core.errors import ConfigurationError
from gluetune.core.files import cache_part, disk_errors
from gluetune.core.tasks import TaskSpec
from gluetune.data.tables import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import BatchEncoding, PreTrainedTokenizerBase

_ROWS_THAT_PAY = 50_000
"""Rows that a process must have to tokenize before it earns its start."""
_ROWS_WRITTEN = 8192
_COUNTED = ("length", "truncated", "unknown")
"""What is kept of each row along with its tokens."""
_MUCH_UNKNOWN = 0.05
"""Share of unknown tokens that is reported: an emoji here and there is less."""
_PARALLELISM = "TOKENIZERS_PARALLELISM"
"""What `datasets` sets for the processes that it forks."""


@dataclass(frozen=True)
class Encoded:
    """A split as a model reads it, in the order of its rows."""

    examples: Dataset
    """Columns: the tokenizer's (`input_ids`, …; not padded) and `labels`: float32 for regression,
    a 0.0 or 1.0 for each of the model's outputs where an example may have several labels, else the
    number of the model's output, -1 where hidden. A list where the examples are few."""
    lengths: npt.NDArray[np.int64]
    """Tokens of each example."""
    truncated: int
    """How many examples were cut."""
    unknown_share: float = 0.0
    """Share of the tokens of the texts that the tokenizer does not know."""

    def rows(self, numbers: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
        """Return examples by number; a data set hands out many far faster than one by one."""
        if isinstance(self.examples, list):
            return [self.examples[number] for number in numbers]
        found: list[dict[str, Any]] = self.examples.__getitems__(numbers.tolist())
        return found


def encode(
    table: pa.Table,
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    outputs: tuple[int, ...],
    processes: int = 1,
    progress: bool = False,
) -> Encoded:
    """Return the rows of `table` as a model reads them.

    `outputs` is the model's output for each class of the task. Tokens are cached on disk, by the
    content of the texts and of the tokenizer. Several `processes` take a part of the rows each, and
    what comes out, the cache too, is the same; `progress` shows a bar on standard error.

    Raises ConfigurationError when `max_length` leaves no room for text, and StorageError when the
    cache's disk is full or takes no folder.
    """
    import datasets

    _check_room(task, tokenizer, max_length)
    texts = table.select(task.text_columns).rename_columns(_names(task))
    key = _cache_key(texts, tokenizer, max_length)
    folder = cache_part("tokens")
    with _progress_bars(progress), disk_errors(folder):
        with _rows_for(processes, texts, folder) as rows, _same_environment():
            tokens = rows.map(
                lambda rows: _tokenize(rows, task, tokenizer, max_length),
                batched=True,
                remove_columns=_names(task),
                cache_file_name=str(folder / f"{key}.arrow"),
                new_fingerprint=key,
                num_proc=processes if processes > 1 else None,
                desc="tokenizing",
            )
        labels = datasets.Dataset(pa.table({"labels": _labels(table, task, outputs)}))
        examples = datasets.concatenate_datasets(
            [tokens.remove_columns(list(_COUNTED)), labels], axis=1
        )
    lengths = tokens.data.column("length").to_numpy().astype(np.int64, copy=False)
    of_texts = int(lengths.sum()) - len(lengths) * _special_tokens(task, tokenizer)
    return Encoded(
        examples=examples,
        lengths=lengths,
        truncated=_total(tokens, "truncated"),
        unknown_share=_total(tokens, "unknown") / max(of_texts, 1),
    )


def _total(tokens: Dataset, column: str) -> int:
    total: int = pc.sum(tokens.data.column(column), min_count=0).as_py()
    return total


def unknown_note(found: Encoded, split: str, model: str) -> str:
    """Return the note for a split with many tokens that a tokenizer does not know, or ""."""
    if found.unknown_share < _MUCH_UNKNOWN:
        return ""
    return (
        f"{found.unknown_share:.0%} of the tokens of {split} are unknown to {model}: it was not "
        "made for this script. Choose a checkpoint that was, for instance one of many languages: "
        "--model FacebookAI/xlm-roberta-base"
    )


def tokenizer_processes(rows: int, threads: int) -> int:
    """Return in how many processes so many rows are worth being tokenized, with `threads` cores.

    One, where this process is one of several workers of a search or a suite; and where a process
    cannot be forked: another start would run the user's script again.
    """
    chosen = multiprocessing.get_start_method(allow_none=True)
    forks = (chosen or multiprocessing.get_all_start_methods()[0]) == "fork"
    if multiprocessing.parent_process() is not None or not forks:
        return 1
    return max(1, min(threads, rows // _ROWS_THAT_PAY))


@contextmanager
def _rows_for(processes: int, texts: pa.Table, folder: Path) -> Iterator[Dataset]:
    """Give the texts to be mapped; of several processes each maps its part of a file.

    Else its part would be sent to each. Without a fingerprint `datasets` would hash all rows.
    """
    import datasets

    if processes == 1:
        yield datasets.Dataset(texts, fingerprint="texts")
        return
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".texts") as file:
        with pa.ipc.new_stream(file, texts.schema) as writer:
            writer.write_table(texts, _ROWS_WRITTEN)
        file.flush()
        yield datasets.Dataset.from_file(file.name)


@contextmanager
def _same_environment() -> Iterator[None]:
    """Undo what `datasets` does before it forks: a copy replaces os.environ from then on.

    Code that keeps the first (rich, for one) would see no change any more.
    """
    environment, known = os.environ, dict(os.environ)
    try:
        yield
    finally:
        os.environ = environment  # noqa: B003  # the very object of before
        if environment != known:
            environment.pop(_PARALLELISM, None)
            environment.update(known)


def encode_one(
    example: Mapping[str, str],
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None = None,
) -> dict[str, list[int]]:
    """Return one example as the model receives it: each of its inputs, by name."""
    columns = [[example[column]] for column in task.text_columns]
    encoded = tokenize(tokenizer, columns, max_length)
    return {name: list(values[0]) for name, values in encoded.items()}


def _check_room(task: TaskSpec, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> None:
    """Refuse a length that special tokens fill: tokenizers then cut nothing, or everything."""
    special = _special_tokens(task, tokenizer)
    if max_length is not None and max_length <= special:
        raise ConfigurationError(
            f"--max-length {max_length} leaves no room for text: {special} tokens of every example "
            "are the tokenizer's own.",
            hint="Type for instance: --max-length 128",
        )


def _special_tokens(task: TaskSpec, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens of an example are the tokenizer's own."""
    count: int = tokenizer.num_special_tokens_to_add(pair=len(task.text_columns) == 2)
    return count


def _names(task: TaskSpec) -> list[str]:
    """Return what the texts are called on their way: a user's column may be `input_ids`."""
    return [f"text_{number}" for number in range(len(task.text_columns))]


def _tokenize(
    rows: Mapping[str, list[str]],
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int | None,
) -> dict[str, list[Any]]:
    columns = [list(rows[name]) for name in _names(task)]
    encoded = tokenize(tokenizer, columns, max_length)
    unknown = _unknown_token(tokenizer)
    found = {name: list(encoded[name]) for name in encoded}
    found["length"] = [len(ids) for ids in encoded["input_ids"]]
    found["truncated"] = cut_rows(encoded, tokenizer, columns, max_length)
    found["unknown"] = [ids.count(unknown) for ids in encoded["input_ids"]]
    return found


def tokenize(
    tokenizer: PreTrainedTokenizerBase, columns: Sequence[list[str]], max_length: int | None
) -> BatchEncoding:
    """Return the tokens of texts, given by column: one, or two for pairs.

    `verbose` would let transformers say of a text that is too long, and cut afterwards, that it
    ends in indexing errors.
    """
    return tokenizer(
        *columns, truncation=max_length is not None, max_length=max_length, verbose=False
    )


def cut_rows(
    encoded: BatchEncoding,
    tokenizer: PreTrainedTokenizerBase,
    columns: Sequence[list[str]],
    max_length: int | None,
) -> list[bool]:
    """Return which rows of `encoded`, the tokens of `columns`, were cut to `max_length`.

    Only those at full length can have been. A fast tokenizer keeps what it has cut off; for another
    one they are tokenized again.
    """
    lengths = [len(ids) for ids in encoded["input_ids"]]
    cut = [False] * len(lengths)
    full = [row for row, length in enumerate(lengths) if length == max_length]
    if encoded.encodings is not None:
        for row in full:
            cut[row] = bool(encoded.encodings[row].overflowing)
    elif full:
        again = [[column[row] for row in full] for column in columns]
        whole = tokenize(tokenizer, again, None)["input_ids"]
        for row, ids in zip(full, whole, strict=True):
            cut[row] = len(ids) > lengths[row]
    return cut


def _unknown_token(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the token for what a tokenizer does not know; None where it knows every byte.

    Such tokenizers name a token for it that means something else (GPT-2's end of a text).
    """
    others = ("bos", "eos", "cls", "sep", "mask")
    taken = {getattr(tokenizer, f"{name}_token_id", None) for name in others}
    unknown: int | None = tokenizer.unk_token_id
    return None if unknown in taken else unknown


def _labels(table: pa.Table, task: TaskSpec, outputs: tuple[int, ...]) -> pa.Array:
    return task.kind.targets(table.column(task.label_column), outputs)


def _cache_key(texts: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> str:
    import transformers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # the last call's truncation stays in it, and is no rule of it
        backend.no_truncation()
        backend.no_padding()
    rules = backend.to_str() if backend is not None else repr(sorted(tokenizer.get_vocab().items()))
    parts = (
        fingerprint(texts),
        repr(texts.column_names),  # the fingerprint is the same in any order
        type(tokenizer).__name__,
        rules,
        repr(tokenizer.special_tokens_map),
        repr(tokenizer.model_input_names),
        tokenizer.truncation_side,
        str(max_length),
        *_COUNTED,  # tokens that were cached without one of these counts are made again
        transformers.__version__,
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def _progress_bars(shown: bool) -> Iterator[None]:
    import datasets

    hidden = datasets.are_progress_bars_disabled()
    if not shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()
