"""The reference, written from the code: exported names, commands, settings of a training."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import typer

import gluetune
from gluetune.cli.app import app
from gluetune.cli.run_glue import FLAGS
from gluetune.core.config import TrainConfig
from gluetune.core.folds import FoldsSettings
from gluetune.core.inference_settings import (
    EvaluateSettings,
    ExportSettings,
    LoadSettings,
    PredictSettings,
)
from gluetune.core.settings import Settings, flag_for, meaning
from gluetune.experiments.settings import SearchSettings, SuiteSettings
from gluetune.metrics.registry import METRICS
from gluetune.serving.settings import Limits, ServeSettings


def api() -> str:
    """Return every exported name, with its docstring, by kind."""
    values = {name: getattr(gluetune, name) for name in gluetune.__all__ if name[:2] != "__"}
    functions = [name for name, value in values.items() if inspect.isfunction(value)]
    errors = [
        name
        for name, value in values.items()
        if inspect.isclass(value) and issubclass(value, Exception)
    ]
    classes = [
        name for name, value in values.items() if inspect.isclass(value) and name not in errors
    ]
    rest = [name for name in values if name not in {*functions, *errors, *classes}]
    # What stands under an assignment is found in the module that assigns.
    data = [f"{gluetune._HOMES[name].removeprefix('gluetune.')}.{name}" for name in rest]
    return "\n".join(
        [
            *_section("Functions", "autofunction", functions),
            *_section("What they return and take", "autoclass", classes, ":members:"),
            *_section("Errors", "autoexception", errors),
            *_section("Data", "autodata", data, ":no-value:"),
        ]
    )


def command_line() -> str:
    """Return every command with its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n".join(line for name in group.commands for line in _command(name, group))


def settings() -> str:
    """Return every settings model by verb, each field with its flag, choices, default, meaning."""
    return "\n".join(line for title, model in _MODELS.items() for line in _model(title, model))


def run_glue_flags() -> str:
    """Return every flag of run_glue.py that gluetune calls otherwise, does not need, or refuses."""
    rows = [
        f"| `--{name}` | {f'`{flag.option}`' if flag.option else flag.treatment} | "
        f"{_cell(flag.note)} |"
        for name, flag in FLAGS.items()
    ]
    return "\n".join(["| run_glue.py | gluetune | |", "|---|---|---|", *rows, ""])


def metrics() -> str:
    """Return every metric: name, kinds of task, direction, interval, other name on the Hub."""
    rows = [
        f"| `{metric.name}` | {metric.title} | {', '.join(f'`{kind}`' for kind in metric.kinds)} | "
        f"{'greater' if metric.greater_is_better else 'lower'} | "
        f"{'Wilson' if metric.is_proportion else 'bootstrap'} | "
        f"{f'`{metric.hub_name}`' if metric.hub_name else ''} |"
        for metric in METRICS.values()
    ]
    heading = ["name", "metric", "kinds", "better if", "interval", "on the Hub"]
    return "\n".join([f"| {' | '.join(heading)} |", "|---" * len(heading) + "|", *rows, ""])


_MODELS: dict[str, type[Settings]] = {
    "train": TrainConfig,
    "train --folds": FoldsSettings,
    "search": SearchSettings,
    "suite": SuiteSettings,
    "load": LoadSettings,
    "evaluate": EvaluateSettings,
    "predict": PredictSettings,
    "serve": ServeSettings,
    "serve: limits": Limits,
    "export": ExportSettings,
}


def _model(title: str, model: type[Settings]) -> Iterator[str]:
    yield f"\n## {title}\n"
    yield "| Python, YAML | command | default | |"
    yield "|---|---|---|---|"
    for name, field in model.model_fields.items():
        flag = "TASK" if model is TrainConfig and name == "task" else flag_for(model, name)
        yield f"| `{name}` | `{flag}` | {_default(field)} | {_cell(meaning(field))} |"
    yield ""


def _section(title: str, directive: str, names: list[str], *options: str) -> Iterator[str]:
    yield f"\n## {title}\n"
    yield "```{eval-rst}"
    for name in names:
        yield f".. {directive}:: gluetune.{name}"
        yield from (f"   {option}" for option in options)
        yield ""
    yield "```"


def _command(name: str, group: Any) -> Iterator[str]:
    command = group.commands[name]
    yield f"\n## gluetune {name}\n"
    yield f"{command.help}\n"
    yield "| | |"
    yield "|---|---|"
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        names = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name]
        typed = ", ".join(f"`{each if is_option else each.upper()}`" for each in names)
        yield f"| {typed} | {_cell(getattr(parameter, 'help', ''))} |"
    yield ""


def _default(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "" if field.is_required() or value in (None, "", {}, ()) else f"`{value}`"


def _cell(text: str | None) -> str:
    return (text or "").replace("|", "\\|").replace("<", "\\<")
