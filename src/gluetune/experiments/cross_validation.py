"""`gluetune.cross_validate`, which `train(folds=…)` calls: a run for each fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from gluetune.core.command_lines import command_line
from gluetune.core.config import ALL_ROWS, MACHINE_SETTINGS, TrainConfig
from gluetune.core.display import Display, open_display
from gluetune.core.errors import ConfigurationError, Finding, RunError
from gluetune.core.events import OnEvent
from gluetune.core.files import check_writable, is_unused, locked, make_folder
from gluetune.core.folds import (
    FoldJob,
    FoldsFolder,
    FoldsRecord,
    FoldsRequest,
    FoldsSettings,
    has_folds,
    read_folds,
)
from gluetune.core.jobs import counts
from gluetune.core.keywords import TrainKeywords
from gluetune.core.records import Status, now, plural
from gluetune.core.runs import Run, RunFolder, model_slug
from gluetune.core.settings import validated
from gluetune.experiments.fold_results import collect, fold_scores
from gluetune.experiments.folders import differences, digest, find_folder
from gluetune.experiments.jobs import JobScheduler, threads_of, train_or_resume
from gluetune.parallel.orphans import end_orphans
from gluetune.training.history import new_record
from gluetune.training.preflight import prepare
from gluetune.training.run import write_report
from gluetune.training.settings import merge_settings

_ROOT = Path("runs")


def cross_validate(
    task: str | None = None,
    *,
    config: str | Path | TrainConfig | None = None,
    recipe: str | None = None,
    resume: str | Path | Run | None = None,
    on_event: OnEvent | None = None,
    progress: bool = True,
    **settings: Unpack[TrainKeywords],
) -> Run:
    """Train a model for each fold of the training set, and one on all rows.

    `gluetune.train(…, folds=5)` is this function. The run that it returns has the model that was
    trained on all rows, and its score is that of the out-of-fold predictions: of every row by the
    model that was not trained on it. `Run.folds` has the score of each fold. The same call resumes
    a cross-validation that was killed or interrupted.

    Args:
        task: Name of a GLUE task; or a name for a task on your own data.
        config: A TrainConfig, or a YAML file of settings.
        recipe: Name of a published recipe.
        resume: The folder of an unfinished cross-validation.
        on_event: Called with every event of `gluetune.core.events`.
        progress: Whether to show progress on standard error.
        settings: Fields of TrainConfig, with `folds`, and of FoldsSettings: `fold_repeats`,
            `final`, `jobs`. With two or more `jobs` each runs in a process of its own, which
            imports your script again: put its code under `if __name__ == "__main__":`.

    Raises:
        GluetuneError: with every mistake that can be found before training.
        KeyboardInterrupt: after Ctrl-C, once every running fold has saved its state.
    """
    given: dict[str, Any] = dict(settings)
    how, findings = _split(given)
    with open_display(progress, on_event) as display:
        if resume is not None:
            folder = FoldsFolder(Path(resume))
            with locked(folder.path):
                return _run(read_folds(folder), folder, how, display)
        merged, notes = merge_settings(task, config, recipe, given)
        if not merged.is_cross_validation:
            findings.append(_without_folds(set(settings) - set(given), merged))
        if how.final == "ensemble" and merged.method == "lora":
            findings.append(
                Finding(
                    "--final ensemble and --method lora: adapters are no whole models.",
                    "Type: --final all",
                )
            )
        if findings:
            raise ConfigurationError.of(findings)
        request = _request(merged, how)
        folder = FoldsFolder(merged.output or _find(merged, request))
        check_writable(folder.path)
        _check_folder(folder, request)
        resolved = (
            None if has_folds(folder.path) else prepare(merged.model_copy(update={"fold": 1}))
        )
        make_folder(folder.path)
        with locked(folder.path):
            _check_folder(folder, request)
            if resolved is not None:
                _create(folder, request, resolved, merged, notes)
            return _run(read_folds(folder), folder, how, display)


def _split(settings: dict[str, Any]) -> tuple[FoldsSettings, list[Finding]]:
    """Take the settings of FoldsSettings out of `settings`, and check them."""
    own = {name: settings.pop(name) for name in FoldsSettings.model_fields if name in settings}
    how, findings = validated(FoldsSettings, own)
    return how or FoldsSettings.model_construct(), findings


def _without_folds(names: set[str], config: TrainConfig) -> Finding:
    """Return the finding for settings of a cross-validation that is not requested."""
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))
    if config.fold is not None:
        return Finding(f"{flags} and --fold: a single fold is trained.", "Leave one of them out.")
    return Finding(f"{flags} goes with --folds.", "Type for instance: --folds 5")


def _request(config: TrainConfig, how: FoldsSettings) -> FoldsRequest:
    """Return what affects predictions; paths are absolute, so that any folder may resume it."""
    left_out = MACHINE_SETTINGS | {"output"}
    settings = config.model_dump(mode="json", exclude_defaults=True, exclude=set(left_out))
    for name in ("model", "data", "exclude", "train_file", "validation_file", "test_file"):
        path = Path(settings.get(name) or "").expanduser()
        if name in settings and path.exists():
            settings[name] = str(path.resolve())
    return FoldsRequest(settings=settings, fold_repeats=how.fold_repeats, final=how.final)


def _find(config: TrainConfig, request: FoldsRequest) -> Path:
    """Return the folder of this request: an existing one, or a new one."""
    requested = request.requested()
    default = {"fold_repeats": 1, "final": "all"}
    named = {name: requested[name] for name in requested if requested[name] != default.get(name)}
    stem = f"{config.task}-{model_slug(config.model)}-{config.folds}-folds"
    path = _ROOT / f"{stem}-{digest(named)}"
    return find_folder(
        path, requested, lambda one: read_folds(FoldsFolder(one)).request.requested()
    )


def _check_folder(folder: FoldsFolder, request: FoldsRequest) -> None:
    """Raise RunError where the folder holds another cross-validation, or anything else."""
    if has_folds(folder.path):
        before, wanted = read_folds(folder).request.requested(), request.requested()
        if before != wanted:
            raise RunError(
                f"{folder.path} holds another cross-validation: {differences(before, wanted)}.",
                hint="Choose another --output, or leave it out.",
            )
    elif not is_unused(folder.path, "config.yaml", "record.json", "folds.json"):
        raise RunError(
            f"{folder.path} exists and is not a cross-validation.", hint="Choose another --output."
        )


def _create(
    folder: FoldsFolder,
    request: FoldsRequest,
    prepared: Any,
    merged: TrainConfig,
    notes: Sequence[str],
) -> None:
    """Write the folder's settings and records; folds.json, which makes it complete, is the last."""
    own = {"fold": None, "output": None, "threads": merged.threads}
    run = RunFolder(folder.path)
    prepared.config.model_copy(update=own).save(run.config)
    record = new_record(prepared, run)
    record.notes += [*notes, *prepared.notes]
    extra = {"fold_repeats": request.fold_repeats, "final": request.final}
    extra = {name: value for name, value in extra.items() if value not in (1, "all")}
    record.command = command_line("train", config=run.config, **extra)
    record.save(run.record)
    repeats = range(1, request.fold_repeats + 1)
    jobs = [
        FoldJob(repeat=repeat, fold=fold)
        for repeat in repeats
        for fold in range(1, prepared.config.folds + 1)
    ]
    if request.final == "all":
        jobs.append(FoldJob(repeat=1, fold=ALL_ROWS))
    FoldsRecord(
        started=now(),
        updated=now(),
        command=command_line("train", resume=folder.path),
        request=request,
        jobs=jobs,
    ).save(folder)


