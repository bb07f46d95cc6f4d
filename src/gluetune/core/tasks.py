"""The tasks as records: what their columns, labels, splits, metrics and submission files are.

Nothing else in gluetune knows a task by its name: MNLI's two validation sets, STS-B's regression
and AX's lack of training data are fields here. A user's own text makes a record of the same kind.
Sizes, label ids and file names are those of the GLUE leaderboard (Wang et al. 2019, arXiv
1804.07461; https://gluebenchmark.com).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from gluetune.core.command_lines import options
from gluetune.core.errors import ConfigurationError, Finding, warn_renamed
from gluetune.core.text import nearest, visible
from gluetune.kinds import REGRESSION, SINGLE_LABEL
from gluetune.kinds.base import Kind
from gluetune.metrics.registry import METRICS, is_of_one_class, metrics_of, short_label

HELD_OUT = "holdout"
"""Name of the part of a training set that is held out and scored instead of validation."""

OUT_OF_FOLD = "oof"
"""Name of a training set whose rows are predicted by models of the folds without them."""

_LONGEST_LABEL = 40
"""Characters of a class's name in the title of a metric."""


@dataclass(frozen=True, kw_only=True)
class SubmissionFile:
    """One file of the leaderboard's zip: predictions for one test split.

    `values` says how a prediction is written: class ids, class names, or a number.
    """

    name: str
    split: str
    values: Literal["ids", "names", "number"]


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What a task is: everything that gluetune needs to train, score and submit it."""

    name: str
    title: str
    text_columns: tuple[str, ...]
    """One column, or two for sentence pairs, in the order in which the tokenizer takes them."""
    labels: tuple[str, ...]
    """Class names by id; empty for regression."""
    kind: Kind = SINGLE_LABEL
    """The kind of task, with everything that depends on it."""
    metrics: tuple[str, ...]
    """The official metrics. The task's score is their mean, over all validation splits."""
    extra_metrics: tuple[str, ...] = ()
    """Metrics that are also reported and do not count towards the score."""
    positive: str | None = None
    """Of two classes the one that F1 is of; None for the last, as GLUE's own tasks have it."""
    thresholds: tuple[float, ...] = ()
    """Logit above which each label is given, where that is not 0; of several labels only."""
    train_split: str | None = "train"
    validation_splits: tuple[str, ...] = ("validation",)
    test_splits: tuple[str, ...] = ("test",)
    rows: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """Official number of examples by split."""
    label_range: tuple[float, float] | None = None
    """Smallest and largest label of a regression task."""
    label_column: str = "label"
    index_column: str = "idx"
    hub_config: str = ""
    """Name of the configuration in `nyu-mll/glue`, and of the folder in its layout."""
    submission: tuple[SubmissionFile, ...] = ()
    trained_as: str = ""
    """The task whose model predicts this one, for a task that cannot be trained (AX)."""

    @property
    def is_regression(self) -> bool:
        """Whether labels are numbers rather than classes."""
        warn_renamed("TaskSpec.is_regression", "TaskSpec.kind")
        return not self.labels

    @property
    def multi_label(self) -> bool:
        """Whether an example may have several of the labels, or none."""
        warn_renamed("TaskSpec.multi_label", "TaskSpec.kind")
        return self.kind.label_axes > 1

    @property
    def is_published(self) -> bool:
        """Whether a leaderboard scores it, so that there are published results to compare with."""
        return bool(self.submission)

    @property
    def all_metrics(self) -> tuple[str, ...]:
        """The metrics that are computed: those of the score first."""
        return (*self.metrics, *self.extra_metrics)

    @property
    def positive_id(self) -> int:
        """The id of the class that F1 is of."""
        return 1 if self.positive is None else self.labels.index(self.positive)

    @property
    def positive_label(self) -> str | None:
        """The name of the class that F1 is of; None where the task has no metric of one class."""
        is_named = any(is_of_one_class(name, self.num_labels) for name in self.all_metrics)
        return self.labels[self.positive_id] if is_named and self.kind.label_axes == 1 else None

    @property
    def scored_label(self) -> str | None:
        """The name of the class that the score is of; None where it is of all classes."""
        is_named = any(is_of_one_class(name, self.num_labels) for name in self.metrics)
        return self.positive_label if is_named else None

    @property
    def greater_is_better(self) -> bool:
        """Whether a greater score is a better one; the metrics of a score agree in it."""
        return all(METRICS[name].greater_is_better for name in self.metrics if name in METRICS)

    def is_better(self, score: float, other: float) -> bool:
        """Whether one score is better than another."""
        return self.sign * score > self.sign * other

    def in_points(self, name: str = "score") -> bool:
        """Whether tables show a metric, with a split before it or not, or the score times 100."""
        last = name.rpartition(" ")[2]
        names = self.metrics if last == "score" else (last,)
        return all(METRICS[one].in_points for one in names if one in METRICS)

    def amount(self, score: float) -> str:
        """Return a score, or a difference of scores, as people read it: in points, or as it is."""
        return f"{100 * score:.1f}" if self.in_points() else f"{score:.3f}"

    @property
    def sign(self) -> int:
        """What a score is multiplied by so that a greater one is better."""
        return 1 if self.greater_is_better else -1

    @property
    def positive_note(self) -> str:
        """Note on the class of the metrics of one class, where the run does not state it."""
        if self.positive_label is None or self.positive is not None or self.is_published:
            return ""
        return (
            "This run does not state a positive class: its metrics of one class are of "
            f"'{self.positive_label}', the last one."
        )

    def with_extra_metrics(self, names: Sequence[str]) -> TaskSpec:
        """Return the task with further metrics that are also reported.

        Raises ConfigurationError that lists the names that are no metrics of its kind.
        """
        unfit = unfit_metrics("extra_metrics", names, self.kind, self.num_labels)
        ConfigurationError.raise_any(unfit)
        further = (name for name in names if name not in self.metrics)
        return replace(self, extra_metrics=tuple(dict.fromkeys((*self.extra_metrics, *further))))

    def metric_title(self, name: str, *, short: bool = False) -> str:
        """Return a metric's name, with a split before it or not, and the class that it is of.

        `short` is for narrow columns.
        """
        split, space, last = name.rpartition(" ")
        title = f"{split}{space}{short_label(last)}" if short else name
        is_named = is_of_one_class(last, self.num_labels)
        if self.positive_label is None or not is_named:
            return title
        label = visible(self.positive_label)
        shown = label if len(label) <= _LONGEST_LABEL else f"{label[:_LONGEST_LABEL]}…"
        return f"{title} of '{shown}'"

    def label_text(self, label: Any) -> str:
        """Return a label or a prediction as text: a number, a class's name, or names of labels."""
        return self.kind.label_text(self.labels, label)

    @property
    def num_labels(self) -> int:
        """Width of the classification head: the number of classes, 1 for regression."""
        return len(self.labels) or 1

    @property
    def splits(self) -> tuple[str, ...]:
        """Every split, in the order train, validation, test."""
        train = (self.train_split,) if self.train_split else ()
        return (*train, *self.validation_splits, *self.test_splits)


