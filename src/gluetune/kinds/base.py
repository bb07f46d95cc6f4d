"""What every kind of task decides: the interface, with what classes have as its defaults.

Arrays are NumPy's unless a docstring says otherwise: `labels` and `predicted` have the shape
(examples,), or (examples, labels) for several labels an example; `logits` (examples, outputs), in
the order of the task's labels. NumPy, PyTorch, PyArrow and scikit-learn are imported inside the
functions: a kind is a part of every task, and they take seconds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import torch
    from numpy.typing import NDArray

    from gluetune.kinds.label_errors import LabelErrors
    from gluetune.kinds.linear_heads import LinearHead

    Predict = Callable[[Any], NDArray[Any]]
    """From features, sparse and of shape (rows, features), to predictions."""

Cell = Literal["name", "names", "number"]
"""What a cell of labels holds: the name of a class, names of labels, or a number."""
Widget = Literal["bars", "checks", "dial"]
"""How a page shows a prediction: a bar for each class, bars with thresholds, or a number."""
Section = Literal["confusion", "classes", "calibration", "residuals"]
"""What an evaluation shows in addition to the scores."""

IGNORED = -100
"""The label of an example without one, as in torch's cross-entropy."""


@dataclass(frozen=True)
class Prediction:
    """The prediction for one text or pair."""

    label: str | None
    """Name of the likeliest class; None for regression."""
    score: float
    """The label's probability; for regression the number itself."""
    probabilities: dict[str, float] = field(default_factory=dict)
    """By class name; empty for regression."""
    labels: tuple[str, ...] | None = None
    """Every label above its threshold, where an example may have several; else None. `label` is
    then the likeliest, given or not."""
    uncertain: bool | None = None
    """Whether the score is below the threshold of confidence; None unless one was requested."""


