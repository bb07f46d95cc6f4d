"""Check that a file has the requested columns, and find what to type where it does not."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gluetune.core.command_lines import REST, options, typed
from gluetune.core.errors import Finding
from gluetune.core.file_formats import FileFormat, delimiter_name
from gluetune.core.settings_files import join_names
from gluetune.core.text import nearest, nearest_of
from gluetune.data.formats.detection import encoding_hint
from gluetune.data.formats.format import BadRow, Detected, RowReader, repeated_columns
from gluetune.data.own.columns import (
    FirstRows,
    candidates,
    find_columns,
    names_to_give,
    row_in_place_of_names,
)

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
