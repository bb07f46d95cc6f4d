"""Console output, in which text stays text.

Names of tasks, labels, metrics and files come from users and data. So no string is markup here:
`[b]` is printed as it is, and a control character is made visible. Style comes from rich's `Text`
alone. Nothing else in the package makes a console or a table of rich.
"""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import IO, Any, ClassVar, Literal, Protocol, cast

import rich.console
import rich.table
from rich.cells import cell_len
from rich.console import ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Span, Text

from gluetune.core import tables
from gluetune.core.text import visible, visible_lines

_LOOK_ALIKES = {
    "\u2026": "...",
    "\u2013": "-",
    "\u2014": "-",
    "\u2018": "'",
    "\u2019": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u00a0": " ",
    "\u00b1": "+-",
    "\u00b7": "-",
    "\u00d7": "x",
    "\u2192": "->",
    "\u2588": "#",
    "\ufffd": "?",
}
"""What the package's own messages and rich's cuts hold beyond ASCII, in ASCII."""
_MOST_GROWTH = 8
"""Cells by which a text may grow in another encoding in a column that is not wrapped."""
_ERRORS = "gluetune.readable"
_MANY_ROWS = 40
"""Rows up to which a terminal shows all of a table that has a ranking."""
_ROWS_OF_MANY = 20
_LONG_HEAD = 8
"""Cells of the head of a column of numbers that are kept on one line where room is scarce."""
_SHORTEST_NAME = 8
_FOLDED = 14
"""Cells that each column of text needs before heads of numbers are broken to give it room."""
_WIDEST_WHOLE = 24
"""Cells up to which the names of rows and the heads of numbers are never wrapped."""


class Tabulated(Protocol):
    """A result that is shown as tables, with notes and warnings."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the result unreliable."""

    def tables(self) -> Iterable[tables.Table]:
        """Return the tables, the main one first."""


class Console(rich.console.Console):
    """rich's console, for which a string is text: no markup, no emoji codes, no control codes."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print, in place of the line that a verb waits with."""
        stop_waiting()
        super().print(*objects, **how)

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None, **more: Any) -> None:
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(stderr=stderr, file=file, **{**plain, **more})

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render; what a text holds is made visible here at the latest."""
        if isinstance(renderable, Text):
            renderable = _encodable(_made_visible(renderable), self.encoding)
        return super().render(renderable, options)

    def say(self, text: str, style: str = "") -> None:
        """Print a text without wrapping it: a command or a path stays whole."""
        self.print(Text(text, style), soft_wrap=True)

    def show_result(self, result: Tabulated) -> None:
        """Print a result: its main table, notes and warnings, then the other tables."""
        main, *others = result.tables()
        self.show(main)
        for note in result.notes:
            self.say(note)
        for warning in result.warnings:
            self.say(warning, "yellow")
        for table in others:
            self.show(table)

    def show(self, table: tables.Table) -> None:
        """Print a table value in the console's width, and its notes under it."""
        shown = fitted(table, self.width)
        if shown.rows:
            self.print(Text(shown.title, "table.title"))
            self.print(_rich(shown, self.width))
        for note in shown.notes:
            self.say(note)


class Table(rich.table.Table):
    """rich's table, for which the strings of title, head, cells and caption are text too."""

    @classmethod
    def grid(cls, *headers: Any, **named: Any) -> Table:
        """Return a table without lines, head and title."""
        return cast(Table, super().grid(*headers, **named))

    def add_column(self, header: RenderableType = "", *rest: Any, **named: Any) -> None:
        """Add a column."""
        super().add_column(_plain(header), *rest, **named)

    def add_row(self, *cells: RenderableType | None, **named: Any) -> None:
        """Add a row."""
        super().add_row(*(None if cell is None else _plain(cell) for cell in cells), **named)

    def __rich_console__(
        self, console: rich.console.Console, options: ConsoleOptions
    ) -> RenderResult:
        if isinstance(self.title, str):
            self.title = Text(visible_lines(self.title), "table.title")
        if isinstance(self.caption, str):
            self.caption = Text(visible_lines(self.caption), "table.caption")
        self._make_encodable(console.encoding)
        yield from super().__rich_console__(console, options)

    def _make_encodable(self, encoding: str) -> None:
        """Replace what an encoding does not have before columns are measured: they stay columns."""
        for column in self.columns:
            before = [column.header, *column._cells]
            column.header, *column._cells = (_encodable(one, encoding) for one in before)
            pairs = zip(before, [column.header, *column._cells], strict=True)
            if any(_growth(one, other) > _MOST_GROWTH for one, other in pairs):
                column.no_wrap = False  # else it would take the room of all others
                column.overflow = "fold"


