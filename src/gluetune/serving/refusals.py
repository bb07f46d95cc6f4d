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
    """A request is refused."""

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
    """Return status 429, with `Retry-After: seconds`."""
    return Refusal(429, "Overloaded", "Model is overloaded", {"Retry-After": str(seconds)})


def too_large(message: str) -> Refusal:
    """Return status 413. The connection is closed, so that the rest of the body is not read."""
    return Refusal(413, "Validation", message, {"Connection": "close"})


def malformed(status: int, message: str) -> Refusal:
    """Return a client error, such as 400 or 422."""
    return Refusal(status, "Validation", message)
