"""A linear head on a frozen encoder: on its own, as a baseline, or as the start of fine-tuning.

The encoder computes the pooled state of each text once, and scikit-learn fits the head to these.
The states are cached by content: by the weights that compute them, and by the tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import nn
from transformers import DataCollatorWithPadding

from gluetune.core.errors import CheckpointError, StorageError
from gluetune.core.files import cache_part, remove_oldest, write_atomically
from gluetune.data.encoding import Encoded
from gluetune.data.tables import label_array
from gluetune.inference.logits import compute_logits
from gluetune.inference.scoring import predictions_of, score_predictions
from gluetune.models.classifiers import output_layer
from gluetune.models.layers import freeze_layers
from gluetune.training.methods.method import Fitted, Method

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from gluetune.core.records import ScoreRecord
    from gluetune.kinds.linear_heads import LinearHead
    from gluetune.parallel.collectives import Processes
    from gluetune.training.preflight import Prepared
    from gluetune.training.run_trainer import RunTrainer

_BASELINE_ROWS = 5_000
"""Training rows of the baseline, at most."""
_MOST_FILES = 64
_MOST_BYTES = 200_000_000
"""Size of pooled states up to which they are cached."""
_VERSION = 1
"""Version of the states: a change invalidates the cache."""
_NAMES = ("_name_or_path", "id2label", "label2id", "problem_type", "transformers_version")
"""Fields of config.json on which no state depends."""


class Probe(Method):
    """A linear head on the frozen encoder, without a step of an optimiser."""

    name = "probe"
    for_dropout: ClassVar[bool] = False
    """Whether the head is trained with dropout afterwards."""
    ignored: ClassVar[tuple[str, ...]] = (
        *("label_smoothing", "early_stopping", "weight_decay", "warmup", "epochs"),
        *("learning_rate", "batch_size", "focal_loss", "min_steps", "layer_decay"),
        *("restart_layers", "freeze_layers", "average_epochs"),
    )

    def prepare(self, prepared: Prepared, processes: Processes, *, resumed: bool) -> Fitted:
        """Fit the head, and put it into the model."""
        model = prepared.classifier.model
        if resumed:
            return Fitted(model)
        head = processes.broadcast_from_main(
            partial(fit_head, prepared, for_dropout=self.for_dropout)
        )
        _put(head, model, prepared)
        return Fitted(model, head.strength)

    def count_trained(self, model: PreTrainedModel) -> int:
        """Return the size of the head."""
        return sum(weights.numel() for weights in output_layer(model)[1].parameters())

    def train(self, trainer: RunTrainer, checkpoint: Path | None) -> None:
        """Evaluate and save the model as it is."""
        trainer.keep_untrained()


class LinearThenFull(Probe):
    """Full fine-tuning that starts from the linear head (LP-FT, Kumar et al. 2022)."""

    name = "lp-ft"
    for_dropout: ClassVar[bool] = True
    ignored: ClassVar[tuple[str, ...]] = ("restart_layers",)

    def prepare(self, prepared: Prepared, processes: Processes, *, resumed: bool) -> Fitted:
        """Fit the head, and freeze the layers that are not trained."""
        found = super().prepare(prepared, processes, resumed=resumed)
        if prepared.config.freeze_layers:
            freeze_layers(found.model, prepared.config.freeze_layers)
        return found

    def count_trained(self, model: PreTrainedModel) -> int:
        """Return the number of weights that are trained."""
        return Method.count_trained(self, model)

    def train(self, trainer: RunTrainer, checkpoint: Path | None) -> None:
        """Train every weight."""
        trainer.train(checkpoint)


def frozen_baseline(prepared: Prepared) -> ScoreRecord | None:
    """Return the score of a linear head on the frozen encoder; None without a linear output layer.

    The head is fitted to at most some thousand training rows. The model is left as it is.
    """
    try:
        head = fit_head(prepared, most_rows=_BASELINE_ROWS)
    except CheckpointError:
        return None
    found = {}
    for name, split in prepared.validation.items():
        logits = head.logits(pooled_states(prepared, split.encoded)).astype(np.float32)
        found[name] = predictions_of(split, logits, prepared.task)
    return score_predictions(prepared.task, found)


def fit_head(
    prepared: Prepared, *, most_rows: int | None = None, for_dropout: bool = False
) -> LinearHead:
    """Fit a linear head to the pooled states of the training rows, or of `most_rows` of them.

    Outputs are in the order of the task's labels. Raises CheckpointError if the model's output
    layer is not linear.
    """
    task, classifier = prepared.task, prepared.classifier
    _, layer = output_layer(classifier.model)
    labels = label_array(prepared.train_table, task)
    encoded, count = prepared.train, len(labels)
    if most_rows is not None and count > most_rows:
        rows = np.linspace(0, count - 1, most_rows).astype(np.intp)
        labels = labels[rows]
        encoded = replace(encoded, examples=encoded.rows(rows), lengths=encoded.lengths[rows])
    weights = None
    if prepared.class_weights is not None:
        weights = prepared.class_weights.numpy()[..., list(classifier.outputs)]
    return task.kind.fit_head(
        pooled_states(prepared, encoded),
        labels,
        len(classifier.outputs),
        weights=weights,
        with_bias=layer.bias is not None,
        for_dropout=for_dropout,
    )


def _put(head: LinearHead, model: PreTrainedModel, prepared: Prepared) -> None:
    """Write a head into the model's output layer."""
    _, layer = output_layer(model)
    outputs = list(prepared.classifier.outputs)
    with torch.no_grad():
        layer.weight[outputs] = torch.from_numpy(head.weights).to(layer.weight)
        if layer.bias is not None:
            layer.bias[outputs] = torch.from_numpy(head.bias).to(layer.bias)


