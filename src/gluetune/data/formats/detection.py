"""What a file of rows is: said by the user, by the end of its name, and by its content.

What is certain is taken, and noted where it is not what the name says.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from gluetune.core.errors import ConfigurationError, DataError
from gluetune.core.file_formats import UNSTATED, FileFormat, Format, delimiter_name
from gluetune.data.findings import nearest_file
from gluetune.data.formats.csv_file import CsvReader, separator_of
from gluetune.data.formats.dialect import TAB, Dialect
from gluetune.data.formats.files import format_of, named_format, unpacked
from gluetune.data.formats.plain_text import PREFIX, label_share
from gluetune.data.formats.rows import Row
from gluetune.data.formats.survey import Opening, Survey, best, compared, quotings, survey

_HEAD = 2**18
"""Bytes of the beginning that decide on the format and the delimiter."""
_DELIMITERS = (TAB, ";", "|", ",")
_FITS = 0.1
"""Share of rows that may be wrong in a dialect that is found by looking."""
_STAYS = 0.5
"""Share of rows that may be wrong in what the name says, before anything else is looked for."""
_EXCEL = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
_OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"
_LISTED = 8
_MOST_SURPLUS = 8
"""Empty fields behind those of the header line that every row may have."""
_DELIMITED = ("csv", "tsv")


@dataclass(frozen=True)
class Detected:
    """What a file is, with everything decided, and what is to be said of that."""

    format: Format
    dialect: Dialect | None = None
    """Of delimited text."""
    notes: tuple[str, ...] = ()


def detect(path: Path, stated: FileFormat, *, labelled: bool = True) -> Detected:
    """Return what a file is. Not `labelled`: lines of a `.txt` are texts whatever is in them.

    Raises DataError for a folder, a workbook, an archive, or a file that cannot be read or holds
    no labels; ConfigurationError where neither the name, the content nor the user says what it is.
    """
    if path.is_dir():
        raise _folder_error(path)
    head = _head(path)
    _refuse_archive(path, head)
    _refuse_carriage_returns(path, head)
    kind, notes = _format(path, head, stated, labelled=labelled)
    if kind in _DELIMITED:
        dialect, more = _dialect(path, head, kind, stated)
        if stated.format is None and named_format(path) not in _DELIMITED:
            kind = "tsv" if dialect.delimiter == TAB else "csv"
        return Detected(kind, dialect, (*notes, *more))
    _refuse_delimited_settings(path, kind, stated)
    return Detected(kind, None, notes)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as raw, unpacked(raw, path) as file:
            return file.read(_HEAD)
    except FileNotFoundError as error:
        unknown = named_format(path) is None
        more = ", and its name does not say what it holds" if unknown else ""
        raise DataError(
            f"{path} cannot be read: {error.strerror}{more}.", hint=nearest_file(path)
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}.", hint=nearest_file(path)
        ) from error


def _folder_error(path: Path) -> DataError:
    files = sorted(each for each in path.iterdir() if each.is_file())
    files.sort(key=lambda each: named_format(each) is None)
    names = [each.name for each in files]
    if not names:
        return DataError(f"{path} is a folder, and no file is in it.", hint="Give a file.")
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return DataError(
        f"{path} is a folder. Its files: {', '.join(names[:_LISTED])}{more}.",
        hint=f"Give one of them: {path / names[0]}",
    )


def _refuse_archive(path: Path, head: bytes) -> None:
    is_archive = head.startswith(b"PK\x03\x04")
    if head.startswith(_OLD_WORKBOOK) or (is_archive and path.suffix.lower() in _EXCEL):
        raise DataError(
            f"{path} is an Excel workbook.",
            hint="Save it as CSV UTF-8 (in Excel: File, Save As, CSV UTF-8), and give that file.",
        )
    if is_archive:
        raise DataError(
            f"{path} is a ZIP archive or an Excel workbook.",
            hint="Unpack it and give a file of it; save a workbook as CSV UTF-8.",
        )


def _refuse_carriage_returns(path: Path, head: bytes) -> None:
    is_table = named_format(path) in (None, "text", *_DELIMITED)
    if not is_table or b"\r" not in head or any(mark in head for mark in (b"\n", b"\0")):
        return
    if named_format(path) is None and head.lstrip()[:1] in b"[{":
        return
    source, target = shlex.quote(str(path)), shlex.quote(f"lines-{path.name}")
    raise DataError(
        f"{path} is one line: carriage returns alone end what may be lines.",
        hint=f"Type: tr '\\r' '\\n' < {source} > {target}",
    )


def _format(
    path: Path, head: bytes, stated: FileFormat, *, labelled: bool
) -> tuple[Format, tuple[str, ...]]:
    """Return the format of a file, and what is to be said of it."""
    if stated.format is not None:
        return format_of(path, stated.format), ()
    named = named_format(path)
    if named == "text" and not labelled and not _is_table_stated(stated):
        return named, ()
    found = _by_content(path, head, stated, named)
    if found is None:
        if named is None:
            return format_of(path), ()  # which raises
        raise _no_labels_error(path)
    if found in (named, "csv", "tsv"):
        return found, ()
    return found, (f"{path} is read as {_NAMES[found]}.",)


_NAMES = {
    "jsonl": "JSON lines: one object a line",
    "json": "JSON: a list of objects",
    "parquet": "Parquet, which it is by its content",
    "arrow": "Arrow, which it is by its content",
    "fasttext": f"fastText's format: a line's label begins with {PREFIX}",
    "trec": "TREC's format: the first word of a line is its label",
}


def _by_content(path: Path, head: bytes, stated: FileFormat, named: Format | None) -> Format | None:
    """Return what a file is by its content, as far as its name leaves that open."""
    if named in (None, *_DELIMITED):
        magic: dict[bytes, Format] = {b"PAR1": "parquet", b"ARROW1": "arrow"}
        if found := next((kind for mark, kind in magic.items() if head.startswith(mark)), None):
            return found
    if named in ("json", "jsonl"):
        return _json_format(head) or named
    if named not in (None, "text"):
        return named
    if _is_table_stated(stated):
        return "csv"
    return _lines_format(path, head)


def _is_table_stated(stated: FileFormat) -> bool:
    return stated != FileFormat(stated.format)


def _json_format(head: bytes) -> Format | None:
    """Return whether JSON is a list of objects or an object a line; None where that is open."""
    text = head.decode("utf-8-sig", "replace").lstrip()
    if re.match(r"\[\s*[{\]]", text):
        return "json"
    if not text.startswith("{"):
        return None
    first, _, rest = text.partition("\n")
    try:
        whole = isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        whole = False
    return "jsonl" if whole and rest.lstrip().startswith("{") else None


def _lines_format(path: Path, head: bytes) -> Format | None:
    """Return what lines are whose file's name does not say it."""
    text = _as_text(head)
    if label_share(text, PREFIX) > 1 - _FITS:
        return "fasttext"
    if found := _json_format(head):
        return found
    if _table(head) is not None:
        return "csv"
    if path.suffix.lower() == ".label" and label_share(text) > 1 - _FITS:
        return "trec"
    return None


