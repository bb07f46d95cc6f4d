"""Low-rank adapters (LoRA), through the package peft of the extra `lora`.

An adapter's folder has adapter_config.json, which names its base checkpoint, and the weights of the
adapter and of the head; config.json is that of the classifier.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from gluetune.core.errors import CheckpointError, ConfigurationError
from gluetune.core.files import write_json
from gluetune.models.checkpoints import MINILM_HUB_ID, Checkpoint, find_checkpoint

if TYPE_CHECKING:
    from collections.abc import Collection

    from transformers import PreTrainedModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""What peft puts before the names of a model's weights."""
_HEADS = ("classifier", "score")
_LINEAR = (nn.Linear, Conv1D)


def check_installed() -> None:
    """Raise ConfigurationError unless peft is installed."""
    if importlib.util.find_spec("peft") is None:
        raise ConfigurationError(
            "LoRA needs the package peft.", hint="Type: pip install 'gluetune[lora]'"
        )


def is_adapter(folder: Path) -> bool:
    """Return whether a folder has an adapter instead of all weights."""
    return (folder / CONFIG).is_file()


def base_of(checkpoint: Checkpoint) -> Checkpoint:
    """Find the checkpoint that an adapter is for; any other checkpoint is its own base.

    Raises CheckpointError or HubError.
    """
    if not is_adapter(checkpoint.folder):
        return checkpoint
    path = checkpoint.folder / CONFIG
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        name, revision = stated["base_model_name_or_path"], stated.get("revision")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged: it names no base_model_name_or_path.",
            hint="Get the adapter again.",
        ) from error
    offline = name == MINILM_HUB_ID and revision is None
    found = find_checkpoint(
        "minilm" if offline else str(name),
        revision=revision,
        trust_remote_code=checkpoint.trust_remote_code,
    )
    return replace(found, name=checkpoint.name)


def head_names(names: Collection[str]) -> set[str]:
    """Return the names of weights of an adapter's file, as they are in the model."""
    return {name.removeprefix(_PREFIX) for name in names}


def with_adapter(model: PreTrainedModel, folder: Path, *, merge: bool) -> Any:
    """Load the adapter in `folder` onto `model`; `merge` adds it to the weights.

    Raises ConfigurationError if peft is not installed, CheckpointError if the adapter does not fit.
    """
    check_installed()
    from peft import PeftModel

    try:
        found = PeftModel.from_pretrained(model, str(folder))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"The adapter {folder} does not fit its base: {str(error).splitlines()[0]}",
            hint="Get the adapter and its base checkpoint again.",
        ) from error
    return found.merge_and_unload().requires_grad_(True) if merge else found


def target_modules(model: PreTrainedModel, wanted: Collection[str] | None) -> list[str]:
    """Return the linear layers within the blocks of a model, by their full names.

    That is query, key, value, output and feed-forward in any architecture. `wanted` are the last
    parts of names to which they are restricted. Raises ConfigurationError if there is none.
    """
    inside = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _LINEAR) and any(part.isdecimal() for part in name.split("."))
    ]
    ends = sorted({name.rpartition(".")[2] for name in inside})
    unknown = sorted(set(wanted or ()) - set(ends))
    if unknown or not inside:
        raise ConfigurationError(
            f"{type(model).__name__} has no linear layers"
            + (f" called {', '.join(unknown)}." if unknown else " within its blocks."),
            hint=f"Its layers: {', '.join(ends)}." if ends else "Leave --method out.",
        )
    return [name for name in inside if not wanted or name.rpartition(".")[2] in wanted]


def trained_modules(names: Collection[str]) -> list[str]:
    """Return the modules that have the given weights: the head, and all that is new.

    peft saves all of a module called `classifier` or `score`, so none within one is named.
    """
    found = set()
    for name in names:
        path = name.split(".")[:-1]
        heads = [number for number, part in enumerate(path) if part in _HEADS]
        found.add(".".join(path[: heads[0] + 1] if heads else path))
    return sorted(found)


def add_adapter(
    model: PreTrainedModel,
    *,
    base: Checkpoint,
    rank: int,
    alpha: float,
    dropout: float,
    targets: list[str],
    whole: list[str],
) -> Any:
    """Return `model` with new adapters on `targets`; the modules `whole` are trained themselves."""
    check_installed()
    from peft import LoraConfig, TaskType, get_peft_model

    found = get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.SEQ_CLS,
            base_model_name_or_path=str(base.folder),
            r=rank,
            lora_alpha=alpha,
            lora_dropout=dropout,
            target_modules=targets,
            modules_to_save=whole,
            fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in targets),
        ),
    )
    # So that a checkpoint within the run needs nothing but the folder that it started from.
    found.peft_config["default"].base_model_name_or_path = str(base.folder)
    return found


def load_adapter_weights(model: Any, folder: Path) -> None:
    """Load the weights saved in `folder` into a model that has its adapter."""
    from peft import set_peft_model_state_dict
    from safetensors.torch import load_file

    set_peft_model_state_dict(model, load_file(folder / WEIGHTS))


def name_base(folder: Path, base: Checkpoint) -> None:
    """Write into a saved adapter which checkpoint it is for, by its public name if it has one."""
    path = folder / CONFIG
    stated = json.loads(path.read_text(encoding="utf-8"))
    stated["base_model_name_or_path"] = base.name
    stated["revision"] = base.commit
    for name in ("target_modules", "modules_to_save"):  # sets, whose order is by chance
        if isinstance(stated.get(name), list):
            stated[name] = sorted(stated[name])
    write_json(path, stated)
