"""The tables of `--help`: names of options are never cut.

typer lets rich narrow every column of a table alike, and in 80 columns a long name ends in "…".
"""

from __future__ import annotations

from typing import Any

from gluetune.terminal import Table


class OptionsTable(Table):
    """A table whose columns keep their width, but for the last two: kinds of values, and help."""

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row, which makes the columns of a table without any."""
        super().add_row(*cells, **settings)
        for column in self.columns[:-2]:
            column.no_wrap = True


def keep_names_whole() -> None:
    """Have typer make its tables of options and arguments so."""
    from typer import rich_utils  # slow to import, and only help needs it

    vars(rich_utils)["Table"] = OptionsTable
