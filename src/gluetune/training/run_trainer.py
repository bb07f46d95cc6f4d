"""The trainer of a run: evaluates the task after every epoch, and saves the best model."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gluetune.core.errors import ConfigurationError, StorageError
from gluetune.core.records import ComputeRecord, EpochRecord
from gluetune.core.tasks import TaskSpec
from gluetune.data.own.source import TUNING
from gluetune.inference.logits import ResolvedPrecision
from gluetune.inference.scoring import (
    Evaluation,
    ScoredSplit,
    evaluate_task,
    predict_splits,
)
from gluetune.metrics.registry import get_metric
from gluetune.models.adapters import is_adapter, load_adapter_weights
from gluetune.models.fast.paths import computing, resolve_compute
from gluetune.models.layers import scale_rates
from gluetune.models.windows import pool_windows
from gluetune.parallel.collectives import ALONE, Processes
from gluetune.statistics.calibration import best_thresholds
from gluetune.training.averaging import WeightAverage
from gluetune.training.checkpoints import AVERAGE, CheckpointStore
from gluetune.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import nn
    from transformers import EvalPrediction


@dataclass(frozen=True, kw_only=True)
class Validation:
    """How a run is evaluated after an epoch."""

    task: TaskSpec
    splits: Mapping[str, ScoredSplit]
    outputs: tuple[int, ...]
    batch_size: int
    precision: ResolvedPrecision
    metric: str
    """The metric that chooses the best epoch."""
    tuning: ScoredSplit | None = None
    """Rows on which the thresholds of several labels are tuned before every evaluation."""
    compute_metrics: Callable[[EvalPrediction], dict[str, float]] | None = None
    select: Callable[[Mapping[str, float]], float] | None = None
    """Replaces `metric`: an epoch's value, from its numbers; greater is better."""


@dataclass
class _Meter:
    """Loss and time of the current epoch so far; saved in checkpoints."""

    loss: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    micro_batch_size: int | None = None
    """As reduced by a lack of memory: a resumed run must cut its batches in the same way."""


