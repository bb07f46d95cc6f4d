"""Local paths and secrets, kept out of what is published.

Paths name users, projects and customers, and are removed. A published secret cannot be withdrawn,
so a text that appears to hold one is refused with its file and line; the message does not repeat
it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.runs import Run

_ABSOLUTE = re.compile(r"(?<![\w./:~-])/(?:[^\s/'\",;:|]+/)+(?P<name>[^\s/'\",;:|]*)")
_HIDDEN = "…"


class LocalPaths:
    """Removes the local folders that a run's record and config may name."""

    def __init__(self, run: Run) -> None:
        record = run.record
        named = [record.data.source] if record.data else []
        if (
            record.own_task is not None
        ):  # a file, whose name the command that reproduces the run has too
            named = [str(Path(source).parent) for source in named]
        named += [record.model.name] if record.model else []
        roots = {
            run.path.resolve(),
            Path.cwd(),
            Path.home(),
            Path(tempfile.gettempdir()),
            *(Path(name) for name in named if Path(name).is_absolute()),
        }
        texts = {str(root) for root in roots} | {str(root.resolve()) for root in roots}
        longest_first = sorted(texts - {"/"}, key=len, reverse=True)
        self._roots = re.compile(
            r"(?<![\w.-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])"
        )

    def hide(self, text: str) -> str:
        """Return `text` without local folders; the last components of paths stay."""
        return _ABSOLUTE.sub(rf"{_HIDDEN}/\g<name>", self._roots.sub(_HIDDEN, text))

    def within(self, text: str) -> bool:
        """Return whether `text` names one of the folders."""
        return self._roots.search(text) is not None

    def hide_within(self, value: Any) -> Any:
        """Apply `hide` to every string in a value of JSON or YAML."""
        if isinstance(value, str):
            return self.hide(value)
        if isinstance(value, dict):
            return {name: self.hide_within(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.hide_within(each) for each in value]
        return value


def base_name(name: str) -> str:
    """Return the public name of a checkpoint: its Hub id, or the name of its folder."""
    path = Path(name)
    if not path.is_absolute():
        return name
    return path.parent.name if path.name == "model" and path.parent.name else path.name


def is_local(name: str) -> bool:
    """Return whether a checkpoint's recorded name is a local folder."""
    return Path(name).is_absolute()


_PATTERNS = (
    ("a Hugging Face token", r"\b(?:hf|api_org)_[A-Za-z0-9]{20,}"),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{22,}"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    (
        "an AWS secret key",
        r"(?i)aws_?(?:secret_?)?(?:access_?)?key\W{1,5}[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])",
    ),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("a Slack token", r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    ("an OpenAI key", r"\bsk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}"),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY"),
    ("a user and password in a URL", r"\b[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@'\"]+:[^\s/@'\"]+@"),
)
_KINDS = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


@dataclass(frozen=True)
class Secret:
    """The location and the kind of an apparent secret, without the secret."""

    file: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} holds what looks like {self.kind}."


def find_secrets(file: str, text: str, known: Sequence[str] = ()) -> Iterator[Secret]:
    """Yield the apparent secrets in `text`, one of each kind per line.

    `known` are secrets of this process, such as its token, which are found literally.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        for kind, pattern in _KINDS:
            if pattern.search(line):
                yield Secret(file, number, kind)
        if any(secret and secret in line for secret in known):
            yield Secret(file, number, "the token of this machine")
