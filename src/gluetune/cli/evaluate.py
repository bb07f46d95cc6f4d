"""`gluetune evaluate`: what a trained model scores, and where it is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gluetune.cli.options import (
    AskedPrecision,
    BatchSize,
    LabelOrder,
    MaxLength,
    Model,
    Revision,
    Threads,
    TrustRemoteCode,
    file_options,
    names_in_order,
    one_of,
    typed_format,
)
from gluetune.core.config import Precision
from gluetune.core.deprecations import warn_renamed
from gluetune.core.errors import ConfigurationError
from gluetune.core.files import write_text
from gluetune.core.terminal import Console, json_text

if TYPE_CHECKING:
    from gluetune.analysis.diagnostics import Diagnosis
    from gluetune.analysis.evaluation import Evaluation


@file_options
def evaluate(
    model: Model,
    task: Annotated[str | None, typer.Option(help="The task. Default: the run's own.")] = None,
    split: Annotated[str | None, typer.Option(help="One split. Default: all validation.")] = None,
    data: Annotated[
        str | None, typer.Option(help="As in training. Default: the run's own.")
    ] = None,
    diagnostics: Annotated[
        Path | None,
        typer.Option(help="GLUE's labelled diagnostic-full.tsv: score an MNLI model on that."),
    ] = None,
    worst_errors: Annotated[
        int, typer.Option(min=0, help="How many of the worst errors are shown, with their text.")
    ] = 5,
    hardest: Annotated[int | None, typer.Option(min=0, hidden=True)] = None,
    precision: AskedPrecision = "auto",
    batch_size: BatchSize = None,
    threads: Threads = None,
    max_length: MaxLength = None,
    label_order: LabelOrder = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[Path | None, typer.Option(help="Write the JSON to this file too.")] = None,
    **options: Any,
) -> None:
    """Score a model on labelled splits: intervals, errors by class, calibration, worst errors."""
    settings: dict[str, Any] = {
        "precision": one_of(precision, Precision, "--precision"),
        "batch_size": batch_size,
        "threads": threads,
        "max_length": max_length,
        "label_order": names_in_order(label_order),
        "revision": revision,
        "trust_remote_code": trust_remote_code,
    }
    stated = typed_format(options)
    if hardest is not None:
        warn_renamed("--hardest", "--worst-errors")
        worst_errors = hardest
    if diagnostics is not None:
        _check_alone(task, split, data)
        from gluetune.analysis.diagnostics import diagnose

        _print(diagnose(model, diagnostics, **settings), as_json, output)
        return
    from gluetune.analysis.evaluation import evaluate as score

    found = score(model, task=task, split=split, data=data, file_format=stated, **settings)
    _print(found.with_worst(worst_errors), as_json, output)


def _check_alone(task: str | None, split: str | None, data: str | None) -> None:
    given = [
        f"--{name} {value}"
        for name, value in (("task", task), ("split", split), ("data", data))
        if value is not None
    ]
    if given:
        raise ConfigurationError(
            f"--diagnostics is a data set of its own; {', '.join(given)} is given too.",
            hint="Leave one of them out.",
        )


def _print(found: Evaluation | Diagnosis, as_json: bool, output: Path | None) -> None:
    from gluetune.rendering.terminal import show

    if output is not None:
        text = json.dumps(found.to_dict(), indent=2, ensure_ascii=False)
        write_text(output, text + "\n")
    if as_json:
        typer.echo(json_text(found.to_dict(), indent=2))
    else:
        show(Console(), found)
