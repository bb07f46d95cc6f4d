"""`--recipe auto`: settings by the size of the model, the training rows and the classes.

Each rule gives its reason, which the record keeps. The rules were chosen by the measurements of
`benchmarks/methods.py`; docs/how-to/methods.md has their results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gluetune.core.config import TrainConfig

_SIZES = (
    (40e6, 1e-4, "a small model: distilled ones need a larger learning rate"),
    (150e6, 5e-5, "a model of base size"),
    (450e6, 2e-5, "a large model: a higher rate makes seeds collapse"),
    (float("inf"), 1e-5, "a very large model"),
)
"""Weights up to which a learning rate holds, and why."""
_ROWS = (
    (10_000, 16, 10.0, "few rows: longer training has fewer collapsed seeds"),
    (100_000, 32, 5.0, "a medium number of rows"),
    (float("inf"), 32, 3.0, "many rows"),
)
"""Rows up to which a batch size and a number of epochs hold, and why."""
_STEPS = 500
"""Steps below which a run has too few to learn from."""
_ROWS_PER_CLASS = 50
"""Rows per class below which twice as many steps are taken."""
_AVERAGED = 3
WITHOUT_STEPS = ("probe",)
"""Methods without an optimiser, which have none of these settings."""


@dataclass(frozen=True)
class Choice:
    """Settings with the reason for them."""

    settings: dict[str, Any]
    reason: str


def choose(parameters: int, rows: int, classes: int) -> Iterator[Choice]:
    """Yield the settings for a model of so many weights, training rows and classes.

    `classes` is 0 for regression.
    """
    rate, why = next((rate, why) for most, rate, why in _SIZES if parameters < most)
    yield Choice({"learning_rate": rate}, f"{parameters / 1e6:,.0f}M weights, {why}")
    batch, epochs, why = next(
        (batch, epochs, why) for most, batch, epochs, why in _ROWS if rows < most
    )
    yield Choice({"batch_size": batch, "epochs": epochs}, f"{rows:,} training rows, {why}")
    few = classes > 0 and rows / classes < _ROWS_PER_CLASS
    steps = 2 * _STEPS if few else _STEPS
    per_class = f"fewer than {_ROWS_PER_CLASS} rows per class"
    yield Choice(
        {"min_steps": steps}, f"{per_class} need more steps" if few else "at least so many steps"
    )
    yield Choice({"warmup": 0.1}, "the first steps of a new head are the largest")
    yield Choice(
        {"average_epochs": _AVERAGED}, "the mean of the last epochs varies less between seeds"
    )


def resolve_auto(
    config: TrainConfig, *, checkpoint: Path, rows: int, classes: int
) -> tuple[TrainConfig, list[str]]:
    """Return the configuration with the settings that were not given, and notes on them."""
    if not config.auto_settings:
        return config, []
    config = config.model_copy(update={"auto_settings": False})
    if config.method in WITHOUT_STEPS:
        return config, [f"Recipe auto: --method {config.method} has no settings to choose."]
    given = config.model_fields_set
    chosen: dict[str, Any] = {}
    notes = []
    for choice in choose(count_weights(checkpoint), rows, classes):
        new = {name: value for name, value in choice.settings.items() if name not in given}
        if config.method == "lora":
            new.pop("learning_rate", None)  # adapters have a rate of their own
        if new:
            stated = ", ".join(f"{name} {value:g}" for name, value in new.items())
            notes.append(f"Recipe auto: {stated} ({choice.reason}).")
        chosen |= new
    return config.model_copy(update=chosen), notes


def count_weights(folder: Path) -> int:
    """Return the number of weights in a checkpoint's files, without reading them."""
    from math import prod

    from safetensors import safe_open

    total = 0
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            total += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118  # no mapping
    return total
