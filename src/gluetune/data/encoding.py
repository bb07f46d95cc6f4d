"""Tokenize the splits of a task: batched, truncated, cached on disk."""

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
from transformers import BatchEncoding

from gluetune.core.errors import ConfigurationError
from gluetune.core.files import cache_part, disk_errors
from gluetune.core.long_texts import long_texts_of, window_of
from gluetune.core.tasks import TaskSpec
from gluetune.data.tables import fingerprint

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

_ROWS_PER_PROCESS = 50_000
"""Rows from which tokenizing in one more process saves more time than it takes to start."""
_ROWS_WRITTEN = 8192
_COUNTED = ("length", "truncated", "unknown")
"""Columns of counts that are cached along with the tokens."""
_MUCH_UNKNOWN = 0.05
"""Share of unknown tokens from which it is reported; a few emoji are less."""
_PARALLELISM = "TOKENIZERS_PARALLELISM"
"""The variable that `datasets` sets for the processes that it forks."""


@dataclass(frozen=True)
class Encoded:
    """A tokenized split, in the order of its rows."""

    examples: Dataset
    """Columns: those of the tokenizer (`input_ids`, …; not padded) and `labels`: float32 for
    regression, 0.0 or 1.0 for each of the model's outputs for multi-label, else the id of the
    model's output, -1 where hidden. A list where there are few examples."""
    lengths: npt.NDArray[np.int64]
    """Number of tokens of each example."""
    truncated: int
    """How many examples were truncated."""
    unknown_share: float = 0.0
    """Share of the texts' tokens that are the unknown token."""
    window: int | None = None
    """Length of the windows that long examples consist of; None without windows."""

    def rows(self, numbers: npt.NDArray[np.intp]) -> list[dict[str, Any]]:
        """Return examples by index; reading many together is much faster than one by one."""
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
    """Tokenize the rows of `table`: see `encode_parts`."""
    return encode_parts(
        table,
        {"": None},
        task,
        tokenizer,
        max_length=max_length,
        outputs=outputs,
        processes=processes,
        progress=progress,
    )[""]


def encode_parts(
    table: pa.Table,
    parts: Mapping[str, npt.NDArray[np.intp] | None],
    task: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    outputs: tuple[int, ...],
    processes: int = 1,
    progress: bool = False,
) -> dict[str, Encoded]:
    """Tokenize the rows of `table`, or load their tokens from the cache, and return parts of them.

    Args:
        table: A canonical table.
        parts: The rows of each part, by name; None for all.
        task: The task.
        tokenizer: The model's tokenizer.
        max_length: Longest input in tokens; None: no truncation.
        outputs: Id of the model's output for each class of the task.
        processes: How many processes tokenize; tokens and cache do not depend on it.
        progress: Whether to show a progress bar on standard error.

    Raises:
        ConfigurationError: when `max_length` leaves no room for text.
        StorageError: when the cache cannot be written.
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
        targets = task.kind.targets(table.column(task.label_column), outputs)
        labels = datasets.Dataset(pa.table({"labels": targets}))
        examples = datasets.concatenate_datasets(
            [tokens.remove_columns(list(_COUNTED)), labels], axis=1
        )
    special = _special_tokens(task, tokenizer)
    counts = tokens.data.table.select(_COUNTED)
    window = window_of(tokenizer, max_length)
    return {name: _part(examples, counts, rows, special, window) for name, rows in parts.items()}


def _part(
    examples: Dataset,
    counts: pa.Table,
    rows: npt.NDArray[np.intp] | None,
    special: int,
    window: int | None,
) -> Encoded:
    """Return some of the encoded examples, or all."""
    if rows is not None:
        examples, counts = examples.select(rows), counts.take(pa.array(rows))
    lengths = counts["length"].to_numpy().astype(np.int64, copy=False)
    of_texts = int(lengths.sum()) - len(lengths) * special
    return Encoded(
        examples=examples,
        lengths=lengths,
        truncated=_total(counts, "truncated"),
        unknown_share=_total(counts, "unknown") / max(of_texts, 1),
        window=window,
    )


def _total(counts: pa.Table, column: str) -> int:
    total: int = pc.sum(counts[column], min_count=0).as_py()
    return total


def unknown_note(found: Encoded, split: str, model: str) -> str:
    """Return the note for a split with many unknown tokens, or ""."""
    if found.unknown_share < _MUCH_UNKNOWN:
        return ""
    return (
        f"{found.unknown_share:.0%} of the tokens of {split} are unknown to {model}: it was not "
        "trained on this script. Choose a checkpoint that was, for example a multilingual one: "
        "--model FacebookAI/xlm-roberta-base"
    )


def tokenizer_processes(rows: int, threads: int) -> int:
    """Return the number of processes that tokenize so many rows fastest, with `threads` cores.

    It is 1 in a worker of a search or a suite, and where processes are not forked, since a spawned
    one would run the user's script again.
    """
    chosen = multiprocessing.get_start_method(allow_none=True)
    forks = (chosen or multiprocessing.get_all_start_methods()[0]) == "fork"
    if multiprocessing.parent_process() is not None or not forks:
        return 1
    return max(1, min(threads, rows // _ROWS_PER_PROCESS))


@contextmanager
def _rows_for(processes: int, texts: pa.Table, folder: Path) -> Iterator[Dataset]:
    """Return the texts as a Dataset; for several processes in a file, so that no rows are sent.

    The fingerprint keeps `datasets` from hashing all rows.
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
    """Restore os.environ, which `datasets` replaces by a copy when it forks.

    Code with a reference to the first one, such as rich, would no longer see changes.
    """
    environment, known = os.environ, dict(os.environ)
    try:
        yield
    finally:
        os.environ = environment  # noqa: B003  # the same object as before
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
    """Tokenize one example; return the model's inputs by name."""
    columns = [[example[column]] for column in task.text_columns]
    encoded = tokenize(tokenizer, columns, max_length)
    return {name: list(values[0]) for name, values in encoded.items()}


