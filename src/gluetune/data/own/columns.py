"""Detect the columns of text and label, and check that a file has the requested ones.

Columns are detected by usual names, else by the first rows: text is long and varied, labels are
short and repeated. Where it is unclear, no column is chosen. Where a column
is missing, or the first line names none, the finding says what to type.
"""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.core.command_lines import REST, options, typed
from gluetune.core.config import FileFormat, delimiter_name
from gluetune.core.errors import DataError, Finding
from gluetune.core.settings_files import join_names
from gluetune.core.text import nearest, nearest_of
from gluetune.data.formats.csv_file import CsvReader, Dialect
from gluetune.data.formats.format import (
    BadRow,
    Detected,
    Row,
    RowReader,
    is_compressed,
    repeated_columns,
)
from gluetune.data.formats.registry import encoding_hint, open_rows
from gluetune.data.own.cells import NUMBER, is_yes

FIRST_ROWS = 1000
"""How many of the first rows are inspected."""
_MOST_CHARACTERS = 2**22
"""Characters of these rows in memory."""
_PARTS = 8
_PART = 2**15
"""Bytes that are inspected in each further part of a file of lines."""
_FEWEST_ROWS = 10
"""Rows that are needed to detect columns by their values."""
_TEXT_NAMES = frozenset(
    (
        *("text", "sentence", "review", "comment", "message", "tweet", "body", "content"),
        *("document", "utterance", "query", "question", "sms", "post", "title", "headline"),
        *("description", "abstract", "article", "sentence1", "text1", "phrase"),
        *("commenttext", "reviewtext", "reviewbody", "tweettext", "fulltext"),
    )
)
"""Usual names of text columns; these and those below without spaces and underscores."""
_NAMES_OF_SHORT_TEXTS = frozenset(("title", "headline", "description", "abstract", "question"))
"""Text columns that may be less important than a longer text."""
_LABEL_NAMES = frozenset(
    (
        *("label", "labels", "sentiment", "category", "class", "target", "stars", "rating"),
        *("intent", "topic", "emotion", "polarity", "goldlabel", "tag", "tags", "categories"),
        *("emotions", "score", "verdict", "airlinesentiment", "overall", "starrating"),
    )
)
_PAIRS = (
    ("text", "textpair"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("texta", "textb"),
    ("sentencea", "sentenceb"),
    ("#1string", "#2string"),
    ("context", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("query", "passage"),
    ("query", "document"),
)
_TIME = re.compile(r"\d{1,2}:\d{2}")
_LETTERS = 0.6
"""Least share of letters in a text: dates, numbers and addresses have fewer."""
_EASTERN = "\u0e00"
"""The first character of scripts without spaces between words: Thai, Chinese, Japanese."""
_MOST_LABELS = 200
_WORDS_OF_A_SENTENCE = 5
_LONG = 60
"""Characters from which a cell with a space in it is not a name."""


@dataclass(frozen=True)
class FoundColumns:
    """The columns of text and label, as far as they are unambiguous."""

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None

    def settings(self) -> dict[str, str]:
        """Return them as settings."""
        found = {"text": self.text, "text_pair": self.text_pair, "label": self.label}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class FirstRows:
    """The first rows of a file, and the names of its columns."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, path: Path, detected: Detected) -> FirstRows:
        """Read the first rows of a file. Raises DataError."""
        with open_rows(path, detected.format, dialect=detected.dialect) as reader:
            names = reader.columns
        with open_rows(path, detected.format, wanted=names, dialect=detected.dialect) as reader:
            rows = list(_beginning(reader))
        if len(rows) == FIRST_ROWS and detected.dialect is not None:
            rows += _later_rows(path, detected.dialect, names)
        return cls(names, rows)

    def values(self, column: str) -> list[Any]:
        """Return the values of a column."""
        return [row.get(column) for row in self.rows]

    def is_yes_or_no(self, column: str) -> bool:
        """Whether a column is an indicator: a yes or a no for each row."""
        return all(is_yes(value) is not None for value in self.values(column))

    def holds_objects(self, column: str) -> bool:
        """Whether a column has objects as values."""
        return any(isinstance(value, dict) for value in self.values(column))


def _beginning(reader: RowReader) -> Iterator[Mapping[str, Any]]:
    """Yield the first rows, fewer where they are very long."""
    characters = 0
    for row in islice(reader, FIRST_ROWS):
        if isinstance(row, Row):
            yield row.values
            characters += sum(len(cell) for cell in row.values.values() if isinstance(cell, str))
        if characters > _MOST_CHARACTERS:
            return


def _later_rows(
    path: Path, dialect: Dialect, names: tuple[str, ...]
) -> Iterator[Mapping[str, Any]]:
    """Yield rows from the middle and the end of a file: it may be sorted by its labels."""
    if is_compressed(path):
        return
    plain = replace(dialect, header=False, columns=names, surplus=0, row_names=False)
    with path.open("rb") as file:
        size = file.seek(0, SEEK_END)
        for part in range(1, _PARTS):
            file.seek(size * part // _PARTS)
            file.readline(_PART)
            lines = file.read(_PART).rpartition(b"\n")[0]
            try:
                reader = CsvReader(io.BytesIO(lines), str(path), plain)
            except DataError:
                continue  # this part begins inside a field
            yield from (row.values for row in reader if isinstance(row, Row))


def find_columns(first: FirstRows) -> FoundColumns:
    """Return the columns that unambiguously hold text and label."""
    # A value inside an object is known by its own name: `body` for review.body.
    named = {name: _usual_form(name.rpartition(".")[2]) for name in first.columns}
    once = {
        name: low
        for name, low in named.items()
        if name.strip() and first.columns.count(name) == 1 and not first.holds_objects(name)
    }
    for pair in _PAIRS:
        found = [name for part in pair for name, low in once.items() if low == part]
        if len(found) == 2 and all(_may_be_text(first.values(name)) for name in found):
            return FoundColumns(found[0], found[1], _label(first, once, found))
    texts = {name: low for name, low in once.items() if _is_named_text(first, name)}
    text = _one_named(texts, _TEXT_NAMES, "text")
    is_ambiguous = text is None and len(texts) > 1
    if text is not None and once[text] in _NAMES_OF_SHORT_TEXTS:
        others = [name for name in once if name != text]
        is_ambiguous = _has_longer_text(first, others, text)
        text = None if is_ambiguous else text
    label = _label(first, once, [] if text is None else [text])
    if text is None and not is_ambiguous:
        text = _only(name for name in once if name != label and _is_text(first.values(name)))
    return FoundColumns(text, None, label)


def candidates(first: FirstRows) -> tuple[list[str], list[str]]:
    """Return the columns that may be the text, and those that may be the label."""
    once = [name for name in first.columns if name.strip() and first.columns.count(name) == 1]
    texts = [n for n in once if _is_text(first.values(n)) or _is_named_text(first, n)]
    others = [name for name in once if name not in texts]
    labels = [
        name
        for name in others
        if _is_label(first.values(name)) or _usual_form(name) in _LABEL_NAMES
    ]
    return texts, labels or [name for name in others if _recurs(first.values(name))]


def _recurs(values: Sequence[Any]) -> bool:
    """Whether values are short, and some of them are repeated."""
    cells = [str(value) for value in values if value is not None]
    return 1 < len(set(cells)) < len(cells) and sum(map(len, cells)) < 30 * len(cells)


def _is_named_text(first: FirstRows, name: str) -> bool:
    named = _usual_form(name.rpartition(".")[2]) in _TEXT_NAMES
    return named and _may_be_text(first.values(name))


def _usual_form(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _has_longer_text(first: FirstRows, others: Sequence[str], text: str) -> bool:
    length = sum(map(len, _texts(first.values(text))))
    return any(
        _is_text(values) and sum(map(len, _texts(values))) > 2 * length
        for values in map(first.values, others)
    )


def _label(first: FirstRows, columns: Mapping[str, str], texts: Sequence[str]) -> str | None:
    others = {name: low for name, low in columns.items() if name not in texts}
    named = _one_named(others, _LABEL_NAMES, "label")
    if named is not None or any(low in _LABEL_NAMES for low in others.values()):
        return named  # None where several have such names: the user has to choose
    return _only(name for name in others if _is_label(first.values(name)))


def _one_named(columns: Mapping[str, str], usual: Collection[str], preferred: str) -> str | None:
    found = [name for name, low in columns.items() if low in usual]
    plain = [name for name in found if columns[name] == preferred]
    return plain[0] if len(plain) == 1 else _only(found)


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None


def _texts(values: Sequence[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str) and value.strip()]


def _may_be_text(values: Sequence[Any]) -> bool:
    """Whether the values are text: a column called `sentence` may have numbers."""
    texts = _texts(values)
    return not values or (len(texts) > 0 and not all(NUMBER.fullmatch(text) for text in texts))


def _is_text(values: Sequence[Any]) -> bool:
    """Whether nearly all values are present, several words long, and different."""
    texts = _texts(values)
    if len(values) < _FEWEST_ROWS or len(texts) < 0.9 * len(values):
        return False
    words = sum(len(text.split()) for text in texts) / len(texts)
    marks = [mark for text in texts for mark in text if not mark.isspace()]
    letters = sum(mark.isalpha() for mark in marks) / len(marks)
    differ = len(set(texts)) / len(texts) > 0.5
    return differ and letters >= _LETTERS and (words >= 3 or _is_spaceless(texts))


def _is_spaceless(texts: Sequence[str]) -> bool:
    """Whether the texts are in a script without spaces between words."""
    found = sum(" " not in text and any(mark >= _EASTERN for mark in text) for text in texts)
    return found > 0.5 * len(texts) and sum(map(len, texts)) >= 6 * len(texts)


def _is_label(values: Sequence[Any]) -> bool:
    """Whether the values are a few short ones that recur."""
    cells = [str(value) for value in values if value is not None and str(value).strip()]
    if len(values) < _FEWEST_ROWS or len(cells) < 0.9 * len(values):
        return False
    if any(isinstance(value, list | dict) for value in values):
        return False
    if any(isinstance(value, float) and not value.is_integer() for value in values):
        return False
    if sum(_TIME.search(cell) is not None for cell in cells) > len(cells) / 2:
        return False
    long = sum(map(len, cells)) / len(cells)
    return 2 <= len(set(cells)) <= min(len(cells) / 3, _MOST_LABELS) and long < 30


# The first line ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class FirstLine:
    """Why the first line of a file looks like a row, and whether that is certain."""

    reason: str
    is_certain: bool


def row_in_place_of_names(first: FirstRows) -> FirstLine | None:
    """Return why the first line looks like a row; None where it may name the columns."""
    names = first.columns
    usual = {*_TEXT_NAMES, *_LABEL_NAMES, *(part for pair in _PAIRS for part in pair)}
    if not first.rows or any(_usual_form(name) in usual for name in names):
        return None
    numbers = [name for name in names if name.strip()]
    if numbers == [str(number) for number in range(len(numbers))]:
        return None  # pandas' default names; the first column may be its index
    for found in (_recurring(first), _number(first)):
        if found:
            return FirstLine(found, True)
    sentence = next((name for name in names if _is_sentence(name)), None)
    return FirstLine(f"'{sentence:.60}' is a sentence", False) if sentence is not None else None


def _recurring(first: FirstRows) -> str:
    """Return the reason where a name is also a value that recurs in its column, else ""."""
    for name in first.columns:
        if not name.strip() or first.columns.count(name) > 1:
            continue
        values = first.values(name)
        count = sum(value == name for value in values)
        if count > 1 and len(set(map(str, values))) <= max(2, len(values) / 2):
            return f"'{name:.60}' is also a value of {count:,} rows"
    return ""


def _number(first: FirstRows) -> str:
    """Return the reason where a name is a number like the values below it, next to a sentence."""
    if not any(map(_is_sentence, first.columns)):
        return ""
    for name in first.columns:
        if NUMBER.fullmatch(name.strip()) and first.columns.count(name) == 1:
            cells = _texts(first.values(name))
            if cells and all(NUMBER.fullmatch(cell.strip()) for cell in cells):
                return f"'{name}' is a number, as in the rows below it"
    return ""


def _is_sentence(name: str) -> bool:
    words = re.findall(r"\w+", name)
    return len(words) >= _WORDS_OF_A_SENTENCE or (len(name) >= _LONG and " " in name)


def names_to_give(first: FirstRows, text: str, label: str) -> tuple[str, ...]:
    """Return names for the columns of a file without a header line, by what they contain."""
    numbers = [str(number) for number in range(len(first.columns))]
    rows = [dict(zip(numbers, map(row.get, first.columns), strict=True)) for row in first.rows]
    found = find_columns(FirstRows(tuple(numbers), rows))
    given = {found.text: text, found.label: label}
    names = [given.get(number, f"column_{int(number) + 1}") for number in numbers]
    while len(names) > 1 and not first.columns[len(names) - 1].strip():
        if any(str(row[numbers[len(names) - 1]] or "").strip() for row in rows):
            break
        names.pop()  # an empty column at the end needs no name
    return tuple(names)


_MOST_OFFERED = 6
"""How many columns a hint offers where several may be meant."""

if TYPE_CHECKING:
    from gluetune.data.own.reading import Wanted


def column_findings(
    path: Path, detected: Detected, reader: RowReader, wanted: Wanted
) -> list[Finding]:
    """Return the findings about the columns of a file."""
    dialect = detected.dialect
    if dialect is not None and dialect.header and not wanted.file_format.header:
        first = FirstRows.of(path, detected)
        line = first_line_finding(path, first, wanted.all, wanted.texts[0], wanted.labels[0])
        if line is not None:
            return [line]
    missing = [name for name in wanted.all if name not in reader.columns]
    if missing and (stated := stated_wrongly(detected, reader, wanted.file_format)):
        return [stated]
    if missing and wanted.are_fixed:
        return [_fixed_columns_finding(path, detected, reader, wanted, missing)]
    if (joined := ",".join(wanted.labels)) in reader.columns and {*wanted.labels} <= {*missing}:
        name = shlex.quote(join_names([joined]))
        return [
            Finding(
                f"{reader.name} has one column '{joined}', but --label is read as "
                f"{len(wanted.labels)} names.",
                f"Type: --label {name}",
            )
        ]
    if missing and not reader.columns:
        return [_no_objects_finding(reader)]
    if missing and (guess := encoding_hint(path)):
        return [Finding(f"{path} is not all UTF-8.", guess)]
    repeated = repeated_columns(reader, wanted.all)
    return [*repeated, *_missing_findings(path, detected, reader, wanted, missing)]


def _no_objects_finding(reader: RowReader) -> Finding:
    """Return a finding for a file in which no row has names."""
    row = next(iter(reader), None)
    if not isinstance(row, BadRow):
        return Finding(f"{reader.name} has no usable rows.")
    return Finding(
        f"{reader.name}{reader.separator}{row.line} {row.problem}.",
        'A row is an object, such as {"text": "…", "label": "…"}.',
    )


def stated_wrongly(detected: Detected, reader: RowReader, stated: FileFormat) -> Finding | None:
    """Return a finding where columns are missing because of the stated format of the file."""
    if stated.format is not None and not reader.columns:
        return Finding(
            f"{reader.name} has no rows that can be read as --format {stated.format}.",
            "Leave --format out, or type the file's own.",
        )
    if stated.delimiter is None or detected.dialect is None or len(reader.columns) != 1:
        return None
    delimiter = delimiter_name(stated.delimiter)
    return Finding(
        f"{reader.name} has one column with --delimiter {shlex.quote(delimiter)}: "
        f"'{reader.columns[0]}'.",
        "Leave --delimiter out, or type the file's own.",
    )


def first_line_finding(
    path: Path, first: FirstRows, wanted: Sequence[str], text: str, label: str = "label"
) -> Finding | None:
    """Return a finding for a first line that looks like a row; `wanted` are names in use."""
    line = row_in_place_of_names(first)
    if line is None or (not line.is_certain and {*wanted} <= {*first.columns}):
        return None
    # A cell of the first line that was typed as a name is not a name for the column.
    text = text if text not in first.columns else "text"
    label = label if label not in first.columns else "label"
    names = join_names(names_to_give(first, text, label))
    return Finding(
        f"{path}: the first line looks like a row, not like column names: {line.reason}.",
        f"Type: {options(no_header=True, columns=names)}; or, if it names the columns: --header",
    )


def _fixed_columns_finding(
    path: Path, detected: Detected, reader: RowReader, wanted: Wanted, missing: Sequence[str]
) -> Finding:
    """Return a finding for a file without the columns that a run was trained on."""
    hint = "Rename them in the file"
    if detected.dialect is not None:  # only delimited text has names that can be typed
        names = _renamed(path, detected, reader.columns, wanted, missing)
        header = "--header" if detected.dialect.header else "--no-header"
        hint += ", or name all of its columns, in its order: " + typed(header, "--columns", names)
    lacks = " and no column ".join(f"'{name}'" for name in missing)
    return Finding(
        f"{reader.name} has no column {lacks}, on which the run was trained. "
        f"Its columns: {listed(reader.columns)}.",
        hint,
    )


def _renamed(
    path: Path,
    detected: Detected,
    columns: Sequence[str],
    wanted: Wanted,
    missing: Sequence[str],
) -> str:
    """Return names for --columns that rename a file's columns to those `wanted`, as typed."""
    found = find_columns(FirstRows.of(path, detected))
    likely = {wanted.texts[0]: found.text, wanted.labels[0]: found.label}
    new_names: dict[str, str] = {}
    for name in missing:
        old = nearest_of(name, columns) or likely.get(name)
        if old is None or old in wanted.all or old in new_names:
            return REST
        new_names[old] = name
    return join_names([new_names.get(column, column) for column in columns])


def _missing_findings(
    path: Path, detected: Detected, reader: RowReader, wanted: Wanted, missing: Sequence[str]
) -> Iterator[Finding]:
    if not missing:
        return
    first = FirstRows.of(path, detected)
    found = find_columns(first)
    plain = {"--text": found.text, "--label": found.label, "--group": None}
    for name in missing:
        flag = (
            "--text" if name in wanted.texts else "--label" if name in wanted.labels else "--group"
        )
        near = nearest_of(name, reader.columns)
        likely = plain[flag] if near is None and plain[flag] not in wanted.all else near
        if len(wanted.labels) > 1:
            typed = f"{flag} COLUMN"
        elif likely is None:
            typed = _offered(flag, first, wanted)
        elif flag == "--text" and likely == found.text and len(wanted.texts) == 1:
            pair = found.text_pair
            typed = _typed(flag, likely) + (f" {_typed('--text-pair', pair)}" if pair else "")
        else:
            typed = _typed(flag, likely)
        yield Finding(
            f"{reader.name} has no column '{name}'. Its columns: {listed(reader.columns)}.",
            f"{nearest(name, reader.columns)}Type: {typed}",
        )


def _offered(flag: str, first: FirstRows, wanted: Wanted) -> str:
    """Return what to type where several columns may be meant, or none could be detected."""
    texts, labels = candidates(first)
    may_be = {"--text": texts, "--label": labels}.get(flag, [])
    others = [name for name in may_be if name not in wanted.all][:_MOST_OFFERED]
    typed = ", or ".join(_typed(flag, name) for name in others) or f"{flag} COLUMN"
    if flag == "--label" and len(others) > 1 and all(map(first.is_yes_or_no, others)):
        joined = shlex.quote(join_names(others))
        typed += f"; or, for several labels an example: --label {joined}"
    return typed


def _typed(flag: str, column: str) -> str:
    return f"{flag} {shlex.quote(join_names([column]) if flag == '--label' else column)}"


def listed(columns: Sequence[str]) -> str:
    """Return column names for a message; those with a comma in quotes."""
    return ", ".join(f"'{name}'" if "," in name else name for name in columns) or "none"
