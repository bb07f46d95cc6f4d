"""What all verbs have in common: project defaults, verbosity, the help of two lengths, Ctrl-C."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from gluetune.core import terminal
from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.published import recipe_fields
from gluetune.core.settings_files import join_names, read_settings
from gluetune.core.text import nearest_of

PROJECT_FILE = "gluetune.toml"

_VARIABLE = "GLUETUNE_"
_OWN_VARIABLES = ("GLUETUNE_DATA", "GLUETUNE_CACHE")
"""Variables with a meaning of their own, from Python too."""
_TYPED_ONLY = ("trust_remote_code", "push", "resume", "config")
"""Options that are never taken from a file that came with a folder."""
CLUSTER_PANEL = "A cluster"
_WHOLE = "gluetune.whole_help"


class Verb(TyperCommand):
    """A verb of the command line."""

    @property
    def rare(self) -> list[Any]:
        """The options that only `--help-all` shows."""
        names = getattr(self.callback, "rare_options", ())
        return [
            one
            for one in self.params
            if isinstance(one, TyperOption)
            and not one.hidden
            and (one.name in names or one.rich_help_panel == CLUSTER_PANEL)
        ]

    def format_help(self, context: Any, formatter: Any) -> None:
        """Print the help: common options, or all of them."""
        hidden = [] if context.meta.get(_WHOLE) else self.rare
        for option in hidden:
            option.hidden = True
        try:
            super().format_help(context, formatter)
        finally:
            for option in hidden:
                option.hidden = False
        if hidden:
            more = f"{len(hidden)} more options: {context.command_path} --help-all"
            terminal.Console().say(f" {more}")

    def invoke(self, context: Any) -> Any:
        """Run the verb with the project's defaults; Ctrl-C ends it with 130."""
        _take_defaults(self, context)
        try:
            if getattr(self.callback, "loads", False):
                terminal.start_waiting(f"{context.command_path}: loading …")
            return super().invoke(context)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        finally:
            terminal.stop_waiting()


def loads(command: Any) -> Any:
    """Mark a command that loads libraries and a model first: a terminal says so meanwhile."""
    command.loads = True
    return command


def _be_quiet(context: typer.Context, value: bool) -> None:
    if value:
        terminal.set_verbosity("quiet")


def _be_verbose(context: typer.Context, value: bool) -> None:
    if value:
        terminal.set_verbosity("verbose")
        os.environ.setdefault("TRANSFORMERS_VERBOSITY", "info")
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)


def _show_all(context: typer.Context, value: bool) -> None:
    if value:
        context.meta[_WHOLE] = True
        typer.echo(context.get_help())
        raise typer.Exit


def _option(*names: str, callback: Any, text: str) -> Any:
    return typer.Option(*names, help=text, callback=callback, is_eager=True, expose_value=False)


_QUIET = _option(
    "--quiet", "-q", callback=_be_quiet, text="Print results, warnings and errors only."
)
_VERBOSE = _option(
    "--verbose", "-v", callback=_be_verbose, text="Print logs of the libraries, and tracebacks."
)
_HELP_ALL = _option("--help-all", callback=_show_all, text="Show all options and exit.")


_SHARED = {"quiet": _QUIET, "verbose": _VERBOSE, "help_all": _HELP_ALL}


def with_shared_options(command: Any) -> Any:
    """Give a command the options of all verbs."""
    signature = inspect.signature(command, eval_str=True)
    shared = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, option]
        )
        for name, option in _SHARED.items()
    ]
    parameters = [*signature.parameters.values(), *shared]

    @wraps(command)
    def call(**options: Any) -> Any:
        for name in _SHARED:
            options.pop(name, None)
        return command(**options)

    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # how inspect documents it
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    return call


@dataclass(frozen=True)
class Default:
    """A default of the project: its value, and where it is set."""

    value: Any
    place: str