class RunTrainer(Trainer):
    """A Trainer that evaluates a task, and saves its checkpoints in a CheckpointStore.

    `on_epoch` is called after every evaluation with the epoch's record, and whether it is the best.
    `on_note` is called with notes for the record. With several `processes`, each calls both,
    evaluates its share, and writes its part of a checkpoint.
    """

    def __init__(
        self,
        *args: Any,
        validation: Validation,
        store: CheckpointStore,
        on_epoch: Callable[[EpochRecord, bool], None],
        on_note: Callable[[str], None],
        processes: Processes = ALONE,
        layer_decay: float = 1.0,
        average_epochs: int = 0,
        window: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self._average = WeightAverage(self.model, average_epochs)
        self.add_callback(self._average)
        if window is not None:
            pool_windows(self.model, window)
        self.validation = validation
        self.store = store
        self.on_epoch = on_epoch
        self.on_note = on_note
        self.processes = processes
        self._meter = _Meter()
        self._clock = time.monotonic()
        self._staging = Path()

    def score(self, model: Any) -> Evaluation:
        """Predict and score every validation split with `model`, as in training.

        A model other than the trained one is evaluated by the calling process alone.
        """
        if model is self.model:
            self._use_evaluation_weights()
        how = self.validation
        settings: dict[str, Any] = {
            "outputs": how.outputs,
            "batch_size": how.batch_size,
            "precision": how.precision,
            "processes": self.processes if model is self.model else ALONE,
        }
        task = how.task
        with self._path_of(model):
            if how.tuning is not None:
                splits = {TUNING: how.tuning}
                found = predict_splits(model, task, splits, self.data_collator, **settings)[TUNING]
                task = replace(task, thresholds=best_thresholds(found.labels, found.logits))
            return evaluate_task(model, task, how.splits, self.data_collator, **settings)

    def _use_evaluation_weights(self) -> None:
        """Switch schedule-free optimisers to their evaluation weights.

        The checkpoint of an epoch is saved after its evaluation, with these weights; the next
        training step calls `train`. A checkpoint within an epoch has the training weights, so that
        a resumed run is bit-identical.
        """
        evaluate = getattr(self.optimizer, "eval", None)
        if callable(evaluate):
            evaluate()

    def _path_of(self, model: Any) -> AbstractContextManager[None]:
        """Return the context of the execution path; for the trained model it is already set."""
        if model is self.model:
            return nullcontext()
        return computing(model, resolve_compute(self.compute, model))

    def compute_record(self) -> ComputeRecord:
        """Return the execution path and the vocabulary rows, for the record."""
        rows = None if self._vocabulary is None else len(self._vocabulary.rows)
        return ComputeRecord(path=self.compute_path, vocabulary_rows=rows)

    def report_note(self, note: str) -> None:
        """Note in the record why a faster path is not used."""
        self.on_note(note)

    def data_to_scan(self) -> list[Any]:
        """Return every data set that the model reads during training."""
        tuned = [self.validation.tuning] if self.validation.tuning is not None else []
        seen = [*self.validation.splits.values(), *tuned]
        return [*super().data_to_scan(), *(split.encoded.examples for split in seen)]

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, from `resume_from_checkpoint` if given."""
        if resume_from_checkpoint is not None:
            saved = (Path(resume_from_checkpoint) / self._meter_name).read_text(encoding="utf-8")
            self._meter = _Meter(**json.loads(saved))
            self.micro_batch_size = self._meter.micro_batch_size or self.micro_batch_size
        elif not self.processes.is_first:
            # With the same seed, all processes would draw the same dropout masks.
            torch.manual_seed(self.args.seed + self.processes.index)
        self._clock = time.monotonic()
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def count_seconds(self, seconds: float) -> None:
        """Count time that was spent on the model before training; a resumed run has counted it."""
        self._meter.seconds += seconds

    def keep_untrained(self) -> None:
        """Evaluate the model as it is, and save it as one epoch without a step."""
        self.args.save_only_model = True  # there is no optimiser
        self.state.epoch = 1.0
        with self._on_path():
            self._determine_best_metric(self.evaluate(), None)
            self._save_checkpoint(self.model, None)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch, and add its loss to the epoch's mean."""
        loss = super().training_step(*args, **kwargs)
        self._meter.loss += (
            loss  # a tensor: reading its value now would synchronise the accelerator
        )
        self._meter.steps += 1
        return loss

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> Any:
        """Evaluate the task. Returns its metrics with a prefix, as Trainer does."""
        train_seconds = self._read_clock()
        self._check_path_once()
        with self._average.applied():
            evaluation = self.score(self.model)
        extra = self.processes.broadcast_from_main(lambda: self._user_metrics(evaluation))
        epoch = EpochRecord(
            epoch=round(self.state.epoch or 0.0, 6),
            step=self.state.global_step,
            train_loss=self._train_loss(),
            learning_rate=self._get_learning_rate() if self.lr_scheduler else None,
            validation=evaluation.score,
            validation_loss=evaluation.loss,
            selection=None,
            extra=extra,
            collapsed=evaluation.collapsed,
            train_seconds=round(self._meter.seconds + train_seconds, 3),
            evaluation_seconds=round(self._read_clock(), 3),
        )
        epoch.selection = _selection(epoch, self.validation)
        self._meter = _Meter()
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in _flat(epoch).items()}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        self.on_epoch(epoch, self._is_best(epoch.selection))
        self.control.should_save = (
            True  # or the best model would be lost after an evaluation within an epoch
        )
        return metrics

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Create the optimiser, with a learning rate for each layer."""
        optimizer = super().create_optimizer(*args, **kwargs)
        if self.layer_decay != 1:
            scale_rates(optimizer, self.model, self.layer_decay)
        return optimizer

    def _train_loss(self) -> float | None:
        """Return the epoch's mean loss over all processes."""
        losses = self.processes.gather(float(self._meter.loss))
        return float(np.mean(losses)) / self._meter.steps if self._meter.steps else None

    def _check_path_once(self) -> None:
        """Check the path before an evaluation, if no batch of training had padding.

        If all texts have the same length, one is shortened: later texts may need padding, and the
        path is not checked again.
        """
        for split in self.validation.splits.values():
            if self._is_checked:
                return
            lengths = split.encoded.lengths
            ends = (int(lengths.argmin()), int(lengths.argmax()))
            shortest, longest = (split.encoded.examples[row] for row in ends)
            if len(shortest["input_ids"]) == len(longest["input_ids"]):
                shortest = _shortened(shortest)
            self._check_path(self.data_collator([shortest, longest]))

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Remember the best epoch. One with an undefined score is better only than none."""
        selection = metrics.get("eval_selection")
        if not self._is_best(selection):
            return False
        self.state.best_metric = selection
        self.state.best_global_step = self.state.global_step
        return True

    def _is_best(self, selection: float | None) -> bool:
        best = self.state.best_metric
        return best is None or (selection is not None and selection > best)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Commit the state and the best model atomically."""
        self.check_losses()
        step = self.state.global_step
        self._meter.seconds += self._read_clock()
        self._meter.loss = float(self._meter.loss)
        self._meter.micro_batch_size = self.micro_batch_size
        with self._checkpoint_folder(step) as folder:
            self._staging = folder
            super()._save_checkpoint(model, trial)
            written = folder / f"checkpoint-{step}"
            self._save_average(written)
            (written / self._meter_name).write_text(
                json.dumps(asdict(self._meter)), encoding="utf-8"
            )
            self.processes.wait()
            if self.processes.is_first:
                self._gather_files(written, folder)
        # Before the next step, whose collectives have a shorter timeout.
        self.processes.wait()
        self._read_clock()  # writing is not training

    def _save_average(self, folder: Path) -> None:
        """Write the mean weights, and the model that has them if it is the best so far."""
        if not self._average.count:
            return
        if self.processes.is_first:
            self._average.save(folder)
        if self.state.best_global_step in (None, self.state.global_step):
            with self._average.applied():
                self.save_model(str(folder / AVERAGE), _internal_call=True)
            if self.processes.is_first:
                (folder / AVERAGE / "training_args.bin").unlink(missing_ok=True)

    @contextmanager
    def _checkpoint_folder(self, step: int) -> Iterator[Path]:
        """Yield the folder that the main process commits to every process."""
        if not self.processes.is_first:
            yield self.processes.broadcast_from_main(lambda: self._staging)
            return
        is_best = self.state.best_global_step in (None, step)
        with self.store.writing(step, is_best=is_best) as folder:
            yield self.processes.broadcast_from_main(lambda: folder)

    def _gather_files(self, written: Path, folder: Path) -> None:
        """Move the files of Trainer and all processes into the checkpoint's folder."""
        names = {self._name_of_meter(process) for process in range(self.processes.count)}
        if missing := sorted(name for name in names if not (written / name).exists()):
            raise StorageError(
                f"{', '.join(missing)} of other processes are missing in {written}.",
                hint="The run's folder must be on storage that all machines share: --output DIR.",
            )
        for file in written.iterdir():
            file.rename(folder / file.name)
        written.rmdir()
        # A pickle that resuming does not need, and that could hold a token.
        (folder / "training_args.bin").unlink(missing_ok=True)

    @property
    def _meter_name(self) -> str:
        return self._name_of_meter(self.processes.index)

    def _name_of_meter(self, process: int) -> str:
        return f"meter_{process}.json" if self.processes.count > 1 else "meter.json"

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load the state's weights; transformers would also load the best adapter, below it."""
        self._average.load(Path(resume_from_checkpoint))
        if is_adapter(Path(resume_from_checkpoint)):
            load_adapter_weights(model or self.model, Path(resume_from_checkpoint))
            return
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging)

    def _read_clock(self) -> float:
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        return seconds

    def _user_metrics(self, evaluation: Evaluation) -> dict[str, float]:
        if self.validation.compute_metrics is None:
            return {}
        from transformers import EvalPrediction

        several = len(evaluation.predictions) > 1
        found: dict[str, float] = {}
        for split, predictions in evaluation.predictions.items():
            given = EvalPrediction(predictions=predictions.logits, label_ids=predictions.labels)
            for name, value in self.validation.compute_metrics(given).items():
                found[f"{split}_{name}" if several else name] = float(value)
        return found


