"""Without padding the logits, the loss and every gradient are the plain padded model's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.mixed_batches import Step, distance, load_tiny, make_batch, take_step
from tests.support.tiny_checkpoints import ARCHITECTURES
from torch import nn
from transformers import AttentionInterface

from gluetune.models.fast import attention
from gluetune.models.fast.layout import Group, Layout
from gluetune.models.fast.paths import computing, disagreement, resolve_compute
from gluetune.models.fast.unpadded import can_be_unpadded, unpadded

UNPADDED = (
    "albert",
    "bert",
    "camembert",
    "distilbert",
    "electra",
    "gemma",
    "gpt_neox",
    "gpt2",
    "llama",
    "mistral",
    "modernbert",
    "opt",
    "phi",
    "qwen2",
    "qwen3",
    "roberta",
    "xlm-roberta",
)
SINGLE = frozenset({"bloom", "gemma"})
"""Architectures that compute a part in float32 whatever their weights are."""
LONGEST = 60
MIXED = [1, 3, LONGEST, 59, 30, 9, 9, 2]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    folder = tmp_path_factory.mktemp("models")
    loaded: dict[tuple[str, int], Any] = {}

    def get(architecture: str, num_labels: int = 3) -> Any:
        key = (architecture, num_labels)
        if key not in loaded:
            loaded[key] = load_tiny(folder, architecture, num_labels=num_labels).train()
        return loaded[key]

    return get


def test_flags_say_which_architectures_are_unpadded(models: Any) -> None:
    assert len(UNPADDED) >= 10
    able = {name for name in ARCHITECTURES if can_be_unpadded(models(name))}
    assert able == set(UNPADDED)


def _both(model: Any, batch: dict[str, torch.Tensor]) -> tuple[Step, Step]:
    plain = take_step(model, batch)
    with unpadded(model):
        return take_step(model, batch), plain


def _assert_same(found: Step, plain: Step) -> None:
    torch.testing.assert_close(found.logits, plain.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.loss, plain.loss, rtol=1e-5, atol=1e-6)
    assert distance(found, plain) < 1e-5


def _assert_same_in_double(found: Step, plain: Step, architecture: str) -> None:
    single = architecture in SINGLE
    torch.testing.assert_close(found.logits, plain.logits, rtol=0, atol=1e-5 if single else 1e-11)
    assert distance(found, plain) < (1e-4 if single else 1e-9)


@pytest.mark.parametrize("num_labels", [1, 3], ids=["regression", "classification"])
@pytest.mark.parametrize("pairs", [False, True], ids=["one", "two"])
@pytest.mark.parametrize("architecture", UNPADDED)
def test_every_gradient_is_the_plain_models(
    models: Any, architecture: str, pairs: bool, num_labels: int
) -> None:
    """In float64, where rounding hides nothing."""
    model = models(architecture, num_labels).double()
    try:
        found, plain = _both(model, make_batch(model, MIXED, pairs=pairs))
    finally:
        model.float()
    _assert_same_in_double(found, plain, architecture)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    architecture=st.sampled_from(UNPADDED),
    lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=9),
    pairs=st.booleans(),
    num_labels=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
@example(architecture="bert", lengths=[1, LONGEST], pairs=True, num_labels=3, seed=0)
@example(architecture="roberta", lengths=[1], pairs=False, num_labels=1, seed=0)
@example(architecture="modernbert", lengths=[5, 5, 7], pairs=False, num_labels=3, seed=0)
@example(architecture="qwen2", lengths=[LONGEST, 2, 2, 2], pairs=False, num_labels=3, seed=0)
def test_lengths_of_every_kind_in_float32(
    models: Any, architecture: str, lengths: list[int], pairs: bool, num_labels: int, seed: int
) -> None:
    model = models(architecture, num_labels)
    found, plain = _both(model, make_batch(model, lengths, seed=seed, pairs=pairs))
    _assert_same(found, plain)


_HIDDEN, _HEADS = 32, 4
_SIZES = st.sampled_from([1, 2, _HEADS, 8, 16, _HIDDEN, 40])


@st.composite
def _coincidences(draw: st.DrawFn) -> tuple[list[int], int]:
    """Lengths and a padded length, where a number of tokens is likely to equal some other size."""
    total = draw(_SIZES)
    cuts = sorted(draw(st.sets(st.sampled_from(range(1, total)), max_size=7))) if total > 1 else []
    lengths = [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]
    return lengths, max(draw(_SIZES | st.sampled_from([total, len(lengths)])), *lengths)


@pytest.mark.parametrize("architecture", UNPADDED)
@settings(max_examples=6, deadline=None)
@given(batch=_coincidences())
@example(batch=([3, 5], 8))  # as many tokens as places
@example(batch=([1], 8))  # one token
@example(batch=([8], 8))  # one example
@example(batch=([5], 8))
@example(batch=([4, 4], 4))  # all lengths equal
@example(batch=([4, 4], 8))
@example(batch=([1, 1, 1, 1], 1))
@example(batch=([1, 1, 1, 1], 4))  # as many places as heads, tokens and examples
@example(batch=([1, 1], 2))
@example(batch=([2, 30], 32))  # as many tokens as places and hidden units
@example(batch=([12, 20], 20))  # as many tokens as hidden units
def test_no_size_is_mistaken_for_another(
    models: Any, architecture: str, batch: tuple[list[int], int]
) -> None:
    model = models(architecture).double()  # rounding is all there is in a gradient that is 0
    lengths, width = batch
    try:
        found, plain = _both(model, make_batch(model, lengths, width=width))
    finally:
        model.float()
    _assert_same_in_double(found, plain, architecture)


@pytest.mark.parametrize("architecture", [name for name in ARCHITECTURES if name != "bart"])
def test_groups_of_like_length_give_every_gradient_too(models: Any, architecture: str) -> None:
    model = models(architecture).double()
    batch = make_batch(model, [1, 2, 2, 3, 58, 59, 60] * 4)
    try:
        found, plain = take_step(model, batch, by_length=True), take_step(model, batch)
    finally:
        model.float()
    _assert_same_in_double(found, plain, architecture)


def test_padding_on_the_left_is_dropped_as_well(models: Any) -> None:
    model = models("qwen2")
    batch = make_batch(model, MIXED)
    order = torch.argsort(batch["attention_mask"], dim=1, stable=True)  # padding to the front
    for name in ("input_ids", "attention_mask"):
        batch[name] = batch[name].gather(1, order)
    _assert_same(*_both(model, batch))


def _leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place of a group may look at every other, padding and later ones too."""
    honest = Group._make_allowed

    def leaking(self: Group, causal: bool, window: int | None) -> torch.Tensor | None:
        allowed = honest(self, causal, window)
        return None if allowed is None else torch.ones_like(allowed)

    monkeypatch.setattr(Group, "_make_allowed", leaking)


