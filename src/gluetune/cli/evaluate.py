"""`gluetune evaluate`: what a trained model scores, and where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gluetune.cli.options import (
    AsJson,
    Model,
    file_options,
    given_settings,
    options_of,
    typed_format,
)
from gluetune.cli.verb import loads
from gluetune.core.command_lines import options as typed_options
from gluetune.core.errors import ConfigurationError, warn_renamed
from gluetune.core.files import write_text
from gluetune.core.inference_settings import EvaluateSettings, InferenceSettings
from gluetune.core.terminal import Console, print_json

if TYPE_CHECKING:
    from gluetune.analysis.diagnostics import Diagnosis
    from gluetune.analysis.evaluation import Evaluation


@loads
@options_of(EvaluateSettings)
@file_options
def evaluate(
    model: Model,
    diagnostics: Annotated[
        Path | None,
        typer.Option(
            help="Score an MNLI model on GLUE's diagnostic set: its labelled diagnostic-full.tsv."
        ),
    ] = None,
    worst_errors: Annotated[
        int,
        typer.Option(
            min=0, metavar="NUMBER", help="Number of worst errors to show, with their text."
        ),
    ] = 5,
    hardest: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    as_json: AsJson = False,
    output: Annotated[Path | None, typer.Option(help="Also write the JSON to this file.")] = None,
    **options: Any,
) -> None:
    """Score a model on labelled splits: intervals, errors by class, calibration, worst errors."""
    stated = typed_format(options)
    if hardest is not None:
        warn_renamed("--hardest", "--worst-errors")
        worst_errors = hardest
    if diagnostics is not None:
        _check_alone(options)
        from gluetune.analysis.diagnostics import diagnose

        settings = given_settings(options, InferenceSettings)
        _print(diagnose(model, diagnostics, **settings), as_json, output)
        return
    from gluetune.analysis.evaluation import evaluate as score

    settings = given_settings(options, EvaluateSettings)
    found = score(model, file_format=stated, **settings)
    _print(found.with_worst(worst_errors), as_json, output)


def _check_alone(options: Mapping[str, Any]) -> None:
    given = [
        typed_options(**{name: options[name]})
        for name in ("task", "split", "data", "extra_metrics")
        if options[name] is not None
    ]
    if given:
        raise ConfigurationError(
            f"--diagnostics is a data set of its own; {', '.join(given)} is also given.",
            hint="Leave one of them out.",
        )


def _print(found: Evaluation | Diagnosis, as_json: bool, output: Path | None) -> None:
    if output is not None:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
        write_text(output, text + "\n")
    if as_json:
        print_json(found.to_dict())
    else:
        Console().show_result(found)
