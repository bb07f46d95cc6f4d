"""Defaults of a project: `gluetune.toml` in the current folder, and GLUETUNE_* variables."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperOption

from gluetune.core.errors import ConfigurationError, Finding
from gluetune.core.published import recipe_fields
from gluetune.core.settings_files import join_names, read_settings
from gluetune.core.terminal import progress_console
from gluetune.core.text import nearest_of

PROJECT_FILE = "gluetune.toml"

_VARIABLE = "GLUETUNE_"
_OWN_VARIABLES = ("GLUETUNE_DATA", "GLUETUNE_CACHE")
"""Variables with a meaning of their own, from Python too."""
_TYPED_ONLY = ("trust_remote_code", "push", "resume", "config")
"""Options that are never taken from a file that came with a folder."""


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


def take_defaults(command: Any, context: Any) -> None:
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
        progress_console().say(f"defaults: {said}", "dim")


def _as_typed(value: Any) -> Any:
    """Return a value of TOML as the command line gives it: text, or a switch."""
    if isinstance(value, dict):
        return [f"{name}={each}" for name, each in value.items()]
    if isinstance(value, list):
        return join_names(map(str, value))
    return value if isinstance(value, bool) else str(value)