def _check_room(task: TaskSpec, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> None:
    """Reject a length that special tokens fill: tokenizers then truncate nothing or everything."""
    special = _special_tokens(task, tokenizer)
    if max_length is not None and max_length <= special:
        raise ConfigurationError(
            f"--max-length {max_length} leaves no room for text: every example has {special} "
            "special tokens.",
            hint="Type for instance: --max-length 128",
        )


def _special_tokens(task: TaskSpec, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return the number of special tokens of an example."""
    count: int = tokenizer.num_special_tokens_to_add(pair=len(task.text_columns) == 2)
    return count


def _names(task: TaskSpec) -> list[str]:
    """Return column names for the texts; the user's own might be `input_ids`."""
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
    """Tokenize texts, given as one column, or two for pairs.

    Long texts are truncated, unless the tokenizer has another way to read them. With `verbose`,
    transformers would warn of indexing errors for texts that are truncated later.
    """
    found = long_texts_of(tokenizer)
    if found is None or max_length is None:
        return tokenizer(
            *columns, truncation=max_length is not None, max_length=max_length, verbose=False
        )
    whole = tokenizer(*columns, truncation=False, verbose=False)
    special = special_places(tokenizer)
    places = [found.places(len(ids), max_length, special) for ids in whole["input_ids"]]
    return BatchEncoding(
        {
            name: [
                list(map(row.__getitem__, chosen))
                for row, chosen in zip(whole[name], places, strict=True)
            ]
            for name in whole
        }
    )


def special_places(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Return the numbers of special tokens before and after a text."""
    whole = tokenizer("a")["input_ids"]
    text = tokenizer("a", add_special_tokens=False)["input_ids"]
    before = next(
        (start for start in range(len(whole)) if whole[start : start + len(text)] == text), 0
    )
    return before, len(whole) - len(text) - before


def cut_rows(
    encoded: BatchEncoding,
    tokenizer: PreTrainedTokenizerBase,
    columns: Sequence[list[str]],
    max_length: int | None,
) -> list[bool]:
    """Return which rows of `encoded`, the tokens of `columns`, were truncated to `max_length`.

    With head and tail or windows, these are the rows that are not read whole.

    Only rows of that length can have been. A fast tokenizer returns the overflowing tokens; with a
    slow one these rows are tokenized again.
    """
    lengths = [len(ids) for ids in encoded["input_ids"]]
    cut = [False] * len(lengths)
    if (found := long_texts_of(tokenizer)) is not None and max_length is not None:
        whole = tokenizer(*columns, truncation=False, verbose=False)["input_ids"]
        special = special_places(tokenizer)
        return [not found.reads_all(len(ids), max_length, special) for ids in whole]
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
    """Return the id of the unknown token; None for a tokenizer of bytes, which has none.

    Such tokenizers use another special token in its place (GPT-2: the end of a text).
    """
    others = ("bos", "eos", "cls", "sep", "mask")
    taken = {getattr(tokenizer, f"{name}_token_id", None) for name in others}
    unknown: int | None = tokenizer.unk_token_id
    return None if unknown in taken else unknown


def _cache_key(texts: pa.Table, tokenizer: PreTrainedTokenizerBase, max_length: int | None) -> str:
    import transformers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:  # it keeps the truncation of the last call
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
        *([repr(found)] if (found := long_texts_of(tokenizer)) is not None else []),
        *_COUNTED,  # tokens that were cached without one of these counts are not used
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
