"""What encoding a file that is not UTF-8 looks like, so that the message can say how to mend it."""

from __future__ import annotations

import codecs
import shlex
from itertools import pairwise
from pathlib import Path

_LOOKED_AT = 2**18
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_MANY = 0.3
"""Share of bytes that are zero in UTF-16 text of a European language: about a half."""
_UNUSED_IN_1252 = frozenset((0x81, 0x8D, 0x8F, 0x90, 0x9D))


def looks_like(path: Path) -> str:
    """Return a hint that names a likely encoding and the command that converts it; or nothing."""
    try:
        with path.open("rb") as file:
            head = file.read(_LOOKED_AT)
    except OSError:
        return ""
    name = _guess(head)
    if not name:
        return ""
    quoted = shlex.quote(str(path))
    target = shlex.quote(f"utf8-{path.name}")
    return f"It looks like {name}. Type: iconv -f {name} -t UTF-8 {quoted} > {target}"


def _guess(head: bytes) -> str:
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"PK")):
        return ""  # packed, or no text at all
    zeros = head.count(0)
    if head and zeros > _MANY * len(head):
        return "UTF-16LE" if head[1::2].count(0) * 2 > zeros else "UTF-16BE"
    high = {byte for byte in head if byte >= 0x80}
    if zeros or not high or _is_utf8(head):
        return ""
    for name in ("shift_jis", "gb18030", "euc_kr"):
        if _pairs(head) and _decodes(head, name):
            return name.upper()
    return "" if high & _UNUSED_IN_1252 else "WINDOWS-1252"


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _pairs(head: bytes) -> bool:
    """Whether bytes above 127 come in rows, as in East Asian text, and not one by one."""
    high = [byte >= 0x80 for byte in head]
    beside = sum(1 for one, two in pairwise(high) if one and two)
    return beside > 0.4 * sum(high)


def _decodes(head: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(head)
    except UnicodeDecodeError:
        return False
    return True
