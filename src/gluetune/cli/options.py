"""Command line options made from the fields of TrainConfig.

Values are read as text and checked by TrainConfig, so that all mistakes are reported at once
instead of the parser stopping at the first.

The options of every verb that asks a trained model: which one, and how it is run.

Options that take one of a few words.

The options of every verb that reads a file of rows: how it is written.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, get_args

import typer
from pydantic.fields import FieldInfo

from gluetune.core.config import FORMAT_SETTINGS, OWN_SETTINGS, TrainConfig, choices_of, flag_of
from gluetune.core.config_checks import make_file_format
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.file_formats import FileFormat
from gluetune.core.settings_files import parse_assignment, split_names

CLUSTER_PANEL = "A cluster"

_WIDEST = 20
"""Characters of what stands for a value in the help, where it is a list of choices."""

_PANELS = {
    "What to train": (
        "model",
        "revision",
        "data",
        "fraction",
        "holdout",
        "sampling_seed",
        "output",
    ),
    "Your own labelled text": ("train_file", "data_set", *OWN_SETTINGS),
    "How": (
        "learning_rate",
        "batch_size",
        "epochs",
        "weight_decay",
        "warmup",
        "max_length",
        "seed",
        "precision",
        "metric",
        "early_stopping",
        "class_weights",
        "label_smoothing",
        "set",
    ),
    "The checkpoint's head and code": ("new_head", "label_order", "trust_remote_code"),
    "The machine": (
        "compute",
        "compact_vocabulary",
        "micro_batch_size",
        "eval_batch_size",
        "threads",
        "processes",
        "checkpoint_minutes",
    ),
}
_PANEL_OF = {name: panel for panel, names in _PANELS.items() for name in names}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a Typer command one option per field of TrainConfig, in place of its **settings."""
    return with_settings_but("task")(command)


def with_settings_but(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Do the same without the fields of these names."""
    return lambda command: _with_options(
        command, [name for name in TrainConfig.model_fields if name not in names]
    )


def _with_options(command: Callable[..., None], names: Sequence[str]) -> Callable[..., None]:
    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    options = [_option(name, TrainConfig.model_fields[name]) for name in names]
    order = list(_PANEL_OF)
    options.sort(key=lambda parameter: order.index(parameter.name))
    command.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]  # how inspect documents it
    command.__annotations__ = {
        parameter.name: parameter.annotation for parameter in (*own, *options)
    }
    return command


def given_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed, by field: an option that was left out is left out."""
    settings = {name: value for name, value in options.items() if value not in (None, [])}
    if "set" in settings:
        settings["set"] = _assignments(settings["set"])
    if "label_order" in settings:
        settings["label_order"] = list(split_names(settings["label_order"]))
    return settings


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


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    is_flag = field.annotation in (bool, bool | None)
    kind: Any = bool | None if is_flag else list[str] | None if name == "set" else str | None
    flag = flag_of(name)
    can_be_denied = is_flag and field.default is not False
    option = typer.Option(
        f"{flag}/--no-{flag.removeprefix('--')}" if can_be_denied else flag,
        help=f"{field.description}{_default_words(field)}",
        metavar=None if is_flag else metavar(name, field),
        show_default=False,  # the parser's own is none: what is left out is left to TrainConfig
        rich_help_panel=_PANEL_OF[name],
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind, option],
    )


def metavar(name: str, field: FieldInfo) -> str:
    """Return what stands for the value of an option in its help."""
    if name == "set":
        return "NAME=VALUE"
    if choices := choices_of(field):
        written = "|".join(choices)
        # A wide one leaves no room for the names of options and for the help.
        return written if len(written) <= _WIDEST else "NAME"
    kinds = typing.get_args(field.annotation) or (field.annotation,)
    if float in kinds or int in kinds:
        return "NUMBER"
    return "TEXT"


def _default_words(field: FieldInfo) -> str:
    """Say the default, where it is a value and the description does not tell it."""
    if field.annotation is bool or field.default is None or field.default_factory is not None:
        return ""
    return f" Default: {field.default}."


Model = Annotated[str, typer.Argument(help="A run's folder, a checkpoint folder, or a Hub id.")]
Backend = Annotated[
    str, typer.Option(help="torch, or what `gluetune export` made: onnx, onnx-int8.")
]
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


_PANEL = "How the file is written"


def _file_option(name: str, flags: str) -> Any:
    field = TrainConfig.model_fields[name]
    return typer.Option(
        flags,
        help=field.description,
        metavar=None if name == "header" else metavar(name, field),
        rich_help_panel=_PANEL,
        show_default=False,
    )


FormatName = Annotated[str | None, _file_option("format", "--format")]
Delimiter = Annotated[str | None, _file_option("delimiter", "--delimiter")]
Quoting = Annotated[str | None, _file_option("quoting", "--quoting")]
Header = Annotated[bool | None, _file_option("header", "--header/--no-header")]
ColumnNames = Annotated[str | None, _file_option("columns", "--columns")]


def typed_format(*values: Any) -> FileFormat:
    """Return what was typed of these options, in the order of FORMAT_SETTINGS.

    Raises ConfigurationError that lists every mistake.
    """
    given = dict(zip(FORMAT_SETTINGS, values, strict=True))
    return make_file_format({name: value for name, value in given.items() if value is not None})
