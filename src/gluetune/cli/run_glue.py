"""run_glue.py's flags, as aliases of gluetune's.

Every flag of transformers' examples/pytorch/text-classification/run_glue.py is either translated,
known to be needless, or refused with what to type instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from gluetune.core.command_lines import options
from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, Finding

ALIASES = {
    "model_name_or_path": "--model",
    "dataset_name": "--data-set",
    "text_column_name": "--text",
    "label_column_name": "--label",
    "model_revision": "--revision",
    "max_seq_length": "--max-length",
    "output_dir": "--output",
    "per_device_eval_batch_size": "--eval-batch-size",
    "num_train_epochs": "--epochs",
    "warmup_steps": "--warmup",
    "warmup_ratio": "--warmup",
    "label_smoothing_factor": "--label-smoothing",
    "resume_from_checkpoint": "--resume",
}
"""Flags that take a value and mean one of gluetune's."""

NEEDLESS_SWITCHES = (
    "do_train",
    "do_eval",
    "load_best_model_at_end",
    "overwrite_cache",
    "use_fast_tokenizer",
    "no_use_fast_tokenizer",
    "pad_to_max_length",
    "no_pad_to_max_length",
    "auto_find_batch_size",
)
"""Flags without a value, or with true or false, for what gluetune does, or decides, by itself."""

NEEDLESS = (
    "eval_strategy",
    "evaluation_strategy",
    "save_strategy",
    "save_steps",
    "eval_steps",
    "save_total_limit",
)
"""The same, with a value."""

REFUSED = {
    "overwrite_output_dir": "A run is never overwritten: choose another --output.",
    "ignore_mismatched_sizes": "Type: --new-head",
    "token": "Put the token into the environment variable HF_TOKEN.",
    "use_auth_token": "Put the token into the environment variable HF_TOKEN.",
    "hub_token": "Put the token into the environment variable HF_TOKEN.",
    "cache_dir": "Set the environment variable HF_HOME.",
    "config_name": "Give a --model folder that holds config, tokenizer and weights together.",
    "tokenizer_name": "Give a --model folder that holds config, tokenizer and weights together.",
    "max_train_samples": "Type: --fraction SHARE, which keeps the labels' balance.",
    "max_eval_samples": "Validation is always scored whole.",
    "max_predict_samples": "Validation is always predicted whole.",
    "do_predict": "Validation is always predicted; `gluetune submit RUN` predicts the test splits.",
    "dataset_config_name": "Type: --data-set user/name:config",
}
"""Flags that gluetune has no place for, with what to do instead."""

NOT_OURS = {
    "task": "Type the task's name alone: gluetune train cola",
    "lr": "Type: --learning-rate 2e-5",
    "text_column": "Type: --text COLUMN",
    "label_column": "Type: --label COLUMN",
}
"""Flags that are neither run_glue.py's nor gluetune's, and that are typed all the same."""

_SWITCHES = ("trust_remote_code", "new_head")
_PRECISIONS = ("bf16", "fp16")
_TRUE = ("true", "yes", "1", "t", "y")
_FALSE = ("false", "no", "0", "f", "n")
_ONE_WORD_ARGUMENTS = ("debug", "deepspeed", "fsdp", "optim", "project", "tf32")
_BATCH = "per_device_train_batch_size"
_ACCUMULATION = "gradient_accumulation_steps"
_HUB_SWITCHES = ("push_to_hub", "hub_private_repo")
_HUB = (*_HUB_SWITCHES, "hub_model_id")
_FLAG = re.compile(r"-[^\d.]")
"""A flag, and not a negative number."""


def translate(arguments: Sequence[str]) -> list[str]:
    """Return the command line with run_glue.py's flags of `gluetune train` in gluetune's words.

    A flag with an underscore that neither knows, and those fields of TrainingArguments that have
    none, are passed on as `--set name=value`, which checks them against TrainingArguments. Raises
    ConfigurationError that lists every refused flag.
    """
    if not arguments or arguments[0] != "train":
        return list(arguments)
    translated: list[str] = []
    findings: list[Finding] = []
    sizes: dict[str, str | None] = {}
    hub: dict[str, str | None] = {}
    for flag, value in _pairs(arguments[1:]):
        name = flag.removeprefix("--").replace("-", "_")
        if not flag.startswith("--"):
            translated.append(flag)
        elif instead := (REFUSED | NOT_OURS).get(name):
            findings.append(Finding(f"{flag} is not a flag of gluetune.", instead))
        elif name in (_BATCH, _ACCUMULATION):
            sizes[name] = value
        elif name in _HUB:
            hub[name] = value
        else:
            translated += _translate_one(flag, name, value)
    translated += _batch_flags(sizes, translated, findings)
    translated += _push_flags(hub, findings)
    if findings:
        raise ConfigurationError.of(findings)
    return ["train", *translated]


