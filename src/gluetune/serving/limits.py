"""How much a server takes at once, and what it does not take.

The errors of requests that are refused, in the form of Text Embeddings Inference.

`{"error": …, "error_type": …}`, with the types and statuses of its router (router/src/lib.rs,
router/src/http/server.rs in huggingface/text-embeddings-inference).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Literal

from gluetune.core.errors import ConfigurationError, Finding


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a server. Names are Text Embeddings Inference's where it has the same bound."""

    max_batch_tokens: int = 4096
    """Tokens of one forward pass, padding counted; never less than one longest text."""
    max_batch_requests: int | None = None
    """Texts of one forward pass; the model's own batch size by default. 1 batches nothing."""
    max_wait_ms: float = 2.0
    """How long the first text of a batch waits for company, in milliseconds."""
    max_queue: int = 512
    """Queue size: texts waiting or being computed. Requests beyond it get 429."""
    max_client_batch_size: int = 32
    """Texts of one request."""
    max_characters: int = 100_000
    """Characters of one text, or of a pair together."""
    max_body_bytes: int = 2_000_000
    """Bytes of a request's body."""
    timeout: float = 30.0
    """Seconds for a request's body to arrive, for its prediction, for the response to be read."""
    max_connections: int | None = None
    """Open connections; 1,000 by default, or as many as the process may have files open for."""
    header_timeout: float = 10.0
    """Seconds from a connection's start, or a request's first byte, to the end of its head."""
    keep_alive: float = 30.0
    """Seconds for which a connection without a request is kept after a response."""

    def __post_init__(self) -> None:
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        defaults = {each.name: each.default for each in fields(self)}
        findings = [
            Finding(
                f"--{(option := name.replace('_', '-'))} {value:g}: it has to be more than 0.",
                f"Type: --{option} {defaults[name]}" if defaults[name] else "Leave it out.",
            )
            for name, value in values.items()
            if value is not None and value <= 0 and name != "max_wait_ms"
        ]
        if not 0 <= self.max_wait_ms <= 1000:
            findings.append(
                Finding(
                    f"--max-wait-ms {self.max_wait_ms:g}: it goes from 0 to 1000.",
                    "Type: --max-wait-ms 2",
                )
            )
        if self.max_client_batch_size > self.max_queue:
            findings.append(
                Finding(
                    f"--max-client-batch-size {self.max_client_batch_size} is more than "
                    f"--max-queue {self.max_queue}: such a request would never be taken."
                )
            )
        if findings:
            raise ConfigurationError.of(findings)


ErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]

_NONE: Mapping[str, str] = MappingProxyType({})


class Refusal(Exception):  # noqa: N818  # most are the client's errors, none is the server's
    """A request that is refused."""

    def __init__(
        self,
        status: int,
        error_type: ErrorType,
        message: str,
        headers: Mapping[str, str] = _NONE,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.headers = headers

    @property
    def body(self) -> dict[str, str]:
        """The JSON of the response."""
        return {"error": str(self), "error_type": self.error_type}


def overloaded(seconds: int) -> Refusal:
    """Return the refusal of one request too many; it may come back after `seconds`."""
    return Refusal(429, "Overloaded", "Model is overloaded", {"Retry-After": str(seconds)})


def too_large(message: str) -> Refusal:
    """Return the refusal of more than the limits allow.

    The connection is closed: what is still to come of the body is not worth reading.
    """
    return Refusal(413, "Validation", message, {"Connection": "close"})


def malformed(status: int, message: str) -> Refusal:
    """Return the refusal of what is no request at all."""
    return Refusal(status, "Validation", message)
