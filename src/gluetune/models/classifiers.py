"""Load a checkpoint as a classifier, and match the outputs of its head to a task's classes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForSequenceClassification, set_seed
from transformers.utils import logging as transformers_logging

from gluetune.core.command_lines import command_line
from gluetune.core.errors import CheckpointError, Finding
from gluetune.core.files import write_json
from gluetune.core.long_texts import FIELD, LongTexts
from gluetune.core.settings_files import typed_names
from gluetune.core.tasks import TaskSpec, get_task, is_task
from gluetune.core.text import first_line, normalized
from gluetune.kinds import kind_of_head
from gluetune.models.adapters import base_of, head_names, with_adapter
from gluetune.models.checkpoints import Checkpoint
from gluetune.models.ensembles import MEMBERS, load_members
from gluetune.models.layers import initialize_again
from gluetune.models.tokenizers import input_limit, load_config, load_tokenizer, skeleton

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from gluetune.core.config import Quantization


THRESHOLDS = "thresholds"
"""Field of config.json with the logit above which each label is predicted, by name."""
CALIBRATION = "calibration"
"""Field of config.json with the temperatures of logits: `temperature`, a number, or by label."""
_STATED_TASK = "finetuning_task"
"""Field of config.json with the GLUE task that the model was fine-tuned for."""

_CROSS_ENCODER = "sentence_transformers"
_OLD_CROSS_ENCODER = "sbert_ce_default_activation_function"
"""Fields of config.json that sentence-transformers reads."""

_BOUNDARY = 64
"""Alignment of PyTorch's own CPU memory, in bytes."""


