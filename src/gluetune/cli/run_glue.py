"""run_glue.py's flags, as aliases of gluetune's.

Every flag of transformers' examples/pytorch/text-classification/run_glue.py is either translated,
known to be needless, or refused with what to type instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gluetune.core.command_lines import options
from gluetune.core.config import TrainConfig, flag_of
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.settings import option_of

Treatment = Literal["translated", "not needed", "refused"]


@dataclass(frozen=True)
class Flag:
    """How a flag of run_glue.py is treated."""

    treatment: Treatment
    option: str = ""
    """gluetune's option, where it is translated."""
    note: str = ""
    """Why it is not needed, or what to type instead where it is refused."""
    is_switch: bool = False
    """Whether it takes no value, or true or false."""


def _of_settings() -> dict[str, Flag]:
    """Return the flags that are another name of a setting."""
    return {
        alias: Flag("translated", flag_of(name))
        for name, field in TrainConfig.model_fields.items()
        for alias in option_of(field).aliases
    }


def _switch(note: str) -> Flag:
    return Flag("not needed", note=note, is_switch=True)


def _not_needed(note: str) -> Flag:
    return Flag("not needed", note=note)


def _refused(instead: str) -> Flag:
    return Flag("refused", note=instead)


_PADDING = _switch("A batch is padded to its longest example.")
_TOKENIZER = _switch("The checkpoint's own tokenizer is loaded; the fast one, where it has one.")
_EPOCHS = _not_needed("Every epoch is scored.")
_SAVED = _not_needed("A state is saved at every epoch's end, and every --checkpoint-minutes.")
_TOKEN = _refused("Put the token into the environment variable HF_TOKEN.")
_FOLDER = _refused("Give a --model folder that holds config, tokenizer and weights together.")

FLAGS: Mapping[str, Flag] = {
    **_of_settings(),
    "resume_from_checkpoint": Flag("translated", "--resume"),
    "do_train": _switch("`gluetune train` trains."),
    "do_eval": _switch("Every epoch is scored, on all validation splits of the task."),
    "load_best_model_at_end": _switch("The best epoch's model is what a run keeps."),
    "overwrite_cache": _switch("Tokens are cached by the content of texts and tokenizer."),
    "use_fast_tokenizer": _TOKENIZER,
    "no_use_fast_tokenizer": _TOKENIZER,
    "pad_to_max_length": _PADDING,
    "no_pad_to_max_length": _PADDING,
    "auto_find_batch_size": _switch("Out of memory, the micro-batch is halved; the step stays."),
    "eval_strategy": _EPOCHS,
    "evaluation_strategy": _EPOCHS,
    "eval_steps": _EPOCHS,
    "save_strategy": _SAVED,
    "save_steps": _SAVED,
    "save_total_limit": _not_needed("The best model and the newest state are kept."),
    "overwrite_output_dir": _refused("A run is never overwritten: choose another --output."),
    "ignore_mismatched_sizes": _refused("Type: --new-head"),
    "token": _TOKEN,
    "use_auth_token": _TOKEN,
    "hub_token": _TOKEN,
    "cache_dir": _refused("Set the environment variable HF_HOME."),
    "config_name": _FOLDER,
    "tokenizer_name": _FOLDER,
    "max_train_samples": _refused("Type: --fraction SHARE, which keeps the labels' balance."),
    "max_eval_samples": _refused("Validation is always scored whole."),
    "max_predict_samples": _refused("Validation is always predicted whole."),
    "do_predict": _refused(
        "Validation is always predicted; `gluetune submit RUN` predicts the test splits."
    ),
    "dataset_config_name": _refused("Type: --data-set user/name:config"),
}
"""Flags of run_glue.py that are not gluetune's own, nor fields that `--set` takes."""

NOT_OURS = {
    "task": "Type the task's name alone: gluetune train cola",
    "lr": "Type: --learning-rate 2e-5",
    "text_column": "Type: --text COLUMN",
    "label_column": "Type: --label COLUMN",
}
"""Flags of neither run_glue.py nor gluetune that are often typed."""

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
        elif instead := _instead(name):
            findings.append(Finding(f"{flag} is not a flag of gluetune.", instead))
        elif name in (_BATCH, _ACCUMULATION):
            sizes[name] = value
        elif name in _HUB:
            hub[name] = value
        else:
            translated += _translate_one(flag, name, value)
    translated += _batch_flags(sizes, translated, findings)
    translated += _push_flags(hub, findings)
    ConfigurationError.raise_any(findings)
    return ["train", *translated]


def _instead(name: str) -> str:
    """Return what to type instead of a flag that is refused; nothing for any other."""
    known = FLAGS.get(name)
    return (
        known.note if known is not None and known.treatment == "refused" else NOT_OURS.get(name, "")
    )


def _translate_one(flag: str, name: str, value: str | None) -> list[str]:
    if name == "task_name" and value is not None:
        return [value]
    known = FLAGS.get(name)
    if known is not None and known.treatment == "not needed":
        return []
    if name in _PRECISIONS:
        return [] if _is_false(value) else ["--precision", name]
    if name in _SWITCHES:
        return [] if _is_false(value) else [f"--{name.replace('_', '-')}"]
    if name == "metric_for_best_model" and value is not None:
        return ["--metric", _metric(value)]
    if known is not None:
        return [known.option, *([] if value is None else [value])]
    is_argument = "_" in flag or name in _ONE_WORD_ARGUMENTS
    if is_argument and name not in TrainConfig.model_fields:
        return ["--set", f"{name}={'true' if value is None else value}"]
    plain = f"--{name.replace('_', '-')}"
    return [plain] if value is None else [plain, value]


def _batch_flags(
    sizes: Mapping[str, str | None], translated: Sequence[str], findings: list[Finding]
) -> list[str]:
    """Translate batch size and accumulation: their product is gluetune's batch size."""
    hint = "Type: --batch-size 32 --micro-batch-size 8"
    if sizes and not {"--batch-size", "--micro-batch-size"}.isdisjoint(translated):
        names = " and ".join(f"--{name}" for name in sizes)
        findings.append(Finding(f"{names} and gluetune's own batch sizes are both given.", hint))
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
    """Translate pushing: `--push_to_hub` is whether, `--hub_model_id` where to."""
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
    """Yield each flag with its value, and each word without a flag with None."""
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
    """Whether the next word is the flag's value, and not the task (`--new-head cola`)."""
    name = flag.removeprefix("--").replace("-", "_")
    known = FLAGS.get(name)
    is_switch = name in (*_SWITCHES, *_PRECISIONS, *_HUB_SWITCHES, "help")
    is_switch = is_switch or (known is not None and known.is_switch)
    return not is_switch or following.lower() in (*_TRUE, *_FALSE)


def _metric(name: str) -> str:
    """Return gluetune's name of a metric: Trainer adds a prefix, run_glue.py combines scores."""
    return name.removeprefix("eval_").replace("combined_score", "score")


def _is_false(value: str | None) -> bool:
    return value is not None and value.lower() in _FALSE
