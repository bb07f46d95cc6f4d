"""Training fast gives plain training's weights: without padding, and with a compact vocabulary."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tests.support.casts import WeightCasts
from tests.support.mixed_batches import is_key_bias, load_tiny
from torch.utils.data import Dataset
from transformers import (
    AttentionInterface,
    DataCollatorWithPadding,
    TrainerCallback,
    TrainingArguments,
)

from gluetune.core.errors import TrainingError
from gluetune.models.fast import paths as compute
from gluetune.models.fast.attention import NAME
from gluetune.training.trainer import Trainer

RATE = 1e-3
ARCHITECTURES = (
    "bert",
    "roberta",
    "distilbert",
    "albert",
    "deberta-v2",
    "modernbert",
    "gpt2",
    "opt",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fast")


def make_data(model: Any, rows: int = 40, *, longest: int = 30, seed: int = 0) -> datasets.Dataset:
    """Random texts of 1 to `longest` tokens out of a hundred, so that most rows never occur."""
    draw = np.random.default_rng(seed)
    last = min(model.config.vocab_size, 105)
    ids = [draw.integers(5, last, size=draw.integers(1, longest + 1)).tolist() for _ in range(rows)]
    labels = [row % model.config.num_labels for row in range(rows)]
    return datasets.Dataset.from_dict(
        {"input_ids": ids, "attention_mask": [[1] * len(row) for row in ids], "labels": labels}
    )


class _Collate(DataCollatorWithPadding):  # type: ignore[misc]  # transformers is not followed
    """A collator that is not known to add no ids."""


def make_trainer(
    kind: Callable[..., Any],
    model: Any,
    output: Path,
    *,
    data: Any = None,
    collator: Any = None,
    options: dict[str, Any] | None = None,
    callbacks: Any = (),
    **arguments: Any,
) -> Any:
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.config._name_or_path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(0)
    settings = {
        "max_steps": 20,
        "per_device_train_batch_size": 5,
        "learning_rate": RATE,
        "weight_decay": 0.1,
        "max_grad_norm": 0.5,
        "lr_scheduler_type": "linear",
        "warmup_steps": 3,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        **arguments,
    }
    trainer = kind(
        model=model,
        args=TrainingArguments(output_dir=str(output), **settings),
        train_dataset=make_data(model) if data is None else data,
        data_collator=collator or DataCollatorWithPadding(tokenizer),
        callbacks=list(callbacks),
        **(options or {}),
    )
    trainer.remove_callback(transformers.PrinterCallback)
    return trainer


def train(model: Any, folder: Path, kind: Callable[..., Any] = Trainer, **settings: Any) -> Any:
    trainer = make_trainer(kind, model, folder, **settings)
    trainer.train()
    return trainer


def furthest(model: Any, other: Any) -> float:
    """Return the largest difference of two models' weights; key biases have no true gradient."""
    mine, theirs = model.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    return max(
        float((mine[name] - theirs[name]).abs().max()) for name in mine if not is_key_bias(name)
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_twenty_steps_of_adamw_give_the_plain_weights(folder: Path, architecture: str) -> None:
    """In float64, with clipping, decay and a schedule; the compact vocabulary on and off."""
    plain = load_tiny(folder, architecture).double()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    train(plain, folder, transformers.Trainer)
    for compact in (False, True):
        fast = load_tiny(folder, architecture).double()
        trainer = make_trainer(Trainer, fast, folder, options={"compact_vocabulary": compact})
        rows = _watch_rows(trainer)
        trainer.train()
        assert rows == [compact] * 20
        assert furthest(fast, plain) < 0.01 * RATE
    moved = max(
        float((value - before[name]).abs().max()) for name, value in plain.state_dict().items()
    )
    assert moved > RATE, "or the comparison would show nothing"


def _watch_rows(trainer: Any) -> list[bool]:
    """Note at every step whether the table of word embeddings is held in part only."""
    seen: list[bool] = []

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            table = trainer.model.get_input_embeddings()
            seen.append(len(table.weight) < table.num_embeddings)

    trainer.add_callback(Watch())
    return seen


@pytest.mark.parametrize("half", [False, True])
def test_the_path_is_checked_once_and_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    """Also under bf16, whose rounding is no difference between the paths."""
    asked: list[str] = []
    honest = compute.disagreement

    def counted(model: Any, batch: Any, path: Any) -> str:
        asked.append(path)
        return honest(model, batch, path)

    monkeypatch.setattr("gluetune.training.trainer.disagreement", counted)
    model = load_tiny(folder, "bert")
    trainer = make_trainer(Trainer, model, folder, bf16=half)
    paths = _watch_paths(trainer)
    trainer.train()
    assert asked == ["unpadded"]
    assert paths == ["unpadded"] * 20
    assert trainer.compute_path == "padded", "afterwards the model is plain"
    for _ in range(2):
        trainer.predict(make_data(model, 9))
    assert asked == ["unpadded"]
    trainer.model = load_tiny(folder, "bert")
    trainer.predict(make_data(model, 9))
    assert asked == ["unpadded"] * 2, "another model is held against itself"


def _watch_paths(trainer: Any) -> list[str]:
    seen: list[str] = []

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            seen.append(trainer.compute_path)

    trainer.add_callback(Watch())
    return seen


@pytest.mark.parametrize(
    ("honest", "path"), [((), "padded"), (("grouped",), "grouped")], ids=["none", "groups"]
)
def test_a_model_that_differs_falls_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, honest: tuple[str, ...], path: str
) -> None:
    monkeypatch.setattr(
        "gluetune.training.trainer.disagreement",
        lambda model, batch, path: "" if path in honest else "its logits differ by 1",
    )
    trainer = make_trainer(Trainer, load_tiny(folder, "bert"), folder)
    paths = _watch_paths(trainer)
    with pytest.warns(UserWarning, match="not computed unpadded but grouped: its logits differ"):
        trainer.train()
    assert set(paths) == {path}
    assert trainer.compute == path, "what a repeat should ask for"


