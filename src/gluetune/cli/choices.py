"""Options that take one of a few words."""

from __future__ import annotations

from typing import Any, get_args

from gluetune.errors import ConfigurationError


def one_of(word: str, choices: Any, option: str) -> Any:
    """Return `word` if the Literal `choices` has it. Raises ConfigurationError that lists them."""
    known = get_args(choices)
    if word not in known:
        raise ConfigurationError(
            f"{option} {word}: there is no such {option.removeprefix('--')}.",
            hint=f"Type one of: {', '.join(known)}.",
        )
    return word
