"""The page for people: one HTML template, filled once, with its own script and style beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.html import html_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gluetune.evaluation.backends import Backend
    from gluetune.evaluation.predictor import Predictor
    from gluetune.serving.examples import Example
    from gluetune.serving.limits import Limits

STATIC = Path(__file__).parent / "static"
MEDIA_TYPES = {"page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml"}
"""The files beside the page. Nothing else in the folder is served."""


def render_page(
    predictor: Predictor, examples: Sequence[Example], note: str, *, needs_key: bool = False
) -> str:
    """Return the page. `note` says why there are no examples, where there are none."""
    from markupsafe import escape

    backend = predictor.opened
    return str(
        html_environment("gluetune.serving")
        .get_template("page.html")
        .render(
            title=Path(backend.name).name,
            question=backend.task.title if backend.task else "",
            fields=_fields(predictor),
            examples=[
                {
                    "shown": example.texts,
                    # Exactly as it is: what a field is filled with is no label of the page.
                    "raw": [escape(text) for text in example.texts],
                    "label": example.label,
                }
                for example in examples
            ],
            note=note,
            dial=_dial(backend),
            problem_type=predictor.problem_type,
            # Exactly as they are, too: the script looks labels up by name.
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
            several=predictor.opened.multi_label,
            max_length=predictor.opened.max_length,
        )
    )


def _fields(predictor: Predictor) -> list[dict[str, Any]]:
    task = predictor.opened.task
    if task is not None:
        return [{"name": _in_words(name), "optional": False} for name in task.text_columns]
    # A checkpoint that does not say takes one text or two.
    return [{"name": "Text", "optional": False}, {"name": "Second text", "optional": True}]


def _in_words(column: str) -> str:
    """Return `sentence1` as "Sentence 1"."""
    words = re.sub(r"(\D)(\d+)$", r"\1 \2", column).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _dial(backend: Backend) -> tuple[float, float] | None:
    return backend.task.label_range if backend.task and backend.task.is_regression else None


def _facts(backend: Backend) -> list[str]:
    facts = [f"{backend.kind}, {backend.precision}"]
    if backend.max_length:
        facts.append(f"reads {backend.max_length} tokens")
    run = backend.run
    if run is not None and run.score is not None:
        facts.append(f"scored {100 * run.score:.1f} on validation")
    return facts