def test_a_path_that_fails_falls_back_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("index out of range in self")

    monkeypatch.setitem(AttentionInterface._global_mapping, NAME, fail)
    plain, fast = (load_tiny(folder, "llama").double() for _ in range(2))
    train(plain, folder, transformers.Trainer)
    trainer = make_trainer(Trainer, fast, folder)
    paths = _watch_paths(trainer)
    with pytest.warns(UserWarning, match=r"not computed unpadded but grouped.*IndexError \(index"):
        trainer.train()
    assert set(paths) == {"grouped"}
    assert furthest(fast, plain) < 0.01 * RATE


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "mistral", "modernbert", "opt", "qwen3"])
def test_as_many_tokens_as_places(folder: Path, architecture: str) -> None:
    """Rows of 3 and 5 tokens, padded to 8; the check has passed on others before."""
    model = load_tiny(folder, architecture)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model.config._name_or_path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.convert_ids_to_tokens(0)
    collator = DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8)
    data = datasets.Dataset.from_dict(
        {
            "input_ids": [[7] * 9, [8] * 4, [9] * 3, [5, 6, 7, 8, 9], [5] * 7, [6]],
            "attention_mask": [[1] * length for length in (9, 4, 3, 5, 7, 1)],
        }
    )
    fast, plain = (
        make_trainer(kind, model, folder, collator=collator, per_device_eval_batch_size=2).predict(
            data
        )
        for kind in (Trainer, transformers.Trainer)
    )
    np.testing.assert_allclose(fast.predictions, plain.predictions, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2"])
def test_as_many_labels_as_places(folder: Path, architecture: str) -> None:
    """Eight labels an example, in batches of eight places, cut into micro-batches and groups."""
    weights = []
    for kind, options in ((transformers.Trainer, {}), (Trainer, {"micro_batch_size": 2})):
        model = load_tiny(folder, architecture, num_labels=8).double()
        model.config.problem_type = "multi_label_classification"
        tokenizer = transformers.AutoTokenizer.from_pretrained(model.config._name_or_path)
        data = make_data(model, longest=7)
        sets = [[float(row % (label + 2) == 0) for label in range(8)] for row in range(len(data))]
        train(
            model,
            folder,
            kind,
            data=list(data.remove_columns("labels").add_column("labels", sets)),
            collator=DataCollatorWithPadding(tokenizer, pad_to_multiple_of=8),
            options=options,
        )
        weights.append(model)
    assert furthest(*weights) < 0.01 * RATE


@pytest.mark.parametrize("asked", ["unpadded", "grouped", "padded"])
def test_each_path_can_be_asked_for(folder: Path, asked: str) -> None:
    trainer = make_trainer(Trainer, load_tiny(folder, "bert"), folder, options={"compute": asked})
    paths = _watch_paths(trainer)
    trainer.train()
    assert set(paths) == {asked}


def test_evaluation_and_prediction_are_the_plain_trainers(folder: Path) -> None:
    model = load_tiny(folder, "roberta")
    data = make_data(model, 23)
    fast = make_trainer(Trainer, model, folder).predict(data)
    plain = make_trainer(transformers.Trainer, model, folder).predict(data)
    np.testing.assert_allclose(fast.predictions, plain.predictions, atol=1e-5)
    assert fast.metrics["test_loss"] == pytest.approx(plain.metrics["test_loss"], rel=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "deberta-v2"])
