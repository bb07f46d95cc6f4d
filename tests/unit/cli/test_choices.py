"""Options that take one of a few words."""

from __future__ import annotations

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gluetune.cli.app import app
from gluetune.core.errors import ConfigurationError
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.settings import make_settings


def test_a_known_word_is_given_back() -> None:
    assert make_settings(LoadSettings, {"precision": "bf16"}).precision == "bf16"


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "RUN", "text", "--backend", "tpu"],
        ["serve", "RUN", "--backend", "tpu"],
        ["serve", "RUN", "--precision", "fp8"],
    ],
)
def test_another_is_refused_with_all_that_there_are(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigurationError)
    name = arguments[-2].removeprefix("--")
    assert f"--{name} {arguments[-1]}: choose from " in str(done.exception)
    assert f"Type: --{name} " in str(done.exception)


@pytest.mark.parametrize(
    ("verb", "name", "begun", "completed"),
    [
        ("train", "task", "m", ["mrpc", "mnli"]),
        ("train", "recipe", "sta", ["stable"]),
        ("train", "precision", "b", ["bf16"]),
        ("train", "kind", "mult", ["multi_label"]),
        ("train", "format", "js", ["jsonl", "json"]),
        ("train", "metric", "f1_mi", ["f1_micro"]),
        ("search", "model", "mini", ["minilm"]),
        ("serve", "backend", "onnx", ["onnx", "onnx-int8"]),
        ("evaluate", "task", "ss", ["sst2"]),
        ("check", "on_bad_row", "s", ["stop", "skip"]),
    ],
)
def test_completion_knows_the_choices(
    verb: str, name: str, begun: str, completed: list[str]
) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[verb]
    (parameter,) = (each for each in command.params if each.name == name)
    context = command.make_context(verb, [], resilient_parsing=True)
    found = [each.value for each in parameter.shell_complete(context, begun)]
    assert sorted(found) == sorted(completed)
