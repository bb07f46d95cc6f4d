"""`gluetune.suite`: a checkpoint on all of GLUE, over seeds, in one folder that can be taken up."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from gluetune.core.command_lines import command_line
from gluetune.core.config import typed_settings
from gluetune.core.errors import GluetuneError, RunError
from gluetune.core.files import check_writable, is_unused, locked, make_folder, write_text
from gluetune.core.recipes import get_recipe
from gluetune.core.records import Status, now
from gluetune.core.runs import Run
from gluetune.core.suite_records import (
    JobState,
    Suite,
    SuiteFolder,
    SuiteRecord,
    SuiteRequest,
    is_suite,
)
from gluetune.experiments.suite.planning import plan, replan
from gluetune.experiments.suite.preflight import check
from gluetune.experiments.suite.progress import SuiteProgress, showing
from gluetune.experiments.suite.scheduler import close, run_jobs
from gluetune.inference.devices import device, visible_devices
from gluetune.models.checkpoints import Checkpoint
from gluetune.parallel.orphans import end_orphans
from gluetune.parallel.pool import cores, open_workers, threads_each
from gluetune.parallel.ray import Cluster, connect, make_cluster
from gluetune.rendering.pages import report
from gluetune.rendering.suite_tables import counts, markdown, suite_title
from gluetune.training.settings import recipe_notes

_RESTARTS = 2
"""How often a job goes on whose worker on a cluster died."""


def suite(
    model: str | Run = "minilm",
    *,
    seeds: int | Sequence[int] = 5,
    tasks: Sequence[str] | None = None,
    data: str | None = None,
    fraction: float | None = None,
    recipe: str | None = None,
    mnli_init: bool = False,
    jobs: int = 1,
    output: str | Path | None = None,
    progress: bool = True,
    ray: str | None = None,
    cpus_per_job: float | str | None = None,
    gpus_per_job: float | str | None = None,
    **settings: Any,
) -> Suite:
    """Train a checkpoint on every task with every seed, and return the suite.

    The same call goes on where a killed or interrupted one stopped: finished jobs are not redone,
    unfinished ones go on from their checkpoints, failed ones are tried again. With other seeds it
    adds theirs; what has finished stays in the table.

    Args:
        model: A Hub id, a folder, a run, or "minilm".
        seeds: How many, from 42 on; or which.
        tasks: Names of tasks; all nine by default. AX is answered by MNLI's runs.
        data: As in `train`.
        fraction: Share of each training set; by default all, and of the sample an eighth.
        recipe: Name of a published recipe, each task with its own settings.
        mnli_init: Start RTE, MRPC and STS-B from MNLI's model of the same seed, with a new head.
        jobs: Trainings at a time; several may share a GPU. They divide the CPU's cores, unless
            `threads` says how many each has. From two on each is in a process of its own, which
            imports your script again: keep what it does under `if __name__ == "__main__":`.
        output: The suite's folder; `suites/MODEL-HASH` by default, after what was asked.
        progress: Whether to tell on standard error what is being done.
        ray: A Ray cluster that trainings run on: "auto", "HOST:PORT", or "local" to start one.
            Every machine must see `output`, the data and the model. As many at a time as it has
            room for; of more than one, `jobs` is the most.
        cpus_per_job, gpus_per_job: What each has of the cluster; 1 and 0.
        settings: Other fields of TrainConfig, for every training.

    A failed job does not stop the others: see `Suite.failed`.

    Raises:
        GluetuneError: with every mistake that can be found before the first job.
        KeyboardInterrupt: after Ctrl-C, once every running job has saved its state.
    """
    check_writable(Path(output) if output else Path("suites"))
    cluster = make_cluster(ray, cpus_per_job, gpus_per_job, each="job")
    if cluster is not None:
        connect(cluster)
    checked = check(
        model=os.fspath(model),
        seeds=seeds,
        tasks=tasks,
        data=data,
        fraction=fraction,
        recipe=recipe,
        mnli_init=mnli_init,
        jobs=jobs,
        settings=settings,
    )
    request = checked.request
    path = Path(output) if output else request.default_folder(checked.checkpoint.name)
    folder = SuiteFolder(path)
    _check_folder(folder, request)
    make_folder(path)
    with locked(path):
        record = _record(folder, request, checked.checkpoint)
        with showing(record.jobs, progress=progress) as shown:
            _introduce(record, folder, shown)
            end_orphans(path, shown.say)
            _run(record, folder, shown, jobs, checked.machine, cluster)
        _write_pages(record, folder)
    return Suite(path)


def default_jobs() -> int:
    """Return how many trainings the command runs at a time: one on a GPU, two on several cores.

    From Python it is one: more need a script that can be imported again.
    """
    return 1 if device().type != "cpu" else min(2, cores())


def _run(
    record: SuiteRecord,
    folder: SuiteFolder,
    shown: SuiteProgress,
    jobs: int,
    machine: Mapping[str, Any],
    cluster: Cluster | None,
) -> None:
    share = threads_each(jobs) if jobs > 1 else None
    threads = machine.get("threads") or (cluster.threads if cluster is not None else share)
    devices = visible_devices()
    try:
        with open_workers(
            jobs,
            threads=threads,
            devices=devices,
            on_told=shown.told,
            cluster=cluster,
            restarts=_RESTARTS,
            folder=folder.path.absolute(),
        ) as workers:
            run_jobs(record, folder, workers, shown, {**machine, "threads": threads})
    except (KeyboardInterrupt, SystemExit):
        close(record, folder, Status.INTERRUPTED)
        shown.say(f"Stopped, {counts(record.jobs)}. To go on: {record.command}")
        raise
    done = all(job.state is JobState.FINISHED for job in record.jobs)
    close(record, folder, Status.FINISHED if done else Status.FAILED)


def _check_folder(folder: SuiteFolder, request: SuiteRequest) -> None:
    """Refuse a folder that holds another suite, or anything else."""
    if is_suite(folder.path):
        there = Suite(folder.path).record.request
        if there.identity() != request.identity():
            raise RunError(
                f"{folder.path} holds another suite: {_differing(there, request)}.",
                hint="Choose another --output, or leave it out: the folder is then named by what "
                "is asked.",
            )
    elif not is_unused(folder.path, folder.record.name):
        raise RunError(
            f"{folder.path} exists, is no suite and is not empty.", hint="Choose another --output."
        )


def _differing(there: SuiteRequest, asked: SuiteRequest) -> str:
    before, now_ = there.identity(), asked.identity()
    return "; ".join(
        f"{name} {_shown(before[name])} there, {_shown(now_[name])} asked"
        for name in before
        if before[name] != now_[name]
    )


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _record(folder: SuiteFolder, request: SuiteRequest, checkpoint: Checkpoint) -> SuiteRecord:
    """Return the suite's record: the one that is there, asked for these seeds, or a new one."""
    if is_suite(folder.path):
        record = Suite(folder.path).record
        replan(record, request)
        record.command = _command(record.request, folder.path)
        record.status = Status.RUNNING
        return record
    record = SuiteRecord(
        started=now(),
        updated=now(),
        command=_command(request, folder.path),
        request=request,
        checkpoint=checkpoint.name,
        commit=checkpoint.commit,
        jobs=plan(request),
    )
    record.save(folder)
    return record


