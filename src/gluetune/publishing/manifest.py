"""What pushes of ours have put into a repository, as `.gluetune/manifest.json` there says.

Only what is in it, and still is as we wrote it, is ours to delete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gluetune.publishing.model_files import PublishedFile

NAME = ".gluetune/manifest.json"
_VERSION = 1


class _File(BaseModel):
    """How the Hub knows a file: large ones by the one digest, small ones by the other."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    git_blob: str


class Manifest(BaseModel):
    """The whole of the manifest. What a later version adds is not read."""

    version: int = _VERSION
    files: dict[str, _File] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)
    """The metadata that we wrote in front of README.md."""

    @classmethod
    def of(cls, files: Sequence[PublishedFile], metadata: Mapping[str, Any]) -> Manifest:
        """Return what is to be written of a push of `files`."""
        digests = {
            file.name: _File(sha256=file.sha256, git_blob=file.git_blob)
            for file in sorted(files, key=lambda file: file.name)
        }
        return cls(files=digests, metadata=dict(metadata))

    def stale(self, there: Mapping[str, str], names: Sequence[str]) -> list[str]:
        """Return the files that we wrote, that are still as we wrote them, and no longer belong.

        `there` are the digests of the files in the repository, `names` what belongs to it now.
        """
        return sorted(
            name
            for name, file in self.files.items()
            if name not in names and there.get(name) in (file.sha256, file.git_blob)
        )

    def published(self) -> PublishedFile:
        """Return the file to write."""
        text = json.dumps(self.model_dump(), indent=2, ensure_ascii=False)
        return PublishedFile(NAME, f"{text}\n".encode())


def read_manifest(content: bytes | None) -> Manifest | None:
    """Return the manifest that is there; without one that can be read, None: nothing is ours."""
    if content is None:
        return None
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None
