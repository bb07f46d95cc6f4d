"""What the documentation's reference pages say is what the code has."""

from __future__ import annotations

import importlib.util
from types import ModuleType
from typing import Any

import typer
from tests.support.pages import ROOT

import gluetune
from gluetune.cli.app import app
from gluetune.core.config import TrainConfig, flag_of
from gluetune.core.settings import flag_for
from gluetune.metrics.registry import METRICS


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_exported_name_is_documented_once() -> None:
    lines = reference().api().splitlines()
    named = [line.rpartition(".")[2] for line in lines if line.startswith(".. auto")]
    assert sorted(named) == sorted({*gluetune.__all__} - {"__version__"})
    for name in named:
        value = getattr(gluetune, name)
        assert value.__doc__ or not callable(value), name


def test_every_verb_and_each_of_its_options_is_there() -> None:
    text = reference().command_line()
    group: Any = typer.main.get_command(app)
    assert len(group.commands) >= 10
    for name, command in group.commands.items():
        section = text.partition(f"## gluetune {name}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert all(f"`{option}`" in section for option in parameter.opts), parameter.opts


def test_every_metric_is_there() -> None:
    lines = reference().metrics().splitlines()
    assert len(METRICS) >= 10
    for name in METRICS:
        assert sum(line.startswith(f"| `{name}` |") for line in lines) == 1


def test_every_setting_is_there_with_its_flag() -> None:
    module = reference()
    text = module.settings()
    for name in TrainConfig.model_fields:
        assert f"| `{name}` | `{flag_of(name)}` |" in text
    for title, model in module._MODELS.items():
        section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
        rows = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
        assert rows == list(model.model_fields), title


def test_the_page_of_settings_has_every_option_that_comes_from_a_model() -> None:
    text = reference().settings()
    group: Any = typer.main.get_command(app)
    known = {
        option for each in group.commands.values() for one in each.params for option in one.opts
    }
    flags = {
        flag_for(model, name)
        for model in reference()._MODELS.values()
        for name in model.model_fields
        if name != "task"
    }
    assert flags <= known
    assert all(f"`{flag}`" in text for flag in flags)
