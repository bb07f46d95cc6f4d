"""Connections: how many may be open, and how long one may keep the server waiting.

A connection that waits for its client (for a request's head, its body, or the next request) is
closed after a timeout, or earlier at the limit: a new connection then replaces the one that has
waited longest. If every connection has a request in progress, a new one gets 503. So idle
connections never block a client.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from gluetune.core.errors import ConfigurationError
from gluetune.serving.guards import Refusal, malformed

if TYPE_CHECKING:
    from gluetune.serving.settings import Limits

ACCEPT_BATCH = 8
"""Connections that the event loop accepts in one turn, before it looks at any of them."""
_DEFAULT_MOST = 1_000
_RESERVED = 16 + 4 * ACCEPT_BATCH
"""Files kept free for the server itself, and for connections that the event loop accepts before one
over the limit is closed."""
_OPENED_BY_A_MODEL = 16
"""Files that are opened between the start of the process and the first connection, at most."""


class Connections:
    """The open connections of one server, and which of them wait for their client."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}
        """In order of waiting time, the longest first."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Register a new connection, unless all others have a request in progress."""
        if len(self._open) >= self.most:
            if not self._waiting:
                return False
            oldest = next(iter(self._waiting))
            self.forget(oldest)
            oldest.drop()
        self._open.add(connection)
        return True

    def waits(self, connection: Connection) -> None:
        """Mark a connection as waiting for its client."""
        self._waiting.pop(connection, None)
        if connection in self._open:
            self._waiting[connection] = None

    def works(self, connection: Connection) -> None:
        """Mark a connection as having a request in progress."""
        self._waiting.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """Remove a connection."""
        self._waiting.pop(connection, None)
        self._open.discard(connection)


class ConnectionState(ServerState):
    """State that uvicorn shares among connections, with our limits and connections."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.places: Connections = Connections(most_connections(limits))


class Connection(H11Protocol):
    """uvicorn's HTTP connection with a timeout whenever it waits for the client."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        state = cast(ConnectionState, self.server_state)
        self._limits = state.limits
        self._places = state.places
        self._is_admitted = False
        self._awaits_head = True
        self._has_sent = False
        self._read_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Register, or respond with 503 and close."""
        self._is_admitted = self._places.admit(self)
        if not self._is_admitted:
            problem = Refusal(
                503, "Overloaded", "too many connections; try again later", {"Retry-After": "1"}
            )
            transport.write(raw_response(problem))
            transport.close()
            return
        super().connection_made(transport)
        self._places.waits(self)
        self._expect(self._limits.header_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the open ones."""
        self._places.forget(self)
        _cancel(self._read_deadline)
        _cancel(self._write_deadline)
        if self._is_admitted:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read data; a request head has to be complete within `header_timeout`."""
        if not self._is_admitted:
            return
        self._has_sent = True
        super().data_received(data)
        if self._is_between_requests() and not self._awaits_head:
            self._awaits_head = True
            self._expect(self._limits.header_timeout)
        self._note_progress()

    def on_response_complete(self) -> None:
        """Wait for the next request, for `keep_alive`."""
        super().on_response_complete()
        if self._is_between_requests():
            self._awaits_head = False
            self._places.waits(self)
            self._expect(self._limits.keep_alive)
        self._note_progress()

    def pause_writing(self) -> None:
        """Give a client that does not read its response `timeout` seconds."""
        super().pause_writing()
        self._places.waits(self)
        self._write_deadline = self.loop.call_later(self._limits.timeout, self.drop)

    def resume_writing(self) -> None:
        """Continue: the client reads."""
        super().resume_writing()
        _cancel(self._write_deadline)
        self._note_progress()

    def send_400_response(self, msg: str) -> None:
        """Respond to what is not HTTP in the form of every other error."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(raw_response(malformed(400, msg)))
        if self._request is not None:
            self._request.disconnected = True  # its response would follow ours
        self.transport.close()

    def drop(self) -> None:
        """Close immediately, without waiting for the client to read the response."""
        self.transport.abort()

    def _note_progress(self) -> None:
        """Cancel the timeout and mark the connection busy once its request is complete."""
        if self._is_between_requests():
            return
        self._awaits_head = False
        _cancel(self._read_deadline)
        if not self.cycle.more_body and not self.flow.write_paused:
            self._places.works(self)

    @property
    def _request(self) -> RequestResponseCycle | None:
        return self.cycle  # None before the first, though uvicorn's types do not say so

    def _is_between_requests(self) -> bool:
        return self._request is None or self._request.response_complete

    def _expect(self, seconds: float) -> None:
        _cancel(self._read_deadline)
        self._read_deadline = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        """Close, with status 408 if the client has begun its first request."""
        if self._request is None and self._has_sent and not self.transport.is_closing():
            seconds = f"{self._limits.header_timeout:g}"
            problem = malformed(408, f"no complete request head within {seconds} s")
            self.transport.write(raw_response(problem))
        self.drop()


def raw_response(problem: Refusal) -> bytes:
    """Return a complete HTTP response that closes the connection."""
    body = json.dumps(problem.body).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **problem.headers,
    }
    lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def check_connections(limits: Limits) -> None:
    """Raise ConfigurationError if the process may not open as many files as the limits need."""
    room = _room()
    if room is None:
        return
    room -= _OPENED_BY_A_MODEL
    hint = "Allow the process more open files: ulimit -n 4096, or LimitNOFILE= of systemd."
    if room < 1:
        raise ConfigurationError(
            f"The process may have {_most_files()} files open, too few for a server.", hint=hint
        )
    if limits.max_connections is not None and limits.max_connections > room:
        raise ConfigurationError(
            f"--max-connections {limits.max_connections}: the process may have {_most_files()} "
            f"files open, which leaves {room} for connections.",
            hint=hint,
        )


def most_connections(limits: Limits) -> int:
    """Return how many connections may be open, given the limits and the process's open files."""
    most = limits.max_connections or _DEFAULT_MOST
    room = _room()
    return most if room is None else max(1, min(most, room))


def _room() -> int | None:
    """Return how many more files may be opened for connections; None without a limit."""
    most = _most_files()
    return None if most is None else most - _open_files() - _RESERVED


def _most_files() -> int | None:
    try:
        import resource
    except ImportError:  # Windows: sockets are no files there
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _open_files() -> int:
    """Return how many files the process has open; 32 on systems that do not list them."""
    listed = Path("/dev/fd")
    try:
        return sum(1 for _ in listed.iterdir())
    except OSError:
        return 32


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
