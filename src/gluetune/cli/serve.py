"""`gluetune serve`: a page and an API for a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gluetune.cli.options import (
    AskedPrecision,
    Backend,
    LabelOrder,
    Model,
    Revision,
    Threads,
    TrustRemoteCode,
    names_in_order,
    one_of,
)
from gluetune.core.config import Precision
from gluetune.core.terminal import Console


def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    backend: Backend = "torch",
    task: Annotated[
        str | None, typer.Option(help="The task. Default: the run's own, or none.")
    ] = None,
    precision: AskedPrecision = "auto",
    threads: Threads = None,
    label_order: LabelOrder = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    auto_truncate: Annotated[
        bool,
        typer.Option("--auto-truncate", help="Cut long texts where a request does not say."),
    ] = False,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Allowed Host header; repeatable.")
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(help="A file with a key; requests need Authorization: Bearer KEY."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None, typer.Option(help="Allowed origin of other pages; repeatable.")
    ] = None,
    max_batch_tokens: Annotated[int, typer.Option(help="Tokens of one forward pass.")] = 4096,
    max_batch_requests: Annotated[
        int | None, typer.Option(help="Texts of one forward pass. Default: the model's batch size.")
    ] = None,
    max_wait_ms: Annotated[
        float, typer.Option(help="How long a text waits for others, in milliseconds.")
    ] = 2.0,
    max_queue: Annotated[int, typer.Option(help="Queue size in texts; beyond it, 429.")] = 512,
    max_client_batch_size: Annotated[int, typer.Option(help="Texts of one request.")] = 32,
    max_characters: Annotated[int, typer.Option(help="Characters of one text.")] = 100_000,
    max_body_bytes: Annotated[int, typer.Option(help="Bytes of one body.")] = 2_000_000,
    timeout: Annotated[float, typer.Option(help="Seconds for a request.")] = 30.0,
    max_connections: Annotated[
        int | None,
        typer.Option(help="Open connections. Default: 1,000, or what the open files allow."),
    ] = None,
    header_timeout: Annotated[
        float, typer.Option(help="Seconds for a request's head to arrive.")
    ] = 10.0,
    keep_alive: Annotated[
        float, typer.Option(help="Seconds that a connection stays open between requests.")
    ] = 30.0,
) -> None:
    """Answer over HTTP with a trained model: a page, and an API."""
    from gluetune.inference.backends import BackendName
    from gluetune.serving.limits import Limits
    from gluetune.serving.server import serve as serve_model

    console = Console()
    serve_model(
        model,
        host=host,
        port=port,
        backend=one_of(backend, BackendName, "--backend"),
        task=task,
        precision=one_of(precision, Precision, "--precision"),
        threads=threads,
        label_order=names_in_order(label_order),
        revision=revision,
        trust_remote_code=trust_remote_code,
        auto_truncate=auto_truncate,
        allowed_hosts=allowed_host or (),
        cors_origins=cors_origin or (),
        api_key_file=api_key_file,
        limits=Limits(
            max_batch_tokens=max_batch_tokens,
            max_batch_requests=max_batch_requests,
            max_wait_ms=max_wait_ms,
            max_queue=max_queue,
            max_client_batch_size=max_client_batch_size,
            max_characters=max_characters,
            max_body_bytes=max_body_bytes,
            timeout=timeout,
            max_connections=max_connections,
            header_timeout=header_timeout,
            keep_alive=keep_alive,
        ),
        tell=lambda line: console.print(Text(line), soft_wrap=True),
    )
