"""`gluetune env`: facts about the machine, for bug reports."""

from __future__ import annotations

import os

from rich.text import Text

from gluetune.core.errors import CheckpointError
from gluetune.core.terminal import Console, Table


def env() -> None:
    """Print versions, devices, native bf16, and whether the Hub is reachable."""
    console = Console()
    table = Table.grid(padding=(0, 2))
    for name, value in _facts().items():
        table.add_row(Text(name, style="bold"), Text(value))
    console.print(table)


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
