"""Make transformers' TrainingArguments from a configuration, with other fields from `--set`."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from transformers import TrainingArguments
from transformers.integrations import get_reporting_integration_callbacks

from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.text import first_line, nearest_of

_HAS_FLAG = {
    "learning_rate": "--learning-rate",
    "per_device_train_batch_size": "--batch-size",
    "per_device_eval_batch_size": "--eval-batch-size",
    "gradient_accumulation_steps": "--micro-batch-size (the batch size stays what it is)",
    "num_train_epochs": "--epochs",
    "weight_decay": "--weight-decay",
    "warmup_steps": "--warmup",
    "label_smoothing_factor": "--label-smoothing",
    "seed": "--seed",
    "data_seed": "--seed",
    "bf16": "--precision bf16",
    "fp16": "--precision fp16",
    "bf16_full_eval": "--precision bf16",
    "fp16_full_eval": "--precision fp16",
    "output_dir": "--output",
    "metric_for_best_model": "--metric",
    "resume_from_checkpoint": "--resume",
    "hub_token": "the environment variable HF_TOKEN: a token is never written to a run",
}
"""Fields that gluetune sets by its own flags."""

_MEANT = {
    **dict.fromkeys(("yes", "on", "y"), "true"),
    **dict.fromkeys(("no", "off", "n"), "false"),
}
"""Strings in YAML 1.2 that are booleans in YAML 1.1."""

_DECIDED = {
    "eval_strategy": "every epoch is evaluated",
    "eval_steps": "every epoch is evaluated",
    "eval_on_start": "every epoch is evaluated",
    "save_strategy": "every epoch is saved, and see --checkpoint-minutes",
    "save_steps": "every epoch is saved, and see --checkpoint-minutes",
    "save_total_limit": "the best model and the newest state are kept",
    "save_only_model": "the newest state is kept, for --resume",
    "load_best_model_at_end": "the best epoch's model is always kept",
    "greater_is_better": "the metric says whether greater is better",
    "auto_find_batch_size": "the micro-batch size is halved if memory runs out",
    "logging_nan_inf_filter": "a loss that is not finite stops the run",
    "disable_tqdm": "gluetune shows the progress itself",
    "do_train": "`gluetune train` trains",
    "do_eval": "every epoch is evaluated",
    "do_predict": "predictions are written for the validation splits",
    "push_to_hub": "a run is pushed when it is finished",
    "enable_jit_checkpoint": "SIGTERM saves a checkpoint already",
    "ignore_data_skip": "a resumed run must continue with the same batches",
    "remove_unused_columns": "the encoded data have only the model's inputs",
    "label_names": "the labels are the task's",
    **dict.fromkeys(
        (
            "batch_eval_metrics",
            "eval_accumulation_steps",
            "eval_delay",
            "eval_do_concat_batches",
            "eval_use_gather_object",
            "include_for_metrics",
            "prediction_loss_only",
        ),
        "gluetune's own evaluation does not read it",
    ),
}
"""Fields that gluetune decides, and why."""


def check_set(given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError with every `--set` that is unknown, reserved, or of a wrong type.

    transformers accepts a string for a number or a boolean, and fails on it during training.
    """
    known = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    kinds = typing.get_type_hints(TrainingArguments)
    findings = [
        _finding(name, known) or _kind_finding(name, value, kinds[name])
        for name, value in given.items()
    ]
    if real := [finding for finding in findings if finding]:
        raise ConfigurationError.of(real)


def training_arguments(config: TrainConfig, folder: Path) -> TrainingArguments:
    """Return the arguments of a configuration whose `auto` fields are resolved.

    Raises ConfigurationError if transformers refuses a value, or processes cannot share a step.
    """
    processes = config.processes or 1
    _check_shares(config, processes)
    values = {
        "report_to": "none",
        "logging_steps": 50,
        # Explicit, since transformers otherwise refuses bf16 without an accelerator.
        "use_cpu": not torch.accelerator.is_available(),
        "dataloader_pin_memory": torch.accelerator.is_available(),
        **config.training_args,
        "output_dir": str(folder),
        "per_device_train_batch_size": config.batch_size // processes,
        "per_device_eval_batch_size": config.eval_batch_size,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "num_train_epochs": config.epochs,
        "warmup_steps": config.warmup,
        "seed": config.seed,
        "data_seed": config.seed,
        "bf16": config.precision == "bf16",
        "fp16": config.precision == "fp16",
        "eval_strategy": "no",
        "save_strategy": "no",
        "logging_nan_inf_filter": False,
        "disable_tqdm": True,
    }
    try:
        arguments = TrainingArguments(**values)
        # Trainer looks them up late; this finds unknown names and missing packages now.
        for reporter in get_reporting_integration_callbacks(arguments.report_to):
            reporter()
    except (ValueError, TypeError, ImportError, RuntimeError) as error:
        raise ConfigurationError(
            f"transformers refuses these settings: {first_line(error)}",
            hint=f"Check --set ({', '.join(config.training_args) or 'none given'}).",
        ) from error
    if arguments.world_size != processes:
        raise ConfigurationError(
            f"{arguments.world_size} processes were started in an unsupported way.",
            hint="Start them with: torchrun --nproc-per-node NUMBER -m gluetune train …",
        )
    if arguments.n_gpu > 1:
        # DataParallel on several GPUs would multiply the batch size.
        arguments._n_gpu = 1
    return arguments


def _check_shares(config: TrainConfig, processes: int) -> None:
    """Refuse a batch size that cannot be divided, and an order that differs between processes."""
    findings = []
    if rest := config.batch_size % processes:
        below, above = config.batch_size - rest, config.batch_size - rest + processes
        findings.append(
            Finding(
                f"--batch-size {config.batch_size} cannot be divided evenly among {processes} "
                "processes.",
                f"Type: --batch-size {below or above}, or start fewer processes.",
            )
        )
    order = config.training_args.get("train_sampling_strategy", "random")
    if processes > 1 and order not in ("random", "sequential"):
        findings.append(
            Finding(
                f"--set train_sampling_strategy={order}: every process would draw a different "
                "order.",
                "Leave it out: padding is avoided anyway.",
            )
        )
    if findings:
        raise ConfigurationError.of(findings)


def _finding(name: str, known: set[str]) -> Finding | None:
    if name in _HAS_FLAG:
        return Finding(f"--set {name}: this has its own flag.", f"Type: {_HAS_FLAG[name]}")
    if name in _DECIDED:
        return Finding(f"--set {name} is not needed: {_DECIDED[name]}.")
    if name.startswith("hub_"):
        return Finding(
            f"--set {name} is not needed: the run is published when it is finished.",
            "Type: --push owner/name, and --push-private for a private repository.",
        )
    if name in known:
        return None
    near = nearest_of(name, sorted(known))
    hint = (
        f"Did you mean {_HAS_FLAG.get(near, f'--set {near}=VALUE')}?"
        if near
        else "See transformers.TrainingArguments."
    )
    return Finding(f"--set {name}: TrainingArguments has no such field.", hint)


def _kind_finding(name: str, value: Any, kind: Any) -> Finding | None:
    kinds = typing.get_args(kind) or (kind,)
    if not set(kinds) <= {bool, int, float, type(None)}:
        return None
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]["msg"]
        message = f"--set {name}={value}: {problem[0].lower()}{problem[1:]}."
        meant = (
            _MEANT.get(str(value).lower()) if bool in (typing.get_args(kind) or (kind,)) else None
        )
        return Finding(message, f"Type: --set {name}={meant}" if meant else "")
    return None
