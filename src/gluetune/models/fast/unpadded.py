"""Run the encoder on real tokens only: a hook before it drops the padding, one after restores it.

Embeddings, position ids, poolers and heads are the checkpoint's own and receive the padded batch
that they expect; only the layers between them, nearly all of the arithmetic, run without padding.
It works for every architecture whose attention uses transformers' AttentionInterface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Token
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.utils import ModelOutput

from gluetune.models.fast import UnsupportedError
from gluetune.models.fast.attention import NAME, begin_attending, end_attending
from gluetune.models.fast.dropout import DropoutMasks
from gluetune.models.fast.layout import Layout

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def can_be_unpadded(model: PreTrainedModel) -> bool:
    """Return whether the model's attention can be replaced, by its own flags.

    Flags may be wrong: compare the logits with the padded ones.
    """
    config = model.config
    return bool(
        getattr(model, "_supports_attention_backend", False)
        and not config.is_encoder_decoder
        and config._attn_implementation in ("sdpa", "eager")
        and not computes_layers_twice(model)
        and not getattr(config, "layerdrop", 0)  # the last layer may be left out, and its hook
        and not getattr(config, "attention_chunk_size", 0)  # which only the mask shows
        and _blocks(model)
    )


def computes_layers_twice(model: PreTrainedModel) -> bool:
    """Return whether the model uses gradient checkpointing.

    It recomputes layers in the backward pass, when the hooks and the layout are gone.
    """
    return any(getattr(module, "gradient_checkpointing", False) for module in model.modules())


@contextmanager
def unpadded(model: PreTrainedModel, masks: DropoutMasks | None = None) -> Iterator[None]:
    """Run the encoder of `model` on real tokens only, for every forward pass with a mask.

    `masks` draws attention's dropout on a CPU. Raises ValueError if `can_be_unpadded` is false.
    """
    blocks = _blocks(model)
    if not blocks:
        raise ValueError(f"{type(model).__name__} has no encoder that could be unpadded.")
    passing = _Pass(model, masks)
    handles = [
        model.register_forward_pre_hook(passing.begin, with_kwargs=True),
        model.register_forward_hook(passing.end, always_call=True),
        *(block.register_forward_pre_hook(passing.drop, with_kwargs=True) for block in blocks),
        *(block.register_forward_hook(passing.note) for block in blocks[:-1]),
        blocks[-1].register_forward_hook(passing.restore),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _blocks(model: PreTrainedModel) -> list[nn.Module]:
    """Return the modules between the embeddings and the head.

    That is the module of all layers; or each layer, if that module has the embeddings too, which
    need the padded batch.
    """
    for owner in model.base_model.modules():
        for child in owner.children():
            if isinstance(child, nn.ModuleList) and len(child):
                return list(child) if _embeds(owner, child) else [owner]
    return []


def _embeds(owner: nn.Module, layers: nn.ModuleList) -> bool:
    """Return whether `owner` has embeddings outside of its layers."""
    within = set(layers.modules())
    return any(isinstance(part, nn.Embedding) and part not in within for part in owner.modules())


class _Pass:
    """The state that a model's hooks share during a forward pass."""

    def __init__(self, model: PreTrainedModel, masks: DropoutMasks | None) -> None:
        self.config = model.config
        self.masks = masks
        self.layout: Layout | None = None
        self._token: Token[Any] | None = None
        self._implementation = ""
        self._is_dropped = False
        """Whether the next block receives hidden states without padding."""
        self._made: tuple[torch.Tensor, ...] = ()
        """Outputs of the block before, which are without padding."""

    def begin(
        self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Make the layout of the batch, and switch attention to it."""
        mask = kwargs.get("attention_mask")
        if mask is None or wants_inner_states(self.config, kwargs):
            return None
        layout = Layout.of(mask)
        # Without padding the padded path is used, as before the path has been checked.
        if layout is None or layout.is_full:
            return None
        self.layout = layout
        self._token = begin_attending(layout, self.masks if model.training else None)
        self._implementation = self.config._attn_implementation
        self.config._attn_implementation_internal = NAME
        if getattr(self.config, "use_cache", False):
            kwargs = {**kwargs, "use_cache": False}
        return args, kwargs

    def end(self, *_: Any) -> None:
        """Restore the model, also after a failure."""
        if self._token is not None:
            end_attending(self._token)
            self.config._attn_implementation_internal = self._implementation
        self.layout = self._token = None
        self._is_dropped, self._made = False, ()

    def drop(
        self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Drop the padding of all inputs of a block: hidden states, rotary angles, …

        Whether the hidden states are without padding is tracked, not inferred from their shape,
        which may be the same. All other inputs come from before the first block.
        """
        layout = self.layout
        if layout is None:
            return None
        states = _hidden_states(args, kwargs)
        if not self._is_dropped and not (states is not None and layout.holds(states)):
            raise UnsupportedError(f"its {type(block).__name__} receives no hidden states")

        def take(value: torch.Tensor) -> torch.Tensor:
            if value is states:
                is_dropped = self._is_dropped
            else:
                is_dropped = any(value is made for made in self._made)
            return value if is_dropped or not layout.holds(value) else layout.drop_padding(value)

        changed = _mapped(take, args), _mapped(take, kwargs)
        self._is_dropped = True
        return changed

    def note(self, block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Remember the outputs of a block, which are without padding."""
        self._made = _tensors(output) if self._is_dropped else ()

    def restore(self, block: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Restore the padding of the last block's hidden states."""
        layout, states = self.layout, next(iter(_tensors(output)), None)
        if layout is None or not self._is_dropped:
            return output
        self._is_dropped, self._made = False, ()
        return _mapped(
            lambda value: layout.restore_padding(value) if value is states else value, output
        )


def _hidden_states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor | None:
    """Return the hidden states among a block's inputs: by name, or the first candidate."""
    for value in (kwargs.get("hidden_states"), *args, *kwargs.values()):
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 2:
            return value
    return None


def wants_inner_states(config: Any, kwargs: dict[str, Any]) -> bool:
    """Return whether a call asks for the hidden states or attentions of every layer."""
    names = ("output_hidden_states", "output_attentions")
    return any(kwargs.get(name) or getattr(config, name, False) for name in names)


def _tensors(value: Any) -> tuple[torch.Tensor, ...]:
    """Return every tensor in nested tuples, lists, dicts and model outputs, in their order."""
    found: list[torch.Tensor] = []

    def add(tensor: torch.Tensor) -> torch.Tensor:
        found.append(tensor)
        return tensor

    _mapped(add, value)
    return tuple(found)


def _mapped(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Change every tensor in nested tuples, lists, dicts and model outputs."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, ModelOutput):
        for name in list(value.keys()):
            value[name] = _mapped(change, value[name])
        return value
    if isinstance(value, tuple | list):
        return type(value)(_mapped(change, item) for item in value)
    if isinstance(value, dict):
        return {name: _mapped(change, item) for name, item in value.items()}
    return value