def project_defaults(commands: Mapping[str, Any], verb: str = "") -> dict[str, Default]:
    """Return the defaults of options of `verb`, or of all verbs as `verb.option` where they differ.

    A variable overrides `gluetune.toml`, in which a verb's table overrides the lines above it.

    Raises:
        ConfigurationError: the file cannot be read, or has a name that no verb has.
    """
    found: dict[str, Default] = {}
    for table, name, value in _lines(commands):
        if table in ("", verb) or not verb:
            key = name if verb or not table else f"{table}.{name}"
            found[key] = Default(value, f"{PROJECT_FILE}: {f'[{table}] ' if table else ''}{name}")
    known = {name for command in commands.values() for name in _options(command).values()}
    for variable, text in sorted(os.environ.items()):
        name = variable.removeprefix(_VARIABLE).lower()
        if variable.startswith(_VARIABLE) and variable not in _OWN_VARIABLES and name in known:
            found[name] = Default(text, variable)
    return found


def _lines(commands: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield table, option and value of the file's lines, those of no table first."""
    lines, tables = _read(Path(PROJECT_FILE)), {}
    findings = []
    for name in [name for name in lines if isinstance(lines[name], dict) and name in commands]:
        tables[name] = lines.pop(name)
    for table, values in {"": lines, **tables}.items():
        known: dict[str, str] = {}
        for command in [commands[table]] if table else commands.values():
            known |= _options(command)
        for given, value in values.items():
            option = known.get(given.replace("-", "_"))
            if option is None or option in _TYPED_ONLY:
                findings.append(_unknown(table, given, known, is_typed_only=option is not None))
            else:
                yield table, option, value
    ConfigurationError.raise_any(findings)


def _unknown(table: str, given: str, known: Mapping[str, str], *, is_typed_only: bool) -> Finding:
    place = f"{PROJECT_FILE}: {f'[{table}] ' if table else ''}"
    if is_typed_only:
        return Finding(f"{place}{given} cannot be a default.", "Type it with the command.")
    near = nearest_of(given.replace("-", "_"), known)
    guess = f"Did you mean {near}?" if near else f"Options: gluetune {table or 'train'} --help-all"
    return Finding(f"{place}unknown setting '{given}'.", guess)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error}.", hint='Write lines as name = value: model = "minilm"'
        ) from error


def _options(command: Any) -> dict[str, str]:
    """Return the options of a command by the names that they may be given: its own and the flag."""
    names: dict[str, str] = {}
    for one in command.params:
        if isinstance(one, TyperOption) and one.expose_value and one.name:
            flags = [
                flag.removeprefix("--").replace("-", "_") for flag in one.opts if flag[:2] == "--"
            ]
            names |= dict.fromkeys((one.name, *flags), one.name)
    return names


def _take_defaults(command: Any, context: Any) -> None:
    """Give options that were not typed the project's values, unless a file or a recipe has them."""
    if context.parent is None or context.params.get("resume") is not None:
        return
    params = context.params
    options = _options(command).values()
    stated = {
        *(read_settings(params["config"]) if params.get("config") else ()),
        *(recipe_fields(params["recipe"]) if params.get("recipe") else ()),
    }
    taken = {}
    for name, default in project_defaults(context.parent.command.commands, command.name).items():
        source = context.get_parameter_source(name)
        if name in options and name not in stated and source.name == "DEFAULT":
            parameter = next(one for one in command.params if one.name == name)
            try:
                params[name] = parameter.process_value(context, _as_typed(default.value))
            except typer.BadParameter as error:
                raise ConfigurationError(
                    f"{default.place}: {default.value!r}: {error.message}.",
                    hint=f"Correct it, or type {parameter.opts[0]}.",
                ) from error
            taken[name] = default
    if taken:
        said = ", ".join(f"{one.value!r} ({one.place})" for one in taken.values())
        terminal.progress_console().say(f"defaults: {said}", "dim")


def _as_typed(value: Any) -> Any:
    """Return a value of TOML as the command line gives it: text, or a switch."""
    if isinstance(value, dict):
        return [f"{name}={each}" for name, each in value.items()]
    if isinstance(value, list):
        return join_names(map(str, value))
    return value if isinstance(value, bool) else str(value)
