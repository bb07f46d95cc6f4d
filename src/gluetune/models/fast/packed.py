"""An encoder of our own over the real tokens of a batch, with the checkpoint's own parameters.

`packed` puts it in the place of the base model's `forward`. Embeddings, pooler and head stay the
checkpoint's; between them each layer is four products and a few operations on rows. Compared with
transformers' layers over the same tokens:

- queries, keys and values are one product;
- weights are cast once per forward pass, and once per evaluation where they do not change;
- dropout, residual sum and norm are one operation with a gradient of its own;
- the last layer computes queries, feed-forward and norms for the position that the head reads;
- the number of rows comes from a small set, because oneDNN generates a kernel for every shape that
  it meets for the first time, which takes many times the time of the product.

There is no state between two calls but the cast weights, so threads need no lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from gluetune.models.fast.architectures import Architecture, architecture_of
from gluetune.models.fast.attention import attend_packed
from gluetune.models.fast.dropout import DropoutMasks, draw, drop, dropout_of
from gluetune.models.fast.layout import Layout
from gluetune.models.fast.unpadded import wants_inner_states

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@contextmanager
def packed(
    model: PreTrainedModel, masks: DropoutMasks | None = None, *, first_only: bool = True
) -> Iterator[None]:
    """Compute the encoder of `model` packed, for every forward pass with an attention mask.

    `masks` draws the dropout of training on a CPU. `first_only` computes the last layer for the
    first position alone. Raises ValueError if the model's class has no entry.
    """
    entry = architecture_of(model)
    if entry is None:
        raise ValueError(f"{type(model).__name__} has no entry in ARCHITECTURES.")
    base = model.base_model
    base.forward = PackedEncoder(base, entry, masks, first_only=first_only)
    try:
        yield
    finally:
        del base.forward  # restores the method of the class


def weights_kept(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Cast the weights of a packed encoder once inside the block: for passes of one step."""
    encoder = vars(model.base_model).get("forward")
    return encoder.weights_kept() if isinstance(encoder, PackedEncoder) else nullcontext()


