"""`gluetune.search`: search for the best hyperparameters, then train with them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from gluetune.core.config import TrainConfig
from gluetune.core.display import Display, open_display
from gluetune.core.errors import ConfigurationError, StorageError
from gluetune.core.events import ExperimentEnded, OnEvent
from gluetune.core.files import check_writable, locked, make_folder
from gluetune.core.keywords import SearchKeywords
from gluetune.core.runs import Run
from gluetune.experiments.search.preflight import Checked, HpSpace, Objective, check
from gluetune.experiments.search.request import SearchFolder, check_folder, load_or_create
from gluetune.experiments.search.result import SearchResult, write_page
from gluetune.experiments.search.scheduler import SearchScheduler
from gluetune.experiments.search.study import open_study
from gluetune.parallel.orphans import end_orphans
from gluetune.parallel.pool import open_pool
from gluetune.parallel.ray import Cluster, connect, make_cluster

_CLUSTER = ("ray", "cpus_per_trial", "gpus_per_trial")
_ERRORS_SHOWN = 3


def search(
    task: str | None = None,
    *,
    config: str | Path | TrainConfig | None = None,
    space: str | Path | Mapping[str, Any] | HpSpace | None = None,
    objective: str | Objective | None = None,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    progress: bool = True,
    **settings: Unpack[SearchKeywords],
) -> SearchResult:
    """Search for the best hyperparameters of a task, then train with them on all of train.

    The search is a folder, named by a hash of its settings: the same call resumes it, and a call
    with more `trials` extends it.

    Args:
        task: Name of a GLUE task, e.g. "cola".
        config: A TrainConfig, or a YAML file, with settings of all trials.
        space: A YAML file, its content as a mapping, or a function of an Optuna trial that returns
            settings (Trainer's `hp_space`). Default: learning rate, batch size, epochs, warmup and
            weight decay, by the model's size, except those given in `settings`.
        objective: A metric ("score" is the task's own; "loss"), or a function of an evaluation's
            metrics (Trainer's `compute_objective`).
        output: The search's folder. Default: searches/TASK-MODEL-HASH.
        on_event: Called with every event of `gluetune.core.events`: trials, reports, steps.
        progress: Whether to show progress on standard error.
        settings: Fields of SearchSettings, e.g. `trials=50, jobs=2`, and fields of TrainConfig for
            every trial, e.g. `model="minilm", fraction=0.1`.

    Raises:
        GluetuneError: with every mistake that can be found before training; where no trial has
            finished; where the disk is full or the Hub cannot be reached. Ended trials are kept.
        KeyboardInterrupt: after Ctrl-C, once running trials have saved their state.
    """
    root = Path("searches")
    check_writable(root if output is None else Path(output))
    given: dict[str, Any] = dict(settings)
    cluster = make_cluster(*map(given.get, _CLUSTER))
    if cluster is not None:
        connect(cluster)
    checked = check(task, config, space, objective, given, cluster)
    path = checked.request.find(root) if output is None else Path(output)
    check_folder(path)
    make_folder(path)
    with locked(path), open_display(progress, on_event) as display:
        end_orphans(path, display.say)
        return _run(checked, SearchFolder(path), display, cluster)


def _run(
    checked: Checked, folder: SearchFolder, display: Display, cluster: Cluster | None
) -> SearchResult:
    """Run what is left of the search in `folder`, whose lock this process holds."""
    request, settings = checked.request, checked.settings
    found = load_or_create(folder, request, checked.found)
    base = request.base.model_copy(update=found["resolved"])
    study = open_study(folder.path, request.name, request.direction)
    is_parallel = settings.jobs > 1 or cluster is not None
    scheduler = SearchScheduler(folder, request, base, study, display.emit, is_parallel)
    display.say(f"search  {folder.path}")
    scheduler.keep_best_model_only()
    deadline = None if settings.timeout is None else time.monotonic() + settings.timeout
    finals: list[Run] = []
    completed = False
    try:
        with open_pool(
            settings.jobs,
            threads=base.threads,
            on_event=scheduler.forward,
            cluster=cluster,
            folder=folder.path.absolute(),
        ) as pool:
            scheduler.run_trials(pool, settings.trials, deadline)
            _check_found(scheduler)
            if settings.final:
                finals = scheduler.run_finals(pool, settings.seeds)
        completed = True
    except (KeyboardInterrupt, SystemExit):
        display.say(f"Stopped. To resume {folder.path}, type the same command again.")
        raise
    finally:
        display.emit(ExperimentEnded(completed))
        _write_page(scheduler, finals, display)
    return SearchResult.of(folder, finals)


def _check_found(scheduler: SearchScheduler) -> None:
    """Raise ConfigurationError where no trial has finished."""
    if scheduler.best() is not None:
        return
    trials = scheduler.trials()
    errors = list(dict.fromkeys(trial.error for trial in trials if trial.error))
    if not errors:
        raise ConfigurationError(
            f"No trial has finished: {len(trials)} started, {len(trials)} pruned.",
            hint="Allow more time or more --trials: the same search continues.",
        )
    raise ConfigurationError(
        f"None of the {len(trials)} trials has finished. Their errors:\n  "
        + "\n  ".join(errors[:_ERRORS_SHOWN]),
        hint=f"Their runs are in {scheduler.folder.path}/trials. Use another --space, or more "
        "--trials.",
    )


def _write_page(scheduler: SearchScheduler, finals: list[Run], display: Display) -> None:
    """Write search.html; a search is complete without it."""
    folder, request, study = scheduler.folder, scheduler.request, scheduler.study
    try:
        write_page(folder, request, study, scheduler.trials(), finals)
    except (StorageError, OSError) as error:
        display.say(f"{folder.page} could not be written: {error}")