def _no_labels_error(path: Path) -> DataError:
    return DataError(
        f"{path} holds plain lines of text, without labels.",
        hint="Labelled text has columns: CSV, TSV (a tab between text and label), JSON lines, … "
        "If it has, type what is between them: --delimiter CHARACTER",
    )


def stated_dialect(kind: Format, stated: FileFormat) -> Dialect:
    """Return the dialect of text that cannot be looked at: what is said, and else CSV or TSV.

    A quote in TSV then joins no lines that are rows by themselves.
    """
    delimiter = stated.delimiter or (TAB if kind == "tsv" else ",")
    quoting = "minimal" if stated.quoting == "auto" else stated.quoting
    return Dialect(
        delimiter,
        quoting,
        header=stated.header if stated.header is not None else stated.columns is None,
        columns=stated.columns,
        joins_rows=stated.quoting != "auto" or delimiter != TAB,
    )


def _refuse_delimited_settings(path: Path, kind: Format, stated: FileFormat) -> None:
    given = [
        name
        for name in ("delimiter", "quoting", "header", "columns")
        if getattr(stated, name) != getattr(UNSTATED, name)
    ]
    if given:
        flags = ", ".join(f"--{name}" for name in given)
        raise ConfigurationError(
            f"{path} is {kind.upper() if len(kind) < 6 else kind}, and {flags} is for delimited "
            "text (CSV, TSV).",
            hint="Leave it out; or if the file is delimited text, type: --format csv",
        )


