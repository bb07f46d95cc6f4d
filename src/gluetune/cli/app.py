"""`gluetune`: the verbs, their help, and how errors are printed.

Each verb imports what it needs only when it runs, so that `--help` is instant.
"""

from __future__ import annotations

import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, NoReturn

import typer
from rich.text import Text

from gluetune import __version__
from gluetune.cli import run_glue
from gluetune.cli.audit import audit
from gluetune.cli.check import check
from gluetune.cli.compare import compare
from gluetune.cli.env import env
from gluetune.cli.evaluate import evaluate
from gluetune.cli.export import export
from gluetune.cli.leaderboard import leaderboard
from gluetune.cli.list import list_folder
from gluetune.cli.predict import predict
from gluetune.cli.push import push
from gluetune.cli.references import references
from gluetune.cli.report import report
from gluetune.cli.search import search
from gluetune.cli.serve import serve
from gluetune.cli.show import show
from gluetune.cli.submit import submit
from gluetune.cli.suite import suite
from gluetune.cli.train import train
from gluetune.cli.verb import Verb, with_shared_options
from gluetune.core.errors import GluetuneError, RenamedWarning, StorageError
from gluetune.core.settings import shell_settings
from gluetune.core.terminal import Console, Table, is_verbose, set_verbosity, tolerate_encodings
from gluetune.core.text import from_here, visible_lines

_GRACE = 5.0
"""Seconds that a silent process waits: when one ends, torchrun ends all, and one is to report."""
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_USAGE_ERROR = typer.BadParameter.__bases__[0]  # of the click that typer brings

app = typer.Typer(
    name="gluetune",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (
    *(show, check, train, search, suite, evaluate, predict, compare, leaderboard, audit),
    *(report, references, submit, export, serve, push, env),
):
    app.command(cls=Verb)(with_shared_options(_verb))
app.command("list", cls=Verb)(with_shared_options(list_folder))


@app.callback(invoke_without_command=True)
def gluetune(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", help="Print the version and exit.", is_eager=True)
    ] = False,
) -> None:
    """Fine-tune any Transformers checkpoint on GLUE, with honest scores."""
    if version:
        typer.echo(f"gluetune {__version__}")
        raise typer.Exit
    context.with_resource(shell_settings())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line. A GluetuneError ends it with its findings and its exit code."""
    tolerate_encodings()
    set_verbosity("normal")  # of the call before, in one process
    given = list(sys.argv[1:] if arguments is None else arguments)
    silent = os.environ.get("RANK", "0") != "0"
    given = given or ["--help"]
    words = given
    if {"-h", "--help", "--help-all"} & {*given}:
        use_options_table()
    try:
        words = run_glue.translate(given)
        if silent:
            sys.exit(_run_silently(words))
        with _plain_warnings():
            app(words, prog_name="gluetune")
    except GluetuneError as error:
        _leave(error, words, silent=silent)
    except PermissionError as error:
        if error.filename is None:  # no file's: a port's, a process's
            raise
        _leave(_forbidden(error), words, silent=silent)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print a warning of a former name as one line, without the line of code that Python shows."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, RenamedWarning):
            usual(message, category, *place, **more)
            return
        text = Text("warning: ", "bold yellow").append(visible_lines(str(message)), "")
        Console(stderr=True).print(text, soft_wrap=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


def _leave(error: GluetuneError, words: Sequence[str], *, silent: bool) -> NoReturn:
    """Print an error, unless another process of this run does, and exit with its code."""
    if silent if error.reported_elsewhere is None else error.reported_elsewhere:
        time.sleep(_GRACE)
    else:
        print_error(error, words[0] if words else "")
    sys.exit(error.exit_code)


def _forbidden(error: PermissionError) -> StorageError:
    """Return the error for a file that this user may not use."""
    return StorageError(
        f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}.",
        hint="Check its permissions, and those of the folders that it is in.",
    )


def _run_silently(words: list[str]) -> int:
    """Run the command in a process that is not the first of its run; return its exit code."""
    try:
        code = app(words, prog_name="gluetune", standalone_mode=False)
    except _USAGE_ERROR:  # type: ignore[misc]  # known by its place only
        time.sleep(_GRACE)  # the first process reports the mistake
        return 2
    return code if isinstance(code, int) else 0


def print_error(error: GluetuneError, verb: str = "") -> None:
    """Print what went wrong in `gluetune VERB` and what to type, on standard error."""
    console = Console(stderr=True)
    if is_verbose():
        console.say("".join(traceback.format_exception(error)).rstrip(), "dim")
    for finding in error.findings:
        console.say(f"error: {from_here(finding.message)}", "bold red")
        if hint := hint_for(verb, finding.hint):
            console.say(f"       {hint}", "dim")


def hint_for(verb: str, hint: str) -> str:
    """Return a hint for `verb`; options that only other verbs have are marked with those verbs.

    Verbs share their checks, and not all of them have the option that fixes a mistake.
    """
    if verb not in _options_of():
        return hint
    # Options after a command are that command's.
    alone = hint.partition("gluetune ")[0]
    remarks = []
    for option in dict.fromkeys(_OPTION.findall(alone)):
        having = [other for other, known in _options_of().items() if option in known]
        if having and verb not in having:
            remarks.append(f"(`gluetune {verb}` has no {option}: {', '.join(having)} take it.)")
    return " ".join([hint, *remarks])


@cache
def _options_of() -> dict[str, frozenset[str]]:
    """Return the options of every verb."""
    group: Any = typer.main.get_command(app)
    return {
        name: frozenset(
            option for each in command.params for option in (*each.opts, *each.secondary_opts)
        )
        for name, command in group.commands.items()
    }


_PLACEHOLDERS = {
    "<bool>": "",
    "<str>": "TEXT",
    "<int>": "NUMBER",
    "<path>": "PATH",
    "<list[Path]>": "PATH …",
    "<list[str]>": "TEXT …",
}
"""Placeholders of values in the help, by typer's, which are types of Python."""


class OptionsTable(Table):
    """A table of the help in which nothing is cut: names keep their width, and the rest is folded.

    By default rich narrows every column alike, and in 80 columns a long name ends in "…".
    """

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row, which makes the columns of a table without any."""
        *names, kind, described = cells
        if isinstance(kind, Text) and kind.plain in _PLACEHOLDERS:
            kind = Text(_PLACEHOLDERS[kind.plain], kind.style)
        super().add_row(*names, kind, described, **settings)
        for column in self.columns[:-2]:
            column.no_wrap = True
        for part in getattr(described, "renderables", ()):
            part.overflow = "fold"


def use_options_table() -> None:
    """Make typer print its options and arguments as an `OptionsTable`."""
    from typer import rich_utils  # slow to import, and only help needs it

    vars(rich_utils)["Table"] = OptionsTable
