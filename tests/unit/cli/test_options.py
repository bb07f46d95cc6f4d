from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gluetune.cli.options import given_settings, options_of
from gluetune.cli.train import train
from gluetune.core.config import TrainConfig, flag_of, make_config
from gluetune.core.errors import ConfigurationError

seen: dict[str, Any] = {}
app = typer.Typer()


@app.command()
@options_of(TrainConfig, but=("task",))
def probe(task: str | None = None, **options: Any) -> None:
    seen.clear()
    seen.update(given_settings(options))


def given(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return dict(seen)


def test_every_field_has_its_option_in_one_panel() -> None:
    fields = set(TrainConfig.model_fields) - {"task"}
    placed = [name for names in TrainConfig.groups.values() for name in names]
    assert sorted(placed) == sorted(fields)
    assert fields <= set(inspect.signature(train).parameters)


def test_help_names_every_flag_with_its_default_and_description() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    for name, field in TrainConfig.model_fields.items():
        if name == "task":
            continue
        assert re.search(rf"{flag_of(name)}\b", result.output), name
        assert (field.description or "?")[:40] in result.output, name
    assert "Default: 2e-05." in result.output
    assert "auto|fp32|bf16|fp16" in result.output
    for panel in TrainConfig.groups:
        assert panel in result.output


def test_what_is_left_out_is_left_to_the_config() -> None:
    assert given() == {}


OWN_VALUES = {
    "train_file": ("a.csv", "a.csv"),
    "data_set": ("user/name", "user/name"),
    "validation_file": ("b.csv", "b.csv"),
    "test_file": ("c.csv", "c.csv"),
    "train_split": ("part", "part"),
    "validation_split": ("dev", "dev"),
    "text": (" review", " review"),
    "text_pair": ("answer", "answer"),
    "label": ("a,b", ("a", "b")),
    "format": ("TSV", "tsv"),
    "delimiter": ("tab", "\t"),
    "quoting": ("none", "none"),
    "columns": ('label,"a, b"', ("label", "a, b")),
    "kind": ("regression", "regression"),
    "metrics": ("balanced_accuracy, roc_auc", ("balanced_accuracy", "roc_auc")),
    "positive": (" -1", " -1"),
    "label_separator": (";", ";"),
    "validation_fraction": ("0.2", 0.2),
    "split_seed": ("7", 7),
    "group": ("user", "user"),
    "on_bad_row": ("skip", "skip"),
}
BESIDE = {
    name: {"data_set": "user/name"} if name.endswith("_split") else {"train_file": "x.csv"}
    for name in OWN_VALUES
} | {"train_file": {}, "data_set": {}, "fold": {"task": "cola", "folds": 3}}
"""What a setting of the user's own text needs beside it; all others a task."""
VALUES = {
    **OWN_VALUES,
    "folds": ("5", 5),
    "exclude": ("wrong.csv", "wrong.csv"),
    "fold": ("2", 2),
    "fold_seed": ("7", 7),
    "class_weights": ("balanced", "balanced"),
    "focal_loss": ("2", 2.0),
    "min_steps": ("500", 500),
    "long_texts": ("windows", "windows"),
    "window_overlap": ("16", 16),
    "most_windows": ("8", 8),
    "layer_decay": ("0.9", 0.9),
    "restart_layers": ("1", 1),
    "freeze_layers": ("2", 2),
    "average_epochs": ("3", 3),
    "label_smoothing": ("0.1", 0.1),
    "method": ("lora", "lora"),
    "lora_rank": ("4", 4),
    "lora_alpha": ("8", 8.0),
    "lora_dropout": ("0.1", 0.1),
    "lora_targets": ("query,value", ("query", "value")),
    "quantization": ("4bit", "4bit"),
    "learning_rate": ("3e-5", 3e-5),
    "epochs": ("5", 5.0),
    "batch_size": ("8", 8),
    "micro_batch_size": ("4", 4),
    "eval_batch_size": ("64", 64),
    "weight_decay": ("0", 0.0),
    "warmup": ("0", 0.0),
    "fraction": ("0.5", 0.5),
    "track": ("tensorboard", "tensorboard"),
    "holdout": ("0.2", 0.2),
    "sampling_seed": ("7", 7),
    "max_length": ("128", 128),
    "seed": ("0", 0),
    "threads": ("2", 2),
    "processes": ("2", 2),
    "early_stopping": ("3", 3),
    "checkpoint_minutes": ("1.5", 1.5),
    "precision": ("bf16", "bf16"),
    "compute": ("grouped", "grouped"),
    "metric": ("accuracy", "accuracy"),
    "extra_metrics": ("log_loss,f1", ("log_loss", "f1")),
    "model": ("a/b", "a/b"),
    "revision": ("main", "main"),
    "data": ("sample", "sample"),
    "label_order": ("no, yes", ("no", "yes")),
    "training_args": ("adam_epsilon=1e-6", {"adam_epsilon": 1e-6}),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_typed_arrives_in_the_config(name: str) -> None:
    text, value = VALUES[name]
    beside = BESIDE.get(name, {"task": "cola"})
    config = make_config({**beside, **given(flag_of(name), text)})
    assert getattr(config, name) == value
    assert config.model_fields_set == {"task", name, *beside}


def test_the_values_cover_all_but_switches_and_the_output() -> None:
    switches = {
        name
        for name, field in TrainConfig.model_fields.items()
        if field.annotation in (bool, bool | None)
    }
    named = {"auto_settings", "new_head", "trust_remote_code", "compact_vocabulary", "header"}
    assert switches == named
    assert set(VALUES) == set(TrainConfig.model_fields) - switches - {"task", "output"}
    every = (
        "--auto-settings",
        "--new-head",
        "--trust-remote-code",
        "--compact-vocabulary",
        "--header",
    )
    assert given(*every) == dict.fromkeys(switches, True)
    assert given("--no-header") == {"header": False}
    assert given("--no-compact-vocabulary") == {"compact_vocabulary": False}
    assert given() == {}


def test_set_may_be_given_several_times() -> None:
    assert given("--set", "a=1", "--set", "b=x=y") == {"training_args": {"a": 1, "b": "x=y"}}


def test_every_malformed_assignment_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        given("--set", "a", "--set", "b=1", "--set", "=c")
    assert len(caught.value.findings) == 2


def test_mistakes_in_values_are_not_the_parsers_to_tell() -> None:
    settings = given("--epochs", "many", "--seed", "-1", "--precision", "fp8")
    with pytest.raises(ConfigurationError) as caught:
        make_config({"task": "cola", **settings})
    assert len(caught.value.findings) == 3
