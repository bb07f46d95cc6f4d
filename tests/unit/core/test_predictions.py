"""A split's answers come back from their table as they went in."""

from __future__ import annotations

import numpy as np
import pytest

from gluetune.core.records import Predictions


@pytest.mark.parametrize("width", [1, 3])
def test_a_table_gives_the_same_answers_back(width: int) -> None:
    rows = 5
    logits = (np.arange(rows * width).reshape(rows, width) / 3).astype(np.float32)
    predicted = logits[:, 0] if width == 1 else logits.argmax(axis=1)
    before = Predictions(np.arange(rows), np.arange(rows) % 2, predicted, logits)
    after = Predictions.of_table(before.table())
    for name in ("index", "labels", "predicted", "logits"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    assert after.logits.dtype == np.float32


def test_no_rows_are_no_answers() -> None:
    empty = np.empty(0, dtype=np.int64)
    none = Predictions(empty, empty, empty, np.empty((0, 2), dtype=np.float32))
    assert len(Predictions.of_table(none.table()).logits) == 0