Verbosity = Literal["quiet", "normal", "verbose"]


class _State:
    """What the verb that runs has been given, and whether it waits."""

    verbosity: ClassVar[Verbosity] = "normal"
    is_waiting: ClassVar[bool] = False


def set_verbosity(verbosity: Verbosity) -> None:
    """Set how much is printed besides results."""
    _State.verbosity = verbosity


def is_quiet() -> bool:
    """Whether only results, warnings and errors are printed."""
    return _State.verbosity == "quiet"


def is_verbose() -> bool:
    """Whether the libraries' logs and tracebacks are printed too."""
    return _State.verbosity == "verbose"


def progress_console() -> Console:
    """Return a console on standard error for progress, which `--quiet` silences."""
    return Console(stderr=True, quiet=is_quiet())


def start_waiting(text: str) -> None:
    """Show a line on a terminal until something is printed: what is loaded takes seconds."""
    console = progress_console()
    if console.is_terminal and not console.quiet:
        console.print(Text(text, "dim"), end="")
        console.file.flush()
        _State.is_waiting = True


def stop_waiting() -> None:
    """Erase the line of `start_waiting`, if it is there."""
    if _State.is_waiting:
        _State.is_waiting = False
        sys.stderr.write("\r\x1b[2K")
        sys.stderr.flush()


def print_json(value: Any) -> None:
    """Print a result as JSON on standard output."""
    print_line(json_text(tables.plain(value), indent=2))


def print_line(text: str) -> None:
    """Print a line for programs on standard output, unchanged and without waiting."""
    stop_waiting()
    print(text, flush=True)


