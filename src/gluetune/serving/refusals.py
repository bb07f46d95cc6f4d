"""Errors of requests that are refused, in the form of Text Embeddings Inference.

`{"error": …, "error_type": …}`, with the types and statuses of its router (router/src/lib.rs,
router/src/http/server.rs in huggingface/text-embeddings-inference).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

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