def _rows(**rows: int) -> Mapping[str, int]:
    return MappingProxyType(rows)


_COLA = TaskSpec(
    name="cola",
    title="CoLA: is the sentence acceptable English?",
    text_columns=("sentence",),
    labels=("unacceptable", "acceptable"),
    metrics=("matthews_correlation",),
    rows=_rows(train=8551, validation=1043, test=1063),
    hub_config="cola",
    submission=(SubmissionFile(name="CoLA.tsv", split="test", values="ids"),),
)

_SST2 = TaskSpec(
    name="sst2",
    title="SST-2: is the review positive?",
    text_columns=("sentence",),
    labels=("negative", "positive"),
    metrics=("accuracy",),
    rows=_rows(train=67349, validation=872, test=1821),
    hub_config="sst2",
    submission=(SubmissionFile(name="SST-2.tsv", split="test", values="ids"),),
)

_MRPC = TaskSpec(
    name="mrpc",
    title="MRPC: are the two sentences paraphrases?",
    text_columns=("sentence1", "sentence2"),
    labels=("not_equivalent", "equivalent"),
    metrics=("accuracy", "f1"),
    rows=_rows(train=3668, validation=408, test=1725),
    hub_config="mrpc",
    submission=(SubmissionFile(name="MRPC.tsv", split="test", values="ids"),),
)

_STSB = TaskSpec(
    name="stsb",
    title="STS-B: how similar are the two sentences, from 0 to 5?",
    text_columns=("sentence1", "sentence2"),
    labels=(),
    kind=REGRESSION,
    metrics=("pearson", "spearman"),
    extra_metrics=("mae",),
    rows=_rows(train=5749, validation=1500, test=1379),
    label_range=(0.0, 5.0),
    hub_config="stsb",
    submission=(SubmissionFile(name="STS-B.tsv", split="test", values="number"),),
)

_QQP = TaskSpec(
    name="qqp",
    title="QQP: are the two questions duplicates?",
    text_columns=("question1", "question2"),
    labels=("not_duplicate", "duplicate"),
    metrics=("accuracy", "f1"),
    rows=_rows(train=363846, validation=40430, test=390965),
    hub_config="qqp",
    submission=(SubmissionFile(name="QQP.tsv", split="test", values="ids"),),
)

