"""A real server in a thread, and a model that can be watched, paused and made to fail."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn

from gluetune.data.encoding import Encoded
from gluetune.inference.predictor import Predictor
from gluetune.serving import server as module
from gluetune.serving.app import make_app
from gluetune.serving.server import make_server
from gluetune.serving.settings import Limits

_PATIENCE = 30


@dataclass
class Served:
    """A running server."""

    url: str
    port: int
    server: uvicorn.Server
    thread: threading.Thread

    def stop(self) -> None:
        """Stop the server, as a signal does, and wait for its end."""
        self.server.should_exit = True
        self.thread.join(_PATIENCE)
        assert not self.thread.is_alive(), "the server did not stop"


@contextmanager
def serving(predictor: Predictor, limits: Limits | None = None, **options: Any) -> Iterator[Served]:
    """Serve on a free port inside the block. `options` are those of make_app."""
    limits = limits or Limits()
    server = make_server(make_app(predictor, limits, **options), limits)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
        thread.start()
        port = int(listener.getsockname()[1])
        served = Served(f"http://127.0.0.1:{port}", port, server, thread)
        try:
            yield served
        finally:
            served.stop()


@contextmanager
def serving_run(model: Path, **options: Any) -> Iterator[str]:
    """Run `gluetune.serve` in a thread inside the block, and yield its URL.

    Errors before it listens are raised here.
    """
    messages: queue.Queue[str | BaseException] = queue.Queue()
    started: list[uvicorn.Server] = []

    def make(app: Any, limits: Limits) -> uvicorn.Server:
        started.append(make_server(app, limits))
        return started[0]

    def run() -> None:
        try:
            module.serve(model, port=0, on_message=messages.put, **options)
        except BaseException as error:  # noqa: BLE001  # handed to the test's own thread
            messages.put(error)

    thread = threading.Thread(target=run, daemon=True)
    with patch.object(module, "make_server", make):
        thread.start()
        while isinstance(line := messages.get(timeout=_PATIENCE), str) and " on http" not in line:
            pass
    if isinstance(line, BaseException):
        raise line
    try:
        yield line.split(" on ")[-1].split()[0]
    finally:
        started[0].should_exit = True
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the server did not stop"


class Watched:
    """A backend that records its batches; `before` is called before each, and may wait or raise."""

    def __init__(self, backend: Any, before: Callable[[], None] = lambda: None) -> None:
        self.backend, self.before = backend, before
        self.batches: list[list[int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def logits(self, encoded: Encoded) -> Any:
        """Return the logits of the backend."""
        self.batches.append(encoded.lengths.tolist())
        self.before()
        return self.backend.logits(encoded)


def watched(predictor: Predictor, before: Callable[[], None] = lambda: None) -> Predictor:
    """Return a predictor like `predictor`, whose `opened` is Watched."""
    return Predictor(Watched(predictor.opened, before))
