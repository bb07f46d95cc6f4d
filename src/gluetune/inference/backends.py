"""The interface of inference backends: PyTorch, or ONNX Runtime.

A backend maps encoded texts to logits; encoding and decoding are the same for both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

    from gluetune.core.inference_settings import BackendName
    from gluetune.core.runs import Run
    from gluetune.core.tasks import TaskSpec
    from gluetune.data.encoding import Encoded
    from gluetune.kinds.base import Kind


class Backend(Protocol):
    """A trained model that is ready for inference."""

    @property
    def name(self) -> str:
        """The model as the user named it."""

    @property
    def backend(self) -> BackendName:
        """Name of the backend."""

    @property
    def run(self) -> Run | None:
        """The run that trained the model; None if unknown."""

    @property
    def task(self) -> TaskSpec | None:
        """The task whose classes it predicts; None: the checkpoint's own classes."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty for regression."""

    @property
    def kind(self) -> Kind:
        """The kind of task that the model was trained for."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The logit above which each label is predicted; empty for 0, a probability of 0.5."""

    @property
    def temperatures(self) -> tuple[float, ...]:
        """What logits are divided by for probabilities: one, one for each label, or none."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""

    @property
    def max_length(self) -> int | None:
        """Maximum tokens per example; longer ones are truncated. None for no limit."""

    @property
    def limit(self) -> int | None:
        """Maximum tokens that the model supports. None for no limit."""

    @property
    def batch_size(self) -> int:
        """Examples per forward pass."""

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, `fp16` or `int8`."""

    def logits(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return logits of shape (examples, classes) in the order of `labels`, or (examples, 1).

        Raises TrainingError if they are not finite.
        """
