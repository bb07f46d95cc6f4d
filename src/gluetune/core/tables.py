"""A table as a value: a title, columns with formats, rows of plain values, and notes.

Every result in rows and columns is a `Table`. How it looks is decided once for each surface:
`Console.show` (core/terminal.py) for the terminal, `to_markdown`, `to_html`, `to_dict` for JSON.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from gluetune.core.errors import ConfigurationError
from gluetune.core.text import markdown_text, visible_lines

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["text", "count", "number", "interval", "percent", "points", "tenths"]
"""How a column's values are written, on every surface alike:

- `text`: as they are;
- `count`: whole numbers, 12,345;
- `number`: four decimals; scores too, which are fractions from 0 to 1 wherever they are shown;
- `interval`: a `Between`, "0.1000 to 0.2000";
- `percent`: a share from 0 to 1, as 12.3%;
- `points`: a score times 100, one decimal;
- `tenths`: one decimal, as of seconds.
"""

MOST_ROWS_OF_A_PAGE = 50
"""Rows up to which a page shows all of a table that has a `Ranking`; of more, as many."""


@dataclass(frozen=True)
class Between:
    """An interval in a cell."""

    low: float
    high: float
    reliable: bool = True
    """An unreliable one is marked with an asterisk, which a note explains."""


Cell = str | int | float | Between | None


@dataclass(frozen=True)
class Column:
    """A column: its name, and how its values are written."""

    title: str
    format: Format = "text"
    key: str = ""
    """Name in records, JSON and pandas; made from the title unless given."""
    missing: str = ""
    """What is written for None."""
    align: Literal["", "left", "right"] = ""
    """Everything but text is on the right by default."""
    shorten: bool = False
    """Whether a terminal may cut values in the middle rather than wrap them: for names."""
    shade: Literal["", "heat", "bar"] = ""
    """On pages: `heat` colours a cell by its share of the row, `bar` draws a share as a bar."""

    @property
    def is_right(self) -> bool:
        """Whether values are aligned on the right."""
        return self.align == "right" or (not self.align and self.format != "text")

    @property
    def name(self) -> str:
        """The name in records."""
        return self.key or re.sub(r"\W+", "_", self.title.lower()).strip("_") or "name"

    def text(self, value: Cell) -> str:
        """Return a value as text."""
        if value is None:
            return self.missing
        if isinstance(value, str):
            return value
        if isinstance(value, Between):
            return f"{value.low:.4f} to {value.high:.4f}{'' if value.reliable else ' *'}"
        return _FORMATS[self.format](value)


_FORMATS: Mapping[Format, Callable[[float], str]] = {
    "text": str,
    "count": "{:,}".format,
    "number": "{:.4f}".format,
    "interval": str,
    "percent": "{:.1%}".format,
    "points": lambda value: f"{100 * value:.1f}",
    "tenths": "{:.1f}".format,
}


@dataclass(frozen=True)
class Ranking:
    """Which rows of a long table are shown where there is no room for all."""

    rule: str
    """What these rows have in common, for the title: "with the lowest F1"."""
    order: tuple[int, ...]
    """Row numbers, the most important first."""


@dataclass(frozen=True)
class Table:
    """A table. The first cell of a row names the row."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    name: str = ""
    """Key in a set of tables."""
    ranking: Ranking | None = None
    most: int | None = None
    """Maximum number of rows shown on any surface; records have all."""
    narrow: Table | None = None
    """What a terminal shows instead where this table does not fit its width."""
    bold: frozenset[int] = frozenset()
    """Rows that are emphasised."""

    @classmethod
    def of(
        cls,
        title: str,
        columns: Iterable[Column | str],
        rows: Iterable[Sequence[Cell]],
        *,
        notes: Iterable[str] = (),
        **more: Any,
    ) -> Table:
        """Return a table; a column that is a string is a column of text with that title."""
        heads = tuple(Column(one) if isinstance(one, str) else one for one in columns)
        return cls(title, heads, tuple(map(tuple, rows)), tuple(notes), **more)

    def texts(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [column.text(cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows
        ]

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as plain values by column; an interval as its `_low` and `_high`."""
        return [
            {
                name: value
                for one in zip(self.columns, row, strict=True)
                for name, value in _plain(*one)
            }
            for row in self.rows
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON has it."""
        return {"title": self.title, "rows": self.records(), "notes": list(self.notes)}

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a data frame. pandas comes with `datasets`."""
        import pandas as pd

        names = [name for column in self.columns for name, _ in _plain(column, None)]
        return pd.DataFrame(self.records(), columns=names)

    def excerpt(self, most: int | None = None) -> Table:
        """Return the table with the rows that are shown: where there are more than `most`, the
        first of its ranking."""
        count = len(self.rows)
        if self.ranking is not None and most is not None and count > most:
            chosen = self.ranking.order[:most]
            title = f"{self.title}, the {len(chosen)} {self.ranking.rule} of {count:,}"
            note = f"{count - len(chosen):,} more are in the JSON: --json, or --output FILE."
        elif self.most is not None and count > self.most:
            chosen, title = tuple(range(self.most)), self.title
            note = f"{count - self.most:,} more are in the JSON: --json."
        else:
            return self
        return dataclasses.replace(
            self,
            title=title,
            rows=tuple(self.rows[row] for row in chosen),
            notes=(*self.notes, note),
            ranking=None,
            most=None,
            bold=frozenset(n for n, row in enumerate(chosen) if row in self.bold),
        )

    def to_markdown(self) -> str:
        """Return the table as Markdown, without its title and notes; every value stays text."""
        shown = self.excerpt(MOST_ROWS_OF_A_PAGE)
        rule = ["---:" if column.is_right else "---" for column in shown.columns]
        lines = [[markdown_text(column.title) for column in shown.columns], rule]
        lines += [[markdown_text(" ".join(cell.split())) for cell in row] for row in shown.texts()]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)

    def to_html(self, of: str = "") -> str:
        """Return the table as HTML, its title as the caption; every value is escaped.

        `of` completes the title for screen readers where a page has several tables of one title.
        Of a table without rows only the notes are returned.
        """
        shown = self.excerpt(MOST_ROWS_OF_A_PAGE)
        notes = [f'<p class="soft"><bdi>{_html(note)}</bdi></p>' for note in shown.notes]
        if not self.rows:
            return "\n".join(notes)
        label = " ".join(part for part in (shown.title, of) if part)
        heads = [
            f'<th scope="col"{_class(column)}>{_html(column.title)}</th>'
            if column.title
            else "<td></td>"
            for column in shown.columns
        ]
        rows = [
            _html_row(shown.columns, row, texts)
            for row, texts in zip(shown.rows, shown.texts(), strict=True)
        ]
        return "\n".join(
            (
                f'<div class="box" role="region" tabindex="0" aria-label="{_html(label)}">',
                f"<table>\n<caption>{_html(shown.title)}</caption>",
                f"<thead><tr>{''.join(heads)}</tr></thead>",
                "<tbody>",
                *rows,
                "</tbody>\n</table>\n</div>",
                *notes,
            )
        )

    def _repr_html_(self) -> str:
        return self.to_html()


_LONGEST_FIELD = 500
"""Characters of a field that a notebook shows."""


class FieldsInHtml:
    """Base of results that a notebook shows as a table of their fields."""

    def _repr_html_(self) -> str:
        result: Any = self
        values = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
        rows = [
            (name.replace("_", " "), _field_text(value))
            for name, value in values.items()
            if value not in (None, "", (), {}, [])
        ]
        return Table.of(type(self).__name__, (Column(""), Column("value")), rows).to_html()


def _field_text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_field_text(each)}" for name, each in value.items())
    if isinstance(value, tuple | list):
        return "\n".join(map(_field_text, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    text = f"{value:,}" if type(value) is int else str(value)
    return text if len(text) <= _LONGEST_FIELD else f"{text[:_LONGEST_FIELD]}…"


def tables_html(tables: Iterable[Table]) -> str:
    """Return tables as a notebook shows them."""
    return "\n".join(table.to_html() for table in tables)


def to_frames(tables: Iterable[Table], name: str | None) -> Any:
    """Return tables as data frames by their names, or the one called `name`."""
    return chosen_frame({table.name: table.to_pandas() for table in tables if table.name}, name)


def chosen_frame(frames: dict[str, pd.DataFrame], name: str | None) -> Any:
    """Return all frames, or the one called `name`. Raises ConfigurationError where none is."""
    if name is None:
        return frames
    if name not in frames:
        raise ConfigurationError(
            f"There is no table '{name}'.", hint=f"Tables: {', '.join(frames)}."
        )
    return frames[name]


def plain(value: Any) -> Any:
    """Return a value as JSON has it: records and arrays as dicts and lists, no NaN."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, dict) or hasattr(value, "items"):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if value is None or isinstance(value, str | int) else str(value)


def _plain(column: Column, cell: Cell) -> list[tuple[str, Any]]:
    if column.format != "interval":
        return [(column.name, cell)]
    ends = (cell.low, cell.high) if isinstance(cell, Between) else (None, None)
    return [(f"{column.name}_low", ends[0]), (f"{column.name}_high", ends[1])]


def _html(text: str) -> str:
    return escape(visible_lines(text))


def _class(column: Column) -> str:
    return ' class="number"' if column.is_right else ""


_SHADE = "rgba(46, 125, 209, {:.2f})"
_DARKEST = 0.55
"""Opacity of a cell with the whole of its row: text stays readable on it, in both schemes."""


def _html_row(columns: Sequence[Column], row: Sequence[Cell], texts: Sequence[str]) -> str:
    first, *others = (f"<bdi>{_html(cell)}</bdi>" for cell in texts)
    heats = [
        cell
        for column, cell in zip(columns, row, strict=True)
        if column.shade == "heat" and isinstance(cell, int | float)
    ]
    cells = [
        f"<td{_class(column)}{_style(column, value, sum(heats))}>{cell}"
        f"{_share(column, value, sum(heats))}</td>"
        for column, value, cell in zip(columns[1:], row[1:], others, strict=True)
    ]
    return f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>'


def _style(column: Column, value: Cell, total: float) -> str:
    """Return how a shaded cell is coloured: in the cell itself, so that notebooks show it too."""
    if not column.shade or not isinstance(value, int | float):
        return ""
    if column.shade == "heat":
        share = value / total if total else 0.0
        return f' style="background: {_SHADE.format(_DARKEST * share)}"'
    colour, end = _SHADE.format(_DARKEST / 2), f"{100 * min(max(value, 0.0), 1.0):.0f}%"
    return f' style="background: linear-gradient(to right, {colour} {end}, transparent {end})"'


def _share(column: Column, value: Cell, total: float) -> str:
    if column.shade != "heat" or not isinstance(value, int | float) or not total:
        return ""
    return f" <small>{value / total:.0%}</small>"
