"""`gluetune check`: what is wrong in files of labelled text, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gluetune.visible_text import visible

if TYPE_CHECKING:
    from gluetune.data.own.checking import CheckedFiles

_SHOWN = 30
"""Classes that are printed."""


def check(
    files: Annotated[
        list[Path],
        typer.Argument(help="The file to train on; then those to validate and to test on."),
    ],
    text: Annotated[str | None, typer.Option(help="Column of the text. Default: text.")] = None,
    text_pair: Annotated[str | None, typer.Option(help="Column of a second text.")] = None,
    label: Annotated[
        str | None, typer.Option(help="Column of the label, or one for each: a,b,c.")
    ] = None,
    kind: Annotated[str, typer.Option(help="auto, classes, number or labels.")] = "auto",
    label_separator: Annotated[
        str | None, typer.Option(help="What stands between the labels of one example.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column whose rows of one value are never split.")
    ] = None,
    on_bad_row: Annotated[
        str, typer.Option(help="A row that cannot be used: stop, or skip (counted).")
    ] = "stop",
    model: Annotated[
        str | None, typer.Option(help="Also count texts that are too long for this checkpoint.")
    ] = None,
    max_length: Annotated[
        int | None, typer.Option(help="Tokens that count as too long. Default: what it takes.")
    ] = None,
) -> None:
    """Check files of labelled text as `gluetune train` would, and train nothing."""
    from gluetune.evaluation.file_checks import check_files

    given: dict[str, Any] = {
        "text": text,
        "text_pair": text_pair,
        "label": label,
        "kind": kind,
        "label_separator": label_separator,
        "group": group,
        "on_bad_row": on_bad_row,
        "model": model,
        "max_length": max_length,
    }
    found = check_files(*files, **{name: one for name, one in given.items() if one is not None})
    _print(Console(), found)
    if not found.are_good:
        raise typer.Exit(2)


def _print(console: Console, found: CheckedFiles) -> None:
    for finding in found.findings:
        console.print(Text("wrong: ", "bold red").append(visible(finding.message), ""))
        if finding.hint:
            console.print(Text(f"       {finding.hint}", style="dim"), soft_wrap=True)
    for name, kinds in found.left_out.items():
        if found.are_good:
            counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
            console.print(Text(f"left out of {name}: {counted}", style="yellow"), soft_wrap=True)
    for remark in found.remarks:
        console.print(Text("note:  ", "yellow").append(visible(remark), ""), soft_wrap=True)
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
