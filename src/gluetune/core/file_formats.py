"""The format of a file of rows as a user states it; what is not stated is detected."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

FormatName = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "fasttext", "trec", "text"]
Quoting = Literal["auto", "minimal", "single", "backslash", "none"]

_DELIMITER_NAMES = {
    "tab": "\t",
    "\\t": "\t",
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "space": " ",
}


@dataclass(frozen=True)
class FileFormat:
    """How a file of rows is written, as far as it is stated. None, or `auto`, is detected.

    Attributes:
        format: csv, tsv, jsonl, json, parquet, arrow, fasttext, trec or text.
        delimiter: The character between the fields of CSV and TSV.
        quoting: minimal (double quotes, doubled inside), single (single quotes), backslash (double
            quotes, `\\"` inside), none (a quote is a character).
        header: Whether the first line names the columns. Default: it does, unless `columns` does.
        columns: Names of the columns, in their order.
    """

    format: FormatName | None = None
    delimiter: str | None = None
    quoting: Quoting = "auto"
    header: bool | None = None
    columns: tuple[str, ...] | None = None

    def over(self, below: FileFormat) -> FileFormat:
        """Return these settings, completed by those of `below`.

        A header that is stated here has names of its own: those of `below` are for files without
        one.
        """
        given = {
            name: getattr(self if getattr(self, name) != getattr(UNSTATED, name) else below, name)
            for name in (field.name for field in fields(self))
        }
        if self.header and self.columns is None:
            given["columns"] = None
        return FileFormat(**given)


UNSTATED = FileFormat()
"""Nothing is stated: all of it is detected."""


def delimiter_of(value: Any) -> Any:
    """Return the character that `tab`, `\\t`, `comma`, `semicolon`, `pipe`, `space` name."""
    if not isinstance(value, str):
        return value
    found = _DELIMITER_NAMES.get(value.lower(), value)
    if len(found) != 1 or found in "\"'\r\n":
        raise ValueError(f"one character is needed, or {', '.join(_DELIMITER_NAMES)}")
    return found


def delimiter_name(delimiter: str) -> str:
    """Return a delimiter as it is typed and printed: `tab` for a tab."""
    return {"\t": "tab", " ": "space"}.get(delimiter, delimiter)
