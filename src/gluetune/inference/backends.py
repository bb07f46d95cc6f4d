"""What a predictor asks for logits: PyTorch with the checkpoint's own code, or ONNX Runtime.

Text is encoded before and answers are named after, the same for either.
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
    """A trained model that is ready to answer."""

    @property
    def name(self) -> str:
        """What the user called the model."""

    @property
    def backend(self) -> BackendName:
        """What computes."""

    @property
    def run(self) -> Run | None:
        """The run that the model comes from, None where it comes from none."""

    @property
    def task(self) -> TaskSpec | None:
        """The task whose classes it answers with; None: its own classes."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits; empty for regression."""

    @property
    def kind(self) -> Kind:
        """The kind of task that the model was trained for."""

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The logit above which each label is given; empty for 0, a probability of one half."""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""

    @property
    def max_length(self) -> int | None:
        """Tokens per example; longer ones are cut. None where nothing bounds them."""

    @property
    def limit(self) -> int | None:
        """Tokens that the model can take at most. None where nothing bounds them."""

    @property
    def batch_size(self) -> int:
        """Examples per forward pass."""

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, `fp16` or `int8`."""

    def logits(self, encoded: Encoded) -> NDArray[np.float32]:
        """Return logits of shape (examples, classes) in the order of `labels`, or (examples, 1).

        Raises TrainingError when they are not finite.
        """
