"""When two texts, or two names, count as the same."""

from __future__ import annotations

import unicodedata


def normalized(text: str) -> str:
    """Return what texts have in common that differ in case, spaces or Unicode's forms only.

    This alone says which texts are the same: for every split and every remark. Whatever one of
    them counts as a leak, the others keep together.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    # Twice: what casefold makes of a letter need not be in normal form.
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