def _shortened(example: Mapping[str, Any]) -> dict[str, Any]:
    """Return an example without its second token: the first and last may be special."""
    columns = ("input_ids", "attention_mask", "token_type_ids")
    return {
        name: [*value[:1], *value[2:]] if name in columns else value
        for name, value in example.items()
    }


def _selection(epoch: EpochRecord, how: Validation) -> float | None:
    """Return the value that chooses the best epoch, greater is better: a metric's mean over splits.

    The user's own metrics take precedence over the task's of the same name. Raises
    ConfigurationError if there is no such metric.
    """
    if how.select is not None:
        return _mean([how.select(_flat(epoch))])
    metric, extra, splits = how.metric, epoch.extra, epoch.validation.metrics
    if not splits:
        return None
    if metric == "score":
        score = epoch.validation.score
        return None if score is None else how.task.sign * score
    if metric in extra:
        return _mean([extra[metric]])
    own = [extra[f"{split}_{metric}"] for split in splits if f"{split}_{metric}" in extra]
    if own:
        return _mean(own)
    if metric == "loss":
        return None if epoch.validation_loss is None else -epoch.validation_loss
    if not all(metric in found for found in splits.values()):
        known = ["score", *extra, *next(iter(splits.values())), "loss"]
        raise ConfigurationError(
            f"--metric {metric}: neither the task nor compute_metrics has it.",
            hint=f"Metrics: {', '.join(known)}.",
        )
    value = _mean([found[metric] for found in splits.values()])
    return value if value is None or get_metric(metric).greater_is_better else -value


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _flat(epoch: EpochRecord) -> dict[str, Any]:
    """Return an epoch's numbers by name, for callbacks and trackers."""
    metrics = epoch.validation.metrics
    named = {
        f"{split}_{name}" if len(metrics) > 1 else name: value
        for split, values in metrics.items()
        for name, value in values.items()
    }
    numbers = {
        **named,
        **epoch.extra,
        "score": epoch.validation.score,
        "selection": epoch.selection,
        "loss": epoch.validation_loss,
        "runtime": epoch.evaluation_seconds,
    }
    return {name: value for name, value in numbers.items() if value is not None}