def _run(record: FoldsRecord, folder: FoldsFolder, how: FoldsSettings, display: Display) -> Run:
    _introduce(record, folder, display)
    end_orphans(folder.path, display.say)
    record.status = Status.RUNNING
    jobs = how.jobs or 1
    config = Run(folder.path).config
    threads = threads_of(jobs, config.threads)
    scheduler = FoldsScheduler(record, folder, display.emit)
    # Those that are the default too: methods have other defaults for what is not given.
    scheduler.settings = config.model_dump(mode="json", exclude_none=True) | {"threads": threads}
    scheduler.run(jobs, threads, complete=lambda: collect(folder, record))
    run = Run(folder.path)
    failed = [job for job in record.jobs if job.state is Status.FAILED]
    if failed:
        findings = [Finding(f"{job.name}: {job.error}", job.hint) for job in failed]
        raise RunError.of(
            [*findings, Finding(f"{counts(record.jobs)}.", f"Type: {record.command}")]
        )
    note = write_report(run)
    if note is not None:
        run.record.notes.append(note)
        run.record.save(run.folder.record)
    return Run(folder.path)


def _introduce(record: FoldsRecord, folder: FoldsFolder, display: Display) -> None:
    run = Run(folder.path)
    data, model = run.record.data, run.record.model
    rows = sum(data.rows.values()) if data else 0
    repeats = record.request.fold_repeats
    display.say(run.task.title)
    display.say(f"data    {data.source if data else 'unknown'} ({rows:,} rows)")
    display.say(f"model   {model.name if model else 'unknown'}")
    display.say(
        f"folds   {run.config.folds}" + (f", {plural(repeats, 'repeat')}" if repeats > 1 else "")
    )
    display.say(f"run     {folder.path} ({counts(record.jobs)})")


def run_fold(arguments: Mapping[str, Any]) -> list[str]:
    """Train or resume the run of one fold, or of all rows."""
    return list(train_or_resume(arguments).record.notes)


class FoldsScheduler(JobScheduler[FoldJob]):
    """Runs the folds, and the run on all rows."""

    record: FoldsRecord
    folder: FoldsFolder
    run_job = staticmethod(run_fold)
    settings: Mapping[str, Any]
    """Of every run."""

    def costs(self) -> dict[str, float]:
        """Return the rows that each run trains on, in folds."""
        count = float(self.settings["folds"])
        return {job.name: count - (job.fold != ALL_ROWS) for job in self.record.jobs}

    def arguments(self, job: FoldJob) -> dict[str, Any]:
        """Return the arguments of `train`: each repeat has other folds, with seeds that follow."""
        seed = self.settings.get("fold_seed", TrainConfig.model_fields["fold_seed"].default)
        of_fold = {"fold": job.fold, "fold_seed": seed + job.repeat - 1}
        return {**self.settings, **of_fold, "output": str(self.folder.run(job))}

    def save(self) -> None:
        """Write folds.json."""
        self.record.save(self.folder)

    def save_table(self) -> None:
        """Write folds.json with the scores of the finished folds."""
        self.record.table.folds = fold_scores(self.folder, self.record)
        self.record.save(self.folder)
        run = Run(self.folder.path)
        if (
            run.record.status is not self.record.status
            and self.record.status is not Status.FINISHED
        ):
            run.record.status = self.record.status
            run.record.save(run.folder.record)