class PackedEncoder:
    """The forward pass of a base model; a call that it does not know goes to the model's own."""

    def __init__(
        self,
        base: PreTrainedModel,
        entry: Architecture,
        masks: DropoutMasks | None,
        *,
        first_only: bool,
    ) -> None:
        self._base = base
        self._plain = base.forward
        self._entry = entry
        self._masks = masks
        self._first_only = first_only
        heads = getattr(base.config, entry.heads)
        self._layers = [_Layer(layer, entry, heads) for layer in base.get_submodule(entry.layers)]
        self._weights = _Weights(self._layers)

    def weights_kept(self) -> AbstractContextManager[None]:
        """Cast the weights once inside the block, whatever happens to them."""
        return self._weights.kept()

    def __call__(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the last hidden states, of shape (rows, 1 or width, size), and the pooled ones."""
        given = {"token_type_ids": token_type_ids, "position_ids": position_ids}
        layout = self._layout(input_ids, attention_mask, kwargs)
        if input_ids is None or layout is None:
            given = {name: value for name, value in given.items() if value is not None}
            return self._plain(
                input_ids=input_ids, attention_mask=attention_mask, **given, **kwargs
            )
        states = self._embed(input_ids, layout, given)
        dtype = _working_dtype(states)
        for layer, products in zip(self._layers, self._weights.products(dtype), strict=True):
            first_only = self._first_only and layer is self._layers[-1]
            states = layer.compute(states, products, layout, self._masks, first_only=first_only)
        if self._first_only:
            hidden = states.index_select(0, layout.ranks)[:, None]
        else:
            hidden = layout.restore_padding(states[None])
        pooler = getattr(self._base, "pooler", None)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden, pooler_output=None if pooler is None else pooler(hidden)
        )

    def _layout(
        self, ids: torch.Tensor | None, mask: torch.Tensor | None, kwargs: dict[str, Any]
    ) -> Layout | None:
        """Return the layout of the batch; None for a call that is not a plain classification."""
        more = {name for name, value in kwargs.items() if value is not None} - _IGNORED
        if ids is None or mask is None or wants_inner_states(self._base.config, kwargs) or more:
            return None
        layout = Layout.of(mask) if mask.shape == ids.shape else None
        # The head reads the first column, which has to be a token.
        return layout if layout is None or layout.starts_left else None

    def _embed(
        self, input_ids: torch.Tensor, layout: Layout, given: dict[str, torch.Tensor | None]
    ) -> torch.Tensor:
        """Return the embeddings of the packed tokens: shape (tokens, size)."""
        embeddings = self._base.embeddings
        positions = given["position_ids"]
        if positions is None:
            positions = self._entry.positions(embeddings, input_ids)
        read = {name: given[name] for name in self._entry.inputs}
        states = embeddings(
            input_ids=layout.drop_padding(input_ids),
            position_ids=layout.drop_padding(positions.expand_as(input_ids)),
            **{
                name: None if value is None else layout.drop_padding(value.expand_as(input_ids))
                for name, value in read.items()
            },
        )
        if self._entry.projection and hasattr(self._base, self._entry.projection):
            states = getattr(self._base, self._entry.projection)(states)
        return states[0]


_IGNORED = frozenset({"return_dict", "use_cache", "output_attentions", "output_hidden_states"})
"""Keywords of a call that change nothing here; the last two are looked at before."""


def _working_dtype(states: torch.Tensor) -> torch.dtype:
    """Return the dtype of products: autocast's, else that of the states."""
    device = states.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else states.dtype


_Modules = tuple[nn.Linear, ...]
"""Products with the same input, which are computed as one."""


class _Product:
    """One product with a bias, of one or more modules side by side."""

    def __init__(self, modules: _Modules, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """`weight` and `bias` are the modules' own, one below the other, cast."""
        self.modules = modules
        self.weight = weight
        self.bias = bias

    def __call__(self, states: torch.Tensor) -> torch.Tensor:
        """Multiply states of shape (rows, inputs): shape (rows, outputs of all modules)."""
        weights = [module.weight for module in self.modules]
        biases = [module.bias for module in self.modules]
        found: torch.Tensor = _Multiply.apply(states, self.weight, self.bias, *weights, *biases)
        return found

    def split(self) -> tuple[_Product, _Product]:
        """Return the product of the first module, and that of the others."""
        size = self.modules[0].out_features
        return (
            _Product(self.modules[:1], self.weight[:size], self.bias[:size]),
            _Product(self.modules[1:], self.weight[size:], self.bias[size:]),
        )


class _Multiply(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """A product with cast weights, whose gradient goes to the parameters that they were cast from.

    As autocast's, the gradient is computed in the dtype of the product and then cast.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(states, weight)
        half = len(parameters) // 2
        ctx.sizes = [len(each) for each in parameters[:half]]
        ctx.dtype = parameters[0].dtype
        return torch.addmm(bias, states, weight.t())

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        states, weight = ctx.saved_tensors
        needed = ctx.needs_input_grad
        of_states = gradient.mm(weight) if needed[0] else None
        if not any(needed[3:]):
            return of_states, None, None, *(None for _ in needed[3:])
        of_weight = gradient.t().mm(states).to(ctx.dtype)
        of_bias = gradient.sum(dim=0, dtype=ctx.dtype)
        return of_states, None, None, *of_weight.split(ctx.sizes), *of_bias.split(ctx.sizes)


class _AddNorm(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed
    """Dropout, residual sum and layer norm: `norm(residual + dropout(branch))`."""

    @staticmethod
    def forward(
        ctx: Any,
        branch: torch.Tensor,
        residual: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        epsilon: float,
        kept: torch.Tensor | None,
        scale: float,
    ) -> torch.Tensor:
        summed = residual + drop(branch.to(residual.dtype), kept, scale)
        shape = weight.shape
        output, mean, deviation = torch.native_layer_norm(summed, shape, weight, bias, epsilon)
        ctx.save_for_backward(summed, mean, deviation, weight, bias, kept)
        ctx.scale, ctx.dtype = scale, branch.dtype
        return output

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        summed, mean, deviation, weight, bias, kept = ctx.saved_tensors
        wanted = (True, *ctx.needs_input_grad[2:4])
        of_sum, of_weight, of_bias = torch.ops.aten.native_layer_norm_backward(
            gradient.contiguous(), summed, weight.shape, mean, deviation, weight, bias, wanted
        )
        of_branch = drop(of_sum, kept, ctx.scale).to(ctx.dtype)
        return of_branch, of_sum, of_weight, of_bias, None, None, None


class _Norm:
    """A norm after a residual sum, with the dropout before it."""

    def __init__(self, norm: nn.LayerNorm, dropout: nn.Module | None) -> None:
        self._norm = norm
        self._dropout = dropout

    def __call__(
        self, branch: torch.Tensor, residual: torch.Tensor, masks: DropoutMasks | None
    ) -> torch.Tensor:
        """Return `norm(residual + dropout(branch))`, in the dtype of `residual`."""
        kept, scale = draw(masks, branch, dropout_of(self._dropout))
        found: torch.Tensor = _AddNorm.apply(
            branch, residual, self._norm.weight, self._norm.bias, self._norm.eps, kept, scale
        )
        return found


class _Layer:
    """A layer whose norms follow its residual sums."""

    def __init__(self, layer: nn.Module, entry: Architecture, heads: int) -> None:
        part: Any = layer.get_submodule
        self._heads = heads
        self._attention_dropout = part(entry.attention_dropout)
        self._activation = part(entry.activation)
        self._mixing_norm = _Norm(
            part(entry.mixing_norm), part(entry.mixing_dropout) if entry.mixing_dropout else None
        )
        self._falling_norm = _Norm(part(entry.falling_norm), part(entry.falling_dropout))
        self.products: tuple[_Modules, ...] = (
            (part(entry.query), part(entry.key), part(entry.value)),
            (part(entry.mixing),),
            (part(entry.rising),),
            (part(entry.falling),),
        )

    def compute(
        self,
        states: torch.Tensor,
        products: Sequence[_Product],
        layout: Layout,
        masks: DropoutMasks | None,
        *,
        first_only: bool,
    ) -> torch.Tensor:
        """Return the layer's output for states of shape (tokens, size).

        With `first_only` its shape is (sequences, size), for each sequence's first token.
        """
        attention, mixing, rising, falling = products
        dtype = attention.weight.dtype
        inner, query = states.to(dtype), None
        if first_only:
            states = states.index_select(0, layout.firsts)
            of_query, attention = attention.split()
            query = of_query(inner.index_select(0, layout.firsts))
        probability = dropout_of(self._attention_dropout)
        mixed = attend_packed(attention(inner), query, layout, self._heads, probability, masks)
        states = self._mixing_norm(mixing(mixed), states, masks)
        risen = self._activation(rising(states.to(dtype)))
        return self._falling_norm(falling(risen), states, masks)


class _Weights:
    """The products of all layers with their weights cast."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._layers = layers
        self._kept: tuple[Any, list[list[_Product]]] | None = None
        self._is_fixed = False

    @contextmanager
    def kept(self) -> Iterator[None]:
        """See `PackedEncoder.weights_kept`."""
        self._kept, self._is_fixed = None, True
        try:
            yield
        finally:
            self._kept, self._is_fixed = None, False

    def products(self, dtype: torch.dtype) -> list[list[_Product]]:
        """Return every layer's products; without gradients they are kept until a weight changes."""
        if torch.is_grad_enabled() and not self._is_fixed:
            self._kept = None  # a step may follow that changes weights without a trace
            cast: list[list[_Product]] = self._cast(dtype)
            return cast
        version = (dtype,) if self._is_fixed else (dtype, *self._versions())
        if self._kept is None or self._kept[0] != version:
            self._kept = version, self._cast(dtype)
        return self._kept[1]

    def _versions(self) -> Iterator[tuple[int, int]]:
        for layer in self._layers:
            for product in layer.products:
                for module in product:
                    for weight in (module.weight, module.bias):
                        yield weight.data_ptr(), weight._version

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed
    def _cast(self, dtype: torch.dtype) -> list[list[_Product]]:
        every = [product for layer in self._layers for product in layer.products]
        weights = _side_by_side([[m.weight for m in product] for product in every], dtype)
        biases = _side_by_side([[m.bias for m in product] for product in every], dtype)
        made = iter(map(_Product, every, weights, biases))
        return [[next(made) for _ in layer.products] for layer in self._layers]


def _side_by_side(groups: list[list[torch.Tensor]], dtype: torch.dtype) -> list[torch.Tensor]:
    """Return each group's tensors, one below the other, in `dtype`.

    A group of one that has the dtype is not copied.
    """
    made, sources, targets = [], [], []
    for group in groups:
        if len(group) == 1 and group[0].dtype == dtype:
            made.append(group[0].detach())
            continue
        sizes = [len(each) for each in group]
        joined = group[0].new_empty((sum(sizes), *group[0].shape[1:]), dtype=dtype)
        made.append(joined)
        sources += group
        targets += joined.split(sizes)
    if sources:
        torch._foreach_copy_(targets, sources)
    return made
