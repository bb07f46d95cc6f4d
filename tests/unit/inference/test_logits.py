from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.casts import WeightCasts
from tests.support.glue_folders import make_table
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from transformers import DataCollatorWithPadding

from gluetune.core.errors import TrainingError
from gluetune.core.tasks import get_task
from gluetune.data.encoding import Encoded, encode
from gluetune.inference.logits import autocast, compute_logits
from gluetune.models.checkpoints import find_checkpoint
from gluetune.models.classifiers import Classifier, load_classifier

RTE = get_task("rte")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLUETUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    folder = write_tiny_checkpoint(tmp_path / "tiny", "bert", dropout=0.5)
    return load_classifier(find_checkpoint(str(folder)), RTE, seed=1)


def split_of(classifier: Classifier, rows: int = 21) -> Encoded:
    table = make_table(RTE, "validation", rows=rows)
    return encode(table, RTE, classifier.tokenizer, max_length=64, outputs=(0, 1))


def logits_of(classifier: Classifier, split: Encoded, batch_size: int = 4, **options: Any) -> Any:
    return compute_logits(
        options.pop("model", classifier.model),
        split,
        DataCollatorWithPadding(classifier.tokenizer),
        batch_size=batch_size,
        **{"precision": "fp32", **options},
    )


class Wrapped:
    """A model that is watched, and that has memory for `room` examples at a time."""

    def __init__(self, model: Any, room: int = 10**9, error: str = "CUDA out of memory. ") -> None:
        self.model, self.room, self.error = model, room, error
        self.batches: list[tuple[int, int]] = []
        self.dtypes: set[torch.dtype] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **inputs: torch.Tensor) -> Any:
        assert "labels" not in inputs
        assert not self.model.training
        rows, tokens = inputs["input_ids"].shape
        if rows > self.room:
            raise RuntimeError(self.error)
        self.batches.append((rows, tokens))
        outputs = self.model(**inputs)
        self.dtypes.add(outputs["logits"].dtype)
        return outputs


def test_logits_are_those_of_one_plain_padded_pass_in_the_sets_own_order(
    classifier: Classifier,
) -> None:
    split = split_of(classifier)
    assert sorted(split.lengths) != list(split.lengths)
    found = logits_of(classifier, split)
    batch = DataCollatorWithPadding(classifier.tokenizer)(list(split.examples))
    batch.pop("labels")
    with torch.no_grad():
        plain = classifier.model.eval()(**batch).logits.numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-6)
    assert np.abs(found - found[::-1]).max() > 1e-2, "or the order would show nothing"


def test_a_regressions_logits_have_one_column(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "tiny", "roberta")
    found = load_classifier(find_checkpoint(str(folder)), get_task("stsb"), seed=1)
    assert logits_of(found, split_of(found)).shape == (21, 1)


def test_the_longest_run_first_and_the_batches_cover_each_example_once(
    classifier: Classifier,
) -> None:
    model = Wrapped(classifier.model)
    split = split_of(classifier)
    logits_of(classifier, split, model=model)
    rows, widths = zip(*model.batches, strict=True)
    assert sum(rows) == 21
    assert rows[0] == 4
    assert list(widths) == sorted(widths, reverse=True)
    assert widths[0] == split.lengths.max()


def test_shorter_examples_run_together_in_the_room_of_the_longest(classifier: Classifier) -> None:
    model = Wrapped(classifier.model)
    split = split_of(classifier)
    logits_of(classifier, split, model=model)
    room = 4 * split.lengths.max()
    assert all(rows * tokens <= room for rows, tokens in model.batches)
    assert max(rows for rows, _ in model.batches) > 4
    more = [(rows + 1) * tokens for rows, tokens in model.batches[:-1]]
    assert min(more) > room, "each batch is full"


def test_nothing_random_is_drawn_and_the_model_trains_on_as_before(
    classifier: Classifier,
) -> None:
    split = split_of(classifier)
    classifier.model.train()
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]  # a tuple unless asked otherwise
    first = logits_of(classifier, split)
    after = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]  # likewise
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]
    assert classifier.model.training
    np.testing.assert_array_equal(first, logits_of(classifier, split))
    classifier.model.eval()
    logits_of(classifier, split)
    assert not classifier.model.training


def test_weights_are_cast_once_for_all_batches(classifier: Classifier) -> None:
    with WeightCasts(classifier.model) as casts:
        logits_of(classifier, split_of(classifier), precision="bf16")
    assert len(casts.counts) > 10
    assert set(casts.counts.values()) == {1}


def test_a_lack_of_memory_is_answered_by_smaller_batches(classifier: Classifier) -> None:
    split = split_of(classifier)
    model = Wrapped(classifier.model, room=2)
    found = logits_of(classifier, split, batch_size=16, model=model)
    assert sum(rows for rows, _ in model.batches) == 21
    assert {rows for rows, _ in model.batches} <= {1, 2}
    np.testing.assert_allclose(found, logits_of(classifier, split), rtol=0, atol=1e-6)


def test_an_example_that_fits_nowhere_is_told(classifier: Classifier) -> None:
    classifier.model.train()
    with pytest.raises(TrainingError, match="a single example") as caught:
        logits_of(classifier, split_of(classifier), model=Wrapped(classifier.model, room=0))
    assert "--max-length" in str(caught.value)
    assert classifier.model.training


def test_another_failure_is_not_taken_for_a_lack_of_memory(classifier: Classifier) -> None:
    model = Wrapped(classifier.model, room=0, error="size mismatch")
    with pytest.raises(RuntimeError, match="size mismatch"):
        logits_of(classifier, split_of(classifier), model=model)


@pytest.fixture
def bf16_products() -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("no bfloat16 on this processor")


def test_precision_is_what_the_products_are_done_in(
    classifier: Classifier, bf16_products: None
) -> None:
    split, model = split_of(classifier), Wrapped(classifier.model)
    exact = logits_of(classifier, split)
    rough = logits_of(classifier, split, precision="bf16", model=model)
    assert model.dtypes == {torch.bfloat16}
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.2
    with autocast(torch.device("cpu"), "fp32"):
        assert not torch.is_autocast_enabled("cpu")
