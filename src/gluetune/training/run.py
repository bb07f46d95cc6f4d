"""`gluetune.train`: one run, from a configuration to a finished folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gluetune.config import TrainConfig
from gluetune.errors import ConfigurationError, RunError
from gluetune.evaluation.devices import cpu_threads
from gluetune.files import locked
from gluetune.modeling.checkpoints import display_name
from gluetune.records import EpochRecord, Record, Status
from gluetune.runs import Run, RunFolder, default_folder
from gluetune.training.checkpoints import CheckpointStore, step_of
from gluetune.training.history import check_same, new_record, rewind
from gluetune.training.job import Extras, Job
from gluetune.training.preflight import Prepared, prepare
from gluetune.training.progress import Reporter, make_reporter
from gluetune.training.settings import merge_settings

if TYPE_CHECKING:
    from transformers import EvalPrediction, TrainerCallback


def train(
    task: str | None = None,
    *,
    config: str | Path | TrainConfig | None = None,
    resume: str | Path | None = None,
    recipe: str | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    data_collator: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None,
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    select: Callable[[Mapping[str, float]], float] | None = None,
    progress: bool | Reporter = True,
    **settings: Any,
) -> Run:
    """Fine-tune a checkpoint on a task, and return the finished run.

    Args:
        task: Name of a GLUE task, e.g. "cola".
        config: A TrainConfig, or a YAML file of settings such as a run's config.yaml.
        resume: Folder of an unfinished run to take up where it stopped. Nothing else may be
            changed then; callbacks, collator and metrics are given again.
        recipe: Name of a published recipe for the task, e.g. "stable": it wins over `config`, and
            `settings` win over it. What it does not do is said, and noted in the record.
        callbacks: More transformers TrainerCallbacks.
        data_collator: In place of padding each batch to its longest example.
        compute_metrics: More metrics, from logits in the order of the task's classes (or, for
            regression, of shape (rows, 1)) and labels, as Trainer's.
        on_epoch: Told of every evaluation, of a resumed run those before first. It may raise
            Pruned: the training then ends there, and its record says `pruned`.
        select: In place of `metric`, the value that chooses the best epoch: greater is better. It
            is given an evaluation's numbers by name.
        progress: Whether to tell on standard error what is being done; or who is told instead.
        settings: Fields of TrainConfig, e.g. `model="minilm", epochs=3`; they win over `config`.

    Raises:
        GluetuneError: with every mistake that can be found before compute is spent; TrainingError
            when training fails. The record then says `failed`.
        Pruned: where `on_epoch` raised it.
        KeyboardInterrupt: after Ctrl-C, once the state to resume from is saved.
    """
    reporter = make_reporter(progress)
    extras = Extras(tuple(callbacks), data_collator, compute_metrics, on_epoch, select)
    if resume is not None:
        if task is not None or config is not None or recipe is not None or settings:
            raise ConfigurationError(
                "A resumed run keeps its settings, so none can be given.",
                hint=f"Type: gluetune train --resume {resume}",
            )
        return _resume(RunFolder(Path(resume)), extras, reporter)
    merged, notes = merge_settings(task, config, recipe, settings)
    return _start(merged, extras, reporter, notes)


def _start(config: TrainConfig, extras: Extras, reporter: Reporter, notes: Sequence[str]) -> Run:
    if config.output is not None:
        _check_output(config.output)
    with cpu_threads(config.threads):
        prepared = prepare(config, own_metrics=extras.compute_metrics is not None)
        path = config.output or default_folder(config.task, display_name(config.model), config.seed)
        path.mkdir(parents=True, exist_ok=True)
        with locked(path):
            _check_no_run(path)  # another process may have been faster
            folder = RunFolder(path)
            prepared.config.save(folder.config)
            record = new_record(prepared, folder)
            record.notes += notes
            record.save(folder.record)
            _introduce(prepared, folder, reporter)
            for note in notes:
                reporter.say(f"        {note}")
            return Job(folder, prepared, record, extras, reporter).run(None)


def _resume(folder: RunFolder, extras: Extras, reporter: Reporter) -> Run:
    config = Run(folder.path).config
    with locked(folder.path), cpu_threads(config.threads):
        record = Run(folder.path).record  # read again: a process that held the lock has gone on
        _check_unfinished(record, folder)
        checkpoint = CheckpointStore(folder.checkpoints).newest()
        prepared = prepare(config, own_metrics=extras.compute_metrics is not None)
        check_same(record, prepared, folder)
        step = 0 if checkpoint is None else step_of(checkpoint)
        rewind(record, step)
        reporter.say(f"Resuming after step {step}." if step else "Starting from the beginning.")
        record.save(folder.record)
        return Job(folder, prepared, record, extras, reporter).run(checkpoint)


def _check_unfinished(record: Record, folder: RunFolder) -> None:
    if record.status is Status.FINISHED:
        raise RunError(
            f"{folder.path} is finished: there is nothing to resume.",
            hint=f"To repeat it: gluetune train --config {folder.config}",
        )


def _check_no_run(path: Path) -> None:
    if RunFolder(path).record.exists():
        raise RunError(
            f"{path} already holds a run.",
            hint=f"Choose another --output, or go on with it: gluetune train --resume {path}",
        )


def _check_output(path: Path) -> None:
    _check_no_run(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path} exists and is not empty.", hint="Choose another --output.")


def _introduce(prepared: Prepared, folder: RunFolder, reporter: Reporter) -> None:
    config, model, rows = prepared.config, prepared.model, prepared.data.rows
    counted = ", ".join(f"{split} {count:,}" for split, count in rows.items())
    reporter.say(f"{prepared.task.title}")
    reporter.say(f"data    {prepared.data.source} ({counted} examples)")
    reporter.say(
        f"model   {model.name} ({model.parameters / 1e6:.1f}M weights, {config.precision}, "
        f"{config.threads} threads, {config.compute})"
    )
    if model.new_weights:
        names = ", ".join(model.new_weights)
        reporter.say(f"        new weights, to be learnt from this data: {names}")
    for split, count in prepared.data.truncated.items():
        if count:
            reporter.say(f"        {split}: {count} cut to {model.max_length} tokens")
    for note in prepared.data.notes:
        reporter.say(f"        {note}")
    reporter.say(f"run     {folder.path}")
