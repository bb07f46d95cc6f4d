from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable

import pytest
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from transformers import AutoConfig, ViTConfig

from gluetune.core.errors import CheckpointError
from gluetune.core.settings_files import split_names, typed_names
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.models.classifiers import match_labels, output_weights
from gluetune.models.tokenizers import skeleton

MNLI, RTE, STSB = get_task("mnli"), get_task("rte"), get_task("stsb")

DECODERS = (
    *("bloom", "falcon", "gemma", "gpt2", "gpt_neox", "llama"),
    *("mistral", "opt", "phi", "qwen2", "qwen3", "stablelm"),
)
OUTPUT_LAYERS = {
    "albert": {"classifier.weight", "classifier.bias"},
    "bart": {"classification_head.out_proj.weight", "classification_head.out_proj.bias"},
    "bert": {"classifier.weight", "classifier.bias"},
    "camembert": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "deberta-v2": {"classifier.weight", "classifier.bias"},
    "distilbert": {"classifier.weight", "classifier.bias"},
    "electra": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "modernbert": {"classifier.weight", "classifier.bias"},
    "mpnet": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "roberta": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "t5": {"classification_head.out_proj.weight", "classification_head.out_proj.bias"},
    "xlm-roberta": {"classifier.out_proj.weight", "classifier.out_proj.bias"},
    "xlnet": {"logits_proj.weight", "logits_proj.bias"},
    **{decoder: {"score.weight"} for decoder in DECODERS},
}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_output_layer_is_found_by_its_shape(
    tmp_path_factory: pytest.TempPathFactory, architecture: str
) -> None:
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp(architecture), architecture)
    config = AutoConfig.from_pretrained(folder)
    labels = dict(config.id2label)
    assert output_weights(config, trust_remote_code=False) == OUTPUT_LAYERS[architecture]
    assert config.id2label == labels, "the configuration that was handed in is left alone"


def test_a_skeleton_takes_no_memory_whatever_its_size() -> None:
    config = AutoConfig.for_model("bert", hidden_size=12_000, vocab_size=10**9)
    model = skeleton(config, trust_remote_code=False)
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


def test_an_architecture_without_a_classifier_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"cannot be loaded for classification.*ViTConfig"):
        output_weights(ViTConfig(), trust_remote_code=False)


def test_outputs_are_found_by_name_in_every_order_and_spelling() -> None:
    spellings: tuple[Callable[[str], str], ...] = (str, str.upper, lambda name: f" {name.title()}-")
    orders = list(itertools.permutations(MNLI.labels))
    assert len(orders) == 6
    for order, spell in itertools.product(orders, spellings):
        names = {index: spell(name) for index, name in enumerate(order)}
        found = match_labels(names, MNLI, checkpoint="a/b", order=None)
        assert tuple(order[output] for output in found) == MNLI.labels


def own(*labels: str) -> TaskSpec:
    return TaskSpec(
        name="mine", title="Mine", text_columns=("text",), labels=labels, metrics=("accuracy",)
    )


OWN_LABELS = [
    ("-1", "0", "1"),
    ("хорошо", "плохо"),
    ("好", "坏"),
    ("C", "C#", "C++"),
    ("Yes", "yes", "no"),
    ("😀", "😡"),
    ("not spam", "notspam"),
    ("LABEL_1", "LABEL_0"),
    ("caf\u00e9", "cafe\u0301"),
    ("שלילי", "חיובי"),
    ("\u200b", "\u00ad", "."),
    ("+", "-"),
    ("a" * 5000, "a" * 4999 + "b"),
    ("1-2", "12", "1 2"),
    ("a, b", "a", "b"),
]


@pytest.mark.parametrize("labels", OWN_LABELS, ids=lambda labels: ascii(labels[0])[:20])
def test_a_head_with_the_tasks_very_names_fits_whatever_they_are(labels: tuple[str, ...]) -> None:
    order = labels[::-1]
    found = match_labels(dict(enumerate(order)), own(*labels), checkpoint="a/b", order=None)
    assert tuple(order[output] for output in found) == labels
    (typed,) = shlex.split(typed_names(order))
    nameless = {index: f"LABEL_{index}" for index in range(len(labels))}
    stated = match_labels(nameless, own(*labels), checkpoint="a/b", order=split_names(typed))
    assert tuple(order[output] for output in stated) == labels


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("-1", "0"), ("1", "0")),
        (("-1", "0"), ("0", "+1")),
        (("C++", "Java"), ("C", "Java")),
        (("C", "C++"), ("C", "c")),
        (("Yes", "yes", "no"), ("YES", "yes", "no")),
        (("1-2", "3"), ("12", "3")),
        (("好", "坏"), ("高", "低")),
        (("😀", "😡"), ("😡", "😶")),
        (("+", "-"), ("+", "_")),
    ],
)
def test_a_name_that_only_looks_alike_is_not_taken_for_a_class(
    labels: tuple[str, ...], names: tuple[str, ...]
) -> None:
    with pytest.raises(CheckpointError, match="has a trained head for"):
        match_labels(dict(enumerate(names)), own(*labels), checkpoint="a/b", order=None)


