"""The API key: read from a file, since an argument is seen by everybody on the machine."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from gluetune.errors import ConfigurationError

_MOST_BYTES = 10_000
_MAKE_ONE = 'Type: (umask 077; python -c "import secrets; print(secrets.token_urlsafe())")'


def read_key(file: Path) -> tuple[str, str]:
    """Return the key in a file, and a warning where others may read it, else "".

    Raises ConfigurationError, which does not quote the file's content.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
            mode = os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise ConfigurationError(
            f"--api-key-file {file} cannot be read: {error.strerror}.",
            hint=f"{_MAKE_ONE} > {file}",
        ) from error
    key = content.decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[!-~]+", key) or len(content) > _MOST_BYTES:
        raise ConfigurationError(
            f"--api-key-file {file} {'holds no API key' if key else 'is empty'}: a key is one word "
            "of letters, digits and signs of ASCII.",
            hint=f"{_MAKE_ONE} > {file}",
        )
    return key, _warning(file, mode)


def _warning(file: Path, mode: int) -> str:
    if os.name == "nt" or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ""
    return f"warning: others can read the API key in {file}; type: chmod 600 {file}"
