"""The packed encoder gives the logits, the loss and every gradient of the plain padded model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.mixed_batches import Step, distance, load_tiny, make_batch, take_step
from tests.support.tiny_checkpoints import ARCHITECTURES as EVERY
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gluetune.models.fast import packed as module
from gluetune.models.fast.architectures import ARCHITECTURES, architecture_of
from gluetune.models.fast.attention import attend_packed
from gluetune.models.fast.dropout import DropoutMasks, fast_dropout
from gluetune.models.fast.layout import Layout
from gluetune.models.fast.packed import packed
from gluetune.models.fast.paths import computing, disagreement, resolve_compute

PACKED = ("bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta")
LONGEST = 60
MIXED = [1, 3, LONGEST, 59, 30, 9, 9, 2]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp("models")
    loaded: dict[tuple[str, int, str], Any] = {}

    def get(architecture: str, num_labels: int = 3, **options: Any) -> Any:
        key = (architecture, num_labels, str(options))
        if key not in loaded:
            place = folder / str(len(loaded))
            loaded[key] = load_tiny(place, architecture, num_labels=num_labels, **options).train()
        return loaded[key]

    return get


def test_every_entry_is_of_an_architecture_that_is_tested(models: Any) -> None:
    assert {name for name in EVERY if architecture_of(models(name)) is not None} == set(PACKED)
    assert {type(models(name)).__name__ for name in PACKED} == set(ARCHITECTURES)


def _both(
    model: Any, batch: dict[str, torch.Tensor], *, first_only: bool = True
) -> tuple[Step, Step]:
    plain = take_step(model, batch)
    with packed(model, first_only=first_only):
        return take_step(model, batch), plain


def _assert_same(found: Step, plain: Step) -> None:
    torch.testing.assert_close(found.logits, plain.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.loss, plain.loss, rtol=1e-5, atol=1e-6)
    assert distance(found, plain) < 1e-5


@pytest.mark.parametrize("first_only", [True, False], ids=["first position", "whole last layer"])
@pytest.mark.parametrize("num_labels", [1, 3], ids=["regression", "classification"])
@pytest.mark.parametrize("pairs", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("architecture", PACKED)
def test_every_gradient_is_the_plain_models(
    models: Any, architecture: str, pairs: bool, num_labels: int, first_only: bool
) -> None:
    """In float64, where rounding hides nothing."""
    model = models(architecture, num_labels).double()
    try:
        batch = make_batch(model, MIXED, pairs=pairs)
        found, plain = _both(model, batch, first_only=first_only)
    finally:
        model.float()
    torch.testing.assert_close(found.logits, plain.logits, rtol=0, atol=1e-11)
    assert distance(found, plain) < 1e-9


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    architecture=st.sampled_from(PACKED),
    lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=9),
    spare=st.integers(0, 9),
    pairs=st.booleans(),
    num_labels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
@example(architecture="bert", lengths=[1], spare=1, pairs=False, num_labels=1, seed=0)
@example(architecture="roberta", lengths=[7, 7, 7], spare=0, pairs=False, num_labels=1, seed=0)
@example(architecture="electra", lengths=[3, 5], spare=3, pairs=True, num_labels=3, seed=0)
@example(architecture="distilbert", lengths=[32], spare=9, pairs=False, num_labels=3, seed=0)
def test_lengths_of_every_kind(
    models: Any,
    architecture: str,
    lengths: list[int],
    spare: int,
    pairs: bool,
    num_labels: int,
    seed: int,
) -> None:
    """One token, one example, equal lengths, as many tokens as the batch is wide, and others.

    In float64: of a text of one token some gradients are 0, and rounding is all that they are.
    """
    model = models(architecture, num_labels).double()
    width = min(max(lengths) + spare, LONGEST)
    try:
        batch = make_batch(model, lengths, seed=seed, pairs=pairs, width=width)
        found, plain = _both(model, batch)
    finally:
        model.float()
    torch.testing.assert_close(found.logits, plain.logits, rtol=0, atol=1e-11)
    assert distance(found, plain) < 1e-9


@pytest.mark.parametrize("architecture", PACKED)
def test_eight_thousand_tokens(models: Any, architecture: str) -> None:
    model = models(architecture)
    lengths = [LONGEST, *([40, LONGEST, 28] * 64), 4]
    assert sum(lengths) == 8256
    _assert_same(*_both(model, make_batch(model, lengths)))


def _leave_out_a_residual(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = module._AddNorm.apply
    monkeypatch.setattr(
        module._AddNorm,
        "apply",
        lambda branch, residual, *rest: honest(branch, 0 * residual, *rest),
    )


def _shift_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Layout.drop_padding

    def shifted(self: Layout, value: torch.Tensor) -> torch.Tensor:
        return honest(self, value.roll(1, dims=1)) if value.stride(0) == 0 else honest(self, value)

    monkeypatch.setattr(Layout, "drop_padding", shifted)


def _read_a_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        module,
        "attend_packed",
        lambda states, *rest: attend_packed(states.roll(1, dims=0), *rest),
    )


def _forget_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Layout.of

    def in_order(mask: torch.Tensor) -> Any:
        layout = honest(mask)
        assert layout is not None
        object.__setattr__(layout, "ranks", torch.arange(layout.rows))
        return layout

    monkeypatch.setattr(Layout, "of", in_order)


@pytest.mark.parametrize(
    "fault", [_leave_out_a_residual, _shift_positions, _read_a_neighbour, _forget_the_order]
)
def test_a_planted_fault_is_seen(
    models: Any, fault: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)
    assert disagreement(model, batch, "unpadded") == ""
    fault(monkeypatch)
    found, plain = _both(model, batch)
    with pytest.raises(AssertionError):
        _assert_same(found, plain)
    assert "logits differ" in disagreement(model, batch, "unpadded")


def test_a_fault_of_the_gradient_alone_is_seen(
    models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = module._Multiply.backward

    def halved(ctx: Any, gradient: torch.Tensor) -> Any:
        return honest(ctx, gradient / 2)

    monkeypatch.setattr(module._Multiply, "backward", staticmethod(halved))
    model = models("bert")
    found, plain = _both(model, make_batch(model, MIXED))
    torch.testing.assert_close(found.logits, plain.logits, rtol=1e-5, atol=1e-5)
    with pytest.raises(AssertionError):
        _assert_same(found, plain)


def test_dropout_is_on_in_training_alone_and_repeats_with_its_seed(models: Any) -> None:
    model = models("bert", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3)
    batch, masks = make_batch(model, MIXED), DropoutMasks()

    def step(seed: int) -> Step:
        torch.manual_seed(seed)
        with fast_dropout(model, masks), packed(model, masks):
            return take_step(model, batch)

    first, again, other = step(1), step(1), step(2)
    assert distance(first, again) == 0
    assert not torch.equal(first.logits, other.logits)
    model.eval()
    try:
        _assert_same(step(1), step(2))
    finally:
        model.train()


@pytest.mark.parametrize("masks", [DropoutMasks(), None], ids=["own masks", "torch's"])
def test_the_mean_over_dropout_masks_is_that_of_the_plain_model(models: Any, masks: Any) -> None:
    model = models("bert", hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.4)
    batch = make_batch(model, [3, 9, 12])
    torch.manual_seed(0)

    def mean(draws: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            drawn = torch.stack([model(**batch)["logits"] for _ in range(draws)])
        return drawn.mean(0), drawn.std(0) / draws**0.5

    plain, error = mean()
    with packed(model, masks):
        found, other = mean()
    assert float(((found - plain).abs() / (error + other)).max()) < 5


def test_the_model_is_as_it_was_afterwards(models: Any) -> None:
    model = models("bert")
    names = list(model.state_dict())
    with packed(model), pytest.raises(IndexError):
        model(input_ids=torch.tensor([[10**6, 1]]), attention_mask=torch.ones(1, 2).long())
    assert "forward" not in vars(model.base_model)
    assert list(model.state_dict()) == names


@pytest.mark.parametrize("times", [1, 2])
def test_whoever_wants_inner_states_gets_them_padded(models: Any, times: int) -> None:
    """And the hooks that transformers then leaves do no harm."""
    model = models("distilbert")
    batch = make_batch(model, MIXED)
    for _ in range(times):
        with packed(model):
            states = model(**batch, output_hidden_states=True)["hidden_states"]
        assert len(states) == 3
        assert {state.shape[:2] for state in states} == {(len(MIXED), LONGEST)}


def _with_holes(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    mask = batch["attention_mask"].clone()
    mask[2, 5:9] = 0
    return {**batch, "attention_mask": mask}


def _on_the_left(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: each.flip(1) if each.dim() == 2 else each for name, each in batch.items()}


def _with_the_square(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    mask = batch["attention_mask"]
    return {**batch, "attention_mask": (mask[:, None, :, None] * mask[:, None, None]).bool()}


def _without_a_mask(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: each for name, each in batch.items() if name != "attention_mask"}


@pytest.mark.parametrize("change", [_with_holes, _on_the_left, _with_the_square, _without_a_mask])
def test_a_batch_that_cannot_be_packed_is_padded(models: Any, change: Any) -> None:
    model = models("bert")
    batch = change(make_batch(model, MIXED))
    plain = take_step(model, batch)
    with packed(model):
        assert torch.equal(take_step(model, batch).logits, plain.logits)


def test_positions_that_a_call_gives_are_used(models: Any) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)
    batch["position_ids"] = torch.arange(LONGEST).flip(0)[None]
    _assert_same(*_both(model, batch))


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: layer.register_forward_hook(lambda *_: None),
        lambda layer: setattr(layer.output, "dense", nn.Bilinear(2, 2, 2)),
        lambda layer: setattr(layer.output, "LayerNorm", nn.Identity()),
        lambda layer: delattr(layer.output, "dropout"),
    ],
    ids=["a hook", "another product", "another norm", "a part is missing"],
)
def test_a_changed_model_has_no_entry(tmp_path: Path, change: Any) -> None:
    model = load_tiny(tmp_path, "bert")
    assert architecture_of(model) is not None
    change(model.bert.encoder.layer[1])
    assert architecture_of(model) is None
    with (
        pytest.raises(ValueError, match="BertForSequenceClassification has no entry"),
        packed(model),
    ):
        pass


def test_a_subclass_has_no_entry(models: Any) -> None:
    model = models("bert")
    kind = type(model)
    model.__class__ = type(kind.__name__, (kind,), {})
    try:
        assert architecture_of(model) is None
        assert resolve_compute("auto", model) == "unpadded", "by hooks"
    finally:
        model.__class__ = kind


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_products_in_half_precision_are_autocasts(models: Any, dtype: torch.dtype) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)
    exact = take_step(model, batch)
    with torch.autocast("cpu", dtype=dtype):
        plain = take_step(model, batch)
        with computing(model, "unpadded"):
            found = take_step(model, batch)
    assert distance(found, exact) > 0
    assert distance(found, exact) < 1.5 * distance(plain, exact) + 1e-3
    assert {each.dtype for each in found.gradients.values()} == {torch.float32}


def test_weights_are_cast_again_after_a_step_that_leaves_no_trace(models: Any) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)

    def evaluate() -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = model(**batch)["logits"]
        return found

    with packed(model):
        before = evaluate()
        assert torch.equal(evaluate(), before)
        take_step(model, batch)
        for weight in model.bert.encoder.parameters():
            weight.data.mul_(1.01)
        after = evaluate()
        for weight in model.bert.encoder.parameters():
            with torch.no_grad():
                weight.mul_(1.01)
        assert not torch.equal(evaluate(), after)
    assert not torch.equal(after, before)


class _Products(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
    """Counts the shapes of products."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: Counter[Any] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.__name__.split(".")[0]
        if name in {"mm", "addmm", "bmm", "baddbmm"}:
            sizes = tuple((tuple(a.shape), a.stride()) for a in args if isinstance(a, torch.Tensor))
            self.shapes[name, sizes] += 1
        return func(*args, **(kwargs or {}))


def test_products_have_few_shapes(models: Any) -> None:
    """oneDNN generates a kernel for each; lengths are those of CoLA's batches of 16."""
    model = models("bert")
    draw = torch.Generator().manual_seed(0)
    lengths = (torch.randn(200, 16, generator=draw) * 0.45 + 2.35).exp().round().clamp(4, 45).long()
    with _Products() as products, packed(model, DropoutMasks()):
        for row in lengths.tolist():
            model(**make_batch(model, row))["loss"].backward()
    assert len(products.shapes) < 200
    assert products.shapes.total() > 200 * 2 * 12


def test_threads_need_no_lock(models: Any) -> None:
    model = models("bert").eval()
    batches = [make_batch(model, [n, 2 * n, 5], seed=n) for n in range(1, 9)]
    with torch.no_grad():
        plain = [model(**batch)["logits"] for batch in batches]
    worst: list[float] = []

    def predict(start: int) -> None:
        with torch.no_grad():
            for turn in range(24):
                place = (start + turn) % len(batches)
                found = model(**batches[place])["logits"]
                worst.append(float((found - plain[place]).abs().max()))

    with packed(model):
        threads = [Thread(target=predict, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    model.train()
    assert len(worst) == 96
    assert max(worst) < 1e-5
