"""`gluetune.train`: train one run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from gluetune.core.command_lines import REST, command_line, in_processes
from gluetune.core.config import FOLD_SETTINGS, TrainConfig
from gluetune.core.display import Display, open_display
from gluetune.core.errors import ConfigurationError, GluetuneError, RunError, warn_renamed
from gluetune.core.events import OnEvent, fan_out
from gluetune.core.files import check_writable, is_unused, locked, make_folder
from gluetune.core.folds import FoldsSettings
from gluetune.core.keywords import TrainKeywords
from gluetune.core.records import EpochRecord, Record, Status, plural
from gluetune.core.runs import (
    Run,
    RunFolder,
    claim_default_folder,
    default_folder,
    described_data,
    verb,
)
from gluetune.core.settings_files import read_settings
from gluetune.core.text import from_here
from gluetune.inference.devices import cpu_threads
from gluetune.models.checkpoints import display_name
from gluetune.parallel.collectives import ALONE, Processes, current_processes
from gluetune.parallel.ray import Cluster, make_cluster
from gluetune.training.checkpoints import CheckpointStore, step_of
from gluetune.training.history import check_same, new_record, rewind
from gluetune.training.job import Extras, Job
from gluetune.training.preflight import Prepared, prepare
from gluetune.training.progress import report_to
from gluetune.training.settings import merge_settings

if TYPE_CHECKING:
    from transformers import EvalPrediction, TrainerCallback


def train(
    task: str | None = None,
    *,
    config: str | Path | TrainConfig | None = None,
    resume: str | Path | Run | None = None,
    recipe: str | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    data_collator: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None,
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    select: Callable[[Mapping[str, float]], float] | None = None,
    on_event: OnEvent | None = None,
    progress: bool = True,
    ray: str | None = None,
    cpus_per_process: float | str | None = None,
    gpus_per_process: float | str | None = None,
    **settings: Unpack[TrainKeywords],
) -> Run:
    """Fine-tune a checkpoint on a task, and return the finished run.

    Processes that torchrun has started train one run together.

    Args:
        task: Name of a GLUE task, e.g. "cola"; or a name for a task on your own data.
        config: A TrainConfig, or a YAML file of settings such as a run's config.yaml.
        resume: Folder of an unfinished run to resume. No setting can be changed then; callbacks,
            collator and metrics have to be passed again.
        recipe: Name of a published recipe for the task, e.g. "stable": it overrides `config`, and
            `settings` override it. Its omissions are reported, and noted in the record.
        callbacks: Additional transformers TrainerCallbacks.
        data_collator: Replaces padding each batch to its longest example.
        compute_metrics: Additional metrics, from logits in the order of the task's classes (or, for
            regression, of shape (rows, 1)) and labels, as in Trainer.
        on_epoch: Called with every evaluation, also with those before a resumption. It may raise
            Pruned, which ends the run with status `pruned`.
        select: Replaces `metric`: returns the value that chooses the best epoch, greater is better,
            from an evaluation's numbers by name.
        on_event: Called with every event of `gluetune.core.events`: steps, evaluations, messages.
        progress: Whether to show progress on standard error.
        ray: A Ray cluster to train on, with `processes` workers: "auto", "HOST:PORT", or "local" to
            start one. All machines must share the run's folder, the data and the model.
        cpus_per_process, gpus_per_process: Resources of each process; 1 and 0 by default.
        settings: Fields of TrainConfig, e.g. `model="minilm", epochs=3`; they override `config`.
            With `folds=5` the run is a cross-validation: see `gluetune.cross_validate`.
            `train_file`, `validation_file` and `test_file` may also be a pandas DataFrame, a
            datasets.Dataset or a pyarrow.Table.

    Raises:
        GluetuneError: with every mistake that can be found before compute is spent; TrainingError
            if training fails. The status in the record is then `failed`.
        Pruned: if `on_epoch` raised it.
        KeyboardInterrupt: after Ctrl-C, once a checkpoint is saved.
    """
    showing = _Showing(progress, on_event)
    extras = Extras(
        tuple(callbacks), data_collator, compute_metrics, on_epoch, select, on_finished=write_report
    )
    changed = task or config or recipe or settings.keys() - {"jobs"}
    if resume is not None and changed:
        raise ConfigurationError(
            "A resumed run keeps its settings, so none can be given.",
            hint="Type: " + command_line("train", resume=resume),
        )
    if _is_cross_validation(config, resume, settings):
        _check_extras(extras, ray)
        run: Run = verb("cross_validate")(
            task,
            config=config,
            recipe=recipe,
            resume=resume,
            on_event=on_event,
            progress=progress,
            **settings,
        )
        return run

    def merge() -> tuple[TrainConfig, list[str]]:
        return merge_settings(task, config, recipe, settings)

    cluster = make_cluster(ray, cpus_per_process, gpus_per_process, each="process")
    if cluster is not None:
        found = merge()[0] if resume is None else Run(resume).config
        given = {"task": task, "config": config, "recipe": recipe, **settings}
        return _on_cluster(cluster, resume, found, given, extras, showing)
    if resume is not None:
        return _resume(RunFolder(Path(resume)), extras, showing)
    return _start(merge, extras, showing)


def _is_cross_validation(
    config: str | Path | TrainConfig | None,
    resume: str | Path | Run | None,
    settings: Mapping[str, Any],
) -> bool:
    """Whether a run for each fold is requested, which `cross_validate` trains."""
    if resume is not None:
        return RunFolder(Path(resume)).folds.exists()
    values: Mapping[str, Any] = {}
    if isinstance(config, TrainConfig):
        values = config.model_dump()
    elif config is not None:
        values = read_settings(Path(config))
    of_run = {name: values.get(name) for name in FOLD_SETTINGS} | dict(settings)
    is_whole = of_run.get("folds") is not None and of_run.get("fold") is None
    return is_whole or not FoldsSettings.model_fields.keys().isdisjoint(settings)


def _check_extras(extras: Extras, ray: str | None) -> None:
    """Refuse what the processes of the folds cannot be given."""
    given = [name for name, value in vars(extras).items() if value and name != "on_finished"]
    given += ["ray"] if ray is not None else []
    if given:
        raise ConfigurationError(
            f"{', '.join(given)}: a cross-validation takes none.", hint="Leave it out."
        )


def write_report(run: Run) -> str | None:
    """Write the run's report.html; return a note for its record if that fails."""
    from jinja2 import TemplateError

    from gluetune.rendering.pages import report

    try:
        report(run)
    except (GluetuneError, OSError, TemplateError) as error:
        return f"There is no report.html: {error}"
    return None


