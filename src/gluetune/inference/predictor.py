"""`gluetune.load`: a trained model that is called with text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from gluetune.core.errors import ConfigurationError
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.keywords import LoadKeywords
from gluetune.core.records import listed
from gluetune.core.runs import Run
from gluetune.core.settings import make_settings
from gluetune.core.tasks import get_task
from gluetune.data.encoding import Encoded, cut_rows, tokenize
from gluetune.inference.backends import Backend
from gluetune.inference.exported import open_exported
from gluetune.inference.loader import open_model
from gluetune.kinds.base import Prediction

Text = str | tuple[str, str]
"""One text, or a pair of texts."""

_HINTS = {
    1: 'Type predictor("a text"), or for several predictor(["one", "two"]).',
    2: 'Type predictor("first", "second"), or for several predictor([("a", "b"), ("c", "d")]).',
    None: "Give texts alone or pairs alone, not both at once.",
}
"""How a model is called, by the texts of an example."""

WINDOW = 4096
"""Texts that are sorted by length together, and held in memory at once."""


class Predictor:
    """A trained model, called with one text, a pair, or many of either.

    >>> predictor = gluetune.load("runs/sst2-…")  # doctest: +SKIP
    >>> predictor("A lovely film.").label  # doctest: +SKIP
    'positive'
    """

    def __init__(self, opened: Backend) -> None:
        self.opened = opened
        self.labels = opened.labels
        self.kind = opened.kind
        self.texts_per_example = len(opened.task.text_columns) if opened.task else None
        """1 or 2; None where the checkpoint does not say."""

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
        """Return the answer to a text, or to each of a list of texts.

        A pair is `predictor(first, second)` or a tuple of two. Raises ConfigurationError for one
        text where the model was trained on pairs, and the reverse.
        """
        if pair is not None:
            if not isinstance(texts, str):
                raise ConfigurationError("A second text goes with one first text, not with a list.")
            return self.answers(self.logits([(texts, pair)]))[0]
        if isinstance(texts, str | tuple):
            return self.answers(self.logits([texts]))[0]
        return self.answers(self.logits(texts))

    def logits(self, texts: Sequence[Text]) -> NDArray[np.float32]:
        """Return the logits, of shape (texts, classes) in the order of `labels`, or (texts, 1)."""
        width = len(self.labels) or 1
        parts = [
            self.opened.logits(self.encode(texts[start : start + WINDOW]))
            for start in range(0, len(texts), WINDOW)
        ]
        return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)

    def answers(self, logits: NDArray[np.float32]) -> list[Prediction]:
        """Return what logits mean."""
        return self.kind.predictions(self.labels, logits, self.opened.thresholds)

    def scores(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what logits are as probabilities, in their shape; numbers as they are.

        Those of classes sum to 1; where a text may have several labels each has its own.
        """
        return self.kind.probabilities(logits)

    @property
    def problem_type(self) -> str:
        """What transformers calls the kind of task that the model was trained for."""
        return self.kind.problem_type

    @property
    def thresholds(self) -> dict[str, float]:
        """The probability above which each label is predicted, where a text may have several."""
        return self.kind.probability_thresholds(self.labels, self.opened.thresholds)

    def encode(self, texts: Sequence[Text], *, cut: bool = True) -> Encoded:
        """Return texts as the model reads them, in memory: nothing is cached.

        Without `cut` texts keep the tokens that the model has no room for. Raises
        ConfigurationError for one text where two are read, and the reverse.
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
        return Encoded(examples, lengths, truncated)

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
    """Load a run or a checkpoint with a trained head, to be called with text.

    Args:
        model: A run's folder, a checkpoint's folder, or a Hub id.
        settings: Fields of `LoadSettings`: `task`, `backend`, `precision`, `batch_size`, `threads`,
            `max_length`, `label_order`, `revision`, `trust_remote_code`.

    Raises:
        GluetuneError: RunError, CheckpointError, HubError or ConfigurationError.
    """
    how = make_settings(LoadSettings, settings)
    spec = get_task(how.task) if how.task else None
    if how.backend != "torch":
        return Predictor(open_exported(model, how.backend, spec, how))
    return Predictor(open_model(model, spec, how))


def _readable(count: int | None) -> str:
    return {1: "one text", 2: "two texts"}.get(count or 0, "one text or two")
