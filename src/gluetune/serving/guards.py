"""What protects a server: refusals, the Host check, the API key, headers, bounded logs.

A request is refused as Text Embeddings Inference does: `{"error": …, "error_type": …}`,
with the types and statuses of its router (router/src/lib.rs, router/src/http/server.rs in
huggingface/text-embeddings-inference).

A page of another site can make a browser send requests to 127.0.0.1, and by rebinding its own name
to that address can even read the responses; but then the Host header still has its name. An address
cannot be rebound, so a Host that is an address is always allowed.

The API key is read from a file: other users of the machine can see command-line arguments.

The message of an exception may quote a client's text, so logs have its type and traceback alone.
Clients can cause records, so each logger writes only so many.
"""

from __future__ import annotations

import hmac
import ipaddress
import logging
import math
import os
import re
import stat
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from gluetune.core.errors import ConfigurationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def is_allowed(host: str, names: Sequence[str]) -> bool:
    """Return whether a Host header is an address, localhost, or one of `names`; any port."""
    name = host_name(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) or (bool(name) and name in map(host_name, names))


def host_name(host: str) -> str:
    """Normalise a host for comparison: no port, brackets or final dot, lower case, ASCII (IDNA).

    Return "" for an address in brackets that is invalid.
    """
    name = host.strip()
    if name.startswith("["):
        address, bracket, _ = name[1:].partition("]")
        return address.lower() if bracket and _is_address(address) else ""
    if not _is_address(name):  # an IPv6 address without brackets has colons of its own
        name = name.partition(":")[0]
    return _in_ascii(name).lower().removesuffix(".")


def is_host(host: str) -> bool:
    """Return whether this is a name or an address, perhaps with a port."""
    port = re.search(r":(\d+)$", host.strip())
    is_plain = not re.search(r"[\s/@*?#\\]", host.strip())
    named = host_name(host)
    extra = host.count(":") - (1 if port else 0)
    return bool(named) and is_plain and (extra == 0 or _is_address(named))


def _in_ascii(name: str) -> str:
    if name.isascii():
        return name
    import idna

    try:
        return idna.encode(name, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware that refuses unknown hosts, and adds security headers to every response."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = [host_name(name) for name in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *SECURITY_HEADERS]
            await send(message)

        hosts = _headers(scope, b"host")
        if len(hosts) == 1 and is_allowed(hosts[0], self._names):
            await self._app(scope, receive, guarded)
            return
        from starlette.responses import JSONResponse

        problem = malformed(
            421, "the Host header names another server; see gluetune serve RUN --allowed-host NAME"
        )
        await JSONResponse(problem.body, problem.status)(scope, receive, guarded)


class KeyCheck:
    """ASGI middleware that requires the API key, except for the page and /health."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._key = key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or respond with 401."""
        if scope["type"] != "http" or _is_open(scope) or self._is_given(scope):
            await self._app(scope, receive, send)
            return
        from starlette.responses import JSONResponse

        problem = Refusal(
            401,
            "Validation",
            "an API key is required: send the header Authorization: Bearer KEY",
            {"WWW-Authenticate": "Bearer"},
        )
        response = JSONResponse(problem.body, problem.status, headers=dict(problem.headers))
        await response(scope, receive, send)

    def _is_given(self, scope: Scope) -> bool:
        given = _headers(scope, b"authorization")
        if len(given) != 1:
            return False
        scheme, _, key = given[0].strip().partition(" ")
        # In constant time: the time of a comparison would reveal a key letter by letter.
        is_right = hmac.compare_digest(key.strip().encode(), self._key)
        return scheme.lower() == "bearer" and is_right


def _is_open(scope: Scope) -> bool:
    """Return whether a request needs no key: these paths expose neither data nor predictions."""
    path = scope["path"]
    is_page = path in ("/", "/docs", "/health") or path.startswith("/static/")
    return is_page and scope["method"] in ("GET", "HEAD")


def _headers(scope: Scope, wanted: bytes) -> list[str]:
    return [value.decode("utf-8", "replace") for name, value in scope["headers"] if name == wanted]


_MOST_BYTES = 10_000
_MAKE_ONE = 'Type: (umask 077; python -c "import secrets; print(secrets.token_urlsafe())")'


def read_key(file: Path) -> tuple[str, str]:
    """Return the key in a file, and a warning if other users can read it, else "".

    Raises ConfigurationError, which does not quote the file's content.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(_MOST_BYTES + 1)
            mode = os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise ConfigurationError(
            f"--api-key-file {file} cannot be read: {error.strerror}.",
            hint=f"{_MAKE_ONE} > {file}",
        ) from error
    key = content.decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[!-~]+", key) or len(content) > _MOST_BYTES:
        raise ConfigurationError(
            f"--api-key-file {file} {'holds no API key' if key else 'is empty'}: a key is one word "
            "of printable ASCII characters.",
            hint=f"{_MAKE_ONE} > {file}",
        )
    return key, _warning(file, mode)


def _warning(file: Path, mode: int) -> str:
    if os.name == "nt" or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return ""
    return f"warning: others can read the API key in {file}; type: chmod 600 {file}"


_LOGGERS = ("asyncio", "uvicorn.error", "gluetune.serving.batching")
"""Loggers in which clients can cause records."""
_MOST_RECORDS = 10
_WINDOW = 60.0
"""Seconds in which a logger writes at most `_MOST_RECORDS`."""


def without_message(error: BaseException) -> str:
    """Return an exception's type and traceback, without its message."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}"


def drop_message(record: logging.LogRecord) -> bool:
    """Replace a record's exception by its type and traceback: a filter that passes every record."""
    if record.exc_info and record.exc_info[1] is not None:
        record.msg, record.args = f"{record.msg}: {without_message(record.exc_info[1])}", ()
        record.exc_info = record.exc_text = None
    return True


class Bounded:
    """A filter that drops messages of exceptions, and limits the warnings per minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = -math.inf
        self._passed = 0
        self._left_out = 0

    def __call__(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record; the first after a flood counts the dropped ones."""
        if record.levelno >= logging.WARNING and not self._has_room():
            self._left_out += 1
            return False
        if self._left_out:
            count, self._left_out = self._left_out, 0
            record.msg = f"{record.getMessage()} ({count:,} records before this were left out)"
            record.args = ()
        return drop_message(record)

    def _has_room(self) -> bool:
        now = self._clock()
        if now - self._begin >= _WINDOW:
            self._begin, self._passed = now, 0
        self._passed += 1
        return self._passed <= _MOST_RECORDS


@contextmanager
def bounded_logs() -> Iterator[None]:
    """Filter the loggers of a server inside the block."""
    filters = [(logging.getLogger(name), Bounded()) for name in _LOGGERS]
    for logger, bounded in filters:
        logger.addFilter(bounded)
    try:
        yield
    finally:
        for logger, bounded in filters:
            logger.removeFilter(bounded)
