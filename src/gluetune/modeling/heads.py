"""The output layer: which weights it is made of, and which of its outputs means which class."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForSequenceClassification

from gluetune.errors import CheckpointError
from gluetune.tasks import TaskSpec

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_CHOICES = (
    "Start a fresh output layer with --new-head, or keep this one and say what its outputs mean "
    "with --label-order NAME,NAME,… (by id)."
)


def skeleton(
    config: PretrainedConfig, *, trust_remote_code: bool, num_labels: int | None = None
) -> PreTrainedModel:
    """Build the classifier that `config` describes without memory for its weights."""
    config = copy.deepcopy(config)
    if num_labels is not None:
        config.num_labels = num_labels
    with torch.device("meta"):
        return AutoModelForSequenceClassification.from_config(
            config, trust_remote_code=trust_remote_code
        )


def output_weights(config: PretrainedConfig, *, trust_remote_code: bool) -> frozenset[str]:
    """Return the names of the parameters whose shape depends on the number of labels.

    That is the output layer, whatever an architecture calls it: `classifier.*`, `score.weight`,
    `classifier.out_proj.*`, `logits_proj.*`, …
    """
    here, wider = (
        dict(
            skeleton(
                config, trust_remote_code=trust_remote_code, num_labels=count
            ).named_parameters()
        )
        for count in (config.num_labels, config.num_labels + 1)
    )
    return frozenset(name for name in here if here[name].shape != wider[name].shape)


def match_labels(
    outputs: Mapping[int, str], task: TaskSpec, *, checkpoint: str, order: Sequence[str] | None
) -> tuple[int, ...]:
    """Return, for each class of `task` by id, the output of an existing head that means it.

    `outputs` are the head's own names by id, `order` the names that the user states for them.
    Raises CheckpointError where the names do not say it.
    """
    names = list(order) if order else [outputs[index] for index in sorted(outputs)]
    if task.is_regression:
        if len(names) != 1:
            raise _mismatch(checkpoint, names, task)
        return (0,)
    by_name = {_plain(name): index for index, name in enumerate(names)}
    if len(names) == len(outputs) == len(task.labels) and len(by_name) == len(names):
        found = [by_name.get(_plain(label)) for label in task.labels]
        matched = tuple(index for index in found if index is not None)
        if len(matched) == len(task.labels):
            return matched
    raise _mismatch(checkpoint, names, task)


def _mismatch(checkpoint: str, names: Sequence[str], task: TaskSpec) -> CheckpointError:
    wanted = ", ".join(task.labels) or "one number"
    nameless = all(re.fullmatch(r"LABEL_\d+", name) for name in names)
    if nameless and len(names) == task.num_labels:
        message = (
            f"{checkpoint} brings a trained head whose outputs have no names "
            f"({', '.join(names)}), so nothing says which of them is which of {task.name}'s "
            f"classes ({wanted})."
        )
        return CheckpointError(message, hint=_CHOICES)
    return CheckpointError(
        f"{checkpoint} brings a trained head for {', '.join(names)}; {task.name} needs {wanted}.",
        hint=_CHOICES if len(names) == task.num_labels > 1 else "Start a fresh one: --new-head",
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.lower())
