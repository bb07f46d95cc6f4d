"""Command line options made from the fields of settings models.

A command takes them as `**options`, and `@options_of(TrainConfig)` puts one option per field in
their place. Values are read as text and checked by the model, so that all mistakes are reported
together instead of the parser stopping at the first; help and completion know the choices.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from gluetune.cli.verb import CLUSTER_PANEL as CLUSTER_PANEL
from gluetune.core.config import FORMAT_SETTINGS, FileFormat, TrainConfig, make_file_format
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.published import RECIPES
from gluetune.core.settings import (
    Settings,
    choices_of,
    default_words,
    flag_for,
    meaning,
    option_of,
)
from gluetune.core.settings_files import parse_assignment, split_names
from gluetune.core.tasks import GLUE_TASKS

_WIDEST = 20
"""Characters of a placeholder that lists the choices, at most."""

Command = Callable[..., None]


def options_of(
    model: type[Settings],
    *,
    only: Container[str] | None = None,
    but: Container[str] = (),
    group: str | None = None,
) -> Callable[[Command], Command]:
    """Give a Typer command one option per field of `model`, instead of its `**options`.

    Several of these, one above the other, give a command the fields of several models.

    Args:
        model: The settings model.
        only: Its fields that the command takes. Default: all.
        but: Fields that it does not take.
        group: Title of the options in the help. Default: the model's groups.
    """
    options = [
        _parameter(model, name, group)
        for name in _by_group(model)
        if name not in but and (only is None or name in only)
    ]

    def with_options(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
        parameters = [*own, *options]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # how inspect documents it
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        rare = {each.name for each in options if model.common and each.name not in model.common}
        command.rare_options = {*getattr(command, "rare_options", ()), *rare}  # type: ignore[attr-defined]  # `Verb` reads it
        return command

    return with_options


def given_settings(options: Mapping[str, Any], *models: type[Settings]) -> dict[str, Any]:
    """Return what was typed, by field: of `models` alone, where any are named."""
    fields = {name for model in models for name in model.model_fields}
    settings = {
        name: value
        for name, value in options.items()
        if value not in (None, []) and (not models or name in fields)
    }
    if "training_args" in settings:
        settings["training_args"] = _assignments(settings["training_args"])
    if "label_order" in settings:
        settings["label_order"] = list(split_names(settings["label_order"]))
    return settings


def listening(as_events: bool) -> dict[str, Any]:
    """Return the keyword arguments by which a function that trains reports its progress."""
    if not as_events:
        return {}
    from gluetune.core.display import print_event
    from gluetune.core.events import Throttle
    from gluetune.core.terminal import stop_waiting

    stop_waiting()
    return {"progress": False, "on_event": Throttle(print_event)}


def suggest(words: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes the value of an option from `words`."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def suggest_runs(incomplete: str) -> list[str]:
    """Return the folders of runs, searches and suites that complete a path."""
    records = ("record.json", "search.yaml", "suite.json")
    found = {
        str(file.parent)
        for record in records
        for depth in ("", "*/", "*/*/")
        for file in Path().glob(f"{depth}{record}")
    }
    return sorted(path for path in found if path.startswith(incomplete))


def metavar(field: FieldInfo) -> str:
    """Return the placeholder of an option's value in the help."""
    if own := option_of(field).metavar:
        return own
    if choices := choices_of(field):
        written = "|".join(choices)
        # A wide one leaves no room for the names of options and for the help.
        return written if len(written) <= _WIDEST else "NAME"
    kinds = typing.get_args(field.annotation) or (field.annotation,)
    if float in kinds or int in kinds:
        return "NUMBER"
    return "PATH" if Path in kinds else "TEXT"


def _by_group(model: type[Settings]) -> list[str]:
    """Return the fields of a model in the order of its help: those without a group first."""
    fields = model.model_fields
    grouped = [name for names in model.groups.values() for name in names if name in fields]
    return [*(name for name in fields if name not in grouped), *grouped]


def _parameter(model: type[Settings], name: str, group: str | None) -> inspect.Parameter:
    group = group or next((title for title, names in model.groups.items() if name in names), None)
    annotation: Any = Annotated[
        _typed_as(model.model_fields[name]), _typer_option(model, name, group)
    ]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _typed_as(field: FieldInfo) -> Any:
    """Return the type for the parser: a switch, an option that can be repeated, or text."""
    if field.annotation in (bool, bool | None):
        return bool | None
    return list[str] | None if option_of(field).repeated else str | None


def _typer_option(model: type[Settings], name: str, group: str | None) -> Any:
    field = model.model_fields[name]
    is_switch = field.annotation in (bool, bool | None)
    flag = flag_for(model, name)
    can_be_denied = is_switch and field.default is not False
    words = choices_of(field) or option_of(field).suggestions
    shown = metavar(field)
    return typer.Option(
        f"{flag}/--no-{flag.removeprefix('--')}" if can_be_denied else flag,
        help=_help(field, shown),
        metavar=None if is_switch else shown,
        autocompletion=suggest(words) if words else None,
        show_default=False,  # what is not given is left to the model
        rich_help_panel=group,
    )


def _help(field: FieldInfo, shown: str) -> str:
    """Return the description of a field with its default, and its choices unless `shown`."""
    text = field.description if "|" in shown else meaning(field)
    return " ".join(filter(None, (text, default_words(field))))


def _assignments(texts: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    findings: list[Finding] = []
    for text in texts:
        try:
            name, value = parse_assignment(text)
        except ConfigurationError as error:
            findings += error.findings
        else:
            values[name] = value
    ConfigurationError.raise_any(findings)
    return values


Recipe = Annotated[
    str | None,
    typer.Option(
        help=f"Published recipe; flags win over it. One of: {', '.join(RECIPES)}.",
        metavar="NAME",
        autocompletion=suggest(RECIPES),
    ),
]
Task = Annotated[
    str | None,
    typer.Argument(
        help=f"GLUE task: {', '.join(GLUE_TASKS)}. For your own text: a name for it.",
        autocompletion=suggest(GLUE_TASKS),
    ),
]
Model = Annotated[
    str,
    typer.Argument(
        help="A run's folder, a checkpoint folder, or a Hub id.", autocompletion=suggest_runs
    ),
]

AsEvents = Annotated[
    bool,
    typer.Option(
        "--json-events", help="Print each event as a line of JSON, and the result as the last one."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]

file_options = options_of(TrainConfig, only=FORMAT_SETTINGS, group="File format")
"""Gives a command the options of the format of the file that it reads."""


def typed_format(options: Mapping[str, Any]) -> FileFormat:
    """Return what was typed of `file_options`. Raises ConfigurationError listing every mistake."""
    given = given_settings(options)
    return make_file_format({name: given[name] for name in FORMAT_SETTINGS if name in given})
