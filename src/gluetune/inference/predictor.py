"""`gluetune.load`: a trained model that is called with text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from gluetune.core.errors import ConfigurationError, warn_renamed
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.keywords import LoadKeywords
from gluetune.core.long_texts import window_of
from gluetune.core.records import listed
from gluetune.core.runs import Run
from gluetune.core.settings import make_settings
from gluetune.core.tasks import get_task
from gluetune.data.encoding import Encoded, cut_rows, tokenize
from gluetune.inference.abstention import chosen_threshold
from gluetune.inference.backends import Backend
from gluetune.inference.exported import open_exported
from gluetune.inference.loader import open_model
from gluetune.kinds.base import Kind, Prediction
from gluetune.statistics.abstention import Threshold
from gluetune.statistics.calibration import with_temperatures

Text = str | tuple[str, str]
"""One text, or a pair of texts."""

_HINTS = {
    1: 'Type predictor("a text"), or for several predictor(["one", "two"]).',
    2: 'Type predictor("first", "second"), or for several predictor([("a", "b"), ("c", "d")]).',
    None: "Give either texts or pairs, not both.",
}
"""How a predictor is called, by the number of texts per example."""

WINDOW = 4096
"""Texts that are sorted by length together, and held in memory."""


class Predictor:
    """A trained model, called with one text, a pair, or many of either.

    >>> predictor = gluetune.load("runs/sst2-…")  # doctest: +SKIP
    >>> predictor("A lovely film.").label  # doctest: +SKIP
    'positive'
    """

    def __init__(
        self, opened: Backend, *, uncalibrated: bool = False, threshold: Threshold | None = None
    ) -> None:
        self.opened = opened
        self.threshold: Threshold | None = threshold
        """Below which confidence a prediction is uncertain; None unless one was requested."""
        self.temperatures: tuple[float, ...] = () if uncalibrated else opened.temperatures
        """What logits are divided by for probabilities: one, one for each label, or none."""
        self.labels: tuple[str, ...] = opened.labels
        self.kind: Kind = opened.kind
        self.texts_per_example: int | None = len(opened.task.text_columns) if opened.task else None
        """1 or 2; None if unknown."""

    def __repr__(self) -> str:
        classes = listed(self.labels) or "a number"
        return f"Predictor('{self.opened.name}', {classes})"

    @overload
    def __call__(self, texts: Text, pair: str | None = None) -> Prediction: ...

    @overload
    def __call__(self, texts: list[str] | list[tuple[str, str]]) -> list[Prediction]: ...

    def __call__(
        self, texts: Text | Sequence[Text], pair: str | None = None
    ) -> Prediction | list[Prediction]:
        """Predict a text, or each of a list of texts.

        A pair is `predictor(first, second)` or a tuple of two. Raises ConfigurationError for one
        text if the model was trained on pairs, and vice versa.
        """
        if pair is not None:
            if not isinstance(texts, str):
                raise ConfigurationError("A second text goes with one first text, not with a list.")
            return self.predictions(self.logits([(texts, pair)]))[0]
        if isinstance(texts, str | tuple):
            return self.predictions(self.logits([texts]))[0]
        return self.predictions(self.logits(texts))

    def logits(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return the logits, of shape (texts, classes) in the order of `labels`, or (texts, 1)."""
        width = len(self.labels) or 1
        parts = [
            self.opened.logits(self.encode(texts[start : start + WINDOW]))
            for start in range(0, len(texts), WINDOW)
        ]
        return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)

    def predictions(self, logits: NDArray[np.float32]) -> list[Prediction]:
        """Turn logits into predictions."""
        scaled = with_temperatures(logits, self.temperatures)
        found = self.kind.predictions(self.labels, scaled, self._thresholds)
        least = self.threshold
        if least is None:
            return found
        return [replace(one, uncertain=one.score < least.confidence) for one in found]

    def answers(self, logits: NDArray[np.float32]) -> list[Prediction]:
        """Return `predictions(logits)`: the former name."""
        warn_renamed("Predictor.answers", "Predictor.predictions")
        return self.predictions(logits)

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Turn logits into probabilities of the same shape; numbers are returned as they are.

        Probabilities of classes sum to 1; those of several labels per text are independent.
        """
        return self.kind.probabilities(with_temperatures(logits, self.temperatures))

    @property
    def _thresholds(self) -> tuple[float, ...]:
        """The thresholds, of logits that are divided by the temperatures."""
        thresholds = np.asarray(self.opened.thresholds, dtype=np.float64)
        if not len(thresholds):
            return ()
        return tuple(with_temperatures(thresholds, self.temperatures).tolist())

    @property
    def problem_type(self) -> str:
        """The `problem_type` of transformers for the kind of task."""
        return self.kind.problem_type

    @property
    def thresholds(self) -> dict[str, float]:
        """The probability above which each label is predicted, for several labels per text."""
        return self.kind.probability_thresholds(self.labels, self._thresholds)

    def encode(self, texts: Sequence[Text], *, cut: bool = True) -> Encoded:
        """Encode texts in memory, without a cache.

        Without `cut`, texts are not truncated. Raises ConfigurationError for one text if the model
        reads pairs, and vice versa.
        """
        limit = self.opened.max_length if cut else None
        columns = self._columns(texts)
        tokens = tokenize(self.opened.tokenizer, columns, limit)
        names = list(tokens)
        examples: Any = [
            dict(zip(names, values, strict=True))
            for values in zip(*(tokens[name] for name in names), strict=True)
        ]
        lengths = np.fromiter((len(ids) for ids in tokens["input_ids"]), dtype=np.int64)
        truncated = sum(cut_rows(tokens, self.opened.tokenizer, columns, limit))
        window = window_of(self.opened.tokenizer, limit)
        return Encoded(examples, lengths, truncated, window=window)

    def _columns(self, texts: Sequence[Text]) -> list[list[str]]:
        """Return the texts by column: one, or two for pairs."""
        sizes = {1 if isinstance(text, str) else len(text) for text in texts}
        wanted = {self.texts_per_example} if self.texts_per_example else {1, 2}
        if len(sizes) > 1 or not sizes <= wanted:
            raise ConfigurationError(
                f"{self.opened.name} reads {_readable(self.texts_per_example)} per example, and "
                f"was given {' and '.join(str(size) for size in sorted(sizes))}.",
                hint=_HINTS[self.texts_per_example],
            )
        if sizes == {1}:
            return [[str(text) for text in texts]]
        return [[text[0] for text in texts], [text[1] for text in texts]]


def load(model: str | Path | Run, **settings: Unpack[LoadKeywords]) -> Predictor:
    """Load a run or a checkpoint with a trained head for inference.

    Args:
        model: A run's folder, a checkpoint's folder, or a Hub id.
        settings: Fields of `LoadSettings`: `task`, `backend`, `precision`, `batch_size`, `threads`,
            `max_length`, `label_order`, `revision`, `trust_remote_code`, `uncalibrated`,
            `min_precision`, `coverage`.

    Raises:
        GluetuneError: RunError, CheckpointError, HubError or ConfigurationError.
    """
    how = make_settings(LoadSettings, settings)
    spec = get_task(how.task) if how.task else None
    threshold = chosen_threshold(model, how)
    if how.backend != "torch":
        opened: Backend = open_exported(model, how.backend, spec, how)
    else:
        opened = open_model(model, spec, how)
    return Predictor(opened, uncalibrated=how.uncalibrated, threshold=threshold)


def _readable(count: int | None) -> str:
    return {1: "one text", 2: "two texts"}.get(count or 0, "one text or two")
