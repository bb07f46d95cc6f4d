"""The step is the same however it is cut, and memory failures and lost losses are answered."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.support.tiny_checkpoints import write_tiny_checkpoint
from transformers import DataCollatorWithPadding, TrainerCallback, TrainingArguments
from transformers.trainer_pt_utils import LabelSmoother

from gluetune.core.errors import TrainingError
from gluetune.core.tasks import get_task
from gluetune.models.checkpoints import Checkpoint
from gluetune.models.classifiers import Classifier, load_classifier
from gluetune.models.fast.batches import split
from gluetune.training.trainer import ClassificationLoss, Trainer

ARCHITECTURES = (
    "bert",
    "roberta",
    "distilbert",
    "electra",
    "albert",
    "deberta-v2",
    "modernbert",
    "xlnet",
    "gpt2",
)
_WORDS = ("rain", "kettle", "the", "seven", "walked", "often", "river", "a", "quietly")


@dataclass
class Step:
    """What the first optimiser step saw."""

    loss: float
    gradients: dict[str, torch.Tensor]

    @property
    def size(self) -> float:
        return float(torch.cat([value.flatten() for value in self.gradients.values()]).norm())


class _Watcher(TrainerCallback):  # type: ignore[misc]  # transformers' types are not followed
    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}
        self.losses: list[float] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not self.gradients:
            self.gradients = {
                name: parameter.grad.clone()
                for name, parameter in kwargs["model"].named_parameters()
                if parameter.grad is not None
            }

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            self.losses.append(kwargs["logs"]["loss"])


def _classifier(folder: Path, architecture: str, *, regression: bool = False) -> Classifier:
    if not folder.exists():
        write_tiny_checkpoint(folder, architecture)
    task = get_task("stsb" if regression else "mnli")
    return load_classifier(Checkpoint(architecture, folder), task, seed=1)


def _examples(classifier: Classifier, count: int = 16) -> list[dict[str, Any]]:
    """Texts of 1 to 9 words, so that nearly every batch has padding."""
    regression = classifier.model.config.problem_type == "regression"
    examples = []
    for row in range(count):
        encoded = classifier.tokenizer(" ".join(_WORDS[: 1 + row * 5 % len(_WORDS)]))
        label = row * 0.3 if regression else row % 3
        examples.append({**{name: encoded[name] for name in encoded}, "labels": label})
    return examples


def _trainer(
    kind: type[transformers.Trainer],
    classifier: Classifier,
    examples: list[dict[str, Any]],
    folder: Path,
    *,
    arguments: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[transformers.Trainer, _Watcher]:
    watcher = _Watcher()
    trainer = kind(
        model=classifier.model,
        args=TrainingArguments(
            output_dir=str(folder),
            use_cpu=True,
            num_train_epochs=1,
            max_grad_norm=0,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            optim="sgd",
            **(arguments or {}),
        ),
        train_dataset=examples,
        data_collator=DataCollatorWithPadding(classifier.tokenizer),
        callbacks=[watcher],
        **options,
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer, watcher


def _step(
    kind: type[transformers.Trainer], classifier: Classifier, folder: Path, **options: Any
) -> Step:
    trainer, watcher = _trainer(kind, classifier, _examples(classifier), folder, **options)
    before = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    trainer.train()
    classifier.model.load_state_dict(before)
    assert len(watcher.losses) == 1
    return Step(watcher.losses[0], watcher.gradients)


_WHOLE = {"per_device_train_batch_size": 16}
_CUT = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 4}


def _assert_same(step: Step, whole: Step) -> None:
    assert step.loss == pytest.approx(whole.loss, rel=1e-5)
    assert step.gradients.keys() == whole.gradients.keys()
    for name, gradient in whole.gradients.items():
        # Against the whole gradient's size: an attention key bias has none of its own.
        assert float((step.gradients[name] - gradient).norm()) < 1e-5 * whole.size, name


@pytest.mark.parametrize("regression", [False, True], ids=["classification", "regression"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_is_the_same_however_it_is_cut(
    architecture: str, regression: bool, tmp_path: Path
) -> None:
    classifier = _classifier(tmp_path / "model", architecture, regression=regression)
    whole = _step(Trainer, classifier, tmp_path, arguments=_WHOLE)
    _assert_same(_step(Trainer, classifier, tmp_path, arguments=_WHOLE, micro_batch_size=4), whole)
    _assert_same(_step(Trainer, classifier, tmp_path, arguments=_CUT), whole)
    # The heads' own loss agrees on a whole batch, so what is averaged is the right thing.
    _assert_same(whole, _step(transformers.Trainer, classifier, tmp_path, arguments=_WHOLE))


def test_plain_trainer_still_adds_up_what_it_should_average(tmp_path: Path) -> None:
    """The trap that `Trainer` is there for: huggingface/transformers issue 47688."""
    classifier = _classifier(tmp_path / "model", "bert")
    whole = _step(transformers.Trainer, classifier, tmp_path, arguments=_WHOLE)
    cut = _step(transformers.Trainer, classifier, tmp_path, arguments=_CUT)
    gone = "transformers has mended issue 47688: gluetune's own loss may no longer be needed"
    assert cut.loss == pytest.approx(4 * whole.loss, rel=1e-5), gone
    assert cut.size == pytest.approx(4 * whole.size, rel=1e-4), gone


def test_an_epoch_whose_last_batch_is_partial_is_the_same_however_it_is_cut(
    tmp_path: Path,
) -> None:
    weights = []
    losses = []
    for options in (
        {"arguments": _WHOLE},
        {"arguments": _WHOLE, "micro_batch_size": 4},
        {"arguments": _WHOLE, "micro_batch_size": 5},
        {"arguments": _CUT},
    ):
        classifier = _classifier(tmp_path / "model", "bert")
        options["arguments"] = {**options["arguments"], "learning_rate": 0.1}  # type: ignore[dict-item]  # a dict of dicts and numbers
        examples = _examples(classifier, 38)
        trainer, watcher = _trainer(Trainer, classifier, examples, tmp_path, **options)
        trainer.train()
        assert trainer.state.global_step == 3
        weights.append(
            torch.cat([value.detach().flatten() for value in classifier.model.parameters()])
        )
        losses.append(watcher.losses)
    for other, loss in zip(weights[1:], losses[1:], strict=True):
        assert float((other - weights[0]).norm()) < 1e-5 * float(weights[0].norm())
        assert loss == pytest.approx(losses[0], rel=1e-5)


def test_label_smoothing_is_transformers_own(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    smooth = {**_WHOLE, "label_smoothing_factor": 0.2}
    ours = _step(Trainer, classifier, tmp_path, arguments=smooth, micro_batch_size=4)
    _assert_same(ours, _step(transformers.Trainer, classifier, tmp_path, arguments=smooth))
    assert ours.loss != pytest.approx(
        _step(Trainer, classifier, tmp_path, arguments=_WHOLE).loss, rel=1e-3
    )


def test_the_loss_is_that_of_label_smoother_for_any_logits() -> None:
    logits, labels = torch.randn(7, 3), torch.tensor([0, 1, 2, 2, 1, 0, 0])
    ours = ClassificationLoss(label_smoothing=0.1)({"logits": logits}, labels)
    theirs = LabelSmoother(epsilon=0.1)({"logits": logits}, labels)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)


@pytest.mark.parametrize("side", ["left", "right"])
def test_micro_batches_hold_every_example_once_and_only_their_own_padding(side: str) -> None:
    lengths = [3, 9, 1, 7, 2]
    inputs = {
        "input_ids": torch.zeros(5, 9, dtype=torch.long),
        "attention_mask": torch.zeros(5, 9, dtype=torch.long),
        "labels": torch.arange(5),
        "note": "kept",
    }
    for row, length in enumerate(lengths):
        place = slice(0, length) if side == "right" else slice(9 - length, 9)
        inputs["input_ids"][row, place] = torch.arange(1, length + 1) + 10 * row
        inputs["attention_mask"][row, place] = 1

    parts = list(split(inputs, 2))

    assert [len(part["labels"]) for part in parts] == [2, 2, 1]
    assert sorted(int(label) for part in parts for label in part["labels"]) == [0, 1, 2, 3, 4]
    for part in parts:
        rows = [int(label) for label in part["labels"]]
        assert part["input_ids"].shape[1] == max(lengths[row] for row in rows)
        for row, ids, mask in zip(rows, part["input_ids"], part["attention_mask"], strict=True):
            assert ids[mask.bool()].tolist() == [10 * row + n for n in range(1, lengths[row] + 1)]
        assert part["note"] == "kept"


def test_a_batch_that_is_not_cut_keeps_the_padding_its_collator_gave_it() -> None:
    inputs = {
        "input_ids": torch.ones(3, 8, dtype=torch.long),
        "attention_mask": torch.tensor([[1, 1, 0, 0, 0, 0, 0, 0]] * 3),
        "labels": torch.zeros(3),
    }
    (part,) = split(inputs, 4)
    assert part["input_ids"].shape == (3, 8)


def _out_of_memory(
    model: Any, fails: Callable[[int, int], bool], message: str = "CUDA out of memory. Tried to…"
) -> list[int]:
    """Make forward passes fail when `fails(pass number, examples)`; return the sizes that came."""
    forward, sizes = model.forward, []

    @functools.wraps(forward)
    def failing(*args: Any, **kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        if fails(len(sizes), sizes[-1]):
            raise RuntimeError(message)
        return forward(*args, **kwargs)

    model.forward = failing
    return sizes


def test_when_memory_runs_out_the_micro_batch_is_halved_and_the_gradient_stays(
    tmp_path: Path,
) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    whole = _step(Trainer, classifier, tmp_path, arguments=_WHOLE)
    # The second pass fails: what the first one added to the gradient must be forgotten.
    sizes = _out_of_memory(classifier.model, lambda number, examples: number == 2)

    cut = _step(
        Trainer, classifier, tmp_path, arguments=_WHOLE, micro_batch_size=8, compute="padded"
    )

    assert sizes == [8, 8, 4, 4, 4, 4]
    _assert_same(cut, whole)


def test_memory_may_run_out_several_times(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    whole = _step(Trainer, classifier, tmp_path, arguments=_WHOLE)
    sizes = _out_of_memory(classifier.model, lambda number, examples: examples > 2)
    padded = _step(Trainer, classifier, tmp_path, arguments=_WHOLE, compute="padded")
    _assert_same(padded, whole)
    assert sizes == [16, 8, 4, *[2] * 8]


def test_memory_may_run_out_while_the_path_is_checked(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    whole = _step(Trainer, classifier, tmp_path, arguments=_WHOLE)
    sizes = _out_of_memory(classifier.model, lambda number, examples: examples > 4)
    _assert_same(_step(Trainer, classifier, tmp_path, arguments=_WHOLE), whole)
    # Eight are tried both ways until four fit; then sixteen are cut into fours.
    assert sizes == [8, 8, 4, 4, *[4] * 4]


def test_one_example_that_does_not_fit_ends_the_training(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    _out_of_memory(classifier.model, lambda number, examples: True)
    with pytest.raises(TrainingError, match="single example") as caught:
        _step(Trainer, classifier, tmp_path, arguments=_WHOLE)
    assert "--max-length" in caught.value.findings[0].hint


def test_memory_that_runs_out_under_accumulation_says_what_to_type(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    _out_of_memory(classifier.model, lambda number, examples: examples > 2)
    with pytest.raises(TrainingError, match="not enough memory") as caught:
        _step(Trainer, classifier, tmp_path, arguments=_CUT, compute="padded")
    assert "--micro-batch-size 2" in caught.value.findings[0].hint


def test_another_failure_is_not_taken_for_a_lack_of_memory(tmp_path: Path) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    sizes = _out_of_memory(classifier.model, lambda number, examples: True, "shapes differ")
    with pytest.raises(RuntimeError, match="shapes differ"):
        _step(Trainer, classifier, tmp_path, arguments=_WHOLE, compute="padded")
    assert sizes == [16]


@pytest.mark.parametrize("arguments", [_WHOLE, _CUT], ids=["whole", "accumulated"])
def test_a_loss_that_is_not_finite_stops_before_the_weights_take_it(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    classifier = _classifier(tmp_path / "model", "bert")
    classifier.model.classifier.bias.data[1] = float("inf")
    before = {name: value.clone() for name, value in classifier.model.state_dict().items()}
    arguments = {**arguments, "logging_nan_inf_filter": False}
    trainer, _ = _trainer(Trainer, classifier, _examples(classifier), tmp_path, arguments=arguments)
    with pytest.raises(TrainingError, match="not finite at step 1"):
        trainer.train()
    for name, value in classifier.model.state_dict().items():
        assert torch.equal(value, before[name]), name
