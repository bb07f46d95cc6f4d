"""The models of the folds as one model, whose probabilities are the mean of theirs.

The first is an ordinary checkpoint, which transformers loads alone; its config.json names the files
with the weights of the others, in the same folder.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

from gluetune.core.errors import CheckpointError
from gluetune.core.files import link_or_copy, write_json
from gluetune.core.text import first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from gluetune.kinds.base import Kind

MEMBERS = "ensemble"
"""Field of config.json with the files of the other models' weights."""


class Ensemble(nn.Module):  # type: ignore[misc]  # torch is not followed
    """Models with the same labels, called as one."""

    def __init__(self, members: Sequence[PreTrainedModel], kind: Kind) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.kind = kind
        self.config = members[0].config

    @property
    def device(self) -> torch.device:
        """The device of the first model, which is that of all."""
        found: torch.device = self.members[0].device
        return found

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        found: torch.dtype = self.members[0].dtype
        return found

    def forward(self, **inputs: Any) -> dict[str, torch.Tensor]:
        """Return the logits of the mean probabilities."""
        every = [model(**inputs)["logits"].float() for model in self.members]
        logits = torch.stack([one.reshape(one.shape[0], -1) for one in every])
        return {"logits": self.kind.mean_logits(logits)}


def forward_of(model: Any) -> Callable[..., Any]:
    """Return the function whose parameters are the inputs that a model takes."""
    forward: Callable[..., Any] = (
        model.members[0].forward if isinstance(model, Ensemble) else model.forward
    )
    return forward


def load_members(model: PreTrainedModel, folder: Path, kind: Kind) -> nn.Module:
    """Return `model` with the others that its config.json names as one; itself where none are.

    Raises CheckpointError where their weights are missing or do not fit.
    """
    members = [model]
    for name in getattr(model.config, MEMBERS, None) or ():
        other = copy.deepcopy(model)
        try:
            missing, unexpected = load_model(other, folder / name, strict=False)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{folder / name} cannot be loaded: {first_line(error)}",
                hint="Get the checkpoint again.",
            ) from error
        if missing or unexpected:
            raise CheckpointError(
                f"{folder / name} has other weights than the first model.",
                hint="Get the checkpoint again.",
            )
        members.append(other)
    return Ensemble(members, kind) if len(members) > 1 else model


def write_members(target: Path, models: Sequence[Path]) -> None:
    """Write models into `target`: the first as it is, of each other the weights in one file.

    Raises CheckpointError where the weights of one are in several files.
    """
    first, *others = models
    for file in first.iterdir():
        link_or_copy(file, target / file.name)
    names = []
    for number, source in enumerate(others, start=2):
        weights = source / "model.safetensors"
        if not weights.is_file():
            raise CheckpointError(
                f"{source} has its weights in several files, of which no ensemble can be made.",
                hint="Type: --final all",
            )
        names.append(f"member-{number}.safetensors")
        link_or_copy(weights, target / names[-1])
    path = target / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {MEMBERS: names}
    path.unlink()  # it may be a link
    write_json(path, config)
