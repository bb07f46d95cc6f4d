"""The web page: a template that is rendered once, with examples from the validation set."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.runs import scored_splits
from gluetune.data.sources import scored_rows
from gluetune.rendering.pages import html_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from gluetune.core.tasks import TaskSpec
    from gluetune.inference.backends import Backend
    from gluetune.inference.predictor import Predictor
    from gluetune.serving.settings import Limits

_COUNT = 6
_SHORT = 300
"""Characters of an example's texts, at most, if there are enough such examples."""
_SEED = 0


@dataclass(frozen=True)
class Example:
    """A row of the validation set."""

    texts: tuple[str, ...]
    label: str
    """The gold label as text: a class, a number, or labels."""


def find_examples(backend: Backend) -> tuple[list[Example], str]:
    """Return examples of every class; or none, and the reason."""
    task, run = backend.task, backend.run
    if run is None or task is None or not (splits := scored_splits(run)):
        return [], "No examples are shown: a checkpoint that is not a run has no data."
    table = scored_rows(run, task, splits[0])
    if isinstance(table, str):
        return [], table.replace("The texts are not shown", "No examples are shown")
    rows = _candidates(task, table)
    labels = [row[task.label_column] for row in rows]
    chosen = task.kind.spread(task.labels, labels, _COUNT)
    return [_example(task, rows[place]) for place in chosen], ""


def _candidates(task: TaskSpec, table: pa.Table) -> list[dict[str, Any]]:
    """Return rows in random order, only short ones if there are enough."""
    import numpy as np

    order = np.random.default_rng(_SEED).permutation(len(table))[: 50 * _COUNT]
    rows: list[dict[str, Any]] = table.take(order).to_pylist()
    rows = [row for row in rows if all(row[column].strip() for column in task.text_columns)]
    short = [row for row in rows if sum(len(row[name]) for name in task.text_columns) <= _SHORT]
    return short if len(short) >= _COUNT else rows


def _example(task: TaskSpec, row: dict[str, Any]) -> Example:
    label = task.kind.label_text(task.labels, row[task.label_column], none="none of the labels")
    return Example(tuple(row[name] for name in task.text_columns), label)


STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""The static files of the page. Nothing else in the folder is served."""


def render_page(
    predictor: Predictor, examples: Sequence[Example], note: str, *, needs_key: bool = False
) -> str:
    """Return the page. `note` explains why there are no examples, if there are none."""
    from markupsafe import escape

    backend, task = predictor.opened, predictor.opened.task
    return str(
        html_environment("gluetune.serving")
        .get_template("page.html")
        .render(
            title=Path(backend.name).name,
            question=task.title if task else "",
            fields=_fields(predictor),
            examples=[
                {
                    "shown": example.texts,
                    # Exactly as it is: the text goes into an input field.
                    "raw": [escape(text) for text in example.texts],
                    "label": example.label,
                }
                for example in examples
            ],
            note=note,
            dial=backend.kind.dial(task.label_range) if task else None,
            widget=predictor.kind.widget,
            # Exactly as they are: the script looks labels up by name.
            thresholds=escape(json.dumps(predictor.thresholds)),
            facts=_facts(backend),
            needs_key=needs_key,
        )
    )


def render_docs(predictor: Predictor, limits: Limits) -> str:
    """Return the page about the API."""
    pair = predictor.texts_per_example == 2
    inputs = '["The first text.", "The second."]' if pair else '"A lovely film."'
    batch = '[["One.", "Two."], ["Three.", "Four."]]' if pair else '[["One text."], ["Another."]]'
    return str(
        html_environment("gluetune.serving")
        .get_template("docs.html")
        .render(
            title=Path(predictor.opened.name).name,
            inputs=inputs,
            batch=batch,
            limits=limits,
            widget=predictor.kind.widget,
            max_length=predictor.opened.max_length,
        )
    )


def _fields(predictor: Predictor) -> list[dict[str, Any]]:
    task = predictor.opened.task
    if task is not None:
        return [{"name": _in_words(name), "optional": False} for name in task.text_columns]
    # A checkpoint without a task reads one text or two.
    return [{"name": "Text", "optional": False}, {"name": "Second text", "optional": True}]


def _in_words(column: str) -> str:
    """Return `sentence1` as "Sentence 1"."""
    words = re.sub(r"(\D)(\d+)$", r"\1 \2", column).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _facts(backend: Backend) -> list[str]:
    facts = [f"{backend.backend}, {backend.precision}"]
    if backend.max_length:
        facts.append(f"reads {backend.max_length} tokens")
    run = backend.run
    if run is not None and run.score is not None:
        facts.append(f"scored {run.task.amount(run.score)} on validation")
    return facts
