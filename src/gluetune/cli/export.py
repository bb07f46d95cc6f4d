"""`gluetune export`: a run's model as ONNX, and its predictions compared with PyTorch's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import AsJson, Model, given_settings, options_of
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line
from gluetune.core.errors import ConfigurationError
from gluetune.core.inference_settings import ExportSettings
from gluetune.core.records import plural, shown
from gluetune.core.terminal import Console, Table, print_json, progress_console
from gluetune.core.text import from_here, visible

if TYPE_CHECKING:
    from gluetune.core.runs import ExportRecord


@loads
@options_of(ExportSettings)
def export(
    model: Model,
    onnx: Annotated[bool, typer.Option("--onnx", help="Export to ONNX (required).")] = False,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Export a model to ONNX, and compare its predictions on the whole validation set."""
    if not onnx:
        raise ConfigurationError(
            "No export format is given.",
            hint="Type: " + command_line("export", model, onnx=True),
        )
    from gluetune.exporting.onnx import export as write_export

    progress = progress_console()
    record = write_export(
        model,
        on_message=lambda line: progress.say(from_here(line), "dim"),
        **given_settings(options),
    )
    if as_json:
        print_json(record)
    else:
        _render(Console(), record)
    if not record.is_good:
        raise typer.Exit(1)


def _render(console: Console, record: ExportRecord) -> None:
    rows = sum(record.rows.values())
    threads = plural(record.threads, "thread")
    title = f"{record.task} on {from_here(record.data)} ({rows:,} rows), {threads}"
    table = Table(title=visible(title), title_justify="left")
    table.add_column("")
    for name in ("score", "rows/s", "MB", "largest difference", "changed predictions"):
        table.add_column(name, justify="right")
    table.add_row("torch", shown(record.score), f"{record.rows_per_second:,.0f}")
    for one in record.checked:
        table.add_row(
            one.variant,
            shown(one.score),
            f"{one.rows_per_second:,.0f}",
            f"{one.megabytes:,.1f}",
            f"{one.largest_difference:.1e}",
            f"{one.changed:,}" if record.spec.labels else "",
        )
    console.print(table)
    for one in record.checked:
        word = Text("good: ", "green") if one.good else Text("NOT GOOD: ", "bold red")
        console.print(
            Text(f"{one.variant} ").append(word).append(one.verdict + ".", ""), soft_wrap=True
        )
