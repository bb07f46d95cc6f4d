"""The kinds of labels that a user's file can have, each as a small file that can be learned.

`KINDS` is one axis of `tests/end_to_end/test_every_verb.py`: add a kind here, and every verb is
tried on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.support.own_files import write_csv

_FILLING = ("rain", "walks", "kettle", "quietly", "river", "blue", "over", "stone")


@dataclass(frozen=True)
class Kind:
    """One kind of label, and the file that has it."""

    name: str
    labels: tuple[str, ...] = ()
    """As a task of this file has them; none for numbers."""
    problem: Literal["single_label", "multi_label", "regression"] = "single_label"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a run on the file."""
    checkpoint: str = "bert"
    """The architecture that is trained."""
    pairs: bool = False
    rows: int = 60
    printed: bool = True
    """Whether a terminal and a page show its labels as they are, on one line."""
    rare: int = 1
    """How many times rarer the first class is than each other one."""

    def write(self, folder: Path) -> Path:
        """Write the file into `folder` and return it."""
        rows = [self._row(number) for number in range(self.rows)]
        if self.problem != "multi_label":
            return write_csv(folder / "data.csv", rows)
        path = folder / "data.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    @property
    def shown_labels(self) -> tuple[str, ...]:
        """The labels that have to be read, as they are, in what a verb prints."""
        return self.labels if self.printed else ()

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the text."""
        return ("first", "second") if self.pairs else ("text",)

    def texts(self, number: int) -> tuple[str, ...]:
        """Return the text, or the pair, of a row: a word for each label that it has."""
        marks = " ".join(f"word{mark}" for mark in self._marks(number))
        filling = f"{_FILLING[number % 8]} {_FILLING[number // 8 % 8]} {number}"
        return (filling, marks or "nothing") if self.pairs else (f"{filling} {marks}".strip(),)

    def _row(self, number: int) -> dict[str, Any]:
        return dict(zip(self.text_columns, self.texts(number), strict=True)) | {
            "label": self._label(number)
        }

    def _marks(self, number: int) -> Sequence[int]:
        if self.problem == "multi_label":
            return [place for place in range(len(self.labels)) if number >> place & 1]
        if self.problem == "regression":
            return [number % 5]
        several = len(self.labels) * self.rare
        return [0 if number % several == 0 else 1 + number % (len(self.labels) - 1)]

    def _label(self, number: int) -> Any:
        marks = self._marks(number)
        if self.problem == "regression":
            return marks[0] + number / 1000
        names = [self.labels[mark] for mark in marks]
        return names if self.problem == "multi_label" else names[0]


_ODD = (
    *("caf\u00e9", "cafe\u0301", "yes", "yes ", "\u200b", "\u202eabc", "007", "7"),
    *("long " * 100, "long " * 99 + "other", "None", "score", "[b]<b>&amp;"),
)
"""Names that differ in spaces, in Unicode form, at their very end, or that mean something else."""

KINDS = (
    Kind("two-classes", ("плохо", "хорошо"), settings={"metric": "f1"}, rare=2),
    Kind("two-alike", ("not spam", "notspam"), pairs=True),
    Kind("nameless", ("LABEL_0", "LABEL_1"), checkpoint="bart"),
    Kind("signed-numbers", ("-1", "0", "1")),
    Kind(
        "many-classes",
        tuple(
            sorted(("C", "C#", "C++", "LABEL_0", "Yes", "yes", "坏", "好", "😀", "שלום", "x, y"))
        ),
        rows=110,
        settings={"metric": "f1_macro", "class_weights": "balanced"},
    ),
    Kind(
        "odd-names",
        tuple(sorted(_ODD)),
        rows=120,
        printed=False,
    ),
    Kind("several-labels", ("#1", "не очень", "好", "😀"), "multi_label", rows=96),
    Kind("one-of-several", ("好",), "multi_label"),
    Kind(
        "ordered",
        ("one", "two", "three", "four", "five"),
        settings={"kind": "ordinal", "label_order": "one,two,three,four,five"},
    ),
    Kind("a-number", problem="regression", settings={"kind": "regression"}, pairs=True),
)
