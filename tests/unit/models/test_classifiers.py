from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.support.tiny_checkpoints import ARCHITECTURES, write_tiny_checkpoint
from transformers import DataCollatorWithPadding

from gluetune.core.errors import CheckpointError
from gluetune.core.tasks import TaskSpec, get_task
from gluetune.kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL
from gluetune.models.checkpoints import find_checkpoint
from gluetune.models.classifiers import (
    Classifier,
    load_classifier,
    load_trained,
    output_weights,
    reload_classifier,
    write_output_names,
)

MNLI = get_task("mnli")
ORDER = ("contradiction", "entailment", "neutral")
TEXTS = [
    "the man read a book",
    "no",
    "it was not very good , said the woman who wrote 3 long stories in the old house",
]


def load(folder: Path, task: str = "mnli", *, trust: bool = False, **options: Any) -> Classifier:
    checkpoint = find_checkpoint(str(folder), trust_remote_code=trust)
    return load_classifier(checkpoint, get_task(task), **{"seed": 1, **options})


def own(labels: tuple[str, ...], *, multi_label: bool = False) -> TaskSpec:
    return TaskSpec(
        name="mine",
        title="Mine",
        text_columns=("text",),
        labels=labels,
        metrics=("accuracy",),
        kind=MULTI_LABEL if multi_label else SINGLE_LABEL,
    )


def logits(classifier: Classifier, texts: list[str]) -> torch.Tensor:
    collate = DataCollatorWithPadding(classifier.tokenizer)
    batch = collate([dict(classifier.tokenizer(text)) for text in texts])
    with torch.inference_mode():
        found: torch.Tensor = classifier.model.eval()(**batch).logits
    return found


def weights(classifier: Classifier) -> dict[str, torch.Tensor]:
    return dict(classifier.model.named_parameters())


def changed(one: Classifier, other: Classifier) -> set[str]:
    here, there = weights(one), weights(other)
    assert set(here) == set(there)
    return {name for name in here if not torch.equal(here[name], there[name])}


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_base_checkpoint_gets_a_new_head_drawn_from_the_seed(
    tmp_path: Path, architecture: str
) -> None:
    """Its config has default label names but no head: nothing is there to be matched."""
    folder = write_tiny_checkpoint(tmp_path, architecture)
    found = load(folder)
    names = output_weights(found.model.config, trust_remote_code=False)
    assert names <= set(found.new_weights)
    assert found.outputs == (0, 1, 2)
    assert found.model.config.id2label == dict(enumerate(MNLI.labels))
    assert found.model.config.pad_token_id == found.tokenizer.pad_token_id
    assert changed(found, load(folder)) == set()
    drawn_otherwise = changed(found, load(folder, seed=2))
    assert drawn_otherwise, "another seed, another head"
    assert drawn_otherwise <= set(found.new_weights)
    assert {parameter.dtype for parameter in found.model.parameters()} == {torch.float32}
    assert found.parameters == sum(weight.numel() for weight in weights(found).values())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_example_is_answered_alike_whatever_stands_beside_it(
    tmp_path: Path, architecture: str
) -> None:
    found = load(write_tiny_checkpoint(tmp_path, architecture))
    together = logits(found, TEXTS)
    assert together.shape == (3, 3)
    for row, text in enumerate(TEXTS):
        alone = logits(found, [text])
        torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-3, "or the comparison would show nothing"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_head_is_kept_and_its_outputs_are_mapped_by_name(
    tmp_path: Path, architecture: str
) -> None:
    names = {output: name.upper() for output, name in enumerate(ORDER)}
    found = load(write_tiny_checkpoint(tmp_path, architecture, id2label=names))
    assert found.new_weights == ()
    assert found.outputs == (1, 2, 0)
    assert found.model.config.id2label == dict(enumerate(ORDER))
    assert found.model.config.label2id == {name: output for output, name in enumerate(ORDER)}


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_new_head_starts_the_output_layer_afresh_and_nothing_else(
    tmp_path: Path, architecture: str
) -> None:
    """transformers' own initialisation passes over whatever it loaded (5.23)."""
    folder = write_tiny_checkpoint(tmp_path, architecture, id2label=dict(enumerate(MNLI.labels)))
    kept, fresh = load(folder), load(folder, new_head=True)
    names = output_weights(kept.model.config, trust_remote_code=False)
    assert changed(kept, fresh) == names == set(fresh.new_weights)
    assert fresh.outputs == (0, 1, 2)
    assert changed(fresh, load(folder, new_head=True)) == set()
    drawn = {name for name in names if name.endswith("weight")}
    assert changed(fresh, load(folder, new_head=True, seed=2)) == drawn, "biases start at 0"
    for name in names - drawn:
        assert not weights(fresh)[name].any()


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        *((architecture, "cola") for architecture in ARCHITECTURES),
        *((architecture, task) for architecture in ("bart", "gpt2") for task in ("mnli", "stsb")),
    ],
)
def test_what_is_saved_loads_again_as_it_was(tmp_path: Path, architecture: str, task: str) -> None:
    """save_pretrained leaves LABEL_0 and LABEL_1 out, but BART's default is three labels: what
    gluetune saves has names of its own, so that it comes back as wide as it was.
    """
    found = load(write_tiny_checkpoint(tmp_path / "base", architecture), task)
    found.model.save_pretrained(tmp_path / "saved")
    found.tokenizer.save_pretrained(tmp_path / "saved")
    again = reload_classifier(tmp_path / "saved")
    spec = get_task(task)
    assert again.config.num_labels == spec.num_labels
    assert again.config.id2label == dict(enumerate(spec.labels or ("score",)))
    expected = "regression" if spec.kind is REGRESSION else "single_label_classification"
    assert again.config.problem_type == expected
    before = weights(found)
    after = dict(again.named_parameters())
    assert set(after) == set(before)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert load(tmp_path / "saved", task).outputs == found.outputs, "as a checkpoint, too"