def _translate_one(flag: str, name: str, value: str | None) -> list[str]:
    if name == "task_name" and value is not None:
        return [value]
    if name in NEEDLESS or name in NEEDLESS_SWITCHES:
        return []
    if name in _PRECISIONS:
        return [] if _is_false(value) else ["--precision", name]
    if name in _SWITCHES:
        return [] if _is_false(value) else [f"--{name.replace('_', '-')}"]
    if name == "metric_for_best_model" and value is not None:
        return ["--metric", _metric(value)]
    if name in ALIASES:
        return [ALIASES[name], *([] if value is None else [value])]
    is_argument = "_" in flag or name in _ONE_WORD_ARGUMENTS
    if is_argument and name not in TrainConfig.model_fields:
        return ["--set", f"{name}={'true' if value is None else value}"]
    plain = f"--{name.replace('_', '-')}"
    return [plain] if value is None else [plain, value]


def _batch_flags(
    sizes: Mapping[str, str | None], translated: Sequence[str], findings: list[Finding]
) -> list[str]:
    """Batch and accumulation of run_glue.py: the step is their product, here the batch size."""
    hint = "Type: --batch-size 32 --micro-batch-size 8"
    if sizes and not {"--batch-size", "--micro-batch-size"}.isdisjoint(translated):
        names = " and ".join(f"--{name}" for name in sizes)
        findings.append(Finding(f"{names} stand beside gluetune's own batch sizes.", hint))
        return []
    if _ACCUMULATION not in sizes:
        return [word for value in sizes.values() for word in ("--batch-size", value) if word]
    micro, accumulation = sizes.get(_BATCH, "8"), sizes[_ACCUMULATION]  # TrainingArguments' default
    if not (micro and accumulation and micro.isdecimal() and accumulation.isdecimal()):
        message = (
            f"--{_BATCH} {micro} --{_ACCUMULATION} {accumulation}: both must be whole numbers."
        )
        findings.append(Finding(message, hint))
        return []
    return ["--batch-size", str(int(micro) * int(accumulation)), "--micro-batch-size", micro]


def _push_flags(hub: Mapping[str, str | None], findings: list[Finding]) -> list[str]:
    """Pushing of run_glue.py: `--push_to_hub` says whether, `--hub_model_id` where to."""
    pushes = "push_to_hub" in hub and not _is_false(hub["push_to_hub"])
    repo = hub.get("hub_model_id")
    if pushes and repo:
        private = "hub_private_repo" in hub and not _is_false(hub["hub_private_repo"])
        return ["--push", repo, *["--push-private"] * private]
    if pushes:
        message = "--push_to_hub names no repository, and gluetune makes none up."
        findings.append(Finding(message, "Type: --push owner/name"))
    elif hub.keys() - {"push_to_hub"} and "push_to_hub" not in hub:
        flags = " and ".join(f"--{name}" for name in hub)
        message = f"{flags} without --push_to_hub: nothing says that the run is to be published."
        findings.append(Finding(message, "Type: " + options(push=repo or "owner/name")))
    return []


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield each flag with its value, and each word that stands alone with None."""
    index = 0
    while index < len(arguments):
        word = arguments[index]
        index += 1
        if not word.startswith("--"):
            yield word, None
        elif "=" in word:
            flag, _, value = word.partition("=")
            yield flag, value
        elif index < len(arguments) and not _FLAG.match(arguments[index]):
            if _takes_value(word, arguments[index]):
                yield word, arguments[index]
                index += 1
            else:
                yield word, None
        else:
            yield word, None


def _takes_value(flag: str, following: str) -> bool:
    """Tell a switch before the task's name (`--new-head cola`) from a flag and its value."""
    name = flag.removeprefix("--").replace("-", "_")
    is_switch = name in (*_SWITCHES, *_PRECISIONS, *NEEDLESS_SWITCHES, *_HUB_SWITCHES, "help")
    return not is_switch or following.lower() in (*_TRUE, *_FALSE)


def _metric(name: str) -> str:
    """Trainer's metrics carry a prefix, and run_glue.py calls the mean of several combined."""
    return name.removeprefix("eval_").replace("combined_score", "score")


def _is_false(value: str | None) -> bool:
    return value is not None and value.lower() in _FALSE
