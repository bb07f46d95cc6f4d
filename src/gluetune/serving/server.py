"""`gluetune.serve`: an HTTP server that completes requests in progress before it stops."""

from __future__ import annotations

import math
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from gluetune.core.errors import (
    ConfigurationError,
    Finding,
    Findings,
    renamed_parameters,
    require_extra,
)
from gluetune.core.inference_settings import LoadSettings
from gluetune.core.keywords import ServeKeywords
from gluetune.core.settings import make_settings, split_settings
from gluetune.serving.guards import is_host, read_key
from gluetune.serving.settings import Limits, ServeSettings

if TYPE_CHECKING:
    import uvicorn

    from gluetune.core.runs import Run
    from gluetune.inference.predictor import Predictor

_BACKLOG = 2048


@renamed_parameters(tell="on_message")
def serve(
    model: str | Path | Run,
    *,
    limits: Limits | None = None,
    on_message: Callable[[str], object] = lambda line: None,
    **settings: Unpack[ServeKeywords],
) -> None:
    """Serve predictions of a run or a checkpoint over HTTP until Ctrl-C or SIGTERM.

    Args:
        model: A run's folder, a checkpoint's folder, or a Hub id.
        limits: Limits on batches, queue, requests and connections.
        on_message: Called with each line of progress.
        settings: Fields of `ServeSettings` (`host`, `port`, `auto_truncate`, `allowed_hosts`,
            `cors_origins`, `api_key_file`) and of `LoadSettings`, as `gluetune.load` takes them.

    Raises:
        GluetuneError: before it listens: ConfigurationError for a port that is taken or a package
            that is not installed, and the errors of `gluetune.load`.
    """
    require_extra("serve", "gluetune serve", "fastapi", "uvicorn", "prometheus_client")
    limits = limits or Limits()
    loading, serving = split_settings((LoadSettings, ServeSettings), settings)
    how = make_settings(ServeSettings, serving)
    make_settings(LoadSettings, loading)  # reported before the port is taken
    api_key, warning = _check_options(limits, how)
    if warning:
        on_message(warning)
    with _listening(how.host, how.port) as listener:
        from gluetune.inference.predictor import load
        from gluetune.serving.app import make_app
        from gluetune.serving.page import find_examples

        predictor = load(model, **loading)
        examples, note = find_examples(predictor.opened)
        app = make_app(
            predictor,
            limits,
            examples=examples,
            note=note,
            allowed_hosts=[how.host, *how.allowed_hosts],
            cors_origins=how.cors_origins,
            auto_truncate=how.auto_truncate,
            api_key=api_key,
        )
        _warm_up(predictor)
        if note:
            on_message(note)
        if predictor.threshold is not None:
            on_message(predictor.threshold.sentence)
        on_message(f"Serving {predictor.opened.name} on {_address(listener)} (Ctrl-C stops)")
        with _graceful_signals():
            make_server(app, limits).run(sockets=[listener])
        on_message("Stopped.")


def make_server(app: Any, limits: Limits) -> uvicorn.Server:
    """Return a server that logs no text, and completes requests in progress before it stops."""
    import uvicorn

    from gluetune.serving.connections import ACCEPT_BATCH, Connection, ConnectionState
    from gluetune.serving.guards import bounded_logs

    class Server(uvicorn.Server):
        """uvicorn with our limits on connections and logs."""

        async def serve(self, sockets: list[socket.socket] | None = None) -> None:
            with bounded_logs():
                await super().serve(sockets)

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            self.server_state = ConnectionState(limits)  # counts the files that are open by now
            await super().startup(sockets)
            for each in sockets or ():
                # asyncio uses one number for two things: how many connections it accepts in a turn,
                # which has to be small for a timely stop, and how many the system may queue.
                each.listen(_BACKLOG)

    return Server(
        uvicorn.Config(
            app,
            http=Connection,
            loop="asyncio",
            backlog=ACCEPT_BATCH,
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_keep_alive=math.ceil(limits.keep_alive),
            timeout_graceful_shutdown=round(limits.timeout) + 1,
        )
    )


def _warm_up(predictor: Predictor) -> None:
    """Predict once before the first request, to allocate memory and to find a broken model."""
    predictor("One", "two") if predictor.texts_per_example == 2 else predictor("One")


def _address_hint(host: str) -> str:
    """Return what to type if a host and port cannot be listened on."""
    try:
        with socket.create_server((host, 0), family=_family(host)):
            return "Choose another port; --port 0 takes a free one."
    except (OSError, UnicodeError):  # not even on a free port
        return "Type an address of this machine: --host 127.0.0.1, or --host 0.0.0.0 for all."


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the socket before the model is loaded, to report a taken port early."""
    try:
        listener = socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"--host {host} --port {port} cannot be listened on: {reason}.",
            hint=_address_hint(host),
        ) from error
    # asyncio does this only for sockets that it creates. Without it, head and body of a response
    # are sent apart, and the body waits for the client to acknowledge the head: 40 ms on Linux.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _check_options(limits: Limits, how: ServeSettings) -> tuple[str | None, str]:
    """Return the API key and a warning about its file. Raises one error with every mistake."""
    from gluetune.serving.connections import check_connections

    findings, file = Findings(), how.api_key_file
    for wrong in _wrong_names(how.allowed_hosts, how.cors_origins):
        findings.add(wrong.message, wrong.hint)
    findings.attempt(lambda: check_connections(limits))
    key = findings.attempt(lambda: read_key(Path(file))) if file else None
    findings.raise_any()
    return key or (None, "")


def _wrong_names(hosts: Sequence[str], origins: Sequence[str]) -> list[Finding]:
    wrong = [
        Finding(
            f"--allowed-host {host}: a host is a name or an address, without scheme and path.",
            "Type for instance: --allowed-host model.example.org",
        )
        for host in hosts
        if not is_host(host)
    ]
    return wrong + [
        Finding(
            f"--cors-origin {origin}: an origin is a scheme and a host, without a path.",
            "Type for instance: --cors-origin https://example.org",
        )
        for origin in origins
        if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin)
    ]


@contextmanager
def _graceful_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM stop the server only.

    uvicorn raises a signal again once it has stopped; here the process then continues.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
