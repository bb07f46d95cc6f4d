from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
import torch
from tests.support.glue_folders import make_table
from torch.nn import functional

from gluetune.core.errors import TrainingError
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.data.encoding import Encoded
from gluetune.inference.scoring import Evaluation, ScoredSplit, evaluate_task

COLA, MRPC, MNLI, STSB = (get_task(name) for name in ("cola", "mrpc", "mnli", "stsb"))


class Oracle:
    """A model that answers row `n` with the `n`-th of the given logits."""

    device = torch.device("cpu")
    training = False

    def __init__(self, logits: Any) -> None:
        self.logits = torch.tensor(logits)

    def eval(self) -> None: ...

    def train(self, mode: bool) -> None: ...

    def __call__(self, input_ids: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": self.logits[input_ids[:, 0]]}


def split_of(labels: list[Any], start: int = 0) -> ScoredSplit:
    """Rows whose token is their number, from `start` on, the longest last."""
    rows = range(start, start + len(labels))
    examples = datasets.Dataset.from_dict({"input_ids": [[row] for row in rows]})
    encoded = Encoded(examples, np.arange(len(labels)), 0)
    return ScoredSplit(encoded, np.asarray(labels), np.asarray(rows))


def evaluate(
    task: TaskSpec,
    logits: Any,
    splits: dict[str, ScoredSplit],
    outputs: tuple[int, ...] | None = None,
) -> Evaluation:
    return evaluate_task(
        Oracle(logits),
        task,
        splits,
        lambda rows: {"input_ids": torch.tensor([row["input_ids"] for row in rows])},
        outputs=outputs or tuple(range(task.num_labels)),
        batch_size=2,
        precision="fp32",
    )


LOGITS = [[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0], [0.0, 5.0]]


def test_classes_are_scored_and_every_prediction_is_kept() -> None:
    labels = [0, 1, 1, 1]
    found = evaluate(MRPC, LOGITS, {"validation": split_of(labels)})
    measured = found.score.metrics["validation"]
    assert measured == {"accuracy": 0.75, "f1": pytest.approx(0.8)}
    assert found.score.score == pytest.approx((0.75 + 0.8) / 2)
    assert found.score.undefined == {}
    assert not found.collapsed
    expected = functional.cross_entropy(torch.tensor(LOGITS), torch.tensor(labels))
    assert found.loss == pytest.approx(expected.item(), abs=1e-6)
    table = found.predictions["validation"].table()
    assert table.column_names == ["idx", "label", "prediction", "logits"]
    assert table["prediction"].to_pylist() == [0, 0, 1, 1]
    assert table["label"].to_pylist() == labels
    assert table["idx"].to_pylist() == [0, 1, 2, 3]
    assert table["logits"].to_pylist() == LOGITS


def test_a_heads_own_order_of_outputs_changes_nothing() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    labels = [0, 1, 2, 2, 1, 0]
    splits = {"validation_matched": split_of(labels)}
    plain = evaluate(MNLI, logits, splits)
    outputs = (1, 2, 0)
    permuted = np.empty_like(logits)
    permuted[:, list(outputs)] = logits
    again = evaluate(MNLI, permuted, splits, outputs)
    assert again.score == plain.score
    assert again.loss == plain.loss
    one, other = plain.predictions["validation_matched"], again.predictions["validation_matched"]
    np.testing.assert_array_equal(one.logits, other.logits)
    np.testing.assert_array_equal(one.predicted, logits.argmax(axis=1))
    assert evaluate(MNLI, permuted, splits).loss != plain.loss, "or the order would show nothing"


def test_a_task_of_two_splits_is_their_mean() -> None:
    logits = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 3
    splits = {
        "validation_matched": split_of([0, 1]),
        "validation_mismatched": split_of([2, 1], start=2),
    }
    found = evaluate(MNLI, logits, splits)
    assert found.score.metrics == {
        "validation_matched": {"accuracy": 1.0},
        "validation_mismatched": {"accuracy": 0.5},
    }
    assert found.score.score == 0.75
    expected = functional.cross_entropy(torch.tensor(logits), torch.tensor([0, 1, 2, 1]))
    assert found.loss == pytest.approx(expected.item(), abs=1e-6), "the mean over all rows"


def test_numbers_are_scored_by_correlation() -> None:
    answers, labels = [0.5, 1.0, 4.5, 3.0], [0.0, 2.0, 5.0, 3.5]
    found = evaluate(STSB, [[answer] for answer in answers], {"validation": split_of(labels)})
    measured = found.score.metrics["validation"]
    assert measured["pearson"] == pytest.approx(np.corrcoef(answers, labels)[0, 1])
    assert measured["spearman"] == pytest.approx(1.0)
    expected = functional.mse_loss(torch.tensor(answers), torch.tensor(labels))
    assert found.loss == pytest.approx(expected.item(), abs=1e-6)
    table = found.predictions["validation"].table()
    assert table["prediction"].to_pylist() == answers
    assert table["logits"].to_pylist() == [[answer] for answer in answers]


def test_one_class_for_all_is_a_collapse() -> None:
    found = evaluate(COLA, [[1.0, 0.0]] * 4, {"validation": split_of([0, 1, 0, 1])})
    assert found.collapsed
    assert found.score.score == 0.0
    constant = evaluate(STSB, [[1.0]] * 3, {"validation": split_of([0.0, 1.0, 2.0])})
    assert not constant.collapsed, "a regression has no classes"


def test_an_undefined_score_is_null_with_its_reason() -> None:
    found = evaluate(STSB, [[1.0]] * 3, {"validation": split_of([0.0, 1.0, 2.0])})
    assert found.score.score is None
    mae = pytest.approx(2 / 3)
    assert found.score.metrics["validation"] == {"pearson": None, "spearman": None, "mae": mae}
    assert set(found.score.undefined) == {"score", "validation/pearson", "validation/spearman"}
    assert "predictions are constant" in found.score.undefined["validation/pearson"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_answers_that_are_no_numbers_end_the_training(value: float) -> None:
    logits = [[0.0, 1.0], [0.0, value]]
    with pytest.raises(TrainingError, match="logits on validation are not finite") as caught:
        evaluate(COLA, logits, {"validation": split_of([0, 1])})
    assert "--learning-rate" in str(caught.value)


def test_labels_and_indices_come_from_the_table() -> None:
    table = make_table(COLA, "validation", rows=4).take([3, 0, 2])
    encoded = split_of([0, 0, 0]).encoded
    found = ScoredSplit.of(table, COLA, encoded)
    assert (found.labels.tolist(), found.index.tolist()) == ([1, 0, 0], [3, 0, 2])
    assert found.encoded is encoded
