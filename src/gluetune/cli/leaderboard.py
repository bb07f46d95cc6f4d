"""`gluetune leaderboard`: several checkpoints on one task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gluetune.cli.options import Recipe, Task, given_settings, options_of
from gluetune.core.command_lines import command_line
from gluetune.core.config import FOLD_SETTINGS, TrainConfig
from gluetune.core.terminal import Console, json_text
from gluetune.experiments.settings import LeaderboardSettings


@options_of(TrainConfig, but=("task", "model", "seed", "output", *FOLD_SETTINGS))
@options_of(LeaderboardSettings)
def leaderboard(
    task: Task = None,
    recipe: Recipe = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder. Default: leaderboards/TASK-HASH.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    **options: Any,
) -> None:
    """Train several checkpoints on a task, and rank them by score, speed, size and memory.

    The same command resumes where it was stopped; more models or seeds extend it.
    """
    settings = given_settings(options)
    from gluetune.experiments.leaderboard import leaderboard as make

    settings.setdefault("models", "")
    try:
        found = make(task, recipe=recipe, output=output, **settings)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(json_text(found.to_dict(), indent=2))
        return
    console = Console()
    console.show_result(found)
    best, *others = [one.runs[0] for one in found.places]
    lines = ["", f"folder   {found.folder}", "", "Next:"]
    if others:
        lines.append(f"  {command_line('compare', best, others[0])}")
    lines.append(f"  {command_line('report', best)}")
    console.say("\n".join(lines))
