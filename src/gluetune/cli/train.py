"""`gluetune train`: fine-tune a checkpoint on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from gluetune.cli.options import (
    CLUSTER_PANEL,
    AsEvents,
    AsJson,
    Recipe,
    Task,
    given_settings,
    listening,
    options_of,
    suggest_runs,
)
from gluetune.cli.verb import loads
from gluetune.core.command_lines import command_line, typed
from gluetune.core.config import TrainConfig
from gluetune.core.display import print_result_event
from gluetune.core.errors import ConfigurationError, Finding, GluetuneError
from gluetune.core.folds import FoldsSettings
from gluetune.core.records import best_epoch
from gluetune.core.tables import Column, Table
from gluetune.core.terminal import Console, print_json
from gluetune.core.text import visible_lines

if TYPE_CHECKING:
    from gluetune.core.records import Record
    from gluetune.core.runs import Run
    from gluetune.statistics.baseline_test import WordTest


class PushError(GluetuneError):
    """The run is finished, and publishing it failed."""


@loads
@options_of(TrainConfig, but=("task",))
@options_of(FoldsSettings)
def train(
    task: Task = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file of settings, such as a run's config.yaml.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Resume an unfinished run from its last checkpoint.", autocompletion=suggest_runs
        ),
    ] = None,
    recipe: Recipe = None,
    ray: Annotated[
        str | None,
        typer.Option(
            help="Train on a Ray cluster, in --processes: auto, or HOST:PORT; local starts one.",
            metavar="ADDRESS",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    cpus_per_process: Annotated[
        str | None,
        typer.Option(
            help="CPU cores per process. Default: 1.",
            metavar="NUMBER",
            rich_help_panel=CLUSTER_PANEL,
        ),
    ] = None,
    gpus_per_process: Annotated[
        str | None,
        typer.Option(
            help="GPUs per process. Default: 0.", metavar="NUMBER", rich_help_panel=CLUSTER_PANEL
        ),
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Publish the finished run on the Hub as owner/name.")
    ] = None,
    push_private: Annotated[
        bool, typer.Option("--push-private", help="With --push: as a private repository.")
    ] = False,
    learning_curve: Annotated[
        bool,
        typer.Option("--learning-curve", help="Afterwards also train on 10, 25 and 50% of train."),
    ] = False,
    as_json: AsJson = False,
    as_events: AsEvents = False,
    **options: Any,
) -> None:
    """Fine-tune a checkpoint on a GLUE task or your own labelled text; the best epoch is kept."""
    settings = given_settings(options)
    _check_push(push, push_private)
    has_folds = resume is not None and (resume / "folds.json").exists()
    if has_folds or ("folds" in settings and "fold" not in settings):
        from gluetune.experiments.jobs import default_jobs

        settings.setdefault("jobs", default_jobs())
    from gluetune.parallel.collectives import current_processes
    from gluetune.training.run import train as run_training

    run = run_training(
        task,
        config=config,
        resume=resume,
        recipe=recipe,
        ray=ray,
        cpus_per_process=cpus_per_process,
        gpus_per_process=gpus_per_process,
        **listening(as_events),
        **settings,
    )
    if not current_processes().is_first:
        return
    if as_json or as_events:
        (print_result_event if as_events else print_json)(_plain(run))
    else:
        render_run(Console(), run)
    if learning_curve:
        _print_curve(Console(), run)
    if push is not None:
        _push(run, push, push_private)


def _plain(run: Run) -> dict[str, Any]:
    """Return a run's result: its folder, scores with intervals and baselines, and its record."""
    from gluetune.analysis.evaluation import evaluation_of

    found = evaluation_of(run)
    scores = {} if found is None else found.scores.to_dict()
    return {"run": str(run.path), **scores, "record": run.record}


def _print_curve(console: Console, run: Run) -> None:
    """Train on parts of the training set, and print their scores."""
    from gluetune.experiments.learning_curve import learning_curve
    from gluetune.rendering.tables import curve_table

    points = learning_curve(run, progress=True)
    console.show(curve_table([(point.rows, point.score) for point in points]))


def _check_push(repo: str | None, private: bool) -> None:
    """Check before training whether the run can be published."""
    if repo is None:
        if private:
            raise ConfigurationError(
                "--push-private goes with --push.", hint="Type: --push owner/name --push-private"
            )
        return
    from gluetune.hub.uploads import require_token
    from gluetune.publishing.upload import name_findings

    ConfigurationError.raise_any(name_findings(repo))
    require_token()


def _push(run: Run, repo: str, private: bool) -> None:
    """Publish a run; where that fails, the run stays finished."""
    from gluetune.cli.push import publish_and_print

    try:
        publish_and_print(run.path, repo, private=private)
    except GluetuneError as error:
        again = command_line("push", run.path, repo, private=private)
        more = Finding(f"{run.path} is finished, and is not on the Hub.", f"Type: {again}")
        failed = PushError.of([*error.findings, more])
        failed.exit_code = error.exit_code
        raise failed from error


