"""The files of a run that are published, and those that never are.

Only the files of a checkpoint are published: configuration, safetensors, tokenizer. A pickle, an
optimiser's state, predictions or any other file among them is an error, since it should not be
there. Local paths and secrets are kept out of what is published: paths name users, projects and
customers, and are removed; a published secret cannot be withdrawn, so a text that appears to hold
one is refused with its file and line, which the message does not repeat.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from gluetune.core.errors import Finding
from gluetune.core.runs import LocalPaths, Run
from gluetune.hub.downloads import CHECKPOINT_FILES

_REWRITTEN = frozenset({"config.json", "generation_config.json", "tokenizer_config.json"})
"""Files that may contain local paths, and contain no vocabulary."""

_BINARY = (".safetensors", ".model")
_UNSAFE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".h5", ".msgpack", ".npz")


@dataclass(frozen=True)
class PublishedFile:
    """A file of the repository."""

    name: str
    content: bytes | Path
    """The bytes, or the file that holds them."""

    @cached_property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """Hex digest, by which the Hub identifies large files."""
        return self._digest(hashlib.sha256())

    @cached_property
    def git_blob(self) -> str:
        """Hex digest, by which git and the Hub identify small files."""
        header = f"blob {self.size}\0".encode()
        return self._digest(hashlib.sha1(header, usedforsecurity=False))

    def text(self) -> str | None:
        """Return the content as text; None for weights and a sentencepiece model."""
        if self.name.endswith(_BINARY):
            return None
        content = self.content if isinstance(self.content, bytes) else self.content.read_bytes()
        return content.decode(errors="replace")

    def _digest(self, digest: hashlib._Hash) -> str:
        if isinstance(self.content, bytes):
            digest.update(self.content)
            return digest.hexdigest()
        with self.content.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()


def model_files(run: Run, paths: LocalPaths) -> list[PublishedFile]:
    """Return the model's files sorted by name, without local paths."""
    return [
        PublishedFile(path.name, _without_paths(path, paths))
        for path in sorted(run.model_path.iterdir())
    ]


def stray_files(run: Run) -> Iterator[Finding]:
    """Yield a finding for each file in a run's model folder that cannot be published."""
    allowed = [*CHECKPOINT_FILES, *(["*.py"] if run.config.trust_remote_code else [])]
    for path in sorted(run.model_path.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in allowed):
            continue
        unsafe = path.suffix in _UNSAFE
        why = "can run code when it is opened" if unsafe else "is not part of a checkpoint"
        yield Finding(f"{path} {why}, and is never uploaded.", f"Move it away: mv {path} ELSEWHERE")


def secret_findings(
    files: Sequence[PublishedFile], folder: Path, known: Sequence[str]
) -> Iterator[Finding]:
    """Yield a finding for each apparent secret in the texts among `files`."""
    for file in files:
        text = file.text()
        place = str(folder / file.name) if isinstance(file.content, Path) else file.name
        for secret in find_secrets(place, text or "", known):
            yield Finding(
                f"{secret} Nothing was uploaded.",
                "Remove it (and revoke it, if it is real), then push again.",
            )


def _without_paths(path: Path, paths: LocalPaths) -> bytes | Path:
    if path.name not in _REWRITTEN:
        return path
    text = path.read_text(encoding="utf-8")
    if not paths.within(text):
        return path
    hidden = paths.hide_within(json.loads(text))
    return (json.dumps(hidden, indent=2, ensure_ascii=False) + "\n").encode()


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
