"""What all verbs have in common: project defaults, verbosity, the help of two lengths, Ctrl-C."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from functools import wraps
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from gluetune.cli.project import take_defaults
from gluetune.core import terminal

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
        take_defaults(self, context)
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
