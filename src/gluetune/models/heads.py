"""The output layer: which weights it is made of, and which of its outputs means which class."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import AutoModelForSequenceClassification

from gluetune.core.errors import CheckpointError
from gluetune.core.settings_files import typed_names
from gluetune.core.tasks import TaskSpec
from gluetune.core.text import normalized

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_CHOICES = (
    "Start a fresh output layer with --new-head, or keep this one and say what its outputs mean "
    "with --label-order NAME,NAME,… (by id)."
)
_STATE_ORDER = "Say what its outputs mean, by id: --label-order {classes} (in the head's order)."
_OTHER_TASK = "Give --task the task that it was trained for, or another checkpoint."


def skeleton(
    config: PretrainedConfig, *, trust_remote_code: bool, num_labels: int | None = None
) -> PreTrainedModel:
    """Build the classifier that `config` describes without memory for its weights.

    Raises CheckpointError where the architecture has none.
    """
    config = copy.deepcopy(config)
    if num_labels is not None:
        config.num_labels = num_labels
    try:
        with torch.device("meta"):
            return AutoModelForSequenceClassification.from_config(
                config, trust_remote_code=trust_remote_code
            )
    except (OSError, ValueError, ImportError) as error:
        raise CheckpointError(
            f"{config.name_or_path} cannot be loaded for classification: "
            f"{str(error).strip().splitlines()[0]}",
            hint="Choose an encoder or decoder that AutoModelForSequenceClassification knows.",
        ) from error


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
    outputs: Mapping[int, str],
    task: TaskSpec,
    *,
    checkpoint: str,
    order: Sequence[str] | None,
    may_restart: bool = True,
) -> tuple[int, ...]:
    """Return, for each class of `task` by id, the output of an existing head that means it.

    `outputs` are the head's own names by id, `order` the names that the user states for them;
    `may_restart` says whether the user could have a fresh head instead. Raises CheckpointError
    where the names do not say it.
    """
    names = [outputs[index] for index in sorted(outputs)]
    if len(names) != task.num_labels:
        raise _mismatch(checkpoint, names, task, may_restart)
    if order is not None:
        matched = _matched(order, task)
        if matched is None:
            raise _wrong_order(order, task)
        return matched
    matched = _matched(names, task) if task.labels else (0,)
    if matched is None:
        raise _mismatch(checkpoint, names, task, may_restart)
    return matched


def _matched(names: Sequence[str], task: TaskSpec) -> tuple[int, ...] | None:
    """Return where each class of `task` stands among `names`; None unless each does, once.

    A name that is the class's own, character for character, is never second-guessed. What is left
    over is compared with less and less of the spelling, as long as nothing on either side is
    spelt alike: "C++" is never taken for "C".
    """
    found: dict[str, int] = {}
    for spell in _SPELLINGS:
        ours = Counter(map(spell, task.labels))
        theirs = Counter(map(spell, names))
        places = {spell(name): place for place, name in enumerate(names)}
        for label in task.labels:
            key = spell(label)
            is_certain = key and ours[key] == theirs[key] == 1
            if is_certain and label not in found and places[key] not in found.values():
                found[label] = places[key]
    matched = tuple(found.get(label, -1) for label in task.labels)
    return matched if matched and sorted(matched) == list(range(len(names))) else None


def _wrong_order(order: Sequence[str], task: TaskSpec) -> CheckpointError:
    if not task.labels:
        return CheckpointError(
            f"--label-order {typed_names(order)}: {task.name} has numbers, no classes to order.",
            hint="Leave --label-order out.",
        )
    return CheckpointError(
        f"--label-order {typed_names(order)} is not {task.name}'s classes, each once.",
        hint=f"Write these in the order of the head's outputs: {typed_names(task.labels)}",
    )


def _mismatch(
    checkpoint: str, names: Sequence[str], task: TaskSpec, may_restart: bool
) -> CheckpointError:
    wanted = _listed(task.labels) or "one number"
    fits = len(names) == task.num_labels
    if fits and all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        message = (
            f"{checkpoint} brings a trained head whose outputs have no names "
            f"({_listed(names)}), so nothing says which of them is which of {task.name}'s "
            f"classes ({wanted})."
        )
    else:
        message = (
            f"{checkpoint} brings a trained head for {_listed(names)}; {task.name} needs {wanted}."
        )
    return CheckpointError(message, hint=_choices(task, fits and task.num_labels > 1, may_restart))


def _choices(task: TaskSpec, can_be_ordered: bool, may_restart: bool) -> str:
    if may_restart:
        return _CHOICES if can_be_ordered else "Start a fresh one: --new-head"
    return _STATE_ORDER.format(classes=typed_names(task.labels)) if can_be_ordered else _OTHER_TASK


def _without_separators(name: str) -> str:
    """Return a name without case, spaces, dashes and underscores.

    Before a digit they stay unless a letter precedes them: -1 is not 1, and 1-2 is not 12.
    """
    return _SEPARATORS.sub("", normalized(name))


_SEPARATORS = re.compile(r"[\s_\u2010-\u2015-]+(?!\d)|(?<=[^\W\d_])[\s_\u2010-\u2015-]+(?=\d)")
_SPELLINGS: tuple[Callable[[str], str], ...] = (str, normalized, _without_separators)
"""What of a name is compared, from all of it to its words alone."""

_MOST_NAMES, _LONGEST_NAME = 20, 60
"""Names, and characters of one, that a message repeats."""


def _listed(names: Sequence[str]) -> str:
    shown = [n if len(n) <= _LONGEST_NAME else f"{n[:_LONGEST_NAME]}…" for n in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
