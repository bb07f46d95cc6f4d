"""Evaluate a model on a task's validation splits, with all predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gluetune.core.errors import TrainingError
from gluetune.core.records import Predictions, ScoreRecord
from gluetune.core.tasks import TaskSpec
from gluetune.data.encoding import Encoded, encode
from gluetune.data.tables import label_array
from gluetune.inference.logits import Collator, ResolvedPrecision, compute_logits
from gluetune.parallel.collectives import ALONE, Processes
from gluetune.statistics import scores
from gluetune.statistics.scores import TaskScore, collapsed

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class ScoredSplit:
    """A split to predict: encoded examples, labels and indices of its rows."""

    encoded: Encoded
    labels: NDArray[Any]
    index: NDArray[Any]

    @classmethod
    def of(cls, table: pa.Table, task: TaskSpec, encoded: Encoded) -> ScoredSplit:
        """Pair `encoded` with the labels and indices of the table that it was made from."""
        labels = label_array(table, task)
        return cls(encoded, labels, table.column(task.index_column).to_numpy())


def encoded_splits(
    task: TaskSpec,
    tables: Mapping[str, pa.Table],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None,
    outputs: tuple[int, ...],
) -> dict[str, ScoredSplit]:
    """Encode canonical tables for prediction; see `gluetune.data.encoding.encode`."""
    return {
        name: ScoredSplit.of(
            table, task, encode(table, task, tokenizer, max_length=max_length, outputs=outputs)
        )
        for name, table in tables.items()
    }


@dataclass(frozen=True)
class Evaluation:
    """Scores and predictions on every validation split."""

    score: ScoreRecord
    predictions: Mapping[str, Predictions]
    loss: float | None
    """Mean over the examples of `Kind.losses`: cross-entropy, squared error; None without any."""
    collapsed: bool
    """Whether the prediction is the same for every row of every split."""
    thresholds: tuple[float, ...] = ()
    """Tuned logit above which each label is predicted; empty if not tuned."""


def evaluate_task(
    model: PreTrainedModel,
    task: TaskSpec,
    splits: Mapping[str, ScoredSplit],
    collate: Collator,
    *,
    outputs: tuple[int, ...],
    batch_size: int,
    precision: ResolvedPrecision,
    processes: Processes = ALONE,
) -> Evaluation:
    """Predict and score every split, each of `processes` its share of the batches.

    `outputs` is the model's output for each class of the task.

    Raises TrainingError if logits are not finite.
    """
    predictions = predict_splits(
        model,
        task,
        splits,
        collate,
        outputs=outputs,
        batch_size=batch_size,
        precision=precision,
        processes=processes,
    )
    return _evaluation(task, predictions)


def predict_splits(
    model: PreTrainedModel,
    task: TaskSpec,
    splits: Mapping[str, ScoredSplit],
    collate: Collator,
    *,
    outputs: tuple[int, ...],
    batch_size: int,
    precision: ResolvedPrecision,
    processes: Processes = ALONE,
) -> dict[str, Predictions]:
    """Predict every split, whether or not its labels are known: see `evaluate_task`."""
    predictions: dict[str, Predictions] = {}
    for name, split in splits.items():
        logits = compute_logits(
            model,
            split.encoded,
            collate,
            batch_size=batch_size,
            precision=precision,
            processes=processes,
        )
        if not np.isfinite(logits).all():
            raise TrainingError(
                f"The logits on {name} are not finite: training diverged.",
                hint="Lower --learning-rate, add --warmup 0.1, or use --precision fp32.",
            )
        predictions[name] = predictions_of(split, logits[:, list(outputs)], task)
    return predictions


def score_record(score: TaskScore) -> ScoreRecord:
    """Return a score as stored in the record: values, and why some are null."""
    metrics = {
        split: {name: measure.value for name, measure in measures.items()}
        for split, measures in score.by_split.items()
    }
    undefined = {
        f"{split}/{name}": measure.reason
        for split, measures in score.by_split.items()
        for name, measure in measures.items()
        if measure.value is None
    }
    if score.score.value is None:
        undefined["score"] = score.score.reason
    return ScoreRecord(score=score.score.value, metrics=metrics, undefined=undefined)


def predictions_of(split: ScoredSplit, logits: NDArray[np.float32], task: TaskSpec) -> Predictions:
    """Return a split's predictions from logits, in the order of the task's classes."""
    predicted = task.kind.decode(logits, task.thresholds)
    return Predictions(split.index, split.labels, predicted, logits)


def score_predictions(task: TaskSpec, predictions: Mapping[str, Predictions]) -> ScoreRecord:
    """Return the task's score on the given splits. Raises DataError for hidden labels."""
    return score_record(scores.score_predictions(task, predictions))


def _evaluation(task: TaskSpec, predictions: Mapping[str, Predictions]) -> Evaluation:
    if not predictions:
        return Evaluation(score_predictions(task, {}), {}, loss=None, collapsed=False)
    losses = np.concatenate(
        [
            task.kind.losses(found.logits.astype(np.float64), found.labels)
            for found in predictions.values()
        ]
    )
    same = collapsed(np.concatenate([found.predicted for found in predictions.values()]))
    return Evaluation(
        score=score_predictions(task, predictions),
        predictions=predictions,
        loss=float(losses.mean()),
        collapsed=same and task.kind.can_collapse,
        thresholds=task.thresholds,
    )
