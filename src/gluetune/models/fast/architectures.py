"""Which module of a checkpoint plays which part in the packed encoder: one entry per architecture.

An entry is for one class of model with a classification head that reads the first position. A
class without an entry takes another execution path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gluetune.models.fast.unpadded import computes_layers_twice

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def _columns(embeddings: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """Positions count the columns of the batch, padding included: BERT."""
    return torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)


def _after_padding(embeddings: Any, input_ids: torch.Tensor) -> torch.Tensor:
    """Positions count the tokens from the padding's id on, and padding has that id: RoBERTa."""
    real = (input_ids != embeddings.padding_idx).long()
    return real.cumsum(dim=1) * real + embeddings.padding_idx


@dataclass(frozen=True)
class Architecture:
    """The names of the parts of an encoder whose norms follow its residual sums (BERT).

    Names of a layer's parts are relative to the layer; the others to the base model.
    """

    layers: str = "encoder.layer"
    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    attention_dropout: str = "attention.self.dropout"
    mixing: str = "attention.output.dense"
    mixing_dropout: str = "attention.output.dropout"
    """"" for none."""
    mixing_norm: str = "attention.output.LayerNorm"
    rising: str = "intermediate.dense"
    activation: str = "intermediate.intermediate_act_fn"
    falling: str = "output.dense"
    falling_dropout: str = "output.dropout"
    falling_norm: str = "output.LayerNorm"
    heads: str = "num_attention_heads"
    """The number of attention heads in the model's config."""
    projection: str = ""
    """A product between the embeddings and the first layer, where there is one."""
    inputs: tuple[str, ...] = ("token_type_ids",)
    """What the embeddings read besides ids and positions."""
    positions: Callable[[Any, torch.Tensor], torch.Tensor] = field(default=_columns)


BERT = Architecture()
_ROBERTA = replace(BERT, positions=_after_padding)
_DISTILBERT = Architecture(
    layers="transformer.layer",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_dropout="attention.dropout",
    mixing="attention.out_lin",
    mixing_dropout="",
    mixing_norm="sa_layer_norm",
    rising="ffn.lin1",
    activation="ffn.activation",
    falling="ffn.lin2",
    falling_dropout="ffn.dropout",
    falling_norm="output_layer_norm",
    heads="n_heads",
    inputs=(),
)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "BertForSequenceClassification": BERT,
        "RobertaForSequenceClassification": _ROBERTA,
        "XLMRobertaForSequenceClassification": _ROBERTA,
        "CamembertForSequenceClassification": _ROBERTA,
        "ElectraForSequenceClassification": replace(BERT, projection="embeddings_project"),
        "DistilBertForSequenceClassification": _DISTILBERT,
    }
)


def architecture_of(model: PreTrainedModel) -> Architecture | None:
    """Return the entry of a model's class, if every part is of the kind that it names.

    None too for a model that someone else has changed: adapters, quantised weights, gradient
    checkpointing, hooks on the modules that the packed encoder does not call.
    """
    kind = type(model)
    entry = ARCHITECTURES.get(kind.__name__)
    if entry is None or not kind.__module__.startswith("transformers.models."):
        return None
    config = model.config
    if computes_layers_twice(model):
        return None
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        return None
    try:
        layers = model.base_model.get_submodule(entry.layers)
        fits = len(layers) > 0 and all(_fits(layer, entry) for layer in layers)
    except AttributeError:  # a part is missing
        return None
    return entry if fits and not any(map(_is_hooked, layers.modules())) else None


def _fits(layer: nn.Module, entry: Architecture) -> bool:
    products = (entry.query, entry.key, entry.value, entry.mixing, entry.rising, entry.falling)
    norms = (entry.mixing_norm, entry.falling_norm)
    dropouts = [entry.attention_dropout, entry.mixing_dropout, entry.falling_dropout]
    return (
        all(_is_product(layer.get_submodule(name)) for name in products)
        and all(type(layer.get_submodule(name)) is nn.LayerNorm for name in norms)
        and all(type(layer.get_submodule(name)) is nn.Dropout for name in dropouts if name)
    )


def _is_product(module: nn.Module) -> bool:
    return type(module) is nn.Linear and module.bias is not None


def _is_hooked(module: nn.Module) -> bool:
    """Return whether calling the module does more than its own computation.

    transformers' own hooks, which stay after a call with `output_hidden_states`, do not count:
    such a call is not packed.
    """
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(
        not getattr(hook, "__module__", "").startswith("transformers.")
        for registered in hooks
        for hook in registered.values()
    )
