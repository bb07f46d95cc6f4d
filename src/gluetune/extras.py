"""What is installed only when asked for: `pip install 'gluetune[EXTRA]'`."""

from __future__ import annotations

import importlib.util

from gluetune.errors import ConfigurationError


def require_extra(extra: str, needed_for: str, *modules: str) -> None:
    """Raise ConfigurationError with the line to type, unless all `modules` are installed."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigurationError(
            f"{needed_for} needs {', '.join(absent)}, which {'are' if absent[1:] else 'is'} not "
            "installed.",
            hint=f"Type: pip install 'gluetune[{extra}]'",
        )