def tolerate_encodings() -> None:
    """Let standard output and error print any text, whatever their encoding has.

    What it does not have is printed in ASCII that looks alike, or as an escape.
    """
    codecs.register_error(_ERRORS, _readable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a stream that replaces them may have no encoding
            stream.reconfigure(errors=_ERRORS)


def json_text(value: Any, *, indent: int | None = None, default: Any = None) -> str:
    """Return JSON for standard output, in ASCII where its encoding has no more: escapes of JSON's
    own, since others would break it."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    is_unicode = encoding.startswith("utf")
    return json.dumps(value, indent=indent, default=default, ensure_ascii=not is_unicode)


def fitted(table: tables.Table, width: int) -> tables.Table:
    """Return what a terminal of `width` columns shows: a narrower table, or fewer rows."""
    if table.narrow is not None and sum(_widths(table)) + _frame(table) > width:
        return fitted(table.narrow, width)
    return table.excerpt(_ROWS_OF_MANY if len(table.rows) > _MANY_ROWS else None)


def _rich(table: tables.Table, width: int) -> Table:
    """Return rich's table: numbers whole, names cut in the middle, and text wrapped to fit."""
    widths, columns = _widths(table), table.columns
    heads = [column.title for column in columns]
    folded = [place for place, column in enumerate(columns) if place and not column.is_right]
    needed = sum(wide for place, wide in enumerate(widths) if place not in folded)
    if needed + _FOLDED * len(folded) + _frame(table) > width:
        heads = [_broken(column) for column in columns]
        widths = _widths(table, heads)
    names = [column.shorten for column in columns]
    room = width - _frame(table) - sum(w for w, name in zip(widths, names, strict=True) if not name)
    longest = max(_SHORTEST_NAME, room // max(1, sum(names)))
    shown = Table()
    for place, (head, column) in enumerate(zip(heads, columns, strict=True)):
        is_whole = (
            column.shorten
            or (place == 0 and widths[0] <= _WIDEST_WHOLE)
            or (column.is_right and max(map(cell_len, head.split("\n"))) <= _WIDEST_WHOLE)
        )
        shown.add_column(
            Text(visible_lines(head), overflow="fold"),
            justify="right" if column.is_right else "left",
            no_wrap=is_whole,
            overflow="fold",
            min_width=6 if column.format == "number" else None,
        )
    for number, row in enumerate(table.texts()):
        cells = [
            Text(_shortened(cell, longest) if is_name else visible_lines(cell))
            for cell, is_name in zip(row, names, strict=True)
        ]
        shown.add_row(*cells, style="bold" if number in table.bold else None)
    return shown


def _frame(table: tables.Table) -> int:
    """Return the cells that lines and padding take."""
    return 3 * len(table.columns) + 1


def _widths(table: tables.Table, heads: Sequence[str] | None = None) -> list[int]:
    """Return the natural width of each column."""
    heads = heads or [column.title for column in table.columns]
    rows = [heads, *table.texts()]
    return [max(_cells(row[place]) for row in rows) for place in range(len(heads))]


def _cells(text: str) -> int:
    return max(cell_len(visible(line)) for line in text.split("\n"))


def _broken(column: tables.Column) -> str:
    """Return the head of a column of numbers on two lines where it is long."""
    head = column.title
    if not column.is_right or cell_len(head) <= _LONG_HEAD:
        return head
    for sign, cut in ((" of ", " of\n"), ("_", "_\n"), (" ", "\n")):
        if sign in head:
            return head.replace(sign, cut, 1)
    return head


def _shortened(name: str, cells: int) -> str:
    """Return a name in at most so many columns of a terminal, both of its ends kept."""
    seen = visible(name)
    if cell_len(seen) <= cells:
        return seen
    kept = len(seen)
    while kept and cell_len(_ends(seen, kept)) > cells:
        kept -= 1
    return _ends(seen, kept)


def _ends(text: str, kept: int) -> str:
    """Return `kept` characters of a text, from both ends."""
    return f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"


def _plain(cell: RenderableType) -> RenderableType:
    if isinstance(cell, str):
        return Text(visible_lines(cell))
    return _made_visible(cell) if isinstance(cell, Text) else cell


def _made_visible(text: Text) -> Text:
    """Return the text with control characters replaced, one by one: styles keep their places."""
    seen = visible_lines(text.plain)
    if seen == text.plain:
        return text
    copy = text.copy()
    copy.plain = seen
    return copy


def _encodable(shown: RenderableType, encoding: str) -> RenderableType:
    """Return a text with look-alikes or escapes for what an encoding does not have."""
    if not isinstance(shown, Text):
        return shown
    try:
        shown.plain.encode(encoding)
    except UnicodeEncodeError:
        return _replaced(shown, [_in_encoding(each, encoding) for each in shown.plain])
    return shown


def _growth(before: RenderableType, after: RenderableType) -> int:
    if not isinstance(before, Text) or not isinstance(after, Text):
        return 0
    return after.cell_len - before.cell_len


def _replaced(text: Text, characters: Sequence[str]) -> Text:
    """Return a text with each character replaced by one or more: styles keep their places."""
    starts = list(accumulate(map(len, characters), initial=0))
    copy = text.blank_copy("".join(characters))
    copy.spans = [Span(starts[one.start], starts[one.end], one.style) for one in text.spans]
    return copy


def _in_encoding(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return _LOOK_ALIKES.get(character, _escaped(character))
    return character


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    look_alike = "".join(_LOOK_ALIKES.get(each, _escaped(each)) for each in part)
    return look_alike, error.end


def _escaped(character: str) -> str:
    return character.encode("ascii", "backslashreplace").decode()