def _command(request: SuiteRequest, path: Path) -> str:
    return command_line(
        "suite",
        model=request.model,
        data=request.data,
        tasks=request.tasks,
        seeds=_typed_seeds(request.seeds),
        fraction=request.fraction,
        recipe=request.recipe,
        mnli_init=request.mnli_init,
        **typed_settings(request.settings),
        output=path,
    )


def _typed_seeds(seeds: Sequence[int]) -> str:
    """Return seeds as they are typed: one alone would be read as a number of seeds."""
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _introduce(record: SuiteRecord, folder: SuiteFolder, shown: SuiteProgress) -> None:
    request = record.request
    shown.say(f"Suite of {suite_title(record)}")
    shown.say(f"tasks   {', '.join(request.tasks)}")
    shown.say(f"seeds   {', '.join(map(str, request.seeds))}")
    if request.recipe:
        for note in recipe_notes(get_recipe(request.recipe)):
            shown.say(f"        {note}")
    shown.say(f"folder  {folder.path} ({counts(record.jobs)})")


def _write_pages(record: SuiteRecord, folder: SuiteFolder) -> None:
    """Write suite.md and report.html; without the page, the suite is still whole, and says so."""
    write_text(folder.markdown, markdown(record))
    try:
        report(folder.path)
    except (GluetuneError, OSError, TemplateError) as error:
        record.table.notes.append(f"There is no report.html: {error}")
        record.save(folder)
