"""Methods: how a checkpoint is fitted to a task. One object each."""

from __future__ import annotations

from gluetune.training.methods.lora import Lora
from gluetune.training.methods.method import Method
from gluetune.training.methods.probe import LinearThenFull, Probe

METHODS: dict[str, Method] = {
    method.name: method for method in (Method(), Probe(), LinearThenFull(), Lora())
}


def get_method(name: str) -> Method:
    """Return the method called `name`."""
    return METHODS[name]
