"""`gluetune.search`: from a task and a space to the best setting, trained on all of train."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gluetune.core.config import TrainConfig
from gluetune.core.errors import ConfigurationError, StorageError
from gluetune.core.files import check_writable, locked, make_folder
from gluetune.core.runs import Run
from gluetune.core.tasks import HELD_OUT
from gluetune.experiments.search.board import make_board
from gluetune.experiments.search.driver import Driver
from gluetune.experiments.search.outcomes import BestRun
from gluetune.experiments.search.page import write_page
from gluetune.experiments.search.planning import HpSpace, Objective, Plan, plan_search
from gluetune.experiments.search.settings import (
    Direction,
    SearchFolder,
    begin_or_go_on,
    check_folder,
)
from gluetune.experiments.search.studies import open_study
from gluetune.parallel.orphans import end_orphans
from gluetune.parallel.pool import open_workers
from gluetune.parallel.ray import Cluster, connect, make_cluster
from gluetune.training.progress import make_reporter

_ERRORS_SHOWN = 3


def search(
    task: str | None = None,
    *,
    config: str | Path | TrainConfig | None = None,
    space: str | Path | Mapping[str, Any] | HpSpace | None = None,
    objective: str | Objective | None = None,
    output: str | Path | None = None,
    progress: bool = True,
    trials: int = 20,
    timeout: float | str | None = None,
    direction: Direction | None = None,
    sampler: str = "tpe",
    pruner: str = "median",
    tune_on: str = "train",
    jobs: int = 1,
    seeds: int = 1,
    final: bool = True,
    ray: str | None = None,
    cpus_per_trial: float | str | None = None,
    gpus_per_trial: float | str | None = None,
    **settings: Any,
) -> BestRun:
    """Search for the best hyperparameters of a task, then train with them on all of train.

    The search is a folder, named by a hash of what was asked: the same call goes on with it where
    it stopped, and one that asks for more `trials` goes on further.

    Args:
        task: Name of a GLUE task, e.g. "cola".
        config: A TrainConfig, or a YAML file of settings: the fixed part.
        space: A YAML file, what would stand in one, or a function of an Optuna trial that returns
            settings (Trainer's `hp_space`). Default: learning rate, batch size, epochs, warmup and
            weight decay, by the model's size, but for those that `settings` give.
        objective: A metric ("score" is the task's own; "loss"), or a function of an evaluation's
            numbers (Trainer's `compute_objective`).
        output: The search's folder. Default: searches/TASK-MODEL-HASH.
        progress: Whether to show on standard error what is being done.
        trials: Trials in all, those of earlier calls included.
        timeout: Begin no trial after so many seconds of this call ("30m" and "2h" are understood).
        direction: Default: that in which the metric is better.
        sampler, pruner: Optuna's names, with arguments or without: "TPESampler(multivariate=True)".
        tune_on: "train": trials are scored on a part of train that is held out, and validation only
            by the final runs. "validation": trials are scored on validation.
        jobs: Trials at a time, each in a process of its own.
        seeds: How many seeds the best setting is trained with at last.
        final: Whether it is.
        ray: A Ray cluster that trials run on: "auto", "HOST:PORT", or "local" to start one. Every
            machine must see `output`, the data and the model. As many trials at a time as it has
            room for; of more than one, `jobs` is the most.
        cpus_per_trial, gpus_per_trial: What each has of the cluster; 1 and 0.
        settings: Fields of TrainConfig, e.g. `model="minilm", fraction=0.1`, as of `train`.

    Raises:
        GluetuneError: with every mistake that can be found before compute is spent; where no trial
            has finished; where the disk is full or the Hub away. What was found is kept.
        KeyboardInterrupt: after Ctrl-C, once the trials that run have saved their state.
    """
    options = {
        "trials": trials,
        "timeout": timeout,
        "direction": direction,
        "sampler": sampler,
        "pruner": pruner,
        "tune_on": tune_on,
        "jobs": jobs,
        "seeds": seeds,
        "final": final,
    }
    check_writable(Path(output) if output is not None else Path("searches"))
    cluster = make_cluster(ray, cpus_per_trial, gpus_per_trial)
    if cluster is not None:
        connect(cluster)
    plan = plan_search(task, config, settings, space, objective, options, cluster)
    path = Path(output) if output is not None else Path("searches") / plan.settings.name
    check_folder(path)
    make_folder(path)
    with locked(path):
        end_orphans(path, make_reporter(progress).say)
        return _run(plan, SearchFolder(path), progress, cluster)


def _run(
    plan: Plan, folder: SearchFolder, progress: bool, cluster: Cluster | None = None
) -> BestRun:
    """Go on with the search in `folder`, whose lock is held, from wherever it stands."""
    settings, options = plan.settings, plan.options
    found = begin_or_go_on(folder, settings, plan.found)
    base = settings.base.model_copy(update=found["resolved"])
    study = open_study(folder.path, settings.name, settings.direction)
    board = make_board(progress, settings.direction, base.task, options.trials)
    several = options.jobs > 1 or cluster is not None
    driver = Driver(folder, settings, base, study, board, several=several)
    board.say(f"search  {folder.path}")
    driver.keep_best_model_only()
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    finals: list[Run] = []
    ended_well = False
    try:
        with open_workers(
            options.jobs,
            threads=base.threads,
            on_told=board.told,
            cluster=cluster,
            folder=folder.path.absolute(),
        ) as workers:
            driver.run_trials(workers, options.trials, deadline)
            _check_found(driver)
            if options.final:
                finals = driver.run_finals(workers, options.seeds)
        ended_well = True
    except (KeyboardInterrupt, SystemExit):
        board.say(f"Stopped. The same command goes on with {folder.path} where it stopped.")
        raise
    finally:
        board.close(keep=not ended_well)
        _write_page(driver, finals)
    return _best_run(driver, finals)


def _check_found(driver: Driver) -> None:
    """Raise where no trial has finished."""
    if driver.best() is not None:
        return
    rows = driver.rows()
    errors = list(dict.fromkeys(row.error for row in rows if row.error))
    if not errors:
        raise ConfigurationError(
            f"No trial has finished: {len(rows)} begun, {len(rows)} pruned.",
            hint="Give it more time or more --trials: the same search goes on.",
        )
    raise ConfigurationError(
        f"None of the {len(rows)} trials has finished. They failed so:\n  "
        + "\n  ".join(errors[:_ERRORS_SHOWN]),
        hint=f"Their runs are in {driver.folder.path}/trials. Search another --space, or ask for "
        "more --trials.",
    )


def _best_run(driver: Driver, finals: list[Run]) -> BestRun:
    best = driver.best()
    assert best is not None, "checked before the finals"
    assert best.value is not None, "a finished trial has a value"
    return BestRun(
        value=best.value,
        parameters=best.parameters,
        number=best.number,
        run=Run(best.run),
        objective=driver.settings.objective,
        direction=driver.settings.direction,
        tuned_on="validation" if not driver.base.holdout else HELD_OUT,
        folder=driver.folder.path,
        trials=driver.rows(),
        finals=tuple(finals),
    )


def _write_page(driver: Driver, finals: list[Run]) -> None:
    """Write search.html; without it a search is still whole."""
    try:
        write_page(driver.folder, driver.settings, driver.study, driver.rows(), finals)
    except (StorageError, OSError) as error:
        driver.board.say(f"There is no {driver.folder.page}: {error}")
