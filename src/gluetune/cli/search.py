"""`gluetune search`: the best hyperparameters, and a training with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import CLUSTER_PANEL, given_settings, options_of
from gluetune.core.command_lines import command_line, typed
from gluetune.core.config import TrainConfig
from gluetune.core.records import shown
from gluetune.core.terminal import Console

if TYPE_CHECKING:
    from gluetune.experiments.search.outcomes import BestRun, State

_PANEL = "The search"


@options_of(TrainConfig, but=("task",))
def search(
    task: Annotated[
        str | None, typer.Argument(help="A GLUE task: cola, sst2, mrpc, stsb, qqp, mnli, …")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings that are the same for all trials.")
    ] = None,
    trials: Annotated[
        str,
        typer.Option(
            help="Trials in all, those of earlier calls included.",
            metavar="NUMBER",
            rich_help_panel=_PANEL,
        ),
    ] = "20",
    timeout: Annotated[
        str | None,
        typer.Option(
            help="Begin no trial after this time: seconds, or 30m, or 2h.",
            metavar="TIME",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    space: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of what varies, e.g. `batch_size: [16, 32]`. Default: learning rate, "
            "batch size, epochs, warmup and weight decay, by the model's size.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="`score` (the task's own), one of its metrics, or `loss`.",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(
            help="Default: what is better of the objective.",
            metavar="maximize|minimize",
            rich_help_panel=_PANEL,
        ),
    ] = None,
    sampler: Annotated[
        str,
        typer.Option(
            help="tpe, random, qmc, gp, …, or Optuna's own: 'TPESampler(multivariate=True)'.",
            rich_help_panel=_PANEL,
        ),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(
            help="median, asha, hyperband, none, …, or Optuna's own name.", rich_help_panel=_PANEL
        ),
    ] = "median",
    tune_on: Annotated[
        str,
        typer.Option(
            help="What trials are scored on: a part of train that is held out, or validation.",
            metavar="train|validation",
            rich_help_panel=_PANEL,
        ),
    ] = "train",
    jobs: Annotated[
        str,
        typer.Option(
            help="Trials at a time, each in a process of its own.",
            metavar="NUMBER",
            rich_help_panel=_PANEL,
        ),
    ] = "1",
    seeds: Annotated[
        str,
        typer.Option(
            help="Seeds that the best setting is trained with at last.",
            metavar="NUMBER",
            rich_help_panel=_PANEL,
        ),
    ] = "1",
    final: Annotated[
        bool,
        typer.Option(
            "--final/--no-final",
            help="Train the best setting on all of train at last.",
            rich_help_panel=_PANEL,
        ),
    ] = True,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Run trials on a Ray cluster: auto, or HOST:PORT; local starts one here.",
            metavar="ADDRESS",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    cpus_per_trial: Annotated[
        str | None,
        typer.Option(
            help="Cores of a trial. Default: 1.", metavar="NUMBER", rich_help_panel=CLUSTER_PANEL
        ),
    ] = None,
    gpus_per_trial: Annotated[
        str | None,
        typer.Option(
            help="GPUs of a trial; 0.5 lets two share one. Default: 0.",
            metavar="NUMBER",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    **options: Any,
) -> None:
    """Search for the best hyperparameters, then train with them on all of the training set."""
    settings = given_settings(options)
    from gluetune.experiments.search.search import search as run_search

    try:
        best = run_search(
            task,
            config=config,
            space=space,
            objective=objective,
            trials=trials,  # type: ignore[arg-type]  # text: checked with everything else
            timeout=timeout,
            direction=direction,  # type: ignore[arg-type]  # see above
            sampler=sampler,
            pruner=pruner,
            tune_on=tune_on,
            jobs=jobs,  # type: ignore[arg-type]  # see above
            seeds=seeds,  # type: ignore[arg-type]  # see above
            final=final,
            ray=ray,
            cpus_per_trial=cpus_per_trial,
            gpus_per_trial=gpus_per_trial,
            **settings,
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    render_best(Console(), best)


def render_best(console: Console, best: BestRun) -> None:
    """Print what a search found: its trials, the best of them, and what that is worth."""
    from gluetune.experiments.search.board import trials_table

    (row,) = (trial for trial in best.trials if trial.number == best.number)
    table = trials_table(best.trials, row)
    task = best.run.task
    table.title = f"{task.name}: {task.metric_title(best.objective)} on {_tuned_on(best)}"
    console.print(table)
    console.print(Text("\n".join(_lines(best))), soft_wrap=True)


def _tuned_on(best: BestRun) -> str:
    if best.tuned_on == "validation":
        return "the validation set"
    rows = best.run.record.data.rows[best.tuned_on] if best.run.record.data else 0
    return f"{rows:,} examples held out of train"


def _lines(best: BestRun) -> list[str]:
    states: tuple[State, ...] = ("finished", "pruned", "failed")
    counts = ", ".join(f"{best.counted(state)} {state}" for state in states)
    lines = [f"trials   {counts}"]
    for run in best.finals:
        lines.append(f"final    seed {run.record.seed}: validation {shown(run.score)}  {run.path}")
    if best.deviation is not None:
        count = len(best.scores)
        lines.append(f"         mean {shown(best.score)} ± {best.deviation:.4f} over {count} seeds")
    if best.finals and best.tuned_on == "validation":
        lines.append("note: trials were scored on this validation set, which flatters its score.")
    config = best.run.folder.config
    chosen = best.finals[0] if best.finals else best.run
    return [
        *lines,
        f"search   {best.folder}",
        f"page     {best.folder}/search.html",
        "",
        "Next:",
        f"  {command_line('train', config=config)}   # the best trial again, to the bit",
        f"  {command_line('evaluate', chosen.path)}",
        f"  {typed('optuna-dashboard', best.folder / 'study.journal')}",
    ]