_MNLI = TaskSpec(
    name="mnli",
    title="MNLI: does the premise entail the hypothesis?",
    text_columns=("premise", "hypothesis"),
    labels=("entailment", "neutral", "contradiction"),
    metrics=("accuracy",),
    validation_splits=("validation_matched", "validation_mismatched"),
    test_splits=("test_matched", "test_mismatched"),
    rows=_rows(
        train=392702,
        validation_matched=9815,
        validation_mismatched=9832,
        test_matched=9796,
        test_mismatched=9847,
    ),
    hub_config="mnli",
    submission=(
        SubmissionFile(name="MNLI-m.tsv", split="test_matched", values="names"),
        SubmissionFile(name="MNLI-mm.tsv", split="test_mismatched", values="names"),
    ),
)

_MNLI_MISMATCHED = replace(
    _MNLI,
    name="mnli-mm",
    title="MNLI, validated on the mismatched genres",
    validation_splits=("validation_mismatched",),
    test_splits=("test_mismatched",),
    submission=_MNLI.submission[1:],
)

_QNLI = TaskSpec(
    name="qnli",
    title="QNLI: does the sentence contain what the question asks for?",
    text_columns=("question", "sentence"),
    labels=("entailment", "not_entailment"),
    metrics=("accuracy",),
    rows=_rows(train=104743, validation=5463, test=5463),
    hub_config="qnli",
    submission=(SubmissionFile(name="QNLI.tsv", split="test", values="names"),),
)

_RTE = TaskSpec(
    name="rte",
    title="RTE: does the first sentence entail the second?",
    text_columns=("sentence1", "sentence2"),
    labels=("entailment", "not_entailment"),
    metrics=("accuracy",),
    rows=_rows(train=2490, validation=277, test=3000),
    hub_config="rte",
    submission=(SubmissionFile(name="RTE.tsv", split="test", values="names"),),
)

_WNLI = TaskSpec(
    name="wnli",
    title="WNLI: is the pronoun resolved correctly?",
    text_columns=("sentence1", "sentence2"),
    labels=("not_entailment", "entailment"),
    metrics=("accuracy",),
    rows=_rows(train=635, validation=71, test=146),
    hub_config="wnli",
    submission=(SubmissionFile(name="WNLI.tsv", split="test", values="ids"),),
)

_AX = TaskSpec(
    name="ax",
    title="AX: the diagnostic set, predicted by an MNLI model",
    text_columns=("premise", "hypothesis"),
    labels=_MNLI.labels,
    metrics=("matthews_correlation",),
    train_split=None,
    validation_splits=(),
    rows=_rows(test=1104),
    hub_config="ax",
    submission=(SubmissionFile(name="AX.tsv", split="test", values="names"),),
    trained_as="mnli",
)

GLUE_TASKS: Mapping[str, TaskSpec] = MappingProxyType(
    {spec.name: spec for spec in (_COLA, _SST2, _MRPC, _STSB, _QQP, _MNLI, _QNLI, _RTE, _WNLI)}
)
"""The nine tasks that the GLUE average is taken over."""

LEADERBOARD_TASKS: Mapping[str, TaskSpec] = MappingProxyType({**GLUE_TASKS, _AX.name: _AX})
"""The tasks of a submission to the leaderboard, in its order."""

TASKS: Mapping[str, TaskSpec] = MappingProxyType(
    {**GLUE_TASKS, _MNLI_MISMATCHED.name: _MNLI_MISMATCHED, _AX.name: _AX}
)
"""The nine tasks, the diagnostic set, and `mnli-mm`."""


def unfit_metrics(setting: str, names: Iterable[str], kind: Kind, labels: int) -> list[Finding]:
    """Return a finding for each metric that a task of this kind and so many labels cannot have.

    `setting` is the one that names them.
    """
    known = metrics_of(kind.name, labels=labels)
    return [
        Finding(
            f"{options(**{setting: name})}: a task of kind {kind} has no such metric.",
            f"{nearest(name, known)}Metrics: {', '.join(known)}"
            + (f"; {name} is for two classes." if name in metrics_of(kind.name) else "."),
        )
        for name in names
        if name not in known
    ]


def get_task(name: str) -> TaskSpec:
    """Return the task called `name`: any case, and `SST-2` or `sts_b` for `sst2` and `stsb`.

    Raises ConfigurationError with the nearest name when there is none.
    """
    spec = TASKS.get(name.lower()) or _BY_LOOSE_NAME.get(_loosely(name))
    if spec is not None:
        return spec
    near = difflib.get_close_matches(_loosely(name), _BY_LOOSE_NAME, n=1)
    hint = f"Did you mean '{_BY_LOOSE_NAME[near[0]].name}'? " if near else ""
    raise ConfigurationError(
        f"There is no task '{name}'.", hint=f"{hint}Tasks: {', '.join(TASKS)}."
    )


def _loosely(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def is_task(name: str) -> bool:
    """Whether `get_task` knows the name."""
    return name.lower() in TASKS or _loosely(name) in _BY_LOOSE_NAME


_BY_LOOSE_NAME = {_loosely(name): spec for name, spec in TASKS.items()}
