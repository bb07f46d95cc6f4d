"""A faster transformers Trainer, with a correct mean loss, and recovery from a lack of memory.

Arguments, callbacks, collators and trackers of transformers' Trainer all work.
"""

from __future__ import annotations

import json
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from torch.nn.utils import clip_grads_with_norm_

from gluetune.core.config import Compute, ComputePath
from gluetune.core.errors import TrainingError
from gluetune.kinds import SINGLE_LABEL, kind_of_head
from gluetune.kinds.base import IGNORED, Kind
from gluetune.models.fast import attempt
from gluetune.models.fast.architectures import architecture_of
from gluetune.models.fast.batches import (
    is_mixed,
    sample,
    split,
    split_by_length,
    with_padding,
)
from gluetune.models.fast.dropout import DropoutMasks
from gluetune.models.fast.layout import send
from gluetune.models.fast.packed import weights_kept
from gluetune.models.fast.paths import computing, disagreement, dropping, resolve_compute
from gluetune.models.fast.vocabulary import CompactVocabulary, compact_vocabulary, occurring_rows
from gluetune.training.flow import Shares, share_batches

if TYPE_CHECKING:
    from torch import nn


class ClassificationLoss:
    """The loss of a kind of task: cross-entropy, squared error, binary cross-entropy, …

    They are transformers' losses, with a correct mean. `label_smoothing` is TrainingArguments'
    `label_smoothing_factor`: this share of the target is distributed over all classes; for several
    labels the targets 0 and 1 become s/2 and 1 - s/2.

    `weights` are class weights of shape (outputs,), or for several labels (2, outputs): of absent
    and of present labels. The weighted sum is divided by the number of examples, not by the sum of
    weights as torch's mean does: the weight of an example must not depend on the rest of its batch.
    `order` is the output of each of the task's labels, for ordinal kinds. `focal` is the exponent
    of the focal loss.
    """

    def __init__(
        self,
        kind: Kind = SINGLE_LABEL,
        *,
        label_smoothing: float = 0.0,
        weights: torch.Tensor | None = None,
        order: Sequence[int] = (),
        focal: float = 0.0,
    ) -> None:
        self.focal = focal
        self.kind = kind
        self.label_smoothing = label_smoothing
        self.weights = weights
        self.order: tuple[int, ...] = tuple(order)

    def __call__(
        self,
        outputs: Any,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Return the sum of the losses, divided by the number of examples in the step.

        For several labels per example, both are over all labels, as Trainer counts. Examples
        without a label are ignored.
        """
        logits = outputs["logits"]
        if logits.dtype is not torch.float64:
            logits = logits.float()
        if num_items_in_batch is None:
            num_items_in_batch = self.kind.is_labelled(labels).sum().clamp(min=1)
        weights = None if self.weights is None else self.weights.to(logits)
        smoothing, order = self.label_smoothing, self.order
        total = self.kind.loss(
            logits, labels, weights=weights, smoothing=smoothing, order=order, focal=self.focal
        )
        return total / num_items_in_batch


_VOCABULARY = "vocabulary.json"
_CHECKED = 8
"""Examples of a batch on which execution paths are compared."""


class Trainer(transformers.Trainer):
    """A Trainer with fast execution paths and micro-batches that do not change the training step.

    It takes all arguments of transformers' Trainer, and:

    - `compute`: the execution path. `auto` is the fastest that the model supports. The first batch
      with padding is also computed padded; if the logits differ, the next slower path is used.
    - `compact_vocabulary`: whether to train only the word embeddings that occur in the data. It has
      an effect only with AdamW and data that can be scanned.
    - `micro_batch_size`: examples per forward pass; the batch size of the step is unchanged. If
      memory runs out, it is halved, and the step is repeated.
    - `class_weights`: weights of the outputs in the loss; see `ClassificationLoss`.
    - `focal_loss`: exponent of the focal loss; 0 for the loss as it is.
    - `kind`, `outputs`: the kind of task, and the model's output for each label; by default from
      the model's config.
    - `label_smoothing`: replaces the arguments' own, which transformers refuses for several labels
      per example.
    """

    compute_loss_func: Any
    control: Any

    def __init__(
        self,
        *args: Any,
        micro_batch_size: int | None = None,
        compute: Compute = "auto",
        compact_vocabulary: bool = True,
        class_weights: torch.Tensor | None = None,
        label_smoothing: float | None = None,
        focal_loss: float = 0.0,
        kind: Kind | None = None,
        outputs: Sequence[int] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.micro_batch_size = micro_batch_size or self.args.train_batch_size
        self.compute = compute
        self.compact_vocabulary = compact_vocabulary
        if self.compute_loss_func is None:
            config = self.model.config
            self.compute_loss_func = ClassificationLoss(
                kind or kind_of_head(config.problem_type, config.num_labels),
                label_smoothing=(
                    self.args.label_smoothing_factor if label_smoothing is None else label_smoothing
                ),
                weights=class_weights,
                order=outputs,
                focal=focal_loss,
            )
        # The loss above divides by the number of items; heads do not, though they take **kwargs.
        self.model_accepts_loss_kwargs = False
        self._loss_shifts_labels = False
        self._losses_unchecked: torch.Tensor | None = None
        self._vocabulary: CompactVocabulary | None = None
        self._masks = DropoutMasks() if self.args.device.type == "cpu" else None
        self._path_context = ExitStack()
        self._path: ComputePath = "padded"
        self._is_checked = self._is_packed = False
        self._agreed: tuple[weakref.ref[nn.Module], ComputePath] | None = None
        self._weights: int | None = None
        self._shares: Shares | None = None
        self._filler: Any = None
        """The batch of this step that belongs to another process, if this one has none left."""
        self._is_filling = False

    @property
    def compute_path(self) -> ComputePath:
        """The current execution path; `padded` outside training."""
        return self._path

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train, from `resume_from_checkpoint` if given; the model is restored afterwards."""
        with self._compact():
            return super().train(resume_from_checkpoint, *args, **kwargs)

    def _inner_training_loop(self, *args: Any, **kwargs: Any) -> Any:
        with self._on_path():
            return super()._inner_training_loop(*args, **kwargs)

    def get_train_dataloader(self) -> Any:
        """Return the loader of the training set; each process has its share of every batch."""
        loader = super().get_train_dataloader()
        loader.device = None  # batches stay on the CPU until a micro-batch is sent
        if self.args.world_size > 1:
            process, processes = self.args.process_index, self.args.world_size
            self._shares = share_batches(loader, process=process, processes=processes)
        return loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Return a step's batches, and the number of their labels in all processes.

        A filler batch of a process without a share of the last step does not count.
        """
        batches = list(islice(epoch_iterator, num_batches))
        at_end = self.accelerator.gradient_state.end_of_dataloader
        is_filler = self._shares is not None and at_end and self._shares.is_empty and batches
        self._filler = batches[-1] if is_filler else None
        return batches, self._get_num_items_in_batch(batches, device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        counted = [self._with_counted_labels(batch) for batch in batch_samples]
        return super()._get_num_items_in_batch(counted, device)

    def _with_counted_labels(self, batch: Any) -> Any:
        """Mark in a copy of a batch, as Trainer reads it, which labels count in the loss."""
        labels = batch.get("labels") if isinstance(batch, Mapping) else None
        if not isinstance(labels, torch.Tensor):
            return batch
        if batch is self._filler:
            return {**batch, "labels": torch.full_like(labels, IGNORED)}
        if not isinstance(self.compute_loss_func, ClassificationLoss):
            return batch  # a custom loss: labels are counted as Trainer does
        counts = self.compute_loss_func.kind.is_labelled(labels)
        return {**batch, "labels": torch.where(counts, 0, IGNORED)}

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        if not self.is_deepspeed_enabled and isinstance(inputs, Mapping):
            inputs = send(inputs, self.args.device)
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        return prepared

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **kwargs: Any
    ) -> Any:
        """Return the loss, and the model's outputs if wanted; the loss of a filler is 0."""
        found = super().compute_loss(model, inputs, return_outputs=return_outputs, **kwargs)
        if not self._is_filling:
            return found
        return (0 * found[0], found[1]) if return_outputs else 0 * found

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Add the gradient of one batch, in micro-batches; return its loss.

        Raises TrainingError if the loss is not finite, or one example does not fit into memory.
        """
        while True:
            try:
                self._check_path(inputs)
                self._is_filling = inputs is self._filler
                loss = self._accumulate(model, inputs, num_items_in_batch)
            except RuntimeError as error:
                self._shrink_micro_batch(model, error)
            else:
                self._watch(loss)
                return loss
            finally:
                self._is_filling = False

    def check_losses(self) -> None:
        """Raise TrainingError if a loss since the last check was not finite."""
        total, self._losses_unchecked = self._losses_unchecked, None
        if total is not None and not torch.isfinite(total).item():
            raise TrainingError(
                f"The loss is not finite at step {self.state.global_step + 1}: training diverged.",
                hint="Lower --learning-rate, add --warmup 0.1, or use --precision fp32.",
            )

    def on_fallback(self, path: ComputePath, note: str) -> None:
        """Report that the model does not support a faster path than `path`."""
        self.report_note(note)

    def report_note(self, note: str) -> None:
        """Report why a faster path is not used."""
        warnings.warn(note, stacklevel=2)

    def data_to_scan(self) -> list[Any]:
        """Return every data set that the model reads during training."""
        evaluated = self.eval_dataset
        more = list(evaluated.values()) if isinstance(evaluated, dict) else [evaluated]
        return [data for data in (self.train_dataset, *more) if data is not None]

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        """Predict a data set as transformers' Trainer does, on a faster path."""
        with (
            self._cast_weights_kept(),
            nullcontext() if self._path != "padded" else self._on_path(),
        ):
            return super().evaluation_loop(*args, **kwargs)

    def prediction_step(
        self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Predict one batch."""
        self._check_path(inputs)
        return super().prediction_step(model, inputs, *args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """Create the optimiser of the arguments."""
        optimizer = super().create_optimizer(*args, **kwargs)
        if self._vocabulary is not None:
            self._vocabulary.follow(optimizer)
        return optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> Any:
        """Create the schedule, and resolve the warm-up steps of schedule-free optimisers.

        transformers passes them the arguments' `warmup_steps`, which may be a share of all steps.
        """
        for group in (optimizer or self.optimizer).param_groups:
            if 0 < group.get("warmup_steps", 0) < 1:
                group["warmup_steps"] = self.args.get_warmup_steps(num_training_steps)
        return super().create_scheduler(num_training_steps, optimizer)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return transformers' estimate, with a cached count of the model's parameters."""
        tokens = inputs.get("input_ids")
        if tokens is None:
            return int(super().floating_point_ops(inputs))
        if self._weights is None:
            self._weights = int(self.model.num_parameters(exclude_embeddings=True))
        return 6 * int(tokens.numel()) * self._weights

    def _clip_grad_norm(self, model: nn.Module) -> torch.Tensor:
        """Clip the gradient; on a CPU, where reading the norm is cheap, only if necessary."""
        if self.args.device.type != "cpu" or self.args.world_size > 1:
            return super()._clip_grad_norm(model)
        limit = self.args.max_grad_norm
        weights = [weight for weight in model.parameters() if weight.grad is not None]
        norm = _norm([weight.grad for weight in weights])
        if not norm <= limit:
            clip_grads_with_norm_(weights, limit, norm)
        return norm

    @contextmanager
    def _on_path(self) -> Iterator[None]:
        self._set_path(resolve_compute(self.compute, self.model))
        try:
            yield
        finally:
            self._set_path("padded")

    @contextmanager
    def _compact(self) -> Iterator[None]:
        """Train only the word embeddings that occur, if that does not change the result."""
        found, problem = None, ""
        if self.compact_vocabulary:
            found, problem = attempt(lambda: occurring_rows(self, self.data_to_scan()))
        if problem:
            name = type(self.model).__name__
            self.report_note(f"Every word embedding of {name} is trained: {problem}.")
        if found is None:
            yield
            return
        with compact_vocabulary(*found) as self._vocabulary:
            yield
            self._vocabulary.expand_moments(self.optimizer)
        self._vocabulary = None

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self._vocabulary is not None and self.args.should_save:
            text = json.dumps(self._vocabulary.state())
            (Path(output_dir) / _VOCABULARY).write_text(text, encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self._load_vocabulary(Path(checkpoint) / _VOCABULARY)
        super()._load_optimizer_and_scheduler(checkpoint)

    def _load_vocabulary(self, path: Path) -> None:
        if path.exists() != (self._vocabulary is not None):
            raise TrainingError(
                f"{path.parent} was saved {'with' if path.exists() else 'without'} a compact "
                "vocabulary, and this run resumes with the opposite.",
                hint="Resume with the settings and the data that it started with.",
            )
        if self._vocabulary is not None:
            self._vocabulary.load_state(json.loads(path.read_text(encoding="utf-8")))

    def _set_path(self, path: ComputePath) -> None:
        """Switch to `path`, from the batch on which it is checked; see `_check_path`."""
        self._path_context.close()
        self._path, self._is_checked = path, path == "padded"
        self._is_packed = path == "unpadded" and architecture_of(self.model) is not None
        self._path_context.enter_context(dropping(self.model, path, self._masks))

    def _check_path(self, inputs: Mapping[str, Any]) -> None:
        """Compare the path's logits with the padded ones once; fall back if they differ.

        That is at the first batch with padding. The packed encoder computes other batches too, so
        it is checked at the first batch, which is given padding.
        """
        while not self._is_checked and (self._is_packed or is_mixed(inputs)):
            problem = self._problem(inputs)
            if not problem:
                self._is_checked = True
                self._path_context.enter_context(computing(self.model, self._path, self._masks))
                return
            slower: ComputePath = "grouped" if self._path == "unpadded" else "padded"
            name = type(self.model).__name__
            note = f"{name} is not computed {self._path} but {slower}: {problem}."
            self.compute = slower
            self._set_path(slower)
            self.on_fallback(slower, note)

    def _problem(self, inputs: Mapping[str, Any]) -> str:
        """Describe how this path's logits differ, or return ""; a passed check is not repeated."""
        if self._agreed is not None and (self._agreed[0](), self._agreed[1]) == (
            self.model,
            self._path,
        ):
            return ""
        some = sample(inputs, min(_CHECKED, max(2, self.micro_batch_size)))
        some = with_padding(some) if self._is_packed else some
        problem = disagreement(self.model, self._prepare_inputs(dict(some)), self._path)
        if not problem:
            self._agreed = weakref.ref(self.model), self._path
        return problem

    def _accumulate(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None,
    ) -> torch.Tensor:
        cut = split_by_length if self._path == "grouped" else split
        micro_batches = list(cut(inputs, self.micro_batch_size))
        losses = []
        with self._cast_weights_kept():
            for micro_batch in micro_batches[:-1]:
                with self.accelerator.no_sync(model):
                    losses.append(super().training_step(model, micro_batch, num_items_in_batch))
            losses.append(super().training_step(model, micro_batches[-1], num_items_in_batch))
        return torch.stack(losses).sum()

    @contextmanager
    def _cast_weights_kept(self) -> Iterator[None]:
        """Keep cast weights for all forward passes inside the context.

        Autocast clears them at the end of its outermost context, so this is a disabled outer one.
        """
        halves = self.args.bf16 or self.args.fp16
        device = self.args.device.type
        outer = torch.autocast(device, enabled=False) if halves else nullcontext()
        with outer, weights_kept(self.model):
            yield

    def _shrink_micro_batch(self, model: nn.Module, error: RuntimeError) -> None:
        """Halve the micro-batch size and discard the step's partial gradients, or raise."""
        if not should_reduce_batch_size(error):
            raise error
        if self.micro_batch_size == 1:
            raise TrainingError(
                "There is not enough memory to train on a single example.",
                hint="Cut examples with --max-length, or choose a smaller checkpoint.",
            ) from error
        if self.args.world_size > 1 or self.current_gradient_accumulation_steps > 1:
            raise TrainingError(
                "There is not enough memory for this batch.",
                hint=f"Type: --micro-batch-size {self.micro_batch_size // 2}",
            ) from error
        self.micro_batch_size //= 2
        model.zero_grad()
        clear_device_cache(garbage_collection=True)

    def _watch(self, loss: torch.Tensor) -> None:
        """Check the loss now on a CPU, otherwise when Trainer logs, which synchronises anyway."""
        unchecked = self._losses_unchecked
        self._losses_unchecked = loss if unchecked is None else unchecked + loss
        steps = self.state.logging_steps or 1
        logs = self.accelerator.sync_gradients and (self.state.global_step + 1) % steps == 0
        if loss.device.type == "cpu" or logs:
            self.check_losses()


def _norm(gradients: list[torch.Tensor]) -> torch.Tensor:
    """Return the norm of all gradients together; torch.dot is fastest."""
    squares = [torch.dot(flat, flat) for flat in (each.flatten() for each in gradients)]
    return torch.stack(squares).sum().sqrt()
