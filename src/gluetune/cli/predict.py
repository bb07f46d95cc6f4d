"""`gluetune predict`: predictions for text, typed or in files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import (
    AsJson,
    Model,
    file_options,
    given_settings,
    options_of,
    typed_format,
)
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line
from gluetune.core.command_lines import options as typed_options
from gluetune.core.errors import ConfigurationError
from gluetune.core.inference_settings import LoadSettings, PredictSettings
from gluetune.core.terminal import (
    Console,
    json_text,
    print_json,
    print_line,
    progress_console,
    stop_waiting,
)
from gluetune.core.text import visible

if TYPE_CHECKING:
    from gluetune.inference.file_predictions import FilePredictions
    from gluetune.inference.predictor import Predictor
    from gluetune.kinds.base import Prediction

_FIRST_LINE_AFTER = 10.0
"""Interval in seconds between two lines on the progress of a long file."""


@loads
@options_of(LoadSettings)
@options_of(PredictSettings)
@file_options
def predict(
    model: Model,
    texts: Annotated[
        list[str] | None, typer.Argument(help="A text, or the two texts of a pair.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            help="CSV, TSV, JSON, Parquet, Arrow or text, also compressed. Default: standard input."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="File to write the predictions to. Default: standard output."),
    ] = None,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Predict with a trained model: text typed here, in a file, or on standard input."""
    _check_inputs(texts, file, output)
    stated = typed_format(options)
    from gluetune.inference.predictor import load

    predictor = load(model, **given_settings(options, LoadSettings))
    if predictor.threshold is not None:
        sentence = Text(predictor.threshold.sentence)
        Console(stderr=True).print(sentence, soft_wrap=True)
    if texts:
        _check_count(predictor, texts, model)
        _predict_typed(Console(), predictor, texts, as_json)
        return
    how = given_settings(options, PredictSettings)
    found = _predict_file(predictor, file, output, {**how, "file_format": stated})
    if as_json and output is not None:
        print_json(found)


def _check_inputs(texts: list[str] | None, file: Path | None, output: Path | None) -> None:
    if texts and (file or output):
        raise ConfigurationError(
            "Both a text and --file or --output are given.", hint="Give the text, or --file FILE."
        )
    for text in texts or ():
        _refuse_file(text)
    if texts and len(texts) > 2:
        raise ConfigurationError(
            f"{len(texts)} texts are given; an example has one, or two that are a pair.",
            hint="Put many into a file, or a line each on standard input.",
        )
    if not texts and file is None and sys.stdin.isatty():
        raise ConfigurationError(
            "There is no text.", hint='Type: gluetune predict RUN "Some text.", or --file FILE'
        )


def _refuse_file(text: str) -> None:
    """Refuse the name of a file of rows in a text's place: its name would get a prediction."""
    from gluetune.data.formats.registry import named_format

    try:
        is_file = named_format(Path(text)) is not None and Path(text).is_file()
    except (OSError, ValueError):  # no text that is too long for a name, or holds a NUL, is one
        return
    if is_file:
        raise ConfigurationError(
            f"'{text}' is a file, and a text is expected.",
            hint=f"Type: {typed_options(file=text)}; such a text is read from standard input.",
        )


def _check_count(predictor: Predictor, texts: list[str], model: str) -> None:
    """Refuse two texts for a model that reads one, and the reverse, with what to type instead."""
    wanted = predictor.texts_per_example
    if wanted is None or len(texts) == wanted:
        return
    reads, *example = {
        1: ("one text", "A text."),
        2: ("two texts", "First text.", "Second text."),
    }[wanted]
    raise ConfigurationError(
        f"{predictor.opened.name} reads {reads} per example, and was given {len(texts)}.",
        hint=f"Type: {command_line('predict', model, *example)}; many examples go into a file: "
        "--file FILE",
    )


def _predict_typed(console: Console, predictor: Predictor, texts: list[str], as_json: bool) -> None:
    from gluetune.inference.file_predictions import cut_advice

    encoded = predictor.encode([(texts[0], texts[1]) if len(texts) == 2 else texts[0]])
    (found,) = predictor.predictions(predictor.opened.logits(encoded))
    if encoded.truncated:
        length, limit = predictor.opened.max_length, predictor.opened.limit
        note = f"The text was cut to {length} tokens: {cut_advice(length, limit)}"
        Console(stderr=True).say(note, "yellow")
    if as_json:
        print_line(json_text(_plain(found)))
        return
    if found.label is None:
        console.print(Text(f"{found.score:.4f}"))
    if found.uncertain:
        console.print(Text("uncertain", "yellow"))
    if found.labels is not None:
        named = ", ".join(map(visible, found.labels)) or "none of the labels"
        console.say(f"predicted: {named}", "bold")
    for name, share in sorted(found.probabilities.items(), key=lambda each: -each[1]):
        given = found.label == name if found.labels is None else name in found.labels
        why = _limit(predictor.thresholds[name], given) if found.labels is not None else ""
        line = f"{share:.4f}  {visible(name)}{why}"
        console.say(line, "bold" if given else "")


def _limit(threshold: float, given: bool) -> str:
    """Return whether one of several labels is predicted, and from which probability on, as text."""
    return f"  ({'predicted: above' if given else 'not above'} {threshold:.4f})"


def _plain(found: Prediction) -> dict[str, Any]:
    if found.label is None:
        return {"score": found.score}
    if found.labels is not None:
        return {"labels": list(found.labels), "probabilities": found.probabilities}
    uncertain = {} if found.uncertain is None else {"uncertain": found.uncertain}
    return {
        "label": found.label,
        "score": found.score,
        **uncertain,
        "probabilities": found.probabilities,
    }


def _predict_file(
    predictor: Predictor, file: Path | None, output: Path | None, options: dict[str, Any]
) -> FilePredictions:
    from gluetune.inference.file_predictions import predict as predict_file

    console = Console(stderr=True)
    stop_waiting()
    found = predict_file(
        predictor,
        file or sys.stdin.buffer,
        output=output or sys.stdout.buffer,
        progress=_Progress(progress_console()),
        **options,
    )
    sys.stdout.buffer.flush()
    for note in found.notes:
        console.say(f"note: {visible(note)}", "yellow")
    for problem in found.problems:
        console.say(f"left out: {problem}", "yellow")
    if found.skipped > len(found.problems):
        console.print(Text(f"… and {found.skipped - len(found.problems):,} more"))
    console.say(_summary(found))
    if found.cut_note:
        console.say(found.cut_note, "yellow")
    return found


def _summary(found: FilePredictions) -> str:
    where = f" -> {found.output}" if found.output else ""
    skipped = f", {found.skipped:,} left out" if found.skipped else ""
    rate = f"{found.rows_per_second:,.0f} rows/s"
    return f"{found.rows:,} rows predicted{skipped}, {rate}{where}"


class _Progress:
    """Print the progress on a long file every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = _FIRST_LINE_AFTER

    def __call__(self, done: FilePredictions) -> None:
        """Print a line, unless one was printed just now."""
        if done.seconds >= self._next:
            self._next = done.seconds + _FIRST_LINE_AFTER
            self._console.say(_summary(done))
