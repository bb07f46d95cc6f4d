"""Translate `huggingface_hub`'s exceptions into gluetune's errors.

Every message names the request and the host, and every hint says what to type next. No message
contains a token: request headers are never read here.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from gluetune.core.errors import CheckpointError, DataError, GluetuneError, HubError, StorageError

TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""The statuses that `huggingface_hub` retries."""


@dataclass(frozen=True)
class HubRequest:
    """A request to the Hub, as messages name it."""

    kind: Literal["model", "dataset"]
    repo: str
    revision: str | None
    fallback: str

    @property
    def noun(self) -> str:
        """The kind of repository in a sentence."""
        return "model" if self.kind == "model" else "data set"

    @property
    def place(self) -> str:
        """The kind, name, revision and host, for a message."""
        revision = f" at revision '{self.revision}'" if self.revision else ""
        return f"{self.noun} '{self.repo}'{revision} on {host()}"

    def absent(self, message: str, *, hint: str) -> GluetuneError:
        """Return the error for something that does not exist."""
        error = CheckpointError if self.kind == "model" else DataError
        return error(message, hint=hint)


class UnreachableError(HubError):
    """The Hub cannot be reached; a complete copy in the local cache may be used instead."""


def explained(error: Exception, request: HubRequest) -> GluetuneError:
    """Return the gluetune error for `error` of a download."""
    from huggingface_hub.errors import HFValidationError

    chain = list(_chain(error))
    if any(_is_about_storage(link) for link in chain):
        return _storage_error(chain, request)
    if isinstance(error, HFValidationError):
        return request.absent(
            f"'{request.repo}' cannot be the name of a {request.noun} on the Hub.",
            hint=f"A name is `owner/name`. Check the spelling, or {request.fallback}.",
        )
    response = next((link.response for link in chain if hasattr(link, "response")), None)
    if response is not None:
        return _refusal(response, request)
    if "Consistency check failed" in str(error):
        return HubError(
            f"A file of {request.place} arrived truncated: {str(error).splitlines()[0]} It was"
            " discarded.",
            hint=f"Try again. If this persists, a proxy is the likely cause; or"
            f" {request.fallback}.",
        )
    return UnreachableError(
        f"The Hub cannot be reached for {request.place}: {why_unreachable(error)}.",
        hint=f"Check the network and HF_ENDPOINT, or {request.fallback}.",
    )


def explained_upload(error: Exception, request: HubRequest) -> GluetuneError:
    """Return the gluetune error for `error` of an upload."""
    response = next((link.response for link in _chain(error) if hasattr(link, "response")), None)
    if response is None:
        if "metadata in README.md" in str(error):
            reason = " ".join(str(error).split()).rstrip(".")
            return HubError(
                f"The Hub rejects the model card of {request.place}: {reason}.",
                hint="Please report this bug: gluetune wrote the card.",
            )
        return explained(error, request)
    status = response.status_code
    if status == 401:
        return HubError(
            f"The Hub rejected the token (401), so gluetune cannot write {request.place}.",
            hint="Create a token with write access at https://huggingface.co/settings/tokens, then"
            f" type: hf auth login. Then {request.fallback}.",
        )
    if status == 403:
        return HubError(
            f"The token has no write access to {request.place} (403).",
            hint="Choose a name under your own account, or use a token with write access.",
        )
    if status in (409, 412):
        return HubError(
            f"{request.place} was changed by another upload meanwhile ({status}); this one changed "
            "nothing.",
            hint=f"{request.fallback[0].upper()}{request.fallback[1:]}.",
        )
    return explained(error, request)


def _refusal(response: Any, request: HubRequest) -> GluetuneError:
    """Return the error for an unsuccessful response of the Hub."""
    status, code = response.status_code, response.headers.get("X-Error-Code")
    if code == "GatedRepo":
        return HubError(
            f"Access to {request.place} is gated.",
            hint="Accept its terms on its page, set HF_TOKEN to a token of that account, or"
            f" {request.fallback}.",
        )
    if code == "RevisionNotFound":
        return request.absent(
            f"There is no such revision: {request.place}.",
            hint="Check the branch, tag or commit on its page, or leave the revision out.",
        )
    if "Invalid credentials" in response.headers.get("X-Error-Message", ""):
        return HubError(
            f"The Hub rejected the token that was sent for {request.place}.",
            hint="Set HF_TOKEN to a valid token, or unset it for what is public.",
        )
    if status in (401, 404):
        return request.absent(
            f"There is no {request.place}, or it is private.",
            hint=f"Check the name. If it is private, set HF_TOKEN. Or {request.fallback}.",
        )
    if status == 429:
        return UnreachableError(
            f"The Hub limits the rate of requests (429), for {request.place}.",
            hint=f"Try later, set HF_TOKEN for a higher limit, or {request.fallback}.",
        )
    if status in TRY_AGAIN or status >= 500:
        return UnreachableError(
            f"The Hub failed with status {status} for {request.place}.",
            hint=f"Try later, or {request.fallback}.",
        )
    return HubError(
        f"The Hub refused with status {status} for {request.place}.",
        hint=f"Check what the token in HF_TOKEN may read, or {request.fallback}.",
    )


def _is_about_storage(error: BaseException) -> bool:
    if not isinstance(error, OSError):
        return "os error 28" in str(error)  # hf_xet writes from Rust and raises a RuntimeError
    # A network can refuse with EACCES too; only errors on files have a filename.
    on_file = error.filename is not None and not isinstance(error, FileNotFoundError)
    return on_file or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _storage_error(chain: Sequence[BaseException], request: HubRequest) -> StorageError:
    from huggingface_hub import constants

    reason = next(str(link) for link in chain if _is_about_storage(link))
    return StorageError(
        f"The cache {constants.HF_HUB_CACHE} cannot store {request.place}: {reason}.",
        hint="Free some space there, or set HF_HOME to a folder on another disk.",
    )


def why_unreachable(error: BaseException) -> str:
    """Return in one line why a request got no response."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    chain = list(_chain(error))
    if any(isinstance(link, OfflineModeIsEnabled) for link in chain):
        return "offline mode is on (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set)"
    root = chain[-1]
    if "Timeout" in type(root).__name__ or isinstance(root, TimeoutError):
        return f"{host()} did not respond in time"
    lines = str(root).strip().splitlines()
    return f"{host()}: {lines[0].rstrip('.') if lines else type(root).__name__}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield `error`, then what it was raised from, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def host() -> str:
    """Return the Hub's host, without credentials that HF_ENDPOINT may hold."""
    from huggingface_hub import constants

    return urlsplit(constants.ENDPOINT).netloc.rpartition("@")[2] or constants.ENDPOINT
