"""Checkpoints of a run: folders that are written atomically and verified before use.

```
checkpoints/step-000120/
  model.safetensors, config.json, tokenizer…    the weights at this step
  optimizer.pt, scheduler.pt, rng_state.pth, trainer_state.json
  meter.json                                    loss and time of the current epoch so far
                                                (rng_state_N.pth, meter_N.json for each process)
  vocabulary.json                               the decay of the word embeddings that never occur
  average.pt                                    the mean weights of the last epochs so far
  best/                                         the best model so far (hard links where possible)
  manifest.json                                 SHA-256 of every file above
```
State and best model are committed in one rename, so they always match. The old checkpoint is
removed once the new one is complete.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gluetune.core.command_lines import command_line, typed
from gluetune.core.errors import RunError
from gluetune.core.files import link_or_copy, sha256, write_folder, write_json

AVERAGE = "average"
"""Folder of the model with the mean weights, which becomes `best`."""
_STATE_FILES = re.compile(
    r"optimizer\.pt|scheduler\.pt|scaler\.pt|rng_state.*\.pth|trainer_state\.json|meter.*\.json"
    r"|vocabulary\.json|average\.pt"
)
_MANIFEST = "manifest.json"


class CheckpointStore:
    """The checkpoints of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def writing(self, step: int, *, is_best: bool) -> Iterator[Path]:
        """Yield a folder for the state of `step`; commit it when the block ends without an error.

        `is_best` says that this step's model is the best so far; otherwise the best model of the
        previous checkpoint is kept. Raises StorageError if the disk is full; the previous
        checkpoint is then kept.
        """
        self._remove_unfinished()
        before = self._steps()
        path = self.folder / f"step-{step:06d}"
        with write_folder(path) as staging:
            yield staging
            previous = self._path(before[-1]) if before else None
            _carry_best(staging, None if is_best else previous)
            write_json(
                staging / _MANIFEST,
                {str(file.relative_to(staging)): sha256(file) for file in _files(staging)},
            )
        for step_before in before:
            if step_before != step:
                shutil.rmtree(self._path(step_before))

    def newest(self) -> Path | None:
        """Return the newest checkpoint after verifying every file; None before the first.

        Raises RunError if a file is missing or changed.
        """
        steps = self._steps()
        if not steps:
            return None
        path = self._path(steps[-1])
        manifest = _read_manifest(path)
        broken = sorted(
            name
            for name, digest in manifest.items()
            if not (path / name).is_file() or sha256(path / name) != digest
        )
        if broken:
            raise _damaged(path, f"{', '.join(broken)} is missing or changed")
        return path

    def remove(self) -> None:
        """Delete all checkpoints."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_unfinished(self) -> None:
        """Delete unfinished checkpoints of killed processes."""
        for path in self._entries():
            if re.fullmatch(r"\.step-\d+\.writing", path.name):
                shutil.rmtree(path)
            elif re.fullmatch(r"\.step-\d+\.lock", path.name):
                path.unlink()

    def _steps(self) -> list[int]:
        found = (re.fullmatch(r"step-(\d+)", path.name) for path in self._entries())
        return sorted(int(match[1]) for match in found if match)

    def _entries(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:06d}"


def step_of(checkpoint: Path) -> int:
    """Return the optimiser step that a checkpoint was saved after."""
    return int(checkpoint.name.removeprefix("step-"))


def _carry_best(staging: Path, previous: Path | None) -> None:
    best = staging / "best"
    averaged = staging / AVERAGE
    source = staging if previous is None else previous / "best"
    if previous is None and averaged.is_dir():
        averaged.rename(best)
        return
    files = [file for file in source.iterdir() if file.is_file()]
    best.mkdir()
    for file in files:
        if previous is not None or not _STATE_FILES.fullmatch(file.name):
            link_or_copy(file, best / file.name)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _read_manifest(path: Path) -> dict[str, str]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, f"{_MANIFEST} cannot be read") from error
    if not isinstance(manifest, dict):
        raise _damaged(path, f"{_MANIFEST} lists no files")
    return {str(name): str(digest) for name, digest in manifest.items()}


def _damaged(path: Path, problem: str) -> RunError:
    return RunError(
        f"The checkpoint {path} is damaged: {problem}.",
        hint=f"To start this run again from its beginning: {typed('rm', '-r', path)} && "
        + command_line("train", resume=path.parent.parent),
    )
