"""`gluetune search`: find the best hyperparameters, and train with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gluetune.cli.options import AsEvents, AsJson, Task, given_settings, listening, options_of
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line, typed
from gluetune.core.config import FOLD_SETTINGS, TrainConfig
from gluetune.core.display import print_result_event
from gluetune.core.events import TrialState
from gluetune.core.records import shown
from gluetune.core.terminal import Console, print_json
from gluetune.experiments.settings import SearchSettings

if TYPE_CHECKING:
    from gluetune.experiments.search.result import SearchResult


@loads
@options_of(TrainConfig, but=("task", *FOLD_SETTINGS))
@options_of(SearchSettings)
def search(
    task: Task = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings that are the same for all trials.")
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of what varies, e.g. `batch_size: [16, 32]`. Default: learning rate, "
            "batch size, epochs, warmup and weight decay, by the model's size."
        ),
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="`score` (the task's own), one of its metrics, or `loss`.")
    ] = None,
    as_json: AsJson = False,
    as_events: AsEvents = False,
    **options: Any,
) -> None:
    """Search for the best hyperparameters, then train with them on all of the training set."""
    settings = given_settings(options)
    from gluetune.experiments.search.search import search as run_search

    result = run_search(
        task,
        config=config,
        space=space,
        objective=objective,
        **listening(as_events),
        **settings,
    )
    if as_json or as_events:
        (print_result_event if as_events else print_json)(result.to_dict())
    else:
        render_search(Console(), result)


def render_search(console: Console, result: SearchResult) -> None:
    """Print the result of a search: its trials, the best of them, and the final runs."""
    from gluetune.core.display import trials_table

    table = trials_table(result.trials, result.best)
    task = result.run.task
    table.title = f"{task.name}: {task.metric_title(result.objective)} on {_tuned_on(result)}"
    console.print(table)
    console.say("\n".join(_lines(result)))


def _tuned_on(result: SearchResult) -> str:
    if result.tuned_on == "validation":
        return "the validation set"
    rows = result.run.record.data.rows[result.tuned_on] if result.run.record.data else 0
    return f"{rows:,} examples held out of train"


def _lines(result: SearchResult) -> list[str]:
    states: tuple[TrialState, ...] = ("finished", "pruned", "failed")
    counts = ", ".join(f"{result.count(state)} {state}" for state in states)
    lines = [f"trials   {counts}"]
    for run in result.finals:
        lines.append(f"final    seed {run.record.seed}: validation {shown(run.score)}  {run.path}")
    if result.deviation is not None:
        count = len(result.scores)
        lines.append(
            f"         mean {shown(result.score)} ± {result.deviation:.4f} over {count} seeds"
        )
    if result.finals and result.tuned_on == "validation":
        lines.append("note: trials were scored on this validation set, which flatters its score.")
    config = result.run.folder.config
    chosen = result.finals[0] if result.finals else result.run
    return [
        *lines,
        f"search   {result.folder}",
        f"page     {result.folder}/search.html",
        "",
        "Next:",
        f"  {command_line('train', config=config)}   # the best trial again, bit for bit",
        f"  {command_line('evaluate', chosen.path)}",
        f"  {typed('optuna-dashboard', result.folder / 'study.journal')}",
    ]
