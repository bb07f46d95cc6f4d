"""The files of GLUE's own download as records: names, columns, and what is known to be odd.

As written by `download_glue_data.py`
(https://gist.github.com/W4ngatang/60c2bdb54d156a41194446737ce03e2e). Columns are given by header
name. Test files carry no labels, or labels that GLUE hides, so theirs are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class ListedRows:
    """Which rows of a shared file belong to a split, by a file that lists the keys of some."""

    files: tuple[str, ...]
    """Names that the list goes by; the first one present is read. A header line is optional."""
    keys: tuple[str, ...]
    """Columns of the data file that the list's columns repeat."""
    listed: bool
    """Whether the split is the rows in the list, or the others."""


@dataclass(frozen=True, kw_only=True)
class TsvFile:
    """One tab-separated file: where a split's texts and labels stand in it."""

    name: str
    text: tuple[str, ...]
    """Header names of the task's text columns, in the task's order."""
    label: str | None = None
    """Header name of the label; None where labels are hidden."""
    header: tuple[str, ...] = ()
    """The column names of a file that has no header line."""
    broken_rows: bool = False
    """Whether the published file has rows cut by a line break, which every reader leaves out."""
    rows: ListedRows | None = None
    note: str = ""
    """Something the user should know about a split read from this file."""


@dataclass(frozen=True, kw_only=True)
class TaskFolder:
    """The folder of one task, and for each split the files it may be in, preferred first."""

    name: str
    files: Mapping[str, tuple[TsvFile, ...]]


def _folder(name: str, **files: TsvFile | tuple[TsvFile, ...]) -> TaskFolder:
    alternatives = {
        split: file if isinstance(file, tuple) else (file,) for split, file in files.items()
    }
    return TaskFolder(name=name, files=MappingProxyType(alternatives))


def _usual(name: str, text: tuple[str, ...], label: str, *, broken: bool = False) -> TaskFolder:
    """Return a folder of train.tsv, dev.tsv and test.tsv with the same columns."""
    labelled = TsvFile(name="train.tsv", text=text, label=label, broken_rows=broken)
    return _folder(
        name,
        train=labelled,
        validation=replace(labelled, name="dev.tsv"),
        test=TsvFile(name="test.tsv", text=text),
    )


_COLA_TRAIN = TsvFile(
    name="train.tsv",
    text=("sentence",),
    label="label",
    header=("source", "label", "star", "sentence"),
)

_COLA = _folder(
    "CoLA",
    train=_COLA_TRAIN,
    validation=replace(_COLA_TRAIN, name="dev.tsv"),
    test=TsvFile(name="test.tsv", text=("sentence",)),
)

_MRPC_TEXT = ("#1 String", "#2 String")
_MRPC_TRAIN = TsvFile(name="train.tsv", text=_MRPC_TEXT, label="Quality")
_MRPC_TEST = TsvFile(name="test.tsv", text=_MRPC_TEXT)
_MRPC_RAW = replace(_MRPC_TRAIN, name="msr_paraphrase_train.txt")
_MRPC_DEV = ListedRows(
    files=("mrpc_dev_ids.tsv", "dev_ids.tsv"), keys=("#1 ID", "#2 ID"), listed=True
)

_MRPC = _folder(
    "MRPC",
    train=(
        _MRPC_TRAIN,
        replace(_MRPC_RAW, rows=replace(_MRPC_DEV, listed=False)),
        replace(
            _MRPC_RAW,
            note="All of msr_paraphrase_train.txt is training data: "
            "no mrpc_dev_ids.tsv beside it says which rows are GLUE's validation split.",
        ),
    ),
    validation=(
        replace(_MRPC_TRAIN, name="dev.tsv"),
        replace(_MRPC_RAW, rows=_MRPC_DEV),
    ),
    test=(
        _MRPC_TEST,
        replace(
            _MRPC_TEST,
            name="msr_paraphrase_test.txt",
            note="The labels in msr_paraphrase_test.txt are left out: GLUE hides them.",
        ),
    ),
)

_MNLI_TRAIN = TsvFile(name="train.tsv", text=("sentence1", "sentence2"), label="gold_label")
_MNLI_TEST = replace(_MNLI_TRAIN, label=None)

_MNLI = _folder(
    "MNLI",
    train=_MNLI_TRAIN,
    validation_matched=replace(_MNLI_TRAIN, name="dev_matched.tsv"),
    validation_mismatched=replace(_MNLI_TRAIN, name="dev_mismatched.tsv"),
    test_matched=replace(_MNLI_TEST, name="test_matched.tsv"),
    test_mismatched=replace(_MNLI_TEST, name="test_mismatched.tsv"),
)

_AX = _folder(
    "diagnostic",
    test=(
        TsvFile(name="diagnostic-full.tsv", text=("Premise", "Hypothesis"), label="Label"),
        TsvFile(name="diagnostic.tsv", text=("sentence1", "sentence2")),
    ),
)

GLUE_FOLDERS: Mapping[str, TaskFolder] = MappingProxyType(
    {
        "cola": _COLA,
        "sst2": _usual("SST-2", ("sentence",), "label"),
        "mrpc": _MRPC,
        "stsb": _usual("STS-B", ("sentence1", "sentence2"), "score"),
        "qqp": _usual("QQP", ("question1", "question2"), "is_duplicate", broken=True),
        "mnli": _MNLI,
        "qnli": _usual("QNLI", ("question", "sentence"), "label"),
        "rte": _usual("RTE", ("sentence1", "sentence2"), "label"),
        "wnli": _usual("WNLI", ("sentence1", "sentence2"), "label"),
        "ax": _AX,
    }
)
"""The folder of each task, by the task's `hub_config`."""