@pytest.mark.parametrize("architecture", ["bart", "bert"])
@pytest.mark.parametrize("labels", [("LABEL_0", "LABEL_1"), ("LABEL_1", "LABEL_0")])
def test_a_users_own_names_are_saved_though_they_look_like_none(
    tmp_path: Path, architecture: str, labels: tuple[str, ...]
) -> None:
    base = find_checkpoint(str(write_tiny_checkpoint(tmp_path / "base", architecture)))
    found = load_classifier(base, own(labels), seed=1)
    found.model.save_pretrained(tmp_path / "saved")
    found.tokenizer.save_pretrained(tmp_path / "saved")
    write_output_names(tmp_path / "saved", found.model.config)
    again = load_trained(find_checkpoint(str(tmp_path / "saved")), own(labels))
    assert again.model.config.id2label == dict(enumerate(labels))
    assert again.outputs == (0, 1)


IDENTITY = "torch.nn.modules.linear.Identity"
SIGMOID = "torch.nn.modules.activation.Sigmoid"


@pytest.mark.parametrize(
    ("task", "activation"),
    [
        (get_task("stsb"), IDENTITY),
        (get_task("mnli"), IDENTITY),
        (own(("a", "b"), multi_label=True), SIGMOID),
        (own(("a",), multi_label=True), SIGMOID),
    ],
)
def test_a_cross_encoder_reads_what_the_task_means(
    tmp_path: Path, task: TaskSpec, activation: str
) -> None:
    """sentence-transformers takes a sigmoid for one output, unless config.json says otherwise; the
    checkpoint may say it of what it was trained on before, and may have thresholds of that.
    """
    folder = write_tiny_checkpoint(tmp_path / "base", "bert", num_labels=1)
    edit_config(
        folder,
        sentence_transformers={"activation_fn": SIGMOID, "version": "4.1.0"},
        sbert_ce_default_activation_function=SIGMOID,
        thresholds={"other": 1.5},
    )
    found = load_classifier(find_checkpoint(str(folder)), task, seed=1, new_head=True)
    found.model.save_pretrained(tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "config.json").read_text(encoding="utf-8"))
    assert saved["sentence_transformers"] == {"activation_fn": activation}
    assert saved["sbert_ce_default_activation_function"] == activation
    assert "thresholds" not in saved


def test_a_single_label_that_may_be_absent_is_no_number(tmp_path: Path) -> None:
    from gluetune.inference.predictor import load as load_predictor

    folder = write_tiny_checkpoint(tmp_path, "bert", id2label={0: "spam"})
    edit_config(folder, problem_type="multi_label_classification", thresholds={"ham": 2.0})
    predictor = load_predictor(folder, precision="fp32")
    assert predictor.labels == ("spam",)
    assert predictor.thresholds == {"spam": 0.5}
    answer = predictor("no")
    assert answer.labels == (("spam",) if answer.probabilities["spam"] > 0.5 else ())


def test_two_orders_of_the_same_head_give_the_same_logits_by_class(tmp_path: Path) -> None:
    labels = dict(enumerate(MNLI.labels))
    write_tiny_checkpoint(tmp_path / "a", "bert", id2label=labels)
    write_tiny_checkpoint(tmp_path / "b", "bert", id2label=dict(enumerate(ORDER)))
    stored = load_file(tmp_path / "a" / "model.safetensors")
    rows = [MNLI.labels.index(name) for name in ORDER]
    for name in ("classifier.weight", "classifier.bias"):
        stored[name] = stored[name][rows].contiguous()
    save_file(stored, tmp_path / "b" / "model.safetensors", metadata={"format": "pt"})
    one, other = load(tmp_path / "a"), load(tmp_path / "b")
    assert not torch.equal(logits(one, TEXTS), logits(other, TEXTS))
    assert torch.equal(
        logits(one, TEXTS)[:, list(one.outputs)], logits(other, TEXTS)[:, list(other.outputs)]
    )


