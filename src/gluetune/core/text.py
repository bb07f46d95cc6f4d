"""Text of unknown origin: made safe to look at, compared with other text, and names like a name."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path


def visible(text: str) -> str:
    """Return `text` with all that is invisible made visible, so that no text can drive a terminal.

    Controls get their pictures. What reorders a line, has no width, or is half of a character
    becomes U+FFFD. Joiners stay where they join: in emoji, and in scripts that need them.
    """
    return _JOINER.sub(_joined, text.translate(_PICTURES))


def visible_lines(text: str) -> str:
    """Return `text` as `visible` does, but for its line breaks: they stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


# Line openers (#, -, 1.) need no escape: no value is at the beginning of a line.
# Nor does an underscore inside a word.
_MARKUP = re.compile(r"[\\`*\[\]<>|~$&@]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=[wW]{3})\.")


def markdown_text(text: str) -> str:
    """Return Markdown that reads as `text`, in a paragraph or in a cell of a table."""
    return _MARKUP.sub(r"\\\g<0>", visible(text))


def from_here(text: str) -> str:
    """Return `text` with paths inside the working folder as one types them there."""
    here = re.escape(f"{Path.cwd()}/".replace("//", "/"))
    return text if here == "/" else re.sub(rf"(?<![\w./~-]){here}(?=[^\s/])", "", text)


def _joined(found: re.Match[str]) -> str:
    """Return a joiner where it has letters or signs on both sides that it can join."""
    text, place = found.string, found.start()
    sides = (text[place - 1 : place], text[place + 1 : place + 2])
    return found.group() if all(map(_can_join, sides)) else "\ufffd"


def _can_join(character: str) -> bool:
    """Return whether this belongs to a script without capitals beyond Hebrew's, or to an emoji."""
    if character < "\u0600":
        return False
    return unicodedata.category(character) in ("Lo", "Mc", "Mn", "So", "Sm", "Sk")


# U+2400 to U+2421 are the pictures of the ASCII control characters.
_PICTURES = {code: chr(0x2400 + code) for code in range(32)}
_PICTURES[0x7F] = "\u2421"
_WITHOUT_A_PICTURE = (
    (0x80, 0x9F),  # C1 controls
    (0xAD, 0xAD),  # soft hyphen
    (0x34F, 0x34F),  # combining grapheme joiner
    (0x61C, 0x61C),  # Arabic letter mark: it reorders, as do U+200E, U+200F and the next ranges
    (0x115F, 0x1160),  # Hangul fillers
    (0x180E, 0x180E),
    (0x200B, 0x200B),  # zero width space
    (0x200E, 0x200F),
    (0x2028, 0x202E),  # line and paragraph separators, embeddings and overrides
    (0x2060, 0x206F),  # word joiner, invisible operators, isolates
    (0x3164, 0x3164),
    (0xD800, 0xDFFF),  # halves of characters, as in file names that are not UTF-8
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF9, 0xFFFB),
    (0x13430, 0x1343F),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE007F),  # tags
)
for _first, _last in _WITHOUT_A_PICTURE:
    _PICTURES |= dict.fromkeys(range(_first, _last + 1), "\ufffd")
_JOINER = re.compile("[\u200c\u200d]")


def normalized(text: str) -> str:
    """Return what texts have in common that differ in case, spaces or Unicode's forms only.

    This alone decides which texts are the same, for every split and every remark: what one of them
    counts as a leak, the others keep together.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Twice: what casefold makes of a letter need not be in normal form.
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def first_few(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas between them: the first `most`, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def nearest(name: str, candidates: Iterable[str]) -> str:
    """Return "Did you mean 'x'? " for the candidate most like `name`, or nothing."""
    near = nearest_of(name, candidates)
    return f"Did you mean '{near}'? " if near is not None else ""


def nearest_of(name: str, candidates: Iterable[str], likeness: float = 0.6) -> str | None:
    """Return the candidate most like `name` in any case, None where none is like it."""
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=likeness)
    return by_lower[near[0]] if near else None