def _on_cluster(
    cluster: Cluster,
    resume: str | Path | Run | None,
    config: TrainConfig,
    given: Mapping[str, Any],
    extras: Extras,
    showing: _Showing,
) -> Run:
    """Check settings and folders, and train on the cluster's workers."""
    from gluetune.training.ray_training import train_on_cluster

    if resume is not None:
        folder = Path(resume)
        _check_unfinished(Run(folder).record, RunFolder(folder))
    else:
        _check_output(config.output)
        folder = config.output or default_folder(config.task, Path(config.model).name, config.seed)
    processes = config.processes or 1
    with ExitStack() as held:
        display = showing.open(held, ALONE)
        display.say(f"run     {folder}, on {processes} workers of {cluster.address}")
    own = {name: value for name, value in vars(extras).items() if name != "on_finished"}
    decided = {"processes": processes, "threads": config.threads or cluster.threads}
    arguments = {name: value for name, value in given.items() if name != "output"} | own | decided
    return train_on_cluster(train, cluster, processes, folder, arguments, resumed=[*own])


def _start(
    settings: Callable[[], tuple[TrainConfig, list[str]]],
    extras: Extras,
    showing: _Showing,
) -> Run:
    config, notes, processes = _join(settings)
    with processes.propagate_failures(), cpu_threads(config.threads), ExitStack() as held:
        display = showing.open(held, processes)
        processes.broadcast_from_main(lambda: _check_output(config.output))
        prepared = prepare(
            config,
            own_metrics=extras.compute_metrics is not None,
            processes=processes,
            progress=display.is_live,
        )
        folder, record = processes.broadcast_from_main(lambda: _open_new(prepared, held, notes))
        _introduce(prepared, folder, display.say)
        for note in (*notes, *prepared.notes):
            display.say(f"        {note}")
        return Job(folder, prepared, record, extras, display.emit, processes).run(None)


def _open_new(
    prepared: Prepared, held: ExitStack, notes: Sequence[str]
) -> tuple[RunFolder, Record]:
    """Create the run's folder with its first record, locked until `held` is closed."""
    config = prepared.config
    path = config.output or claim_default_folder(
        config.task, display_name(config.model), config.seed
    )
    make_folder(path)
    held.enter_context(locked(path))
    _check_output(path)  # another process may have been faster
    folder = RunFolder(path)
    config.save(folder.config)
    record = new_record(prepared, folder)
    record.notes += [*notes, *prepared.notes]
    record.save(folder.record)
    return folder, record


def _resume(folder: RunFolder, extras: Extras, showing: _Showing) -> Run:
    config, _, processes = _join(lambda: (Run(folder.path).config, []), folder.path)
    with processes.propagate_failures(), cpu_threads(config.threads), ExitStack() as held:
        display = showing.open(held, processes)
        record, checkpoint = processes.broadcast_from_main(lambda: _open_unfinished(folder, held))
        prepared = prepare(
            config,
            own_metrics=extras.compute_metrics is not None,
            processes=processes,
            progress=display.is_live,
        )
        check_same(record, prepared, folder)
        step = 0 if checkpoint is None else step_of(checkpoint)
        rewind(record, step)
        display.say(f"Resuming after step {step}." if step else "Starting from the beginning.")
        if processes.is_first:
            record.save(folder.record)
        return Job(folder, prepared, record, extras, display.emit, processes).run(checkpoint)