@pytest.mark.parametrize(
    ("labels", "names", "found"),
    [
        (("ХОРОШО", "плохо"), ("Плохо", "хорошо"), (1, 0)),
        (("caf\u00e9", "tea"), ("Tea", "cafe\u0301"), (1, 0)),
        (("Yes", "yes", "not sure"), ("not_sure", "yes", "Yes"), (2, 1, 0)),
        (("label 1", "label 2"), ("LABEL_2", "Label-1"), (1, 0)),
    ],
)
def test_another_spelling_is_matched_where_it_can_mean_one_class_only(
    labels: tuple[str, ...], names: tuple[str, ...], found: tuple[int, ...]
) -> None:
    assert match_labels(dict(enumerate(names)), own(*labels), checkpoint="a/b", order=None) == found


def test_a_message_about_many_long_names_stays_readable() -> None:
    names = {index: f"{index} " + "x" * 500 for index in range(300)}
    with pytest.raises(CheckpointError, match="and 280 more; mnli needs") as caught:
        match_labels(names, MNLI, checkpoint="a/b", order=None)
    assert len(str(caught.value)) < 3000


def test_one_output_is_a_regression_tasks_whatever_its_name() -> None:
    assert match_labels({0: "LABEL_0"}, STSB, checkpoint="a/b", order=None) == (0,)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("entailment", "neutral"), "entailment, neutral; rte needs entailment, not_entailment"),
        (("O", "B-PER", "I-PER"), "O, B-PER, I-PER; rte needs"),
        (("entailment", "Entailment"), "entailment, Entailment; rte needs"),
        (("東京", "大阪"), "東京, 大阪; rte needs"),
        (("LABEL_0",), "LABEL_0; rte needs"),
    ],
)
def test_a_head_for_something_else_is_refused(names: tuple[str, ...], said: str) -> None:
    with pytest.raises(CheckpointError, match=f"a/b has a trained head for {said}") as caught:
        match_labels(dict(enumerate(names)), RTE, checkpoint="a/b", order=None)
    hint = caught.value.findings[0].hint
    assert "--new-head" in hint
    assert ("--label-order" in hint) is (len(names) == 2)


def test_nameless_outputs_are_refused_with_both_ways_out() -> None:
    names = {index: f"LABEL_{index}" for index in range(3)}
    with pytest.raises(CheckpointError, match="have no names") as caught:
        match_labels(names, MNLI, checkpoint="a/b", order=None)
    assert "entailment, neutral, contradiction" in str(caught.value)
    assert "--new-head" in caught.value.findings[0].hint
    assert "--label-order NAME,NAME" in caught.value.findings[0].hint


def test_the_order_that_the_user_states_wins() -> None:
    names = {index: f"LABEL_{index}" for index in range(3)}
    order = ("contradiction", "Entailment", "neutral")
    assert match_labels(names, MNLI, checkpoint="a/b", order=order) == (1, 2, 0)


@pytest.mark.parametrize(
    "order",
    [
        ("entailment", "neutral"),
        ("entailment", "neutral", "contradiction", "other"),
        ("entailment", "neutral", "neutral"),
        ("entailment", "neutral", "contradictory"),
        (),
    ],
)
def test_an_order_that_is_not_the_tasks_classes_is_refused(order: tuple[str, ...]) -> None:
    names = {index: f"LABEL_{index}" for index in range(3)}
    with pytest.raises(CheckpointError, match="not mnli's classes, each once") as caught:
        match_labels(names, MNLI, checkpoint="a/b", order=order)
    assert "entailment,neutral,contradiction" in caught.value.findings[0].hint


def test_an_order_neither_widens_nor_narrows_a_head() -> None:
    """A stated name must not make one output of two: the rest would be dropped unsaid."""
    two = {0: "LABEL_0", 1: "LABEL_1"}
    with pytest.raises(CheckpointError, match="stsb needs one number"):
        match_labels(two, STSB, checkpoint="a/b", order=("score",))
    with pytest.raises(CheckpointError, match="mnli needs"):
        match_labels(two, MNLI, checkpoint="a/b", order=MNLI.labels)
    with pytest.raises(CheckpointError, match="stsb is regression, without classes"):
        match_labels({0: "LABEL_0"}, STSB, checkpoint="a/b", order=("score",))
