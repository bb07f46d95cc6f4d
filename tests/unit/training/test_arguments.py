"""`--set`: every field of TrainingArguments has its flag, its reason, or its way through."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from gluetune.core.config import make_config
from gluetune.core.errors import ConfigurationError
from gluetune.training.arguments import _DECIDED, _HAS_FLAG, check_set, training_arguments

_FIELDS = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}


def _config(**settings: Any) -> Any:
    return make_config({"task": "cola", "precision": "fp32", **settings})


def _findings(**values: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        check_set(values)
    return [str(finding) for finding in caught.value.findings]


def test_the_tables_name_fields_that_exist_and_none_twice() -> None:
    named = [*_HAS_FLAG, *_DECIDED]
    assert len(named) > 40
    assert len(set(named)) == len(named)
    assert [name for name in named if name not in _FIELDS] == []


@pytest.mark.parametrize("name", sorted(_HAS_FLAG))
def test_a_field_with_a_flag_is_refused_with_the_flag(name: str) -> None:
    (finding,) = _findings(**{name: 1})
    assert name in finding
    assert _HAS_FLAG[name] in finding


@pytest.mark.parametrize("name", sorted(_DECIDED))
def test_a_field_that_gluetune_decides_is_refused_with_the_reason(name: str) -> None:
    (finding,) = _findings(**{name: True})
    assert name in finding
    assert _DECIDED[name] in finding


def test_no_field_of_the_hub_goes_through() -> None:
    names = [name for name in _FIELDS if name.startswith("hub_")]
    assert len(names) >= 4
    for name in names:
        assert name in _findings(**{name: "x"})[0]


def test_all_mistakes_are_told_at_once_and_what_is_near() -> None:
    findings = _findings(lr_schedular_type="cosine", seed=3, zzz=1, max_grad_norm="big", optim="x")
    assert len(findings) == 4  # transformers itself judges optim
    assert "Did you mean --set lr_scheduler_type=VALUE?" in findings[0]
    assert "--seed" in findings[1]
    assert "TrainingArguments has no such field" in findings[2]
    assert "--set max_grad_norm=big" in findings[3]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_steps", "ten"),
        ("max_steps", 1.5),
        ("use_cpu", "yes please"),
        ("adam_epsilon", None),
        ("torch_compile", "maybe"),
        ("activation_checkpointing", 3),
        ("neftune_noise_alpha", True),
    ],
)
def test_what_is_no_number_where_one_is_needed_is_refused(name: str, value: Any) -> None:
    (finding,) = _findings(**{name: value})
    assert f"--set {name}={value}" in finding


def test_what_fits_goes_through() -> None:
    values = {
        "lr_scheduler_type": "cosine",
        "lr_scheduler_kwargs": {"num_cycles": 0.5},
        "max_steps": 7,
        "max_grad_norm": 1,
        "logging_steps": 0.1,
        "optim": "adafactor",
        "dataloader_prefetch_factor": None,
        "use_cpu": True,
        "train_sampling_strategy": "group_by_length",
    }
    check_set(values)
    config = _config(training_args=values)
    arguments = training_arguments(config, Path("somewhere"))
    assert arguments.lr_scheduler_type == "cosine"
    assert arguments.max_steps == 7
    assert arguments.logging_steps == 0.1


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("lr_scheduler_type", "cosin", "cosin"),
        ("optim", "adamm", "adamm"),
        ("logging_steps", 0, "logging_steps"),
        ("report_to", "wnadb", "wnadb"),
        ("lr_scheduler_type", "reduce_lr_on_plateau", "reduce_lr_on_plateau"),
    ],
)
def test_what_transformers_refuses_is_told_in_one_line(name: str, value: Any, said: str) -> None:
    check_set({name: value})
    config = _config(training_args={name: value})
    with pytest.raises(ConfigurationError, match=said) as caught:
        training_arguments(config, Path("somewhere"))
    (finding,) = caught.value.findings
    assert "\n" not in finding.message
    assert name in finding.hint


def test_flags_reach_transformers() -> None:
    arguments = training_arguments(
        _config(learning_rate=1e-4, batch_size=8, epochs=2.5, weight_decay=0.2, warmup=0.1, seed=7),
        Path("somewhere"),
    )
    assert arguments.learning_rate == 1e-4
    assert arguments.per_device_train_batch_size == 8
    assert arguments.gradient_accumulation_steps == 1
    assert arguments.num_train_epochs == 2.5
    assert arguments.weight_decay == 0.2
    assert arguments.get_warmup_steps(50) == 5
    assert (arguments.seed, arguments.data_seed) == (7, 7)
    assert not arguments.bf16
    assert not arguments.fp16
    assert arguments.report_to == []


def test_nothing_else_saves_evaluates_or_hides_losses() -> None:
    arguments = training_arguments(_config(), Path("somewhere"))
    assert arguments.eval_strategy == "no"
    assert arguments.save_strategy == "no"
    assert arguments.logging_nan_inf_filter is False
    assert arguments.push_to_hub is False


@pytest.mark.parametrize(("word", "meant"), [("on", "true"), ("No", "false")])
def test_a_word_that_yaml_once_took_for_true_is_refused_with_what_to_type(
    word: str, meant: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_set({"dataloader_drop_last": word, "logging_steps": word})
    drop, steps = caught.value.findings
    assert drop.hint == f"Type: --set dataloader_drop_last={meant}"
    assert steps.hint == ""
