"""`gluetune.suite`: train a checkpoint on all of GLUE with several seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from jinja2 import TemplateError

from gluetune.core.command_lines import command_line
from gluetune.core.config import typed_settings
from gluetune.core.display import Display, open_display
from gluetune.core.errors import ConfigurationError, GluetuneError, RunError
from gluetune.core.events import OnEvent
from gluetune.core.files import check_writable, is_unused, locked, make_folder, write_text
from gluetune.core.jobs import counts
from gluetune.core.keywords import SuiteKeywords
from gluetune.core.published import get_recipe
from gluetune.core.records import Status, now
from gluetune.core.runs import Run
from gluetune.core.suites import (
    SuiteFolder,
    SuiteRecord,
    SuiteRequest,
    SuiteResult,
    is_suite,
    markdown,
    read_suite,
    suite_title,
)
from gluetune.experiments.folders import differences, find_folder
from gluetune.experiments.jobs import threads_of
from gluetune.experiments.suite.plan import default_name, plan, replan
from gluetune.experiments.suite.preflight import check
from gluetune.experiments.suite.scheduler import SuiteScheduler
from gluetune.models.checkpoints import Checkpoint
from gluetune.parallel.orphans import end_orphans
from gluetune.parallel.ray import connect, make_cluster
from gluetune.rendering.pages import report
from gluetune.training.settings import recipe_notes

_CLUSTER = ("ray", "cpus_per_job", "gpus_per_job")


def suite(
    model: str | os.PathLike[str] | Run = "minilm",
    *,
    output: str | Path | None = None,
    on_event: OnEvent | None = None,
    progress: bool = True,
    **settings: Unpack[SuiteKeywords],
) -> SuiteResult:
    """Train a checkpoint on every task with every seed, and return the suite.

    The same call resumes a suite that was killed or interrupted: finished jobs are kept, unfinished
    ones resume from their checkpoints, failed ones are tried again. With other seeds, their jobs
    are added; finished jobs stay in the table.

    Args:
        model: A Hub id, a folder, a run, or "minilm".
        output: The suite's folder. Default: suites/MODEL-HASH.
        on_event: Called with every event of `gluetune.core.events`: jobs, their steps, evaluations.
        progress: Whether to show progress on standard error.
        settings: Fields of SuiteSettings, e.g. `seeds=3, tasks=["cola", "rte"]`, and fields of
            TrainConfig for every run. With two or more `jobs` each runs in a process of its own,
            which imports your script again: put its code under `if __name__ == "__main__":`.

    A failed job does not stop the others: see `SuiteResult.failed`.

    Raises:
        GluetuneError: with every mistake that can be found before training.
        KeyboardInterrupt: after Ctrl-C, once every running job has saved its state.
    """
    root = Path("suites")
    check_writable(Path(output) if output else root)
    given: dict[str, Any] = dict(settings)
    cluster = make_cluster(*map(given.get, _CLUSTER), each="job")
    if cluster is not None:
        connect(cluster)
    checked = check(os.fspath(model), given)
    request = checked.request
    path = Path(output) if output else _find(root, request, checked.checkpoint)
    folder = SuiteFolder(path)
    _check_folder(folder, request)
    make_folder(path)
    with locked(path):
        record = _load_or_create(folder, request, checked.checkpoint)
        with open_display(progress, on_event) as display:
            _introduce(record, folder, display)
            end_orphans(path, display.say)
            jobs = checked.settings.jobs or 1
            threads = threads_of(jobs, checked.machine.get("threads"), cluster)
            machine = {**checked.machine, "threads": threads}
            scheduler = SuiteScheduler(record, folder, display.emit, machine)
            scheduler.run(jobs, threads, cluster=cluster)
        _write_pages(record, folder)
    return SuiteResult(path)


def _find(root: Path, request: SuiteRequest, checkpoint: Checkpoint) -> Path:
    """Return the suite's folder in `root`: an existing one with this request, or a new one."""

    def read(path: Path) -> dict[str, Any]:
        try:
            return read_suite(SuiteFolder(path)).request.requested()
        except ConfigurationError as error:
            raise RunError(f"{path} has settings that do not exist: {error}") from error

    named = root / default_name(request, checkpoint.name)
    return find_folder(named, request.requested(), read)


def _check_folder(folder: SuiteFolder, request: SuiteRequest) -> None:
    """Raise RunError where the folder holds another suite, or anything else."""
    if is_suite(folder.path):
        before, now_ = read_suite(folder).request.requested(), request.requested()
        if before != now_:
            raise RunError(
                f"{folder.path} holds another suite: {differences(before, now_)}.",
                hint="Choose another --output, or leave it out: the folder is then named after "
                "the settings.",
            )
    elif not is_unused(folder.path, folder.record.name):
        raise RunError(f"{folder.path} exists and is not a suite.", hint="Choose another --output.")


def _load_or_create(
    folder: SuiteFolder, request: SuiteRequest, checkpoint: Checkpoint
) -> SuiteRecord:
    """Return the suite's record: the existing one with these seeds added, or a new one."""
    if is_suite(folder.path):
        record = read_suite(folder)
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
    """Return seeds as typed; a single one without a comma would be read as a number of seeds."""
    return ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")


def _introduce(record: SuiteRecord, folder: SuiteFolder, display: Display) -> None:
    request = record.request
    display.say(f"Suite of {suite_title(record)}")
    display.say(f"tasks   {', '.join(request.tasks)}")
    display.say(f"seeds   {', '.join(map(str, request.seeds))}")
    if request.recipe:
        for note in recipe_notes(get_recipe(request.recipe)):
            display.say(f"        {note}")
    display.say(f"folder  {folder.path} ({counts(record.jobs)})")


def _write_pages(record: SuiteRecord, folder: SuiteFolder) -> None:
    """Write suite.md and report.html; a suite is complete without the latter, and notes that."""
    write_text(folder.markdown, markdown(record))
    try:
        report(folder.path)
    except (GluetuneError, OSError, TemplateError) as error:
        record.table.notes.append(f"report.html could not be written: {error}")
        record.save(folder)