def pooled_states(prepared: Prepared, encoded: Encoded) -> NDArray[np.float32]:
    """Return what the output layer receives for each example, or cached states.

    Shape (examples, features), without dropout. No random number is drawn.
    """
    model = prepared.classifier.model.to(prepared.device)
    key = _key(prepared, encoded)
    try:
        path = cache_part("pooled") / f"{key}.npy"
    except StorageError:
        path = None
    if path is not None:
        with suppress(OSError, ValueError, EOFError):
            kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
            return kept
    with _without_output_layer(model):
        found = compute_logits(
            model,
            encoded,
            DataCollatorWithPadding(prepared.classifier.tokenizer),
            batch_size=prepared.config.eval_batch_size,
            precision=prepared.precision,
        )
    if path is not None and found.nbytes <= _MOST_BYTES:
        with suppress(OSError, StorageError):  # the cache is optional
            write_atomically(path, lambda temporary: _write(temporary, found))
            remove_oldest(path.parent, "*.npy", _MOST_FILES)
    return found


def _write(path: Path, states: NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        np.save(file, states, allow_pickle=False)


@contextmanager
def _without_output_layer(model: PreTrainedModel) -> Iterator[None]:
    """Let the model's logits be what its output layer receives.

    Decoders apply the layer to every position and choose one: this finds their pooled states too.
    """
    name, layer = output_layer(model)
    parent, _, attribute = name.rpartition(".")
    owner = model.get_submodule(parent)
    setattr(owner, attribute, nn.Identity())
    try:
        yield
    finally:
        setattr(owner, attribute, layer)


def _key(prepared: Prepared, encoded: Encoded) -> str:
    """Return the name of cached states: a digest of all that they depend on."""
    import transformers

    digest = hashlib.sha256()
    model = prepared.classifier.model
    name, _ = output_layer(model)
    config = {key: value for key, value in model.config.to_dict().items() if key not in _NAMES}
    for key, weights in model.state_dict().items():
        if not key.startswith(f"{name}."):
            digest.update(f"{key}{tuple(weights.shape)}".encode())
            digest.update(_bytes(weights))
    parts: tuple[Any, ...] = (
        *(_VERSION, torch.__version__, transformers.__version__, type(model).__name__),
        *(sorted(config.items(), key=str), prepared.precision, prepared.device.type),
    )
    digest.update(repr(parts).encode())
    digest.update(_tokens(encoded))
    return digest.hexdigest()[:32]


def _bytes(weights: torch.Tensor) -> memoryview:
    flat = weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return memoryview(flat.numpy())


def _tokens(encoded: Encoded) -> bytes:
    """Return a digest of the model's inputs."""
    digest = hashlib.sha256()
    for start in range(0, len(encoded.lengths), 10_000):
        rows = encoded.rows(np.arange(start, min(start + 10_000, len(encoded.lengths))))
        for name in sorted(set(rows[0]) - {"labels"}):
            values = [np.asarray(row[name], dtype=np.int64) for row in rows]
            digest.update(name.encode())
            digest.update(np.array([len(each) for each in values]).tobytes())
            digest.update(np.concatenate(values).tobytes())
    return digest.digest()