def test_weights_are_cast_once_a_step_and_once_an_evaluation(
    folder: Path, architecture: str
) -> None:
    """In micro-batches and in groups; autocast alone casts them for every forward pass."""
    model = load_tiny(folder, architecture)
    trainer = make_trainer(Trainer, model, folder, bf16=True, max_steps=3)
    trainer.micro_batch_size = 2
    data = make_data(model, rows=12)
    trainer.predict(data)  # the path is checked in the precision of the weights
    with WeightCasts(model) as casts:
        trainer.predict(data)
    assert len(casts.counts) > 10
    assert set(casts.counts.values()) == {1}, casts.counts
    batch = trainer.data_collator([data[row] for row in range(5)])
    trainer.create_optimizer_and_scheduler(3)
    with trainer._on_path(), WeightCasts(model) as casts:
        trainer.training_step(model, batch)
    assert len(casts.counts) > 10
    assert set(casts.counts.values()) == {1}, casts.counts


def test_the_gradient_in_half_precision_is_that_of_single_passes(folder: Path) -> None:
    """Casts that micro-batches share give each micro-batch's gradient to the weights."""

    def gradients(size: int) -> torch.Tensor:
        model = load_tiny(folder, "deberta-v2")
        trainer = make_trainer(Trainer, model, folder, bf16=True)
        trainer.micro_batch_size = size
        data = make_data(model, rows=6)
        batch = trainer.data_collator([data[row] for row in range(6)])
        trainer.training_step(model, batch, num_items_in_batch=torch.tensor(6))
        return torch.cat(
            [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        )

    whole, parts = gradients(6), gradients(1)
    assert float((whole - parts).norm() / whole.norm()) < 0.02


def test_activation_checkpointing_takes_groups(folder: Path) -> None:
    plain, fast = (load_tiny(folder, "bert").double() for _ in range(2))
    train(plain, folder, transformers.Trainer)
    trainer = make_trainer(Trainer, fast, folder, activation_checkpointing=True)
    paths = _watch_paths(trainer)
    trainer.train()
    assert set(paths) == {"grouped"}
    assert furthest(fast, plain) < 0.01 * RATE


def test_a_resumed_training_ends_with_the_same_bits(folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 7, "seed": 3}
    whole = load_tiny(folder, "bert", dropout=0.1)
    train(whole, tmp_path / "whole", **settings)
    again = load_tiny(folder, "bert", dropout=0.1)
    trainer = make_trainer(Trainer, again, tmp_path / "again", **settings)
    trainer.train(str(tmp_path / "whole" / "checkpoint-7"))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_batch_without_padding_is_the_same_before_and_after_the_check(
    folder: Path, tmp_path: Path
) -> None:
    """A training that is resumed right before it has not made its check again yet."""
    lengths = [3, 9, 4, 6, 7, *[8] * 5, 1, 5, 4, 7, 2]
    model = load_tiny(folder, "bert", dropout=0.1)
    data = datasets.Dataset.from_dict(
        {
            "input_ids": [[5 + length] * length for length in lengths],
            "attention_mask": [[1] * length for length in lengths],
            "labels": [row % 3 for row in range(len(lengths))],
        }
    )
    settings: dict[str, Any] = {
        "data": data,
        "train_sampling_strategy": "sequential",
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 1,
    }
    train(model, tmp_path / "whole", **settings)
    again = load_tiny(folder, "bert", dropout=0.1)
    trainer = make_trainer(Trainer, again, tmp_path / "again", **settings)
    trainer.train(str(tmp_path / "whole" / "checkpoint-1"))
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_checkpoint_holds_the_whole_table_as_plain_training_would(
    folder: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 20}
    plain = load_tiny(folder, "distilbert")
    first = plain.get_input_embeddings().weight.detach().clone()
    train(plain, tmp_path / "plain", transformers.Trainer, **settings)
    train(load_tiny(folder, "distilbert"), tmp_path / "fast", **settings)
    name = "distilbert.embeddings.word_embeddings.weight"
    saved, expected = (
        load_file(tmp_path / kind / "checkpoint-20" / "model.safetensors")[name]
        for kind in ("fast", "plain")
    )
    assert saved.shape == expected.shape == first.shape
    torch.testing.assert_close(saved, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(saved[200:], first[200:], rtol=1e-5), "what never occurs decays too"


def test_the_best_model_can_be_loaded_at_the_end(folder: Path, tmp_path: Path) -> None:
    """Its table is the one of its own step, not the last one's."""
    model = load_tiny(folder, "bert")
    train(
        model,
        tmp_path,
        options={"eval_dataset": make_data(model, 12, seed=1)},
        eval_strategy="steps",
        eval_steps=5,
        save_strategy="steps",
        save_steps=5,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )
    (best,) = {
        json.loads(path.read_text())["best_model_checkpoint"]
        for path in tmp_path.glob("checkpoint-20/trainer_state.json")
    }
    saved = load_file(Path(best) / "model.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, saved[name]), name


def test_training_goes_on_after_training(folder: Path) -> None:
    """The optimiser is whole again too, as a second `train` on the same trainer finds it."""
    plain, fast = (load_tiny(folder, "bert").double() for _ in range(2))
    for model, kind in ((plain, transformers.Trainer), (fast, Trainer)):
        trainer = train(model, folder, kind)
        trainer.train()
        (moments,) = [
            state["exp_avg"]
            for parameter, state in trainer.optimizer.state.items()
            if parameter is model.get_input_embeddings().weight
        ]
        assert moments.shape == model.get_input_embeddings().weight.shape
    assert furthest(fast, plain) < 0.01 * RATE


def test_a_multilingual_table_is_mostly_left_alone(folder: Path, tmp_path: Path) -> None:
    """250,002 rows as XLM-R has them, of which a hundred occur."""
    model = load_tiny(folder / "large", "xlm-roberta", vocab_size=250_002)
    trainer = make_trainer(Trainer, model, tmp_path, save_strategy="steps", save_steps=20)
    held = []

    class Watch(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            weight = kwargs["model"].get_input_embeddings().weight
            held.append((len(weight), len(weight.grad)))

    trainer.add_callback(Watch())
    trainer.train()
    assert len(held) == 20
    assert set(held) == {(held[0][0],) * 2}
    assert held[0][0] < 150
    assert len(model.get_input_embeddings().weight) == 250_002
    assert sum(path.stat().st_size for path in tmp_path.glob("*/optimizer.pt")) < 1e6
    saved = load_file(tmp_path / "checkpoint-20" / "model.safetensors")
    assert saved["roberta.embeddings.word_embeddings.weight"].shape == (250_002, 32)


class _OnTheFly(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch is not followed
    """Rows that are made when they are asked for: they cannot be looked through beforehand."""

    def __init__(self, data: datasets.Dataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return dict(self.data[row])


@pytest.mark.parametrize(
    "reason", ["optimizer", "own optimizer", "data", "transform", "collator", "switch"]
)
def test_every_row_is_trained_where_it_matters(folder: Path, reason: str) -> None:
    model = load_tiny(folder, "bert")
    data = make_data(model)
    settings: dict[str, Any] = {"max_steps": 2}
    if reason == "optimizer":
        settings["optim"] = "adafactor"
    if reason == "own optimizer":
        settings["options"] = {"optimizers": (torch.optim.AdamW(model.parameters()), None)}
    if reason == "data":
        settings["data"] = _OnTheFly(data)
    if reason == "transform":
        settings["data"] = data.with_transform(lambda rows: rows)
    if reason == "collator":
        tokenizer = transformers.AutoTokenizer.from_pretrained(model.config._name_or_path)
        settings["collator"] = _Collate(tokenizer)
    if reason == "switch":
        settings["options"] = {"compact_vocabulary": False}
    trainer = make_trainer(Trainer, model, folder, **settings)
    seen = _watch_rows(trainer)
    trainer.train()
    assert seen == [False, False]


class _LionTrainer(Trainer):
    """What a user's subclass makes of the gradient is not known."""

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        return super().create_optimizer(*args, **kwargs)


def test_every_row_is_trained_where_a_subclass_makes_the_optimizer(folder: Path) -> None:
    trainer = make_trainer(_LionTrainer, load_tiny(folder, "bert"), folder, max_steps=2)
    seen = _watch_rows(trainer)
    trainer.train()
    assert seen == [False, False]


@pytest.mark.parametrize("kind", ["data set", "list"])
def test_token_types_that_gpt2_looks_up_as_words_are_trained_too(folder: Path, kind: str) -> None:
    """Types of which no text holds the id, in the last rows only."""

    def typed(model: Any) -> Any:
        data = make_data(model)
        types = [[3 if row > 30 else 0] * len(ids) for row, ids in enumerate(data["input_ids"])]
        typed = data.add_column("token_type_ids", types)
        return typed if kind == "data set" else list(typed)

    plain, fast = (load_tiny(folder, "gpt2").double() for _ in range(2))
    train(plain, folder, transformers.Trainer, data=typed(plain))
    trainer = make_trainer(Trainer, fast, folder, data=typed(fast))
    seen = _watch_rows(trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.train()
    assert set(seen) == {True}
    assert furthest(fast, plain) < 0.01 * RATE


class _LooksUpMore(transformers.BertForSequenceClassification):  # type: ignore[misc]  # not followed
    def forward(self, input_ids: Any = None, attention_mask: Any = None) -> Any:
        self.get_input_embeddings()(torch.tensor([self.config.vocab_size - 1]))
        return super().forward(input_ids, attention_mask)


class _HidesItsTable(transformers.BertForSequenceClassification):  # type: ignore[misc]  # not followed
    def get_input_embeddings(self) -> Any:
        if not self.training:
            return super().get_input_embeddings()
        raise AttributeError("no\ntable")


REASONS = {
    _LooksUpMore: r"ids that are not in the data \(\[\d+\]\)",
    _HidesItsTable: r"AttributeError \(no table",
}


@pytest.mark.parametrize("kind", REASONS)
def test_a_model_that_the_compact_vocabulary_is_not_for_trains_every_row(
    folder: Path, kind: Any
) -> None:
    model = load_tiny(folder, "bert")
    table = model.get_input_embeddings()
    model.__class__ = kind
    trainer = make_trainer(Trainer, model.train(), folder, max_steps=2)
    state = torch.get_rng_state()
    told = rf"Every word embedding of {kind.__name__}.*{REASONS[kind]}"
    with ExitStack() as entered:
        with pytest.warns(UserWarning, match=told):
            entered.enter_context(trainer._compact())
        assert torch.equal(torch.get_rng_state(), state)
        assert model.training
        assert len(table.weight) == model.config.vocab_size


def test_a_list_of_examples_can_be_scanned(folder: Path) -> None:
    model = load_tiny(folder, "bert")
    trainer = make_trainer(Trainer, model, folder, data=list(make_data(model)), max_steps=2)
    seen = _watch_rows(trainer)
    trainer.train()
    assert seen == [True, True]


def test_a_token_that_no_data_hold_is_said(folder: Path) -> None:
    model = load_tiny(folder, "bert")
    trainer = make_trainer(Trainer, model, folder, max_steps=2)
    last = model.config.vocab_size - 1

    class Peek(TrainerCallback):  # type: ignore[misc]  # transformers is not followed
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            kwargs["model"](input_ids=torch.tensor([[last]]))

    trainer.add_callback(Peek())
    with pytest.raises(TrainingError, match=rf"\[{last}\]") as caught:
        trainer.train()
    assert "compact_vocabulary=False" in str(caught.value)
    assert "--no-compact-vocabulary" in str(caught.value), "what the command line knows"
    assert len(model.get_input_embeddings().weight) == model.config.vocab_size, "whole again"


def test_a_checkpoint_of_other_data_is_refused(folder: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 10}
    train(load_tiny(folder, "bert"), tmp_path, **settings)
    checkpoint = str(tmp_path / "checkpoint-10")
    model = load_tiny(folder, "bert")
    fewer = make_trainer(Trainer, model, tmp_path, data=make_data(model, 3), **settings)
    with pytest.raises(TrainingError, match="rows of the vocabulary"):
        fewer.train(checkpoint)
    every = make_trainer(
        Trainer, model, tmp_path, options={"compact_vocabulary": False}, **settings
    )
    with pytest.raises(TrainingError, match="with a compact vocabulary"):
        every.train(checkpoint)


def test_nothing_is_said_where_all_is_well(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        train(load_tiny(folder, "electra"), folder, max_steps=2)


def test_the_norm_that_is_logged_is_the_whole_gradients(folder: Path) -> None:
    norms = []
    for kind in (transformers.Trainer, Trainer):
        trainer = train(load_tiny(folder, "bert").double(), folder, kind, logging_steps=1)
        norms.append([log["grad_norm"] for log in trainer.state.log_history if "grad_norm" in log])
    assert len(norms[0]) == 20
    assert all(math.isclose(a, b, rel_tol=1e-6) for a, b in zip(*norms, strict=True))
