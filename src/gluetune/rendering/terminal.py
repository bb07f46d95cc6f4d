"""Evaluations, comparisons and whatever else has tables, printed in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rich.text import Text

from gluetune.core.tables import Table
from gluetune.core.terminal import Console


class Tabulated(Protocol):
    """A result that is shown as tables, with notes and warnings."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the result doubtful."""

    def tables(self) -> Iterable[Table]:
        """Return the tables, the main one first."""


def show(console: Console, result: Tabulated) -> None:
    """Print a result: its main table, notes and warnings, then the other tables."""
    main, *others = result.tables()
    console.show(main)
    for note in result.notes:
        console.print(Text(note), soft_wrap=True)
    for warning in result.warnings:
        console.print(Text(warning, style="yellow"), soft_wrap=True)
    for table in others:
        console.show(table)