@dataclass(frozen=True)
class Classifier:
    """A model ready to be trained on a task."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    outputs: tuple[int, ...]
    """The model's output for each class of the task, by the task's ids; (0,) for regression."""
    new_weights: tuple[str, ...]
    """Newly initialised parameters, which the checkpoint does not have."""
    limit: int | None
    """Maximum tokens that the model supports; None for no limit."""

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def load_classifier(
    checkpoint: Checkpoint,
    task: TaskSpec,
    *,
    seed: int,
    new_head: bool = False,
    label_order: tuple[str, ...] | None = None,
    quantization: Quantization = "none",
    long_texts: LongTexts | None = None,
) -> Classifier:
    """Load a checkpoint as a classifier for `task`, in float32.

    The adapter of a LoRA run is merged into its weights.

    A trained head of the checkpoint is kept, and its outputs are matched to the task's classes by
    name; `new_head` initialises its output layer anew, from `seed` as all new weights. Raises
    CheckpointError.
    """
    config, tokenizer, has_head = _read_parts(checkpoint)
    _read_long_texts(config, tokenizer, long_texts)
    trusted = checkpoint.trust_remote_code
    keeps_head = has_head and not new_head
    if label_order and not keeps_head:
        raise CheckpointError(
            f"--label-order names the outputs of a trained head, and {checkpoint.name} "
            + ("gets a new one by --new-head." if has_head else "has none."),
            hint="Leave --label-order out.",
        )
    if keeps_head:
        outputs = match_labels(config.id2label, task, checkpoint=checkpoint.name, order=label_order)
    else:
        outputs = tuple(range(task.num_labels))
    _name_outputs(config, task, outputs)
    set_seed(seed)
    model, missing = _load(checkpoint, config, quantization=quantization)
    if has_head and new_head:
        missing |= _restart_output_layer(model, trusted)
    limit = input_limit(config, tokenizer, trust_remote_code=trusted)
    return Classifier(model, tokenizer, outputs, tuple(sorted(missing)), limit)


def _read_long_texts(
    config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, found: LongTexts | None
) -> None:
    """Set how long texts are read, in place of what an earlier run has set."""
    setattr(tokenizer, FIELD, found)
    if found is not None:
        setattr(config, FIELD, found.to_dict())
    elif hasattr(config, FIELD):
        delattr(config, FIELD)


def check_heads(
    checkpoint: Checkpoint,
    tasks: Sequence[str],
    *,
    new_head: bool = False,
    order: tuple[str, ...] | None = None,
) -> None:
    """Raise one CheckpointError with every task that the checkpoint's trained head does not fit.

    Weights are not loaded. A checkpoint without a head, or with a new one, fits all tasks.
    """
    config, _, has_head = _read_parts(checkpoint)
    if new_head or not has_head:
        return
    findings: list[Finding] = []
    for name in tasks:
        try:
            match_labels(config.id2label, get_task(name), checkpoint=checkpoint.name, order=order)
        except CheckpointError as error:
            findings += error.findings
    if findings:
        raise CheckpointError.of(findings)


def load_trained(
    checkpoint: Checkpoint,
    task: TaskSpec | None = None,
    *,
    label_order: tuple[str, ...] | None = None,
) -> Classifier:
    """Load a checkpoint with its trained head for inference, in float32.

    The adapter of a LoRA run is merged into its weights.

    The head's outputs are matched to the classes of `task` by name; without a task they keep their
    own names (`model.config.id2label`) and order. No random number is drawn. Raises
    CheckpointError, also if the checkpoint has no trained head.
    """
    config, tokenizer, has_head = _read_parts(checkpoint)
    if not has_head:
        raise CheckpointError(
            f"{checkpoint.name} has no trained classification head, so it cannot predict.",
            hint="Train it first: "
            + command_line("train", task.name if task else "TASK", model=checkpoint.name),
        )
    outputs = tuple(range(config.num_labels))
    if task is not None:
        outputs = match_labels(
            config.id2label,
            task,
            checkpoint=checkpoint.name,
            order=label_order,
            may_restart=False,
        )
    model, missing = _load(checkpoint, config)
    kind = task.kind if task is not None else kind_of_head(config.problem_type, config.num_labels)
    model = load_members(model, checkpoint.folder, kind)
    limit = input_limit(config, tokenizer, trust_remote_code=checkpoint.trust_remote_code)
    return Classifier(model, tokenizer, outputs, tuple(sorted(missing)), limit)


def stated_task(checkpoint: Checkpoint) -> TaskSpec | None:
    """Return the GLUE task that a checkpoint was fine-tuned for, by its config.json.

    run_glue.py writes the same field, `finetuning_task`. None if it is absent, or if the head's
    classes do not have the task's names. Raises CheckpointError.
    """
    config = load_config(checkpoint)
    name = getattr(config, _STATED_TASK, None)
    if not isinstance(name, str) or not is_task(name):
        return None
    task = get_task(name)
    try:
        match_labels(config.id2label, task, checkpoint=checkpoint.name, order=None)
    except CheckpointError:
        return None
    return task


def _read_parts(
    checkpoint: Checkpoint,
) -> tuple[PretrainedConfig, PreTrainedTokenizerBase, bool]:
    """Return a checkpoint's config and tokenizer, and whether it has a trained output layer."""
    config = load_config(checkpoint)
    tokenizer = load_tokenizer(checkpoint, config)
    config.pad_token_id = tokenizer.pad_token_id
    head = output_weights(config, trust_remote_code=checkpoint.trust_remote_code)
    return config, tokenizer, head <= _weight_names(checkpoint.folder)


def reload_classifier(
    folder: Path, *, trust_remote_code: bool = False, quantization: Quantization = "none"
) -> PreTrainedModel:
    """Load a saved model with `from_pretrained`, an adapter as it was trained, unmerged.

    Raises CheckpointError.
    """
    checkpoint = Checkpoint(str(folder), folder, trust_remote_code=trust_remote_code)
    config = load_config(checkpoint)
    return _load(checkpoint, config, quantization=quantization, merge=False)[0]


def write_output_names(folder: Path, config: PretrainedConfig) -> None:
    """Add the names of the outputs to a saved model's config.json if they are missing.

    transformers omits LABEL_0 and LABEL_1; the model could then not be loaded again if the default
    number of outputs of its architecture differs (BART: three).
    """
    path = folder / "config.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    if "id2label" not in saved:
        saved["id2label"] = {str(output): name for output, name in config.id2label.items()}
        saved["label2id"] = dict(config.label2id)
        write_json(path, saved)


