"""`gluetune check`: find mistakes in files of labelled text before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import AsJson, given_settings, options_of
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line
from gluetune.core.config import FILE_SETTINGS, FORMAT_SETTINGS, TrainConfig, typed_settings
from gluetune.core.errors import DataError
from gluetune.core.terminal import Console, Table, print_json
from gluetune.core.text import from_here, visible

if TYPE_CHECKING:
    from gluetune.inference.file_checks import CheckedFiles

_SHOWN = 30
"""Classes that are printed."""


@loads
@options_of(
    TrainConfig,
    only=(
        "text",
        "text_pair",
        "label",
        *FORMAT_SETTINGS,
        "kind",
        "label_order",
        "label_separator",
        "group",
        "on_bad_row",
        "long_texts",
        "window_overlap",
        "most_windows",
    ),
)
def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="Training file; then optionally a validation and a test file."),
    ],
    model: Annotated[
        str | None,
        typer.Option(help="Checkpoint: also count the texts that exceed its maximum length."),
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Maximum length in tokens. Default: the checkpoint's limit.")
    ] = None,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Check files of labelled text as `gluetune train` does, without training."""
    from gluetune.inference.file_checks import check_files

    settings = given_settings({**options, "model": model, "max_length": max_length})
    found = check_files(*files, **settings)
    if as_json:
        print_json(found)
    else:
        _print(Console(), found)
    if not found.are_good:
        raise typer.Exit(DataError.exit_code)
    if not as_json:
        Console().say(f"\nNext:\n  {_training(files, {**settings, **found.columns})}")


def _training(files: list[Path], given: dict[str, Any]) -> str:
    """Return the command that trains on the files as they were checked."""
    checked = TrainConfig.model_validate({"task": "checked", **given})
    settings: dict[str, Any] = dict(zip(FILE_SETTINGS, files, strict=False))
    for name in given:
        if (value := getattr(checked, name)) != TrainConfig.model_fields[name].default:
            settings[name] = value
    return command_line("train", **typed_settings(settings))


def _shown(text: str) -> str:
    return visible(from_here(text))


def _print(console: Console, found: CheckedFiles) -> None:
    from gluetune.data.own.reading import counted

    for finding in found.findings:
        console.say(f"wrong: {_shown(finding.message)}", "bold red")
        if finding.hint:
            console.say(f"       {visible(finding.hint)}", "dim")
    for name, kinds in found.left_out.items():
        if found.are_good:
            rows = ", ".join(counted(kind, count) for kind, count in kinds.items())
            text = f"left out of {_shown(name)}: {rows}"
            console.say(text, "yellow")
    for remark in found.remarks:
        console.say(f"note:  {_shown(remark)}", "yellow")
    if not found.are_good:
        return
    console.print(Text(found.title))
    console.print(Text(", ".join(f"{split} {count:,}" for split, count in found.rows.items())))
    if found.labels:
        console.print(_labels(found))


def _labels(found: CheckedFiles) -> Table:
    table = Table(title="Training examples by label", title_justify="left")
    for name in ("label", "examples", "share"):
        table.add_column(name, justify="left" if name == "label" else "right")
    total = found.rows["train"]
    for name, count in list(found.labels.items())[:_SHOWN]:
        table.add_row(Text(visible(name)), f"{count:,}", f"{count / total:.1%}")
    hidden = len(found.labels) - _SHOWN
    if hidden > 0:
        table.caption = f"and {hidden} more"
    return table
