"""The options of every verb that asks a trained model: which one, and how it is run."""

from __future__ import annotations

from typing import Annotated

import typer

from gluetune.settings_files import split_names

Model = Annotated[str, typer.Argument(help="A run's folder, a checkpoint folder, or a Hub id.")]
Backend = Annotated[
    str, typer.Option(help="torch, or what `gluetune export` made: onnx, onnx-int8.")
]
AskedPrecision = Annotated[
    str, typer.Option("--precision", help="auto (a run's own), fp32, bf16 or fp16.")
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Examples per forward pass. Default: the run's own.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. Default: the run's own.")]
MaxLength = Annotated[
    int | None, typer.Option(min=3, help="Tokens per example. Default: the run's own.")
]
LabelOrder = Annotated[
    str | None, typer.Option(help="Class names of the model's outputs, by id: NAME,NAME,…")
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit on the Hub.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")
]


def names_in_order(text: str | None) -> tuple[str, ...] | None:
    """Return what `--label-order` says: the names in `NAME,NAME,…`."""
    return split_names(text) if text else None
