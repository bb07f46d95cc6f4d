"""Responses of the fake Hub about a folder that it serves: files, commit, listings."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

LARGE = (".safetensors", ".parquet", ".bin", ".model")
"""What the Hub keeps outside git, and gives a sha256 for."""


@dataclass(frozen=True)
class Repository:
    """A served folder: the files in it and the commit that they make."""

    kind: str
    name: str
    folder: Path
    branch: str = "main"
    private: bool = False

    @functools.cached_property
    def files(self) -> dict[str, Path]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    @functools.cached_property
    def commit(self) -> str:
        digest = hashlib.sha1(usedforsecurity=False)
        for name, path in self.files.items():
            digest.update(f"{name}\0{etag(path)}\0".encode())
        return digest.hexdigest()

    def has_revision(self, revision: str) -> bool:
        return revision in (self.branch, self.commit)

    def description(self) -> dict[str, object]:
        """What `/api/models/{id}` says; `siblings` is the list of files."""
        return {
            "_id": self.commit[:24],
            "id": self.name,
            "sha": self.commit,
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": name} for name in self.files],
        }

    def tree(self, under: str) -> list[dict[str, object]]:
        """What `/tree/{revision}/{under}` says: every file below, and the folders between."""
        inside = [name for name in self.files if not under or name.startswith(f"{under}/")]
        folders = {
            parent.as_posix() for name in inside for parent in Path(name).parents if parent.name
        }
        entries: list[dict[str, object]] = [
            {"type": "directory", "path": name, "oid": self.commit, "size": 0}
            for name in sorted(folders - {under})
        ]
        return entries + [self._entry(name) for name in inside]

    def _entry(self, name: str) -> dict[str, object]:
        path = self.files[name]
        size, oid = path.stat().st_size, etag(path)
        entry: dict[str, object] = {"type": "file", "path": name, "oid": oid[:40], "size": size}
        if name.endswith(LARGE):
            entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
        return entry


def etag(path: Path) -> str:
    content = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    header = f"blob {len(content)}\0".encode()
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
