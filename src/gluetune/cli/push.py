"""`gluetune push`: a finished run as a model on the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads
from gluetune.core.errors import ConfigurationError
from gluetune.core.suites import is_suite
from gluetune.core.terminal import Console, Table, print_json, progress_console

if TYPE_CHECKING:
    from gluetune.publishing.upload import PushResult


@loads
def push(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run or a suite.")],
    repo: Annotated[
        str,
        typer.Argument(help="Repository on the Hub: owner/name; for a suite owner/name-TASK."),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Create a private repository.")
    ] = False,
    revision: Annotated[str | None, typer.Option(help="Branch to write to. Default: main.")] = None,
    message: Annotated[str | None, typer.Option(help="Commit message.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the model card and the files; send nothing.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="For a suite: seed of the runs to push. Default: the first.")
    ] = None,
    collection: Annotated[
        str | None, typer.Option(help="For a suite: title of a collection for its models.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Publish a run's best model on the Hugging Face Hub, with a card made from its record."""
    options: dict[str, Any] = {
        "private": private,
        "revision": revision,
        "message": message,
        "dry_run": dry_run,
    }
    if is_suite(run):
        from gluetune.publishing.upload import push_suite

        say = progress_console().say
        options |= {"seed": seed, "collection": collection, "on_message": say}
        every = push_suite(run, repo, **options)
        if as_json:
            print_json(list(every))
            return
        for pushed in every:
            render_pushed(Console(), pushed)
        return
    if seed is not None or collection is not None:
        raise ConfigurationError(
            f"--seed and --collection are for suites, and {run} is a run.", hint="Leave them out."
        )
    publish_and_print(run, repo, as_json=as_json, **options)


def publish_and_print(run: Path, repo: str, *, as_json: bool = False, **options: Any) -> None:
    """Publish a run as `gluetune.push` does, and print the result."""
    from gluetune.publishing.upload import push as publish

    pushed = publish(run, repo, on_message=progress_console().say, **options)
    if as_json:
        print_json(pushed)
    else:
        render_pushed(Console(), pushed)


def render_pushed(console: Console, pushed: PushResult) -> None:
    """Print what was published, or what would be."""
    if pushed.status == "dry run":
        console.say(pushed.card)
        console.print(_files(pushed))
        visibility = "a private repository" if pushed.private else "the repository"
        console.say(f"Nothing was sent. It would go to {visibility} {pushed.url}.")
        return
    for line in _lines(pushed):
        console.say(line)


def _files(pushed: PushResult) -> Table:
    table = Table(title=f"{pushed.repo}, branch {pushed.revision}", title_justify="left")
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for name, size in pushed.files:
        table.add_row(Text(name, overflow="fold"), f"{size:,}")
    return table


def _lines(pushed: PushResult) -> list[str]:
    lines = [f"model    {pushed.url}" + (" (private)" if pushed.private else "")]
    what = "nothing to do: all of it was there" if pushed.status == "unchanged" else "uploaded"
    lines.append(f"commit   {(pushed.commit or '')[:12]} on {pushed.revision} ({what})")
    before = [name for name in (*pushed.replaced, *pushed.removed) if name.endswith(".safetensors")]
    if before:
        lines.append(
            f"         replaced another model's {', '.join(before)}, which stays in the history"
        )
    if pushed.kept:
        lines.append(
            f"kept     {', '.join(pushed.kept)}: no push wrote them, and loaders may read them"
        )
    found = pushed.verification
    if found is not None and found.largest_difference is not None:
        lines.append(
            f"checked  downloaded again: the same bytes, and on {found.rows:,} validation rows the "
            f"same logits (largest difference {found.largest_difference:.1g})"
        )
    elif found is not None:
        lines.append(
            "checked  downloaded again: the same bytes. No logits were compared: "
            + found.not_compared
        )
    given = "" if pushed.revision == "main" else f", revision='{pushed.revision}'"
    return [*lines, "", "Next:", f"  gluetune.load('{pushed.repo}'{given})"]
