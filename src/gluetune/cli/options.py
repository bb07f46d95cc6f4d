"""Command line options made from the fields of settings models.

A command takes them as `**options`, and `@options_of(TrainConfig)` puts one option per field in
their place. Values are read as text and checked by the model, so that all mistakes are reported
together instead of the parser stopping at the first; help and completion know the choices.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from gluetune.core.config import FORMAT_SETTINGS, TrainConfig
from gluetune.core.config_checks import make_file_format
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.file_formats import FileFormat
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

CLUSTER_PANEL = "A cluster"

_WIDEST = 20
"""Characters of what stands for a value in the help, where it is a list of choices."""

Command = Callable[..., None]


def options_of(
    model: type[Settings],
    *,
    only: Container[str] | None = None,
    but: Container[str] = (),
    group: str | None = None,
) -> Callable[[Command], Command]:
    """Give a Typer command one option per field of `model`, in place of its `**options`.

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


def suggest(words: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what completes the value of an option from `words`."""

    def complete(incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return complete


def metavar(field: FieldInfo) -> str:
    """Return what stands for the value of an option in its help."""
    if own := option_of(field).metavar:
        return own
    if choices := choices_of(field):
        written = "|".join(choices)
        # A wide one leaves no room for the names of options and for the help.
        return written if len(written) <= _WIDEST else "NAME"
    kinds = typing.get_args(field.annotation) or (field.annotation,)
    if float in kinds or int in kinds:
        return "NUMBER"
    return "TEXT"


def _by_group(model: type[Settings]) -> list[str]:
    """Return the fields of a model in the order of its help: those without a group first."""
    grouped = [name for names in model.groups.values() for name in names]
    return [*(name for name in model.model_fields if name not in grouped), *grouped]


def _parameter(model: type[Settings], name: str, group: str | None) -> inspect.Parameter:
    group = group or next((title for title, names in model.groups.items() if name in names), None)
    annotation: Any = Annotated[
        _typed_as(model.model_fields[name]), _typer_option(model, name, group)
    ]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _typed_as(field: FieldInfo) -> Any:
    """Return what the parser reads: a switch, an option that is given several times, or text."""
    if field.annotation in (bool, bool | None):
        return bool | None
    return list[str] | None if option_of(field).repeated else str | None


def _typer_option(model: type[Settings], name: str, group: str | None) -> Any:
    field = model.model_fields[name]
    is_switch = field.annotation in (bool, bool | None)
    flag = flag_for(model, name)
    can_be_denied = is_switch and field.default is not False
    words = choices_of(field) or option_of(field).suggestions
    return typer.Option(
        f"{flag}/--no-{flag.removeprefix('--')}" if can_be_denied else flag,
        help=" ".join(filter(None, (meaning(field), default_words(field)))),
        metavar=None if is_switch else metavar(field),
        autocompletion=suggest(words) if words else None,
        show_default=False,  # the parser's own is none: what is left out is left to the model
        rich_help_panel=group,
    )


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
    if findings:
        raise ConfigurationError.of(findings)
    return values


Task = Annotated[
    str | None,
    typer.Argument(
        help=f"A GLUE task: {', '.join(GLUE_TASKS)}.",
        autocompletion=suggest(GLUE_TASKS),
    ),
]
Model = Annotated[str, typer.Argument(help="A run's folder, a checkpoint folder, or a Hub id.")]
AskedPrecision = Annotated[
    str, typer.Option("--precision", help="auto (a run's own), fp32, bf16 or fp16.")
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Examples per forward pass. Default: the run's own.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: the run's own.")]
MaxLength = Annotated[
    int | None, typer.Option(min=3, help="Tokens per example. Default: the run's own.")
]
LabelOrder = Annotated[
    str | None, typer.Option(help="Class names of the model's outputs, by id: NAME,NAME,…")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")
]


def names_in_order(text: str | None) -> tuple[str, ...] | None:
    """Return what `--label-order` says: the names in `NAME,NAME,…`."""
    return split_names(text) if text else None


def one_of(word: str, choices: Any, option: str) -> Any:
    """Return `word` if the Literal `choices` has it. Raises ConfigurationError that lists them."""
    known = get_args(choices)
    if word not in known:
        raise ConfigurationError(
            f"{option} {word}: there is no such {option.removeprefix('--')}.",
            hint=f"Type one of: {', '.join(known)}.",
        )
    return word


file_options = options_of(TrainConfig, only=FORMAT_SETTINGS, group="How the file is written")
"""Gives a command the options that say how the file that it reads is written."""


def typed_format(options: Mapping[str, Any]) -> FileFormat:
    """Return what was typed of `file_options`. Raises ConfigurationError listing every mistake."""
    given = given_settings(options)
    return make_file_format({name: given[name] for name in FORMAT_SETTINGS if name in given})
