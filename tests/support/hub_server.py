"""A stand-in for the Hugging Face Hub on 127.0.0.1, which serves folders and can be made to fail.

It speaks the routes that `huggingface_hub`, `transformers` and `datasets` read from, and those that
a model is pushed by (`hub_writing`). A repository is a folder; its commit is a hash of its files.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

import pytest
from tests.support.hub_repository import LARGE, Repository, etag
from tests.support.hub_writing import WRITING

TOKEN = "hf_" + "t" * 34
"""Token with write access as `me`, in tests whose Hub is `writable`."""
_NOT_HANDED_ON = re.compile(r"HF_|HUGGING|TRANSFORMERS_OFFLINE|.*_proxy$", re.IGNORECASE)
"""Environment variables that would lead a child process past the stand-in, tokens among them."""


@dataclass
class Fault:
    """A fault of requests whose "METHOD /path" matches `pattern`."""

    pattern: str
    action: Literal["fail", "truncate", "drop", "lose", "stall"]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0.0
    left: int | None = None
    """Number of remaining requests with the fault; None for all."""


class Hub:
    """The stand-in: what it serves, the requests it received, and the faults it simulates."""

    def __init__(self, home: Path) -> None:
        self.models: dict[str, Path] = {}
        self.datasets: dict[str, Path] = {}
        self.branches: dict[str, dict[str, Path]] = {}
        """Folders of the branches of a model besides `main`."""
        self.private: set[str] = set()
        self.collections: dict[str, list[str]] = {}
        self.owners: dict[str, str] = {}
        """Who writes with which token."""
        self.arrived: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        """Large files by sha256: those that were sent, and those that were found whole."""
        self.commits: list[tuple[str, str, str]] = []
        """Model, branch and message of every commit, in order."""
        self.requests: list[str] = []
        """Every request as "METHOD /path", in order."""
        self._home = home
        self._folders = 0
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.hub = self

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT must say to reach this server."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def cache(self) -> Path:
        """The folder in which `huggingface_hub` keeps what it downloads from here."""
        return self._home / "hub"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a child process that has this Hub, an empty cache and no token."""
        kept = {name: value for name, value in os.environ.items() if not _NOT_HANDED_ON.match(name)}
        return kept | {
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(self._home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def use_in_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lead this process's `huggingface_hub` here: the same as `environment`, after import.

        It reads the environment once, on import, and its constants at each call. Libraries that
        copy those constants (`datasets`, `transformers`) need a child process.
        """
        from huggingface_hub import close_session, constants

        for name in list(os.environ):
            if _NOT_HANDED_ON.match(name):
                monkeypatch.delenv(name)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        template = self.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", self.endpoint)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(self.cache))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(self._home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        close_session()  # a client made earlier holds the proxies of its time

    def fail(
        self,
        pattern: str,
        *,
        status: int,
        times: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: str = '{"error": "as the test requested"}',
    ) -> None:
        """Respond with `status`, `headers` and `body`, the next `times` times (None: always)."""
        fault = Fault(pattern, "fail", status=status, headers=headers or {}, body=body, left=times)
        self._add(fault)

    def truncate(self, pattern: str, *, times: int | None = None) -> None:
        """Send half of each file or response, with a matching length, as a broken proxy would.

        Of an uploaded file, half arrives.
        """
        self._add(Fault(pattern, "truncate", left=times))

    def lose(self, pattern: str, *, times: int | None = None) -> None:
        """Process the request, and close the connection instead of responding."""
        self._add(Fault(pattern, "lose", left=times))

    def drop(self, pattern: str, *, times: int | None = None) -> None:
        """Close the connection: in the middle of a file, or instead of any other response."""
        self._add(Fault(pattern, "drop", left=times))

    def stall(self, pattern: str, *, seconds: float, times: int | None = None) -> None:
        """Wait for `seconds` before the response."""
        self._add(Fault(pattern, "stall", seconds=seconds, left=times))

    def new_folder(self, name: str) -> Path:
        """Return an empty folder of this server's own."""
        self._folders += 1
        folder = self._home / "served" / f"{self._folders}-{name.replace('/', '-')}"
        folder.mkdir(parents=True)
        return folder

    def heal(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults.clear()

    def start(self) -> None:
        """Serve requests, in threads of this process."""
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def stop(self) -> None:
        """Close every connection, and refuse new ones from now on."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_connections()

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)

    def received(self, request: str) -> Fault | None:
        """Log `request`, and return the fault that strikes it."""
        with self._lock:
            self.requests.append(request)
            for fault in self._faults:
                if fault.left != 0 and re.search(fault.pattern, request):
                    fault.left = fault.left and fault.left - 1
                    return fault
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        self._connections.discard(cast(socket.socket, request))
        super().shutdown_request(request)

    def cut_connections(self) -> None:
        """End the connections that clients keep open for their next request."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that give up in the middle are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    """One connection: finds the route, applies faults, and responds."""

    protocol_version = "HTTP/1.1"
    fault: Fault | None = None
    body: bytes = b""
    """Of a request that sends something."""

    @property
    def hub(self) -> Hub:
        return cast(_Server, self.server).hub

    def do_GET(self) -> None:
        self._dispatch()

    def do_HEAD(self) -> None:
        self._dispatch()

    def do_POST(self) -> None:
        self._dispatch()

    def do_PUT(self) -> None:
        self._dispatch()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (inherited name)
        """Say nothing: `Hub.requests` is the log."""

    def respond(
        self, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        if self.fault and self.fault.action == "lose":
            self.cut()
            return
        self.send_response(status)
        given = dict(headers or {})
        given.setdefault("Content-Length", str(len(body)))
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def respond_json(
        self, content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        body = json.dumps(content).encode()
        if self.fault and self.fault.action == "truncate":
            body = body[: len(body) // 2]
        self.respond(
            body,
            status=status,
            headers={"Content-Type": "application/json"} | dict(headers or {}),
        )

    def refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message}
        self.respond_json({"error": message}, status=status, headers=headers)

    def cut(self) -> None:
        """Close the connection immediately, so that the client sees its end."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _dispatch(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.fault = self.hub.received(f"{self.command} {path}")
        if not self._receive():
            return
        if self.fault and self.fault.action == "stall":
            time.sleep(self.fault.seconds)
        if self.fault and self.fault.action == "fail":
            self.respond(
                self.fault.body.encode(), status=self.fault.status, headers=self.fault.headers
            )
            return
        for methods, pattern, route in (*WRITING, *_ROUTES):
            match = pattern.fullmatch(path)
            if match and self.command in methods:
                route(self, match)
                return
        self.refuse(404, "EntryNotFound", f"no route {self.command} {path}")

    def _receive(self) -> bool:
        """Read what is sent; half of it and no more where the connection is to be dropped."""
        length = int(self.headers.get("Content-Length") or 0)
        drops = self.fault is not None and self.fault.action == "drop"
        if self.command in ("POST", "PUT") and drops:
            self.rfile.read(length // 2)
            self.cut()
            return False
        self.body = self.rfile.read(length) if length else self._read_chunks()
        return True

    def _read_chunks(self) -> bytes:
        parts = []
        while self.headers.get("Transfer-Encoding") == "chunked":
            size = int(self.rfile.readline(), 16)
            parts.append(self.rfile.read(size))
            self.rfile.readline()
            if size == 0:
                break
        return b"".join(parts)

    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def owner(self) -> str | None:
        """Return whose token was sent, or refuse as the Hub does."""
        owner = self.hub.owners.get(self._token())
        if owner is None:
            self.refuse(401, "", "Invalid username or password.")
        return owner

    def repository(self, match: re.Match[str]) -> Repository | None:
        """Return the repository at the revision that the path names, or refuse as the Hub does."""
        parts = match.groupdict()
        kind, name = (parts["kind"] or "models").rstrip("/"), parts["name"]
        served = self.hub.datasets if kind == "datasets" else self.hub.models
        hidden = name in self.hub.private and self._token() not in self.hub.owners
        if name not in served or hidden:
            # Without a token the Hub does not say whether a private repository exists.
            status = 404 if "Authorization" in self.headers else 401
            self.refuse(status, "RepoNotFound", "Repository not found")
            return None
        revision = parts["revision"] or "main"
        private = name in self.hub.private
        for branch, folder in {"main": served[name], **self.hub.branches.get(name, {})}.items():
            repository = Repository(kind, name, folder, branch, private)
            if repository.has_revision(revision):
                return repository
        self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None


def _front_page(handler: Handler, match: re.Match[str]) -> None:
    handler.respond(b"a stand-in for the Hub")


def _describe(handler: Handler, match: re.Match[str]) -> None:
    repository = handler.repository(match)
    if repository and handler.fault and handler.fault.action == "drop":
        handler.cut()
    elif repository:
        handler.respond_json(repository.description(), headers={"X-Repo-Commit": repository.commit})


def _list_tree(handler: Handler, match: re.Match[str]) -> None:
    repository = handler.repository(match)
    if repository and handler.fault and handler.fault.action == "drop":
        handler.cut()
    elif repository:
        entries = repository.tree(match["under"] or "")
        if entries or not match["under"]:
            handler.respond_json(entries)
        else:
            handler.refuse(404, "EntryNotFound", f"{match['under']} does not exist")


def _resolve(handler: Handler, match: re.Match[str]) -> None:
    repository = handler.repository(match)
    if repository is None:
        return
    path = repository.files.get(match["file"])
    if path is None:
        handler.refuse(404, "EntryNotFound", "Entry not found")
        return
    content, tag = path.read_bytes(), etag(path)
    headers = {
        "ETag": f'"{tag}"',
        "X-Repo-Commit": repository.commit,
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if path.name.endswith(LARGE):
        headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": str(len(content))}
    _send_file(handler, content, headers)


def _send_file(handler: Handler, content: bytes, headers: dict[str, str]) -> None:
    action = handler.fault.action if handler.fault else None
    status = 200
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
    if asked:
        start = int(asked[1])
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        content, status = content[start:], 206
    if action == "drop":
        headers["Content-Length"] = str(len(content))
    if action in ("drop", "truncate") and handler.command == "GET":
        content = content[: len(content) // 2]
    handler.respond(content, status=status, headers=headers)
    if action == "drop":
        handler.cut()


_REPOSITORY = r"(?P<name>[^/]+(?:/[^/]+)?)"
_READ = ("GET", "HEAD")
_ROUTES: list[tuple[tuple[str, ...], re.Pattern[str], Callable[[Handler, re.Match[str]], None]]] = [
    (_READ, re.compile(r"/"), _front_page),
    (
        _READ,
        re.compile(
            rf"/api/(?P<kind>models|datasets)/{_REPOSITORY}/tree"
            r"/(?P<revision>[^/]+)(?:/(?P<under>.+))?"
        ),
        _list_tree,
    ),
    (
        _READ,
        re.compile(rf"/api/(?P<kind>models|datasets)/{_REPOSITORY}(?:/revision/(?P<revision>.+))?"),
        _describe,
    ),
    (
        _READ,
        re.compile(rf"/(?P<kind>datasets/)?{_REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<file>.+)"),
        _resolve,
    ),
]
"""Methods, path and handler. The first match wins."""


@contextmanager
def running_hub(home: Path) -> Iterator[Hub]:
    """Yield a started Hub whose clients keep their cache under `home`; stop it afterwards."""
    hub = Hub(home)
    hub.start()
    try:
        yield hub
    finally:
        hub.stop()