def render_run(console: Console, run: Run) -> None:
    """Print the result of a run: scores by epoch, baselines, what to type next."""
    from gluetune.analysis.evaluation import evaluation_of

    record, found = run.record, evaluation_of(run)
    assert found is not None, "a finished run has scored"
    if run.folds is not None:
        for table in run.folds.tables():
            console.show(table)
    else:
        console.show(_epochs(record))
        if found.scores.intervals:
            console.show(found.scores.table(f"{record.task}: best epoch"))
    if found.scores.published or not found.scores.intervals or run.folds is not None:
        console.show(found.scores.baseline_table())
    for note in record.notes:
        console.print(Text(f"note: {visible_lines(note)}"))
    test = found.baseline_test
    if warning := _warning(record, test):
        console.print(Text(warning, style="yellow"))
    elif test is not None and not test.is_shown:
        console.print(Text(test.sentence))
    console.print(_next_steps(run), soft_wrap=True)


def _warning(record: Record, test: WordTest | None) -> str:
    """Return a warning of a run no better than a baseline, with what to try; else nothing."""
    best, baseline, words = best_epoch(record), record.majority_baseline, record.text_baseline
    if best.collapsed:
        same = record.spec.kind.unit_of_example
        found = f"This run collapsed: it gives every example the same {same}."
    elif _is_beaten(record, baseline.score if baseline else None):
        constant = record.spec.kind.constant_name
        found = f"This run does not beat the {constant}: it learned nothing measurable."
    elif test is not None and test.is_worse:
        found = f"{test.sentence} That costs next to nothing."
    elif test is None and words and _is_better(record, words.score, best.validation.score):
        less = "less" if record.spec.greater_is_better else "more"
        found = (
            f"This run scores {less} than the bag of words; whether by more than chance is not "
            "known, since not all predictions are kept."
        )
    else:
        return ""
    if any(note.startswith("Recipe auto") for note in record.notes):
        return f"{found} Try another --seed, another --learning-rate, or another checkpoint."
    return f"{found} Try --recipe auto, another --seed, or another --learning-rate."


def _is_beaten(record: Record, baseline: float | None) -> bool:
    """Whether the run is no better than a baseline that has a score."""
    score = best_epoch(record).validation.score
    if score is None or baseline is None:
        return False
    return not record.spec.is_better(score, baseline)


def _is_better(record: Record, score: float | None, other: float | None) -> bool:
    return score is not None and other is not None and record.spec.is_better(score, other)


def _epochs(record: Record) -> Table:
    from gluetune.analysis.scores import MOST_FULL_NAMES, scored_on

    first = record.epochs[0]
    names = [*first.validation.flat(), *first.extra]
    short = len(names) > MOST_FULL_NAMES
    titles = [
        name if name in first.extra else record.spec.metric_title(name, short=short)
        for name in names
    ]
    best = [record.best is not None and epoch.step == record.best.step for epoch in record.epochs]
    return Table.of(
        f"{record.task}: {scored_on(record)} by epoch",
        (
            Column("epoch", align="right"),
            Column("train loss", "number", missing="undefined"),
            *(Column(title, "number", missing="undefined") for title in titles),
            Column("", key="best"),
        ),
        [
            (
                f"{epoch.epoch:.3g}",
                epoch.train_loss,
                *map({**epoch.validation.flat(), **epoch.extra}.get, names),
                "best" if is_best else "",
            )
            for epoch, is_best in zip(record.epochs, best, strict=True)
        ],
        bold=frozenset(row for row, is_best in enumerate(best) if is_best),
    )


def _next_steps(run: Run) -> Text:
    record = run.record
    loader = (
        "an adapter: loads with peft" if run.config.method == "lora" else "loads with transformers"
    )
    lines = [f"run      {run.path}", f"model    {run.path}/model  ({loader})"]
    if (run.path / "report.html").exists():
        lines.append(f"page     {run.path}/report.html  (open it in a browser)")
    rate = record.timing.examples_per_second
    if rate:
        seconds = record.timing.train_seconds + record.timing.evaluation_seconds
        lines.append(f"time     {seconds:.0f} s, {rate:.0f} examples/s in training")
    lines += ["", "Next:", *(f"  {command}" for command in _commands(run))]
    return Text("\n".join(lines))


def _commands(run: Run) -> list[str]:
    """Return what to type next: predict, serve, show the data, repeat with another seed."""
    record = run.record
    texts = ["Some text.", "Some other text."][: len(run.task.text_columns)]
    example = dict(zip(("text", "text_pair"), texts, strict=False))
    folder = json.dumps(f"{run.path}/model", ensure_ascii=False)  # Python text, in double quotes
    code = (
        "from transformers import pipeline; "
        f'print(pipeline("text-classification", {folder})({json.dumps(example)}))'
    )
    return [
        command_line("evaluate", run.path),
        command_line("predict", run.path, *texts),
        command_line("serve", run.path),
        *([] if run.config.method == "lora" else [typed("python", "-c", code)]),
        *_show_again(run),
        run.config.command_with(config=run.folder.config, seed=record.seed + 1),
    ]


def _show_again(run: Run) -> list[str]:
    """Return the command that shows the data; only of GLUE, whose columns are known."""
    record = run.record
    if record.own_task is not None:
        return [command_line("report", run.path)]
    data = record.data.source if record.data else None
    return [command_line("show", record.task, data=data)]
