"""Is a model better than a bag of words? A paired test on the rows that both have predicted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gluetune.core.records import Predictions
from gluetune.statistics.paired_tests import is_proportion, mcnemar, paired_difference

if TYPE_CHECKING:
    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec

_LEVEL = 0.05


@dataclass(frozen=True)
class WordTest:
    """The model's score less that of the bag of words, with a test of the difference."""

    difference: float
    p_value: float
    test: str
    greater_is_better: bool = True

    @property
    def is_shown(self) -> bool:
        """Whether the difference is significant, at 5%."""
        return self.p_value < _LEVEL

    @property
    def is_worse(self) -> bool:
        """Whether the model is significantly worse."""
        return self.is_shown and (self.difference < 0) == self.greater_is_better

    @property
    def sentence(self) -> str:
        """The finding in words."""
        by = f"({self.test}, p = {self.p_value:.2g})"
        if not self.is_shown:
            return f"No difference from the bag of words is shown {by}."
        more = "less" if self.difference < 0 else "more"
        meaning = "" if self.greater_is_better else ", where less is better"
        return f"This run scores {more} than the bag of words{meaning} {by}."


def words_of(run: Run, found: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Return what the bag of words predicts for the same rows; empty unless for every split."""
    words = {split: run.baseline_predictions(split, one) for split, one in found.items()}
    kept = {split: one for split, one in words.items() if one is not None}
    return kept if len(kept) == len(found) else {}


def compare_with_words(
    task: TaskSpec, found: Mapping[str, Predictions], words: Mapping[str, Predictions]
) -> WordTest | None:
    """Compare predictions with those of the bag of words; None where either has no score."""
    if not words or not found:
        return None
    difference = paired_difference(task, dict(words), dict(found))
    if not math.isfinite(difference.value):
        return None
    if not is_proportion(task):
        better = task.greater_is_better
        return WordTest(difference.value, difference.p_value, "paired bootstrap", better)
    p_value = mcnemar(_joined(words), _joined(found)).p_value
    return WordTest(difference.value, p_value, "McNemar's exact test")


def _joined(found: Mapping[str, Predictions]) -> Predictions:
    import numpy as np

    parts = list(found.values())
    return Predictions(
        np.concatenate([one.index for one in parts]),
        np.concatenate([one.labels for one in parts]),
        np.concatenate([one.predicted for one in parts]),
        parts[0].logits[:0],
    )
