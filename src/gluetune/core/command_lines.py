"""Commands in messages, quoted as a shell and gluetune's own parser need it.

Every command with a value in it is made here, so that a path with a space is quoted and a setting
that no option can give is left out. Commands without values are plain text in their message.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from gluetune.core.settings_files import join_names, parse_assignment

Verb = Literal[
    "audit",
    "check",
    "compare",
    "env",
    "evaluate",
    "export",
    "leaderboard",
    "list",
    "predict",
    "push",
    "references",
    "report",
    "search",
    "serve",
    "show",
    "submit",
    "suite",
    "train",
]

REST = "…"
"""Placeholder of what the user adds; printed without quotes."""


def command_line(verb: Verb, *words: object, **settings: object) -> str:
    """Return `gluetune VERB WORD … --setting value …` as it is typed."""
    return typed("gluetune", verb, *words, *_flags(settings))


def options(**settings: object) -> str:
    """Return `--setting value …` as it is typed behind any verb that has these options."""
    return typed(*_flags(settings))


def typed(*words: object) -> str:
    """Return words as they are typed in a shell, quoted where they need it."""
    return " ".join(REST if word == REST else shlex.quote(str(word)) for word in words)


def in_processes(count: int | None, command: str) -> str:
    """Return `command` as it is started in `count` processes on one machine."""
    return f"torchrun --nproc-per-node {count} -m {command}" if count and count > 1 else command


def _flags(settings: Mapping[str, object]) -> Iterator[str]:
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
        elif isinstance(value, Mapping):
            for key, each in value.items():
                yield from (flag, f"{key}={_assigned(each)}")
        elif isinstance(value, list | tuple):
            yield from (flag, join_names(map(str, value)))
        elif value is not None and value is not False:
            yield from (flag, str(value))


def _assigned(value: Any) -> str:
    """Return a value as `--set` reads it: text as it is, where YAML reads it as that text."""
    if isinstance(value, str) and parse_assignment(f"x={value}")[1] == value:
        return value
    return json.dumps(value, ensure_ascii=False)