def test_nameless_outputs_need_a_choice(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert", num_labels=3)
    with pytest.raises(CheckpointError, match="have no names") as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    assert load(folder, label_order=ORDER).outputs == (1, 2, 0)
    assert load(folder, new_head=True).outputs == (0, 1, 2)
    with pytest.raises(CheckpointError, match="each once"):
        load(folder, label_order=("a", "b", "c"))


def test_a_head_of_another_width_is_replaced_only_when_asked(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert", id2label={0: "O", 1: "B-PER"})
    with pytest.raises(CheckpointError, match="O, B-PER; mnli needs") as caught:
        load(folder)
    assert caught.value.findings[0].hint == "Initialise a new head: --new-head"
    fresh = load(folder, new_head=True)
    assert fresh.model.config.num_labels == 3
    assert fresh.new_weights == ("classifier.bias", "classifier.weight")


def test_a_label_order_for_no_head_is_refused(tmp_path: Path) -> None:
    base = write_tiny_checkpoint(tmp_path / "base", "bert")
    with pytest.raises(CheckpointError, match="has none"):
        load(base, label_order=ORDER)
    head = write_tiny_checkpoint(tmp_path / "head", "bert", num_labels=3)
    with pytest.raises(CheckpointError, match="--new-head"):
        load(head, label_order=ORDER, new_head=True)


def test_a_regression_head_is_one_output_with_its_own_loss(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert")
    found = load(folder, "stsb")
    assert found.outputs == (0,)
    assert found.model.config.problem_type == "regression"
    assert found.model.config.id2label == {0: "score"}
    assert logits(found, TEXTS).shape == (3, 1)


def test_damaged_weights_are_refused_by_file(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert")
    file = folder / "model.safetensors"
    for content in (file.read_bytes()[:-100], b"", b"not safetensors at all"):
        file.write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{file} is damaged"):
            load(folder)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path / "bert", "bert")
    other = write_tiny_checkpoint(tmp_path / "distilbert", "distilbert")
    (other / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"has \d+ of the \d+ weights .* needs") as caught:
        load(folder)
    assert "another architecture" in str(caught.value)


def test_weights_that_do_not_fit_the_config_are_refused_by_name(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert")
    edit_config(folder, intermediate_size=48)
    with pytest.raises(CheckpointError, match=r"do not fit .*bert\.encoder\.layer\.0\.inter"):
        load(folder)


def test_a_missing_shard_is_refused(tmp_path: Path) -> None:
    folder = write_tiny_checkpoint(tmp_path, "bert")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weight_map = {
        "bert.embeddings.word_embeddings.weight": "model-00001-of-00002.safetensors",
        "bert.pooler.dense.weight": "model-00002-of-00002.safetensors",
    }
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="cannot be loaded for classification"):
        load(folder)


def with_own_code(folder: Path, *, known: bool) -> Path:
    """Write a checkpoint that brings code, which leaves the file `ran` when it runs."""
    write_tiny_checkpoint(folder, "bert")
    edit_config(
        folder,
        model_type="bert" if known else "own",
        auto_map={
            "AutoConfig": "own.OwnConfig",
            "AutoModelForSequenceClassification": "own.OwnModel",
        },
    )
    (folder / "own.py").write_text(f"""
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification
Path({str(folder / "ran")!r}).touch()
class OwnConfig(BertConfig):
    model_type = "own"
class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig
""")
    return folder


def test_code_that_a_checkpoint_brings_runs_only_when_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `auto_map` of a known type: the library's own class is taken, and no code runs.
    assert type(load(with_own_code(tmp_path / "known", known=True)).model).__name__ == (
        "BertForSequenceClassification"
    )
    folder = with_own_code(tmp_path / "unknown", known=False)
    with pytest.raises(CheckpointError, match="has custom Python code") as caught:
        load(folder)
    assert "--trust-remote-code" in str(caught.value)
    assert not list(tmp_path.rglob("ran"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "m"))
    monkeypatch.syspath_prepend(str(tmp_path / "m"))
    trusted = load(folder, trust=True)
    assert type(trusted.model).__name__ == "OwnModel"
    assert (folder / "ran").exists()
    trusted.model.save_pretrained(tmp_path / "saved")
    again = reload_classifier(tmp_path / "saved", trust_remote_code=True)
    assert type(again).__name__ == "OwnModel"


def test_weights_lie_where_new_ones_would(tmp_path: Path) -> None:
    """Else the same weights answer differently, in the last bit, once they are saved."""
    folder = write_tiny_checkpoint(tmp_path / "bert", "bert")
    path = folder / "model.safetensors"
    save_file(load_file(path), path, metadata={"format": "pt", "moved by": "eight bytes"})
    header = int.from_bytes(path.read_bytes()[:8], "little")
    assert (8 + header) % 64, "in the file they begin elsewhere"
    model = reload_classifier(folder)
    assert not any(one.data_ptr() % 64 for one in model.parameters())