def _swap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group begins one token late: a text reads its neighbour's first token."""
    honest = attention.unpadded_attention

    def shifted(module: Any, query: Any, key: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return honest(module, query, key.roll(1, dims=2), value.roll(1, dims=2), *args, **kwargs)

    monkeypatch.setitem(AttentionInterface._global_mapping, attention.NAME, shifted)


def _shift(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given by place, such as rotary angles, is one position off."""
    honest = Layout.drop_padding

    def shifted(self: Layout, value: torch.Tensor) -> torch.Tensor:
        taken = honest(self, value)
        return honest(self, value.roll(1, dims=1)) if value.shape[0] == 1 else taken

    monkeypatch.setattr(Layout, "drop_padding", shifted)


@pytest.mark.parametrize(
    ("fault", "architecture"),
    [
        (_leak, "bert"),
        (_leak, "gpt2"),
        (_swap, "albert"),
        (_shift, "modernbert"),
        (_shift, "qwen2"),
    ],
)
def test_a_planted_fault_is_seen(
    models: Any, fault: Any, architecture: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = models(architecture)
    batch = make_batch(model, MIXED)
    assert disagreement(model, batch, "unpadded") == ""
    fault(monkeypatch)
    found, plain = _both(model, batch)
    with pytest.raises(AssertionError):
        _assert_same(found, plain)
    assert "logits differ" in disagreement(model, batch, "unpadded")


def test_the_model_is_as_it_was_afterwards(models: Any) -> None:
    model = models("bert")
    hooks = [len(module._forward_hooks) for module in model.modules()]
    with unpadded(model):
        model(**make_batch(model, MIXED))
        assert model.config._attn_implementation == "sdpa", "between passes too"
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_the_model_is_as_it_was_after_a_failure(models: Any) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)

    def fail(*_: Any) -> None:
        raise RuntimeError("out of memory")

    with unpadded(model):
        handle = model.bert.encoder.layer[1].register_forward_hook(fail)
        with pytest.raises(RuntimeError, match="out of memory"):
            model(**batch)
        handle.remove()
        assert model.config._attn_implementation == "sdpa"
        with_hooks = take_step(model, batch)
    _assert_same(with_hooks, take_step(model, batch))


def test_whoever_wants_inner_states_gets_them_padded(models: Any) -> None:
    model = models("distilbert")
    batch = make_batch(model, MIXED)
    with unpadded(model):
        states = model(**batch, output_hidden_states=True).hidden_states
    assert len(states) == 3
    assert {state.shape[:2] for state in states} == {(len(MIXED), LONGEST)}


def test_a_mask_with_holes_takes_the_padded_way(models: Any) -> None:
    model = models("modernbert")
    batch = make_batch(model, MIXED)
    batch["attention_mask"][2, 5:9] = 0
    plain = take_step(model, batch)
    with unpadded(model):
        assert torch.equal(take_step(model, batch).logits, plain.logits)


def test_layers_that_are_computed_twice_are_not_unpadded(models: Any, tmp_path: Path) -> None:
    model = load_tiny(tmp_path, "bert")
    model.activation_checkpointing_enable()
    assert not can_be_unpadded(model)
    assert resolve_compute("auto", model) == "grouped"


def test_a_model_without_layers_cannot_be_unpadded(models: Any) -> None:
    model = models("bert")
    encoder, model.bert.encoder = model.bert.encoder, nn.Identity()
    try:
        assert not can_be_unpadded(model)
        with pytest.raises(ValueError, match="no encoder"), unpadded(model):
            pass
    finally:
        model.bert.encoder = encoder


def test_a_path_that_the_model_cannot_take_is_said(models: Any) -> None:
    assert resolve_compute("auto", models("deberta-v2")) == "grouped"
    assert resolve_compute("auto", models("bert")) == "unpadded"
    with pytest.raises(Exception, match="DebertaV2ForSequenceClassification") as caught:
        resolve_compute("unpadded", models("deberta-v2"))
    assert "--compute auto" in str(caught.value)


def test_the_check_draws_nothing_and_leaves_the_mode(models: Any) -> None:
    model = models("bert")
    before = torch.get_rng_state()
    assert disagreement(model, make_batch(model, MIXED), "unpadded") == ""
    assert disagreement(model, make_batch(model, MIXED), "grouped") == ""
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training


def test_attention_that_asks_for_more_is_no_match(
    models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = attention.unpadded_attention
    monkeypatch.setitem(
        AttentionInterface._global_mapping,
        attention.NAME,
        lambda *args, **kwargs: honest(*args, **kwargs, softcap=30.0),
    )
    model = models("albert")
    assert "softcap" in disagreement(model, make_batch(model, MIXED), "unpadded")


@pytest.mark.parametrize(
    "error", [IndexError("index 9 is\nout of range"), TypeError(), NameError("x")]
)
@pytest.mark.parametrize("path", ["unpadded", "grouped"])
def test_whatever_a_path_raises_is_a_reason_against_it(
    models: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, path: Any
) -> None:
    model = models("albert")
    hooks = [len(module._forward_hooks) for module in model.modules()]
    _fail_on(path, error, monkeypatch)
    problem = disagreement(model, make_batch(model, MIXED), path)
    assert problem.startswith(f"it fails with {type(error).__name__}")
    assert " ".join(str(error).split()) in problem
    assert "\n" not in problem
    assert model.training
    assert [len(module._forward_hooks) for module in model.modules()] == hooks
    assert model.config._attn_implementation == "sdpa"


def _fail_on(path: str, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setitem(AttentionInterface._global_mapping, attention.NAME, fail)
    if path == "grouped":
        monkeypatch.setattr("gluetune.models.fast.paths.split_by_length", fail)


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(1),
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 1 bytes"),
    ],
    ids=repr,
)
def test_a_lack_of_memory_and_the_user_are_not(
    models: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    model = models("albert")
    _fail_on("unpadded", error, monkeypatch)
    with pytest.raises(type(error)):
        disagreement(model, make_batch(model, MIXED), "unpadded")
    assert model.training


def test_what_the_plain_model_raises_is_raised(models: Any) -> None:
    model = models("bert")
    batch = make_batch(model, MIXED)
    batch["input_ids"][0, 0] = model.config.vocab_size
    with pytest.raises(IndexError):
        disagreement(model, batch, "unpadded")


def test_embeddings_are_given_the_padding_wherever_they_are(
    models: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPT's decoder holds both embeddings and layers: without padding its positions are wrong."""
    model = models("opt")
    batch = make_batch(model, [*MIXED, *[LONGEST] * 8])
    assert disagreement(model, batch, "unpadded") == ""
    monkeypatch.setattr("gluetune.models.fast.unpadded._embeds", lambda *_: False)
    assert disagreement(model, batch, "unpadded") != ""


def test_layers_that_may_be_left_out_are_not_unpadded(tmp_path: Path) -> None:
    """The last one puts the padding back."""
    assert not can_be_unpadded(load_tiny(tmp_path, "opt", layerdrop=0.5))


def test_attention_in_chunks_is_not_unpadded(tmp_path: Path) -> None:
    """Which tokens are in a chunk is said by the mask alone, and shows in long texts only."""
    model = load_tiny(tmp_path, "llama")
    assert can_be_unpadded(model)
    model.config.attention_chunk_size = 8192
    assert not can_be_unpadded(model)


def test_bf16_products_are_autocasts(models: Any) -> None:
    model = models("modernbert")  # its rotary angles are float32 beside bfloat16 values
    batch = make_batch(model, MIXED)
    exact = take_step(model, batch).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        plain = take_step(model, batch).logits
        with computing(model, "unpadded"):
            found = take_step(model, batch).logits
    assert not torch.equal(found, exact)
    assert float((found - exact).norm()) < 2 * float((plain - exact).norm())
