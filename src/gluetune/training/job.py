"""One process's work on a run: train, finish, and record the outcome.

Only the main process writes files and emits messages.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import DataCollatorWithPadding, PrinterCallback, TrainerCallback, TrainerState

from gluetune.core.config import make_config
from gluetune.core.errors import Pruned
from gluetune.core.events import OnEvent, RunEnded, as_messages, fan_out
from gluetune.core.files import weights_digest, write_folder, write_json
from gluetune.core.records import (
    BestRecord,
    EpochRecord,
    ErrorRecord,
    MethodRecord,
    Record,
    Status,
    keep_predictions,
)
from gluetune.core.runs import Run, RunFolder
from gluetune.core.settings_files import read_settings
from gluetune.inference.scoring import Evaluation
from gluetune.models.classifiers import (
    THRESHOLDS,
    quiet_transformers,
    reload_classifier,
    write_output_names,
)
from gluetune.parallel.collectives import Processes
from gluetune.parallel.signals import StopRequest, stop_on_signal
from gluetune.training.arguments import training_arguments
from gluetune.training.checkpoints import CheckpointStore
from gluetune.training.environment import peak_memory, reset_peak_memory
from gluetune.training.flow import Flow, uses_all_weights
from gluetune.training.history import fit_text_baseline, timing
from gluetune.training.methods import get_method
from gluetune.training.methods.method import Method
from gluetune.training.methods.probe import frozen_baseline
from gluetune.training.preflight import Prepared
from gluetune.training.progress import ProgressCallback, evaluation_event
from gluetune.training.run_trainer import RunTrainer, Validation
from gluetune.training.tracking import Tracking

if TYPE_CHECKING:
    from transformers import EvalPrediction, PreTrainedModel


@dataclass(frozen=True)
class Extras:
    """Arguments of `train` that only Python can pass."""

    callbacks: tuple[TrainerCallback, ...] = ()
    data_collator: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None
    on_epoch: Callable[[EpochRecord], None] | None = None
    """Called with every evaluation; may raise Pruned."""
    select: Callable[[Mapping[str, float]], float] | None = None
    """See Validation."""
    on_finished: Callable[[Run], str | None] | None = None
    """Called with the finished run; returns a note for its record, or None."""


class Job:
    """One process's work on a run: train, then finish; the record always has the outcome."""

    def __init__(
        self,
        folder: RunFolder,
        prepared: Prepared,
        record: Record,
        extras: Extras,
        on_event: OnEvent,
        processes: Processes,
    ) -> None:
        self.folder = folder
        self.prepared = prepared
        self.record = record
        self.extras = extras
        self.on_event = on_event
        if prepared.config.track is not None and processes.is_first:
            tracking = Tracking(prepared.config, folder, self._keep_note)
            self.on_event = fan_out(on_event, tracking.on_event)
        self.say = as_messages(on_event)
        self.processes = processes
        self.store: CheckpointStore = CheckpointStore(folder.checkpoints)
        self.method: Method = get_method(prepared.config.method)
        self.trainer: RunTrainer | None = None

    def run(self, checkpoint: Path | None) -> Run:
        """Train from `checkpoint`, or from the start, to the end."""
        alone = self.processes.count == 1
        with (
            quiet_transformers(),
            self._recorded(),
            self.processes.propagate_failures(),
        ):
            self._fit_baselines()
            reset_peak_memory(self.prepared.device)
            with stop_on_signal(self.say, alone=alone) as stop:
                self._train_and_finish(stop, checkpoint)
        # Outside `_recorded`: a failure in the callback leaves the run finished.
        if self.processes.is_first and self.extras.on_finished is not None:
            note = self.extras.on_finished(Run(self.folder.path))
            if note is not None:
                self._on_note(note)
                self._save_record()
        return Run(self.folder.path)

    def _fit_baselines(self) -> None:
        """Score the bag of words and the frozen encoder once per run, and save the record."""
        prepared = self.prepared
        is_done = self.record.text_baseline is not None or not prepared.validation
        if is_done or not prepared.config.is_own:
            return
        self.record.text_baseline = self.processes.broadcast_from_main(
            partial(fit_text_baseline, self.prepared, self.folder)
        )
        if self.prepared.config.method != "probe":  # which is the frozen encoder
            self.record.frozen_baseline = self.processes.broadcast_from_main(
                partial(frozen_baseline, self.prepared)
            )
        self._save_record()

    def _train_and_finish(self, stop: StopRequest, checkpoint: Path | None) -> None:
        for epoch in self.record.epochs:
            self._report_epoch(epoch)
        flow = Flow(
            stop,
            checkpoint_minutes=self.prepared.config.checkpoint_minutes,
            early_stopping=self.prepared.config.early_stopping,
            last_only=self.prepared.config.folds is not None,
            processes=self.processes,
        )
        start = time.monotonic()
        model = self._fit_before_training(resumed=checkpoint is not None)
        seconds = time.monotonic() - start
        self.trainer = trainer = self._make_trainer(flow, model)
        trainer.count_seconds(seconds)
        self._train(trainer, flow, checkpoint)
        self._end_if_stopped(stop, flow, trainer)
        self.processes.broadcast_from_main(partial(self._finish, trainer))

    def _fit_before_training(self, *, resumed: bool) -> PreTrainedModel:
        """Let the method make the model that is trained, and record what it is."""
        fitted = self.method.prepare(self.prepared, self.processes, resumed=resumed)
        before = self.record.method.regularisation if self.record.method else None
        self.record.method = MethodRecord(
            name=self.method.name,
            trained_parameters=self.method.count_trained(fitted.model),
            regularisation=fitted.regularisation or before,
        )
        self._save_record()
        return fitted.model

    def _make_trainer(self, flow: Flow, model: PreTrainedModel) -> RunTrainer:
        prepared, config = self.prepared, self.prepared.config
        tokenizer = prepared.classifier.tokenizer
        collator = self.extras.data_collator or DataCollatorWithPadding(tokenizer)
        arguments = training_arguments(config, self.folder.path)
        if self.processes.count > 1 and arguments.ddp_find_unused_parameters is None:
            some = collator([prepared.train.examples[0]])
            arguments.ddp_find_unused_parameters = not uses_all_weights(model, some)
        trainer = RunTrainer(
            model=model,
            args=arguments,
            train_dataset=prepared.train.examples,
            processing_class=tokenizer,
            data_collator=collator,
            callbacks=[*self.extras.callbacks, flow, ProgressCallback(self.on_event)],
            micro_batch_size=config.micro_batch_size,
            compute=config.compute,
            compact_vocabulary=config.compact_vocabulary,
            class_weights=prepared.class_weights,
            label_smoothing=config.label_smoothing,
            focal_loss=config.focal_loss,
            layer_decay=config.layer_decay,
            average_epochs=config.average_epochs,
            window=prepared.train.window,
            kind=prepared.task.kind,
            outputs=prepared.classifier.outputs,
            validation=Validation(
                task=prepared.task,
                splits=prepared.validation,
                outputs=prepared.classifier.outputs,
                batch_size=config.eval_batch_size,
                precision=prepared.precision,
                metric=config.metric,
                tuning=prepared.tuning,
                compute_metrics=self.extras.compute_metrics,
                select=self.extras.select,
            ),
            store=self.store,
            on_epoch=self._on_epoch,
            on_note=self._on_note,
            processes=self.processes,
        )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _train(self, trainer: RunTrainer, flow: Flow, checkpoint: Path | None) -> None:
        """Train, unless the checkpoint is of the last step."""
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
            steps_per_epoch = len(trainer.get_train_dataloader())
            if state.global_step >= state.max_steps or flow.is_exhausted(state, steps_per_epoch):
                trainer.state = state
                return
        try:
            self.method.train(trainer, checkpoint)
        finally:
            self._keep_path(trainer)
        self._note_micro_batch(trainer)

    def _on_note(self, note: str) -> None:
        self.record.notes.append(note)
        self.say(f"note: {note}")

    def _keep_note(self, note: str) -> None:
        self._on_note(note)
        self._save_record()

    def _on_epoch(self, epoch: EpochRecord, best: bool) -> None:
        self.record.epochs.append(epoch)
        self._count_steps()
        assert self.trainer is not None, "only a trainer evaluates"
        self.record.compute = self.trainer.compute_record()
        if best:
            self.record.best = BestRecord(
                epoch=epoch.epoch, step=epoch.step, validation=epoch.validation
            )
        self.record.timing = timing(self.record, self.prepared)
        self._save_record()
        self.on_event(evaluation_event(epoch, best, self.prepared.task))
        self._report_epoch(epoch)

    def _report_epoch(self, epoch: EpochRecord) -> None:
        """Call `on_epoch`. Pruning after the last step is ignored."""
        if self.extras.on_epoch is None:
            return
        try:
            self.processes.broadcast_from_main(partial(self.extras.on_epoch, epoch))
        except Pruned:
            if self.record.total_steps is None or self.record.steps < self.record.total_steps:
                raise

    def _keep_path(self, trainer: RunTrainer) -> None:
        """Save the execution path that was used, to resume and to reproduce the run."""
        if trainer.compute != self.prepared.config.compute:
            self._change_config(compute=trainer.compute)

    def _change_config(self, **changed: Any) -> None:
        if not self.processes.is_first:
            return
        config = make_config(read_settings(self.folder.config))
        config.model_copy(update=changed).save(self.folder.config)

    def _note_micro_batch(self, trainer: RunTrainer) -> None:
        """Save the micro-batch size that was used, to resume and to reproduce the run."""
        before = self.prepared.config.micro_batch_size
        if before is not None and trainer.micro_batch_size < before:
            self.record.notes.append(
                f"Memory ran out: the micro-batch size was reduced from {before} to "
                f"{trainer.micro_batch_size}. The batch size is unchanged; a run from config.yaml "
                "uses the smaller one from the first step, and differs in the last bits."
            )
            self._change_config(micro_batch_size=trainer.micro_batch_size)

    def _end_if_stopped(self, stop: StopRequest, flow: Flow, trainer: RunTrainer) -> None:
        """Raise after a stop request, unless training is complete."""
        if flow.stopping and trainer.state.global_step < trainer.state.max_steps:
            raise stop.end()

    def _finish(self, trainer: RunTrainer) -> None:
        """Save the best model, reload and score it, and complete the record."""
        checkpoint = self.store.newest()
        assert checkpoint is not None, "training ends with a checkpoint"
        with write_folder(self.folder.model) as staging:
            shutil.copytree(checkpoint / "best", staging, dirs_exist_ok=True)
            self.method.finish(staging, self.prepared)
            write_output_names(staging, self.prepared.classifier.model.config)
        evaluation = self._check_reloaded(trainer)
        for split, predictions in evaluation.predictions.items():
            print_ = self.prepared.data.fingerprints[split]
            keep_predictions(self.folder.predictions_on(split), predictions, print_)
        self._keep_thresholds(evaluation)
        self.record.final_weights_sha256 = weights_digest(checkpoint)
        self.record.best_weights_sha256 = weights_digest(self.folder.model)
        if self.record.method is not None:
            self.record.method.peak_memory = peak_memory(self.prepared.device)
        self.record.status = Status.FINISHED
        self._save_record()
        self.store.remove()

    def _keep_thresholds(self, evaluation: Evaluation) -> None:
        """Save tuned thresholds in the record's task and in the model's config.json."""
        own = self.record.own_task
        if not evaluation.thresholds or own is None:
            return
        self.record.own_task = replace(own, thresholds=evaluation.thresholds)
        path = self.folder.model / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config[THRESHOLDS] = dict(zip(own.labels, evaluation.thresholds, strict=True))
        write_json(path, config)

    def _check_reloaded(self, trainer: RunTrainer) -> Evaluation:
        model = reload_classifier(
            self.folder.model,
            trust_remote_code=self.prepared.config.trust_remote_code,
            quantization=self.prepared.config.quantization,
        ).to(trainer.args.device)
        evaluation = trainer.score(model)
        best = self.record.best
        assert best is not None, "training ends with an evaluation"
        best.reloaded = evaluation.score
        best.agrees = evaluation.score == best.validation
        if not best.agrees:
            self.record.notes.append(
                "The saved model does not reproduce its score in training: see best.reloaded."
            )
        return evaluation

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record the outcome, also of errors and interruptions."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            self._close(Status.INTERRUPTED, None)
            command = self.prepared.config.command_with(resume=self.folder.path)
            self.say(f"Stopped. To resume: {command}")
            raise
        except Pruned:
            self._close(Status.PRUNED, None)
            if self.processes.is_first:
                self.store.remove()
            raise
        except BaseException as error:
            self._close(Status.FAILED, error)
            raise
        finally:
            self.on_event(RunEnded(self.record.status.value))

    def _close(self, status: Status, error: BaseException | None) -> None:
        self._count_steps()
        self.record.status = status
        if error is not None:
            self.record.error = ErrorRecord(
                type=type(error).__name__, message=str(error), step=self.record.steps
            )
        self._save_record()

    def _save_record(self) -> None:
        if self.processes.is_first:
            self.record.save(self.folder.record)

    def _count_steps(self) -> None:
        """Record the completed steps, once training has started."""
        if self.trainer is not None and self.trainer.state.max_steps:
            self.record.steps = self.trainer.state.global_step
            self.record.total_steps = self.trainer.state.max_steps