# Delimited text ----------------------------------------------------------------------------------


def _as_text(head: bytes) -> str:
    """Return whole lines of the beginning, whatever their encoding is."""
    if len(head) == _HEAD:
        head = head[: head.rfind(b"\n") + 1] or head
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError:
        return head.decode("latin-1")


def _opening_of(head: bytes) -> Opening:
    plain = _as_text(head).encode()

    @contextmanager
    def opening() -> Iterator[BinaryIO]:
        yield io.BytesIO(plain)

    return opening


def _survey(opening: Opening, dialect: Dialect) -> Survey:
    with opening() as file:
        return survey(file, dialect)


def _fitting(opening: Opening, dialect: Dialect) -> Survey:
    """Return the survey of the quoting that fits best, and of a field more if every row has it."""
    found = best(compared(_survey(opening, each) for each in quotings(opening, dialect)))
    if not dialect.header or found.rows or found.begins_wrong:
        return found
    for count in range(1, _MOST_SURPLUS + 1):
        longer = replace(found.dialect, surplus=count)
        again = _survey(opening, longer)
        if again.rows and not again.faults and _surplus_is_empty(opening, longer, count):
            return again
    named = _survey(opening, replace(found.dialect, row_names=True))
    if named.rows and not named.faults and _begin_with_numbers(opening, named.dialect):
        return named
    return found


def _begin_with_numbers(opening: Opening, dialect: Dialect) -> bool:
    """Whether every row begins with a whole number of its own."""
    with opening() as file:
        numbers = [
            next(iter(row.values.values()))
            for row in CsvReader(file, "", replace(_body(file, dialect), columns=None))
            if isinstance(row, Row)
        ]
    are_whole = all(number.isascii() and number.isdigit() for number in numbers)
    return are_whole and len({*numbers}) == len(numbers)


def _body(file: BinaryIO, dialect: Dialect) -> Dialect:
    """Step over the header line, and return the dialect of what is behind it."""
    if dialect.header and separator_of(file.readline().decode().rstrip("\n")) is not None:
        file.readline()
    return replace(dialect, header=False, columns=None, surplus=0, row_names=False)


def _surplus_is_empty(opening: Opening, dialect: Dialect, count: int) -> bool:
    with opening() as file:
        reader = CsvReader(file, "", replace(dialect, columns=None))
        width = len(reader.columns)
    with opening() as file:
        numbered = _body(file, dialect)
        rows = [row for row in CsvReader(file, "", numbered) if isinstance(row, Row)]
    cells = [list(row.values.values()) for row in rows]
    return all(len(row) == width and not any(row[-count:]) for row in cells)


def _table(head: bytes) -> Survey | None:
    """Return the dialect of a table by its beginning, None where it is none."""
    opening = _opening_of(head)
    delimiters = (*_DELIMITERS, " ") if _are_quoted_lines(head) else _DELIMITERS
    found = [_fitting(opening, Dialect(each)) for each in delimiters]
    tables = [one for one in found if one.width > 1 and one.rows and one.share <= _FITS]
    # A comma stands in texts too: it divides columns where every line has as many.
    tables = [one for one in tables if one.dialect.delimiter != "," or not one.faults]
    return min(tables, key=lambda one: one.share) if tables else None


def _are_quoted_lines(head: bytes) -> bool:
    """Whether lines are quoted fields with spaces between them, as R's write.table has them."""
    lines = [line for line in _as_text(head).splitlines() if line.strip()]
    return bool(lines) and all(line.startswith('"') and '" ' in line for line in lines)