def stated_temperatures(config: PretrainedConfig, labels: Sequence[str]) -> tuple[float, ...]:
    """Return the temperatures of a model's config.json: one, one for each label, or none."""
    stated = (getattr(config, CALIBRATION, None) or {}).get("temperature")
    if stated is None:
        return ()
    if isinstance(stated, Mapping):
        return tuple(float(stated.get(name, 1.0)) for name in labels)
    return (float(stated),)


def _name_outputs(config: PretrainedConfig, task: TaskSpec, outputs: tuple[int, ...]) -> None:
    names = task.labels or ("score",)
    config.id2label = dict(sorted(zip(outputs, names, strict=True)))
    config.label2id = {name: output for output, name in config.id2label.items()}
    setattr(config, _STATED_TASK, task.name if is_task(task.name) else None)
    for name in (THRESHOLDS, CALIBRATION, MEMBERS):
        if hasattr(config, name):  # of an earlier task
            delattr(config, name)
    _name_activation(config, task)
    config.problem_type = task.kind.problem_type


def _name_activation(config: PretrainedConfig, task: TaskSpec) -> None:
    """Set the activation function of sentence-transformers' CrossEncoder.

    Its default for one output is a sigmoid, which is wrong for regression. A checkpoint of a
    CrossEncoder may have the field, also under its name before version 4.
    """
    activation = task.kind.activation
    setattr(config, _CROSS_ENCODER, {"activation_fn": activation})
    if hasattr(config, _OLD_CROSS_ENCODER):
        setattr(config, _OLD_CROSS_ENCODER, activation)


def _load(
    checkpoint: Checkpoint,
    config: PretrainedConfig,
    *,
    quantization: Quantization = "none",
    merge: bool = True,
) -> tuple[PreTrainedModel, set[str]]:
    base = base_of(checkpoint)
    try:
        with quiet_transformers():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                base.folder,
                config=config,
                use_safetensors=True,
                trust_remote_code=checkpoint.trust_remote_code,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **_quantized(quantization),
            )
    except (OSError, ValueError, RuntimeError, KeyError, ImportError, SafetensorError) as error:
        raise CheckpointError(
            f"{checkpoint.name} cannot be loaded for classification: {first_line(error)}",
            hint="Choose an encoder or decoder that AutoModelForSequenceClassification supports.",
        ) from error
    mismatched = {name for name, *_ in report["mismatched_keys"]}
    _check_loaded(checkpoint, model, mismatched, set(report["missing_keys"]))
    missing = set(report["missing_keys"]) | mismatched
    if base is not checkpoint:
        model = with_adapter(model, checkpoint.folder, merge=merge)
        missing -= _weight_names(checkpoint.folder)
    _align(model)
    return model, missing


def _quantized(quantization: Quantization) -> dict[str, Any]:
    """Return the arguments of `from_pretrained` for weights of 4 bits, as QLoRA's."""
    if quantization == "none":
        return {}
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}


def _align(model: PreTrainedModel) -> None:
    """Align weights in memory as PyTorch allocates them; in a mapped file they are unaligned.

    The order of summation on CPUs depends on the alignment: the last bits of logits would differ
    between the trained model and the same model loaded again.
    """
    for weights in model.parameters():
        if weights.data_ptr() % _BOUNDARY:
            weights.data = weights.data.clone()


def _check_loaded(
    checkpoint: Checkpoint, model: PreTrainedModel, mismatched: set[str], missing: set[str]
) -> None:
    """Refuse a checkpoint whose body did not load: training would start from random weights."""
    if strange := mismatched and mismatched - output_weights(
        model.config, trust_remote_code=checkpoint.trust_remote_code
    ):
        raise CheckpointError(
            f"Weights of {checkpoint.name} do not fit its config.json: "
            f"{', '.join(sorted(strange))}.",
            hint="The checkpoint is damaged or mixed from two: get it again.",
        )
    names = {name for name, _ in model.named_parameters()}
    if names and len(missing & names) > len(names) / 2:
        raise CheckpointError(
            f"{checkpoint.name} has {len(names - missing)} of the {len(names)} weights that "
            f"{type(model).__name__} needs.",
            hint="Its weights are of another architecture than its config.json.",
        )


