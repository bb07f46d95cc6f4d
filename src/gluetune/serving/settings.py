"""Settings of a server: address, access control and limits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from gluetune.core.config import Name, Source
from gluetune.core.errors import Finding
from gluetune.core.settings import Accepts, Option, Settings, as_typed


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Repeated = Annotated[tuple[Name, ...], BeforeValidator(_listed), Accepts(("Sequence[str]",))]


class ServeSettings(Settings):
    """Address and access control of a server."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Access control": ("allowed_hosts", "api_key_file", "cors_origins"),
    }
    common: ClassVar[tuple[str, ...]] = ("host", "port", "api_key_file", "allowed_hosts")

    host: Name = "127.0.0.1"
    """Address to listen on. 0.0.0.0 listens on every network."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port; 0 takes a free one."""
    auto_truncate: bool = False
    """Cut texts that are too long, where a request does not set `truncate`."""
    allowed_hosts: Annotated[
        Repeated, Option(flag="--allowed-host", metavar="NAME", repeated=True)
    ] = ()
    """Allowed Host header, besides addresses and localhost; repeatable."""
    api_key_file: Source | None = None
    """File with an API key; requests then need `Authorization: Bearer KEY`."""
    cors_origins: Annotated[
        Repeated, Option(flag="--cors-origin", metavar="ORIGIN", repeated=True)
    ] = ()
    """Allowed CORS origin, or * for all; repeatable. Default: none."""


class Limits(Settings):
    """Limits of a server, named as in Text Embeddings Inference where it has the same limit."""

    groups: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Limits": (
            "max_batch_tokens",
            "max_batch_requests",
            "max_wait_ms",
            "max_queue",
            "max_client_batch_size",
            "max_characters",
            "max_body_bytes",
            "timeout",
            "max_connections",
            "header_timeout",
            "keep_alive",
        )
    }
    common: ClassVar[tuple[str, ...]] = ("timeout",)

    max_batch_tokens: int = Field(default=4096, gt=0)
    """Tokens per forward pass, padding included; never fewer than one longest text."""
    max_batch_requests: int | None = Field(default=None, gt=0)
    """Texts per forward pass; 1 turns batching off. Default: the model's batch size."""
    max_wait_ms: float = Field(default=2.0, ge=0, le=1000)
    """Milliseconds that the first text of a batch waits for others."""
    max_queue: int = Field(default=512, gt=0)
    """Queue size in texts; requests beyond it get status 429."""
    max_client_batch_size: int = Field(default=32, gt=0)
    """Texts per request."""
    max_characters: int = Field(default=100_000, gt=0)
    """Characters per text, or per pair of texts."""
    max_body_bytes: int = Field(default=2_000_000, gt=0)
    """Bytes per request body."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds per request: reading the body, inference, the response."""
    max_connections: int | None = Field(default=None, gt=0)
    """Open connections. Default: 1,000, or as many files as the process may open."""
    header_timeout: float = Field(default=10.0, gt=0)
    """Seconds until the headers are complete, from connecting or the first byte."""
    keep_alive: float = Field(default=30.0, gt=0)
    """Seconds that an idle connection is kept open."""

    @classmethod
    def contradictions(cls, values: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding if a request of the largest size does not fit into the queue."""
        largest, queue = (
            values.get(name, cls.model_fields[name].default)
            for name in ("max_client_batch_size", "max_queue")
        )
        try:
            fits = int(largest) <= int(queue)
        except (TypeError, ValueError):  # not numbers, which is reported by itself
            return
        if not fits:
            yield Finding(
                f"{as_typed(cls, 'max_client_batch_size', largest)} is more than "
                f"{as_typed(cls, 'max_queue', queue)}: such a request would never be served.",
                f"Type: {as_typed(cls, 'max_queue', largest)}",
            )