def _open_unfinished(folder: RunFolder, held: ExitStack) -> tuple[Record, Path | None]:
    """Lock the folder of an unfinished run; return its record and its newest checkpoint."""
    held.enter_context(locked(folder.path))
    record = Run(
        folder.path
    ).record  # read with the lock: another process may have continued the run
    _check_unfinished(record, folder)
    return record, CheckpointStore(folder.checkpoints).newest()


def _join(
    settings: Callable[[], tuple[TrainConfig, list[str]]], resume: Path | None = None
) -> tuple[TrainConfig, list[str], Processes]:
    """Read the settings, with notes on them, and join the other processes of this run.

    Raises the errors of all processes, also for another number of processes than in the settings: a
    checkpoint has one random state per process, and cannot be resumed with another number.
    """
    config: TrainConfig | None = None
    notes: list[str] = []
    problem: GluetuneError | None = None
    try:
        config, notes = settings()
    except GluetuneError as error:
        problem = error
    given = config.training_args if config else {}
    processes = current_processes(
        use_cpu=bool(given.get("use_cpu")), timeout=float(given.get("ddp_timeout", 1800))
    )

    def check() -> TrainConfig:
        if config is None:
            assert problem is not None, "settings are read or refused"
            raise problem
        _check_count(config.processes, processes, resume)
        return config

    return processes.gather_errors(check), notes, processes


def _check_count(expected: int | None, processes: Processes, resume: Path | None) -> None:
    if expected is None or expected == processes.count:
        return
    again = command_line("train", *([] if resume else [REST]), resume=resume)
    hint = f"Type: {in_processes(expected, again)}"
    if resume is None:
        hint += f", or, for the same run up to rounding: --processes {processes.count}"
    were, run = (f"{count} process{'es' * (count > 1)}" for count in (expected, processes.count))
    raise ConfigurationError(f"This run has {were}, but was started with {run}.", hint=hint)


def _check_unfinished(record: Record, folder: RunFolder) -> None:
    if record.status is Status.FINISHED:
        raise RunError(
            f"{folder.path} is finished: there is nothing to resume.",
            hint="To repeat it: " + command_line("train", config=folder.config),
        )


def _check_no_run(path: Path) -> None:
    if RunFolder(path).record.exists():
        raise RunError(
            f"{path} already holds a run.",
            hint="Choose another --output, or resume it: " + command_line("train", resume=path),
        )


def _check_output(path: Path | None) -> None:
    """Refuse an output folder that is not empty or not writable."""
    check_writable(path or Path("runs"))
    if path is None:
        return
    _check_no_run(path)
    if not is_unused(path, "config.yaml", "record.json"):
        raise RunError(f"{path} exists and is not empty.", hint="Choose another --output.")


@dataclass(frozen=True)
class _Showing:
    """The receivers of a run's events."""

    progress: object
    """Whether to show progress; or a reporter, the former form."""
    on_event: OnEvent | None

    def open(self, held: ExitStack, processes: Processes) -> Display:
        """Open the display of the main process, until `held` is closed."""
        progress, on_event = self.progress, self.on_event
        if not isinstance(progress, bool):
            warn_renamed("a reporter as train(progress=…)", "train(on_event=…)")
            progress, on_event = False, fan_out(on_event, report_to(progress))
        if not processes.is_first:
            progress, on_event = False, None
        return held.enter_context(open_display(progress, on_event))


def _workers(config: TrainConfig) -> str:
    threads = plural(config.threads, "thread")
    several = config.processes is not None and config.processes > 1
    return f"{config.processes} processes of {threads}" if several else threads


def _reading(config: TrainConfig) -> str:
    """Return what is read of a text that is too long, and how more would be."""
    length = f"{config.max_length} tokens"
    if config.long_texts == "windows":
        return f"{config.most_windows} windows of {length}"
    if config.long_texts == "head-tail":
        return f"the head and the tail, together {length}"
    return f"{length} (--long-texts windows reads up to {config.most_windows} times as many)"


def _introduce(prepared: Prepared, folder: RunFolder, say: Callable[[str], None]) -> None:
    config, model, rows = prepared.config, prepared.model, prepared.data.rows
    say(f"{prepared.task.title}")
    say(f"data    {from_here(described_data(config, prepared.data))}")
    say(
        f"model   {model.name} ({model.parameters / 1e6:.1f}M weights, {config.precision}, "
        f"{_workers(config)}, {config.compute})"
    )
    if model.new_weights:
        names = ", ".join(model.new_weights)
        say(f"        newly initialised weights: {names}")
    for split, count in prepared.data.truncated.items():
        if count:
            share = f"{count / rows[split]:.1%}"
            say(f"        {split}: {count} ({share}) cut to {_reading(config)}")
    for note in prepared.data.notes:
        say(f"        {from_here(note)}")
    say(f"run     {folder.path}")
