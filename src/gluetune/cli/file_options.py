"""The options of every verb that reads a file of rows: how it is written."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gluetune.cli.options import metavar
from gluetune.config import FORMAT_SETTINGS, TrainConfig
from gluetune.config_checks import make_file_format
from gluetune.file_formats import FileFormat

_PANEL = "How the file is written"


def _option(name: str, flags: str) -> Any:
    field = TrainConfig.model_fields[name]
    return typer.Option(
        flags,
        help=field.description,
        metavar=None if name == "header" else metavar(name, field),
        rich_help_panel=_PANEL,
        show_default=False,
    )


FormatName = Annotated[str | None, _option("format", "--format")]
Delimiter = Annotated[str | None, _option("delimiter", "--delimiter")]
Quoting = Annotated[str | None, _option("quoting", "--quoting")]
Header = Annotated[bool | None, _option("header", "--header/--no-header")]
ColumnNames = Annotated[str | None, _option("columns", "--columns")]


def typed_format(*values: Any) -> FileFormat:
    """Return what was typed of these options, in the order of FORMAT_SETTINGS.

    Raises ConfigurationError that lists every mistake.
    """
    given = dict(zip(FORMAT_SETTINGS, values, strict=True))
    return make_file_format({name: value for name, value in given.items() if value is not None})
