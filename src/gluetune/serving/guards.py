"""What stands before every route: the Host check, and the headers that keep the page alone.

A page of another site can make a browser ask 127.0.0.1, and by rebinding its own name to that
address can even read the answers; but then the Host header still says its name. An address cannot
be rebound, so a Host that is one is always taken.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gluetune.serving.refusals import malformed

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def is_allowed(host: str, names: Sequence[str]) -> bool:
    """Return whether a Host header is an address, localhost, or one of `names`; any port."""
    name = _without_port(host).lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses strange hosts, and adds the headers to every response."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = [name.lower() for name in names]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS]
            await send(message)

        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and is_allowed(hosts[0], self._names):
            await self._app(scope, receive, guarded)
            return
        from starlette.responses import JSONResponse

        problem = malformed(
            421, "the Host header names another server; see gluetune serve RUN --allowed-host NAME"
        )
        await JSONResponse(problem.body, problem.status)(scope, receive, guarded)


def _without_port(host: str) -> str:
    if host.startswith("["):  # an IPv6 address
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
