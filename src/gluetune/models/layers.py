"""The layers of a model by their depth: initialised anew, frozen, or trained at their own rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from gluetune.core.errors import ConfigurationError, Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch
    from transformers import PreTrainedModel

FACTOR = "layer_factor"
"""Key of an optimiser's group: the factor of its learning rate."""


def depths(model: PreTrainedModel) -> tuple[dict[str, int], int]:
    """Return the depth of each weight by its name, and the number of layers.

    Embeddings have depth 0, the layers 1 to n, and what follows them n + 1: pooler and head.
    Raises ConfigurationError unless the model has one stack of layers with weights of their own.
    """
    stacks = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        and len(module) > 1
        and len({type(layer) for layer in module}) == 1
    ]
    outer = [
        (name, module)
        for name, module in stacks
        if not any(name.startswith(f"{other}.") for other, _ in stacks)
    ]
    if len(outer) != 1:
        raise ConfigurationError(
            f"{type(model).__name__} has {len(outer) or 'no'} stacks of layers, where the settings "
            "that go by layer need one.",
            hint="Leave out --layer-decay, --restart-layers and --freeze-layers.",
        )
    (name, stack), count = outer[0], len(outer[0][1])
    found, passed = {}, False
    for weights, _ in model.named_parameters():
        rest = weights.removeprefix(f"{name}.")
        if rest != weights:
            found[weights], passed = int(rest.partition(".")[0]) + 1, True
        else:
            found[weights] = count + 1 if passed else 0
    assert len(stack) == count
    return found, count


def restart_layers(model: PreTrainedModel, layers: int) -> list[str]:
    """Initialise the top `layers` of the encoder and its pooler anew; return their weights' names.

    As Zhang et al. 2021 (arXiv 2006.05987). The head keeps its weights. Draws random numbers.
    """
    found, count = depths(model)
    # What follows the layers and is not the pooler, such as a last normalisation, is kept.
    own = [
        name
        for name, depth in found.items()
        if depth > count - layers and (depth <= count or "pooler" in name)
    ]
    for weights in model.parameters():  # also those that the checkpoint does not have
        weights._is_hf_initialized = True
    initialize_again(model, own)
    return own


def initialize_again(model: PreTrainedModel, names: Iterable[str]) -> None:
    """Initialise weights anew, as the architecture does.

    transformers marks the weights and modules that it has loaded, and does not initialise them. The
    marks are removed from these weights and from the modules around them only (an architecture may
    initialise its head as a whole).
    """
    for name in names:
        model.get_parameter(name)._is_hf_initialized = False
        parts = name.split(".")[:-1]
        for depth in range(len(parts) + 1):
            model.get_submodule(".".join(parts[:depth]))._is_hf_initialized = False
    model.initialize_weights()


def freeze_layers(model: PreTrainedModel, layers: int) -> None:
    """Keep the embeddings and the lowest `layers` as they are."""
    found, _ = depths(model)
    for name, weights in model.named_parameters():
        if found[name] <= layers:
            weights.requires_grad_(False)


def scale_rates(optimizer: torch.optim.Optimizer, model: nn.Module, decay: float) -> None:
    """Lower the learning rate by `decay` from layer to layer, from the head down.

    The highest rate comes first, which is the one that is reported.
    """
    if any(FACTOR in group for group in optimizer.param_groups):
        return
    found, count = depths(model)
    depth_of = {id(weights): found[name] for name, weights in model.named_parameters()}
    groups: list[dict[str, Any]] = []
    for group in optimizer.param_groups:
        shared = {name: value for name, value in group.items() if name not in ("params", "lr")}
        by_depth: dict[int, list[torch.Tensor]] = {}
        for weights in group["params"]:
            by_depth.setdefault(depth_of[id(weights)], []).append(weights)
        for depth, params in by_depth.items():
            factor = decay ** (count + 1 - depth)
            groups.append({"params": params, **shared, "lr": group["lr"] * factor, FACTOR: factor})
    optimizer.param_groups[:] = sorted(groups, key=lambda group: -float(group[FACTOR]))


def check_layers(model: PreTrainedModel, *, restarted: int, frozen: int) -> None:
    """Raise ConfigurationError unless the model has so many layers, and more."""
    _, count = depths(model)
    findings = [
        Finding(
            f"{flag} {layers}: {type(model).__name__} has {count} layers.",
            f"Type at most: {flag} {count - 1}",
        )
        for flag, layers in (("--restart-layers", restarted), ("--freeze-layers", frozen))
        if layers >= count
    ]
    if not findings and restarted + frozen > count:
        findings = [
            Finding(
                f"--restart-layers {restarted} and --freeze-layers {frozen}: "
                f"{type(model).__name__} has {count} layers, and some would be both.",
                f"Type: --freeze-layers {count - restarted}",
            )
        ]
    if findings:
        raise ConfigurationError.of(findings)
