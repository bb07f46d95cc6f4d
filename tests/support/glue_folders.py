"""Canonical tables of synthetic rows, and writers of them in the layouts that users have."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gluetune.core.tasks import TaskSpec
from gluetune.data.tables import HIDDEN_LABEL, canonical_schema
from gluetune.kinds import REGRESSION

_WORDS = ("rain", "kettle", "under", "seven", "blue", "walks", "often", "river", "a", "quietly")

# What each file of GLUE's download looks like: its name and header line by split. `{name}` of a
# text column, `=label` and `=index` are filled in; any other column gets a filler.
_PAIR = "index =text0:sentence1 =text1:sentence2"
_MNLI = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse"
    " sentence2_parse =text0:sentence1 =text1:sentence2"
)
_MNLI_DEV = f"{_MNLI} label1 label2 label3 label4 label5 =label:gold_label"
_STSB = "index genre filename year old_index source1 source2 =text0:sentence1 =text1:sentence2"
_QQP = "id qid1 qid2 =text0:question1 =text1:question2 =label:is_duplicate"
_MRPC = "=label:Quality =key:#1_ID #2_ID =text0:#1_String =text1:#2_String"
_QNLI = "index =text0:question =text1:sentence"

LAYOUT: dict[str, dict[str, tuple[str, str]]] = {
    "cola": {
        "train": ("CoLA/train.tsv", "source =label:label star =text0:sentence"),
        "validation": ("CoLA/dev.tsv", "source =label:label star =text0:sentence"),
        "test": ("CoLA/test.tsv", "index =text0:sentence"),
    },
    "sst2": {
        "train": ("SST-2/train.tsv", "=text0:sentence =label:label"),
        "validation": ("SST-2/dev.tsv", "=text0:sentence =label:label"),
        "test": ("SST-2/test.tsv", "index =text0:sentence"),
    },
    "mrpc": {
        "train": ("MRPC/train.tsv", _MRPC),
        "validation": ("MRPC/dev.tsv", _MRPC),
        "test": ("MRPC/test.tsv", "index #1_ID #2_ID =text0:#1_String =text1:#2_String"),
    },
    "stsb": {
        "train": ("STS-B/train.tsv", f"{_STSB} =label:score"),
        "validation": ("STS-B/dev.tsv", f"{_STSB} =label:score"),
        "test": ("STS-B/test.tsv", _STSB),
    },
    "qqp": {
        "train": ("QQP/train.tsv", _QQP),
        "validation": ("QQP/dev.tsv", _QQP),
        "test": ("QQP/test.tsv", "id =text0:question1 =text1:question2"),
    },
    "mnli": {
        "train": ("MNLI/train.tsv", f"{_MNLI} label1 =label:gold_label"),
        "validation_matched": ("MNLI/dev_matched.tsv", _MNLI_DEV),
        "validation_mismatched": ("MNLI/dev_mismatched.tsv", _MNLI_DEV),
        "test_matched": ("MNLI/test_matched.tsv", _MNLI),
        "test_mismatched": ("MNLI/test_mismatched.tsv", _MNLI),
    },
    "qnli": {
        "train": ("QNLI/train.tsv", f"{_QNLI} =label:label"),
        "validation": ("QNLI/dev.tsv", f"{_QNLI} =label:label"),
        "test": ("QNLI/test.tsv", _QNLI),
    },
    "rte": {
        "train": ("RTE/train.tsv", f"{_PAIR} =label:label"),
        "validation": ("RTE/dev.tsv", f"{_PAIR} =label:label"),
        "test": ("RTE/test.tsv", _PAIR),
    },
    "wnli": {
        "train": ("WNLI/train.tsv", f"{_PAIR} =label:label"),
        "validation": ("WNLI/dev.tsv", f"{_PAIR} =label:label"),
        "test": ("WNLI/test.tsv", _PAIR),
    },
    "ax": {"test": ("diagnostic/diagnostic.tsv", _PAIR)},
}

LABELS_AS_NAMES = ("mnli", "qnli", "rte", "ax")
"""Tasks whose files hold class names rather than ids."""


def make_table(
    task: TaskSpec, split: str, *, rows: int = 12, texts: Sequence[str] | None = None
) -> pa.Table:
    """Return a canonical table of made-up rows; `texts` takes the place of made-up text."""
    draw = random.Random(f"{task.name} {split}")
    texts = texts or [" ".join(draw.choices(_WORDS, k=draw.randint(2, 9))) for _ in range(rows * 2)]
    columns: dict[str, list[object]] = {
        column: [texts[(2 * row + place) % len(texts)] for row in range(rows)]
        for place, column in enumerate(task.text_columns)
    }
    labels = [_label(task, row) for row in range(rows)]
    hidden = split in task.test_splits
    columns[task.label_column] = [HIDDEN_LABEL] * rows if hidden else labels
    columns[task.index_column] = list(range(rows))
    return pa.table(columns, schema=canonical_schema(task))


def _label(task: TaskSpec, row: int) -> object:
    return round(row * 0.37 % 5, 3) if task.kind is REGRESSION else row % task.num_labels


def write_parquet(folder: Path, task: TaskSpec, tables: Mapping[str, pa.Table]) -> None:
    """Write `tables` by split in the Hub's layout."""
    place = folder / task.hub_config
    place.mkdir(parents=True, exist_ok=True)
    for split, table in tables.items():
        pq.write_table(table, place / f"{split}-00000-of-00001.parquet")


def write_download(
    folder: Path,
    task: TaskSpec,
    tables: Mapping[str, pa.Table],
    *,
    newline: str = "\n",
    bom: bool = False,
) -> list[Path]:
    """Write `tables` by split in the layout of GLUE's own download; return the files."""
    paths = []
    for split, table in tables.items():
        name, header = LAYOUT[task.hub_config][split]
        first = [] if name in ("CoLA/train.tsv", "CoLA/dev.tsv") else [_header_line(header)]
        lines = [*first, *tsv_lines(task, table, header)]
        paths.append(write_lines(folder / name, lines, newline=newline, bom=bom))
    return paths


def write_lines(
    path: Path, lines: Iterable[str], *, newline: str = "\n", bom: bool = False
) -> Path:
    """Write `lines` as they are and return `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(line + newline for line in lines)
    path.write_bytes(b"\xef\xbb\xbf" * bom + text.encode())
    return path


def tsv_lines(task: TaskSpec, table: pa.Table, header: str) -> list[str]:
    """Return the rows of `table` as lines under `header`, without the header line."""
    return [
        "\t".join(_cell(task, row, column) for column in header.split())
        for row in table.to_pylist()
    ]


def _header_line(header: str) -> str:
    return "\t".join(
        column.split(":")[-1].replace("_", " ") if "#" in column else column.split(":")[-1]
        for column in header.split()
    )


def _cell(task: TaskSpec, row: Mapping[str, object], column: str) -> str:
    kind = column.split(":")[0]
    if kind.startswith("=text"):
        return str(row[task.text_columns[int(kind[-1])]])
    if kind == "=label":
        label = row[task.label_column]
        named = task.hub_config in LABELS_AS_NAMES
        return task.labels[int(str(label))] if named else f"{label:.9g}"
    if kind in ("=key", "index"):
        return str(row[task.index_column])
    return "-"