def _restart_output_layer(model: PreTrainedModel, trusted: bool) -> set[str]:
    """Initialise the output layer anew; return the names of its weights."""
    names = output_weights(model.config, trust_remote_code=trusted)
    initialize_again(model, names)
    return set(names)


def _weight_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="pt") as weights:
                names |= head_names(weights.keys())
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"{file} is damaged: {first_line(error)}", hint="Get the checkpoint again."
            ) from error
    return names


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' reports and progress bars."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


_CHOICES = (
    "Initialise a new output layer with --new-head, or keep this one and name its outputs, by id, "
    "with --label-order NAME,NAME,…"
)
_STATE_ORDER = "Name its outputs, by id: --label-order {classes} (in the head's order)."
_OTHER_TASK = "Give the task that it was trained for with --task, or another checkpoint."


def output_weights(config: PretrainedConfig, *, trust_remote_code: bool) -> frozenset[str]:
    """Return the names of the parameters whose shape depends on the number of labels.

    That is the output layer, in any architecture: `classifier.*`, `score.weight`,
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


def output_layer(model: PreTrainedModel) -> tuple[str, nn.Linear]:
    """Return the output layer with its name.

    Raises CheckpointError unless it is one linear layer, with an output for each label.
    """
    names = {
        name.rpartition(".")[0] for name in output_weights(model.config, trust_remote_code=True)
    }
    layers = [(name, model.get_submodule(name)) for name in names]
    if len(layers) == 1 and isinstance(layers[0][1], nn.Linear):
        return layers[0]
    raise CheckpointError(
        f"The output layer of {type(model).__name__} is not one linear layer.",
        hint="Train all weights: leave --method out.",
    )


def match_labels(
    outputs: Mapping[int, str],
    task: TaskSpec,
    *,
    checkpoint: str,
    order: Sequence[str] | None,
    may_restart: bool = True,
) -> tuple[int, ...]:
    """Return, for each class of `task` by id, the matching output of a trained head.

    `outputs` are the head's own names by id, `order` the names that the user gives instead;
    `may_restart` says whether a new head is an alternative. Raises CheckpointError if the names do
    not match.
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
    """Return the index of each class of `task` in `names`; None unless each occurs once.

    Identical names match first. The others are compared by ever looser spellings, as long as they
    are unique on both sides: "C++" never matches "C".
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
            f"--label-order {typed_names(order)}: {task.name} is regression, without classes.",
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
            f"{checkpoint} has a trained head whose outputs have no names ({_listed(names)}), so "
            f"they cannot be matched to {task.name}'s classes ({wanted})."
        )
    else:
        message = (
            f"{checkpoint} has a trained head for {_listed(names)}; {task.name} needs {wanted}."
        )
    return CheckpointError(message, hint=_choices(task, fits and task.num_labels > 1, may_restart))


def _choices(task: TaskSpec, can_be_ordered: bool, may_restart: bool) -> str:
    if may_restart:
        return _CHOICES if can_be_ordered else "Initialise a new head: --new-head"
    return _STATE_ORDER.format(classes=typed_names(task.labels)) if can_be_ordered else _OTHER_TASK


def _without_separators(name: str) -> str:
    """Return a name without case, spaces, dashes and underscores.

    They are kept before a digit unless a letter precedes them: -1 is not 1, and 1-2 is not 12.
    """
    return _SEPARATORS.sub("", normalized(name))


_SEPARATORS = re.compile(r"[\s_\u2010-\u2015-]+(?!\d)|(?<=[^\W\d_])[\s_\u2010-\u2015-]+(?=\d)")
_SPELLINGS: tuple[Callable[[str], str], ...] = (str, normalized, _without_separators)
"""Normalisations of names, from none to the loosest."""

_MOST_NAMES, _LONGEST_NAME = 20, 60
"""Names, and characters of one, that a message repeats."""


def _listed(names: Sequence[str]) -> str:
    shown = [n if len(n) <= _LONGEST_NAME else f"{n[:_LONGEST_NAME]}…" for n in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
