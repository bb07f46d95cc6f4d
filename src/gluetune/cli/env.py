"""`gluetune env`: facts about the machine, for bug reports."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import typer
from rich.text import Text

from gluetune.cli.options import AsJson
from gluetune.cli.verb import loads, project_defaults
from gluetune.core.errors import CheckpointError
from gluetune.core.terminal import Console, Table, print_json


@loads
def env(context: typer.Context, as_json: AsJson = False) -> None:
    """Print versions, devices, native bf16, whether the Hub is reachable, and defaults."""
    assert context.parent is not None, "a verb has the group above it"
    group: Any = context.parent.command
    defaults = project_defaults(group.commands)
    facts = _facts()
    if as_json:
        print_json({**facts, "defaults": {name: asdict(one) for name, one in defaults.items()}})
        return
    for name, one in defaults.items():
        facts[f"default {name}"] = f"{one.value} ({one.place})"
    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(Text(name, style="bold"), Text(value))
    Console().print(table)


def _facts() -> dict[str, str]:
    import torch

    from gluetune.core.files import cache_folder
    from gluetune.hub.downloads import reachable
    from gluetune.inference.devices import device, device_name, multiplies_bf16
    from gluetune.training.environment import versions

    here = device()
    problem = reachable()
    return {
        **versions(),
        "device": f"{device_name(here)} ({here.type})",
        "threads": str(torch.get_num_threads()),
        "native bf16": "yes: --precision auto takes it" if multiplies_bf16(here) else "no",
        "Hub": "reachable" if problem is None else f"not reachable: {problem}",
        "minilm": _minilm(),
        "GLUETUNE_DATA": os.environ.get("GLUETUNE_DATA", "not set"),
        "cache": str(cache_folder()),
    }


def _minilm() -> str:
    from gluetune.models.checkpoints import minilm_folder

    try:
        return "installed" if minilm_folder() else "from the Hub (extra: gluetune[offline])"
    except CheckpointError as error:
        return f"damaged: {error.findings[0].message}"
