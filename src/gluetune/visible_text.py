"""Text of unknown origin, made safe to look at in a terminal or on a page."""

from __future__ import annotations

import re
from pathlib import Path


def visible(text: str) -> str:
    """Return `text` with control characters as pictures, so that no text can drive a terminal."""
    return text.translate(_PICTURES)


def visible_lines(text: str) -> str:
    """Return `text` as `visible` does, but for its line breaks: they stay."""
    return "\n".join(visible(line) for line in text.split("\n"))


def from_here(text: str) -> str:
    """Return `text` with paths inside the working folder as one types them there."""
    here = re.escape(f"{Path.cwd()}/".replace("//", "/"))
    return text if here == "/" else re.sub(rf"(?<![\w./~-]){here}(?=[^\s/])", "", text)


# U+2400 to U+2421 are the pictures of the ASCII control characters.
_PICTURES = {code: chr(0x2400 + code) for code in range(32)}
_PICTURES[0x7F] = "\u2421"
# C1 controls have no pictures; direction overrides would turn round the rest of the line.
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F)), "\ufffd")
