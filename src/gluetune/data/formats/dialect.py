"""How one file of delimited text is written, with everything decided."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

TAB = "\t"


@dataclass(frozen=True)
class Dialect:
    """Delimiter, quotes and header line of a file of delimited text."""

    delimiter: str = ","
    quoting: Literal["minimal", "single", "backslash", "none"] = "minimal"
    header: bool = True
    """Whether the first line names the columns."""
    columns: tuple[str, ...] | None = None
    """Names of the columns: of a file without a header line, or in place of those in it."""
    surplus: int = 0
    """Empty fields that every row has behind those of the header line."""
    row_names: bool = False
    """Whether every row begins with a number that the header line has no name for, as R writes."""
    joins_rows: bool = True
    """Whether a quote may join lines of which each would be a row by itself."""

    @property
    def unnamed(self) -> int:
        """Fields that a row has more than the header line."""
        return self.surplus + self.row_names

    @property
    def quote(self) -> str | None:
        """The character around fields."""
        return {"none": None, "single": "'"}.get(self.quoting, '"')

    @property
    def allows_inner_quotes(self) -> bool:
        """Whether a quote in the middle of a field is a character.

        Between tabs it can mean nothing else. In French or English text neither can an apostrophe.
        """
        return self.delimiter == TAB or self.quoting in ("none", "single")

    @cached_property
    def closing(self) -> re.Pattern[str]:
        """What stands between the opening quote, or the beginning of a line, and the closing one.

        The quantifiers are possessive: half of a doubled quote closes nothing.
        """
        quote = self.quote or '"'
        escaped = rf"\\.|{quote}{quote}" if self.quoting == "backslash" else quote * 2
        plain = rf"[^{quote}\\]*+" if self.quoting == "backslash" else rf"[^{quote}]*+"
        return re.compile(rf"({plain}(?:(?:{escaped}){plain})*+){quote}", re.DOTALL)

    @cached_property
    def unescaped(self) -> Callable[[str], str]:
        """What makes the text of a field from what stands between its quotes."""
        quote = self.quote or '"'
        if self.quoting == "backslash":
            return lambda text: re.sub(r'\\(["\\])|"(")', r"\1\2", text)
        return lambda text: text.replace(quote * 2, quote)


COMMAS = Dialect()
"""RFC 4180."""
TABS = Dialect(TAB)