class Kind(ABC):
    """A kind of task. Each is one object, which `gluetune.kinds.KINDS` has by name."""

    name: ClassVar[str]
    problem_type: ClassVar[str]
    """Problem type of transformers in config.json."""
    activation: ClassVar[str] = "torch.nn.modules.linear.Identity"
    """Activation that sentence-transformers' CrossEncoder applies to logits."""
    hub_task: ClassVar[tuple[str, str]] = ("text-classification", "Text Classification")
    """The Hub's id and name of the task."""

    cell: ClassVar[Cell] = "name"
    label_axes: ClassVar[int] = 1
    """Axes of an array of labels."""
    fewest_labels: ClassVar[int] = 2
    """Labels that a task needs."""
    default_metrics: ClassVar[tuple[str, ...]]
    """The first is the score by default."""
    label_order_names_classes: ClassVar[bool] = False
    """Whether `--label-order` gives the order of the classes, rather than that of a head's
    outputs."""

    is_weighted: ClassVar[bool] = True
    """Whether the loss takes class weights and label smoothing."""
    can_collapse: ClassVar[bool] = True
    """Whether the same prediction for every example is a sign of a failed run."""
    can_be_misordered: ClassVar[bool] = False
    """Whether a score below the baseline suggests that the labels are in another order."""
    has_thresholds: ClassVar[bool] = False
    """Whether each label has a threshold, which is tuned on a part of the training rows."""
    strata_are_bins: ClassVar[bool] = False
    """Whether strata are parts of a range, which may be split further."""

    widget: ClassVar[Widget] = "bars"
    sections: ClassVar[tuple[Section, ...]]
    unit: ClassVar[str] = "class"
    """Name of the label or prediction of one example."""
    units: ClassVar[str] = "classes"
    unit_of_example: ClassVar[str] = "class"
    """Name of the whole prediction of an example, where `unit` is one label of it."""
    constant_word: ClassVar[str] = "majority"
    """A short name of the baseline that predicts the same for every example."""
    constant_name: ClassVar[str] = "majority class"
    constant_description: ClassVar[str] = "most frequent label of train"
    quality_name: ClassVar[str] = "accuracy"
    """Name of what `quality` returns."""
    quality_is_proportion: ClassVar[bool] = True

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> tuple[Callable[[str], Kind], tuple[str]]:
        from gluetune.kinds import get_kind

        return get_kind, (self.name,)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let records hold a kind by its name."""
        from pydantic_core import core_schema

        from gluetune.kinds import get_kind

        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Kind) else get_kind(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda kind: kind.name),
        )

    # Labels, in and out.

    def described(self, names: Sequence[str]) -> str:
        """Return what an example's label is, in a few words."""
        return f"{len(names)} {self.units}"

    def label_text(self, names: Sequence[str], label: Any, *, none: str = "-") -> str:
        """Return a label or a prediction as text; `none` where there is no label at all."""
        return names[int(label)]

    def column_type(self, size: int) -> pa.DataType:
        """Return the type of a canonical table's label column."""
        import pyarrow as pa

        return pa.int64()

    def accepts(self, column: pa.DataType) -> bool:
        """Whether a file's column of this type can hold labels."""
        import pyarrow as pa

        return bool(pa.types.is_integer(column))

    def bounds(self, size: int, label_range: tuple[float, float] | None) -> tuple[float, float]:
        """Return the lowest and the highest label."""
        return 0, size - 1

    def expected(self, names: Sequence[str], label_range: tuple[float, float] | None) -> str:
        """Return what a label has to be, for a message."""
        ids = ", ".join(f"{index} ({name})" for index, name in enumerate(names))
        return f"a class id: {ids}"

    def array(self, column: pa.ChunkedArray, size: int) -> NDArray[Any]:
        """Return the labels of a canonical table's column."""
        labels: NDArray[Any] = column.to_numpy()
        return labels

    def targets(self, column: pa.ChunkedArray, outputs: Sequence[int]) -> pa.Array:
        """Return labels as the loss takes them, `outputs` being the model's for each of them."""
        import numpy as np
        import pyarrow as pa

        labels = self.array(column, len(outputs))
        # A hidden label (-1) stays hidden: it is not an output.
        return pa.array(np.where(labels >= 0, np.asarray(outputs, dtype=np.int64)[labels], -1))

    def counts(self, labels: NDArray[Any], size: int) -> NDArray[np.int64]:
        """Return how many examples have each label."""
        import numpy as np

        return np.bincount(labels, minlength=size)

    @abstractmethod
    def strata(self, parts: Callable[[], Iterable[NDArray[Any]]], bins: int) -> NDArray[Any]:
        """Return the stratum of each example, for parts of data with the same balance of labels.

        `parts` gives the labels from the beginning, some at a time; numbers have so many `bins`.
        """

    def constant(self, labels: NDArray[Any], size: int) -> Any:
        """Return the one prediction that fits the training labels best: the lowest of equals."""
        import numpy as np

        return int(np.bincount(labels.astype(np.int64), minlength=size).argmax())

    def frequencies(self, labels: NDArray[Any], size: int) -> NDArray[np.float64]:
        """Return the proportion of examples that have each label: a constant's probabilities."""
        shares: NDArray[np.float64] = self.counts(labels.astype(int), size) / len(labels)
        return shares

    def spread(self, names: Sequence[str], labels: Sequence[Any], count: int) -> Iterable[int]:
        """Return which of some examples, `count` at most, show what labels there are."""
        texts = [self.label_text(names, label) for label in labels]
        return round_robin({name: [] for name in names}, texts, count)

    # The loss.

    def is_labelled(self, labels: torch.Tensor) -> torch.Tensor:
        """Return which labels count in the loss: bool tensor of the shape of `labels`."""
        return labels != IGNORED

    @abstractmethod
    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        weights: torch.Tensor | None,
        smoothing: float,
        order: Sequence[int] = (),
        focal: float = 0.0,
    ) -> torch.Tensor:
        """Return the sum of the loss over examples; see `gluetune.training.trainer`.

        Columns, class ids and weights are of the model's outputs; `order` is the output of each of
        the task's labels, by default the same. `focal` is the exponent of the focal loss (Lin et
        al. 2017, arXiv 1708.02002), which multiplies an example's loss by (1 - p) to that power, p
        being the probability of the true label.
        """

    @abstractmethod
    def losses(self, logits: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the loss of each example, without weights and smoothing."""

    @abstractmethod
    def class_weights(self, labels: NDArray[Any], outputs: Sequence[int]) -> NDArray[np.float64]:
        """Return weights that give every class the same weight in sum."""

    def stated_weights(
        self, names: Sequence[str], stated: Mapping[str, float], outputs: Sequence[int]
    ) -> NDArray[np.float64]:
        """Return weights in the form of `class_weights`, by name; 1 for the labels not named."""
        import numpy as np

        weights = np.ones(len(outputs))
        for name, output in zip(names, outputs, strict=True):
            weights[output] = stated.get(name, 1.0)
        return weights

    # Predictions.

    @abstractmethod
    def decode(self, logits: NDArray[Any], thresholds: Sequence[float] = ()) -> NDArray[Any]:
        """Return what logits predict, in the form of labels. `thresholds` are logits."""

    @abstractmethod
    def probabilities(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """Return what logits are as probabilities, in their shape; numbers as they are."""

    @abstractmethod
    def predictions(
        self, names: Sequence[str], logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> list[Prediction]:
        """Return what logits mean, one by one."""

    def probability_thresholds(
        self, names: Sequence[str], thresholds: Sequence[float]
    ) -> dict[str, float]:
        """Return the probability above which each label is predicted, where each has its own."""
        return {}

    @abstractmethod
    def margins(
        self, logits: NDArray[Any], thresholds: Sequence[float] = ()
    ) -> NDArray[np.float64]:
        """Return how far the logit of each label is from where its prediction would change.

        Shape (examples, labels); above 0 where the label is predicted.
        """

    @abstractmethod
    def changes(
        self,
        before: NDArray[Any],
        after: NDArray[Any],
        logits: NDArray[Any],
        thresholds: Sequence[float] = (),
    ) -> tuple[int, float]:
        """Compare predictions: how many examples changed, and how far from a tie the widest was.

        `logits` are those of `before`.
        """

    def confidence(self, logits: NDArray[Any]) -> NDArray[np.float64] | None:
        """Return the probability of each prediction; None where a prediction has no single one."""
        return None

    def mean_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the logits of the mean probabilities of models: shape (models, rows, outputs)."""
        return logits.mean(dim=0)

    # Calibration: by one temperature, or one for each label; none where there are no probabilities.

    def log_losses(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the negative log-likelihood of labels, a column for each temperature."""
        import numpy as np

        return np.zeros((len(labels), 0))

    def brier_scores(self, logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        """Return each example's squared error of the probabilities (Brier 1950)."""
        import numpy as np

        return np.zeros(0)

    def outcomes(
        self, logits: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the probabilities that calibration is of, and whether what they predict is so."""
        import numpy as np

        return np.zeros(0), np.zeros(0, dtype=bool)

    # Errors.

    @abstractmethod
    def rank_errors(
        self, labels: NDArray[Any], predicted: NDArray[Any], logits: NDArray[Any]
    ) -> NDArray[np.int64]:
        """Return the examples that are predicted incorrectly, the worst first."""

    @abstractmethod
    def label_errors(self, labels: NDArray[Any], logits: NDArray[Any]) -> LabelErrors:
        """Return which labels are probably wrong, by logits of models not trained on their rows."""

    def class_counts(
        self, labels: NDArray[Any], predicted: NDArray[Any], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return, for each label, its correct predictions, its examples and its predictions."""
        import numpy as np

        both = labels[labels == predicted]
        sides = (np.bincount(side, minlength=size) for side in (both, labels, predicted))
        right, support, given = sides
        return right, support, given

    def quality(self, labels: NDArray[Any], predicted: NDArray[Any]) -> float:
        """Return how good the predictions for a part of the examples are; see `quality_name`."""
        return float((predicted == labels).mean())

    # The baseline of a bag of words.

    def heads_at_once(self, size: int) -> int:
        """Return how many labels are fitted together; their weights share the memory."""
        return size

    @abstractmethod
    def fit_words(
        self, features: Any, labels: NDArray[Any], size: int, *, balanced: bool
    ) -> Predict:
        """Fit a linear model to sparse features of shape (rows, features)."""

    # The linear head of a frozen encoder.

    @abstractmethod
    def fit_head(
        self,
        features: NDArray[Any],
        labels: NDArray[Any],
        size: int,
        *,
        weights: NDArray[np.float64] | None = None,
        with_bias: bool = True,
        for_dropout: bool = False,
    ) -> LinearHead:
        """Fit a linear head to features of shape (rows, features), one output for each label.

        The regularisation is chosen by cross-validation. `weights` are those of `class_weights`, in
        the order of the labels. `for_dropout`: see `linear_heads.fit_linear_head`.
        """

    # Words for pages.

    def dial(self, label_range: tuple[float, float] | None) -> tuple[float, float] | None:
        """Return the ends of the dial that shows a prediction; None where there is none."""
        return None

    def outputs_text(self, names: str, label_range: tuple[float, float] | None) -> str:
        """Return what the model predicts, after "one"; `names` lists the labels."""
        return f"one of: {names}"

    def pipeline_call(self, texts: str, thresholds: Sequence[float]) -> str:
        """Return Python that turns `classify`, a pipeline, and typed `texts` into predictions."""
        return f"classify({texts})"

    logits_suffix: ClassVar[str] = ""
    """Python after `logits = …` that makes probabilities of them, where it is not the softmax."""
    answer_attribute: ClassVar[str] = ""
    """The attribute of a `Prediction` that is the prediction, on a model card."""


def round_robin(groups: dict[str, list[int]], texts: Sequence[str], count: int) -> Iterable[int]:
    """Return positions of `texts`, one of each group in turn; further groups are added behind."""
    for row, text in enumerate(texts):
        groups.setdefault(text, []).append(row)
    rounds = zip_longest(*groups.values())
    return islice((row for each in rounds for row in each if row is not None), count)