def _dialect(
    path: Path, head: bytes, kind: Format, stated: FileFormat
) -> tuple[Dialect, tuple[str, ...]]:
    """Return the dialect of a file, and what is to be said of it."""
    named = kind if stated.format is not None else named_format(path)
    own = TAB if named == "tsv" else ","
    has_header = stated.header if stated.header is not None else stated.columns is None
    opening = _opening_of(head)
    given = stated.delimiter or separator_of(_as_text(head).partition("\n")[0])
    plain = Dialect(given or own, header=has_header)
    notes: tuple[str, ...] = ()
    found = _fitting(opening, plain)
    if given is None:
        stays = named in _DELIMITED and found.width > 1 and found.share <= _STAYS
        found = found if stays else _table(head) or found
        if named not in _DELIMITED or found.dialect.delimiter != own:
            name = delimiter_name(found.dialect.delimiter)
            notes = (f"{path} is read with '{name}' between its columns.",)
    dialect = replace(
        plain,
        delimiter=found.dialect.delimiter,
        surplus=found.dialect.surplus,
        row_names=found.dialect.row_names,
    )
    quoted, more = _quoting(path, dialect, stated)
    dialect = _named(path, opening, quoted, stated)
    if dialect.surplus:
        fields = "an empty field" if dialect.surplus == 1 else f"{dialect.surplus} empty fields"
        notes = (*notes, f"{path}: every row ends in {fields} without a name, left out.")
    if dialect.row_names:
        notes = (*notes, f"{path}: every row begins with a number without a name, left out.")
    return dialect, (*notes, *more)


def _named(path: Path, opening: Opening, dialect: Dialect, stated: FileFormat) -> Dialect:
    """Return the dialect with the names that are given; fields behind them must be empty."""
    if stated.columns is None:
        return dialect
    with opening() as file:
        width = len(CsvReader(file, str(path), replace(dialect, surplus=0)).columns)
    count = width - len(stated.columns)
    plain = replace(dialect, surplus=0)
    surplus = count if count > 0 and _surplus_is_empty(opening, plain, count) else dialect.surplus
    return replace(dialect, columns=stated.columns, surplus=surplus)


def _quoting(path: Path, dialect: Dialect, stated: FileFormat) -> tuple[Dialect, tuple[str, ...]]:
    """Decide by the whole file what its quotes mean, unless the user says it."""
    if stated.quoting != "auto":
        return replace(dialect, quoting=stated.quoting), ()

    @contextmanager
    def opening() -> Iterator[BinaryIO]:
        with path.open("rb") as raw, unpacked(raw, path) as file:
            yield file

    candidates = list(quotings(opening, dialect))
    if len(candidates) == 1:
        return replace(candidates[0], joins_rows=dialect.delimiter != TAB), ()
    surveys = compared(_survey(opening, each) for each in candidates)
    chosen = best(surveys)
    note = _quoting_note(path, chosen, surveys)
    if chosen.dialect.quoting == "minimal":
        return replace(chosen.dialect, joins_rows=dialect.delimiter != TAB), note
    return chosen.dialect, note


def _quoting_note(path: Path, chosen: Survey, surveys: list[Survey]) -> tuple[str, ...]:
    quoting, first = chosen.dialect.quoting, surveys[0]
    if quoting == "minimal":
        could_be_plain = any(one.dialect.quoting == "none" for one in surveys)
        kept = f"{path}: quotes around fields are no part of them. To keep them: --quoting none"
        return (kept,) if could_be_plain else ()
    read = {
        "none": "quotes are read as plain characters",
        "single": "single quotes are read as those around fields",
        "backslash": "a quote after a backslash is read as a plain character",
    }[quoting]
    if first.dialect.quoting != "minimal":
        return (f"{path}: {read}.",)
    rows = "1 row does" if first.faults == 1 else f"{first.faults:,} rows do"
    wrong = f"{rows} not fit quoted fields, first {path}:{first.first}"
    if first.begins_wrong:
        wrong = "the first line does not fit quoted fields"
    return (f"{path}: {read}, since {wrong}. For quoted fields: --quoting minimal",)
