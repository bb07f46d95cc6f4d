"""Many connections, idle ones and slow ones: a good client is answered, the log stays short."""

from __future__ import annotations

import json
import logging
import os
import re
import resource
import selectors
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.processes import Forked, ProcessLimits, finish, fork
from tests.support.servers import Served, serving, watched

from gluetune.core.errors import ConfigurationError
from gluetune.inference.predictor import Predictor
from gluetune.serving.connections import check_connections
from gluetune.serving.guards import Bounded
from gluetune.serving.settings import Limits

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PATIENCE = 60


@contextmanager
def served_by_a_process(
    predictor: Predictor, *options: str, most_files: int
) -> Iterator[tuple[int, Forked]]:
    """Run `gluetune serve` where a process may have few files open; yield its port."""
    process = fork(
        ["serve", predictor.opened.name, "--port", "0", *options],
        limits=ProcessLimits(most_files=most_files),
    )
    told = ""
    while "Serving" not in told:
        line = process.stdout.readline()
        assert line, process.communicate()
        told += line
    (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", told)
    try:
        yield int(port), process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@contextmanager
def connections(port: int, count: int, begin: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections that send no more than the beginning of a request."""
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            each = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            with suppress(ConnectionError):  # it may be closed by now, to make room for the next
                each.sendall(begin)
            opened.append(each)
        yield opened


def wait_until_closed(opened: list[socket.socket]) -> None:
    """Read every connection to its end. Fails where one stays open."""
    with selectors.DefaultSelector() as selector:
        for each in opened:
            each.setblocking(False)
            selector.register(each, selectors.EVENT_READ)
        ends = time.monotonic() + PATIENCE
        while selector.get_map():
            assert time.monotonic() < ends, f"{len(selector.get_map())} connections stay open"
            for key, _ in selector.select(0.5):
                assert isinstance(key.fileobj, socket.socket)
                if is_closed(key.fileobj):
                    selector.unregister(key.fileobj)


def is_closed(each: socket.socket) -> bool:
    try:
        return not each.recv(10_000)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def seconds_of_processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_more_idle_connections_than_files_keep_nobody_out(emotions: Predictor) -> None:
    options = ("--header-timeout", "3", "--keep-alive", "3", "--timeout", "3")
    with served_by_a_process(emotions, *options, most_files=128) as (port, process):
        for begin in (b"", HEAD, HEAD + b'Content-Length: 99\r\n\r\n{"inputs":'):
            with connections(port, 300, begin) as idle:
                answer = httpx.post(
                    f"http://127.0.0.1:{port}/predict", json={"inputs": "a"}, timeout=PATIENCE
                )
                assert answer.status_code == 200
                before = seconds_of_processor(process.pid)
                wait_until_closed(idle)
                assert seconds_of_processor(process.pid) - before < 2, "the server spins"
        assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
        process.send_signal(signal.SIGTERM)
        code, out, err = finish(process)
        assert (code, out.strip()) == (0, "Stopped.")
        assert "Traceback" not in err
        assert len(err) < 2_000, err[:2_000]


@pytest.fixture(scope="module")
def impatient(emotions: Predictor) -> Iterator[Served]:
    limits = Limits(header_timeout=0.5, keep_alive=0.5, timeout=2, max_connections=20)
    with serving(emotions, limits) as served:
        yield served


def test_a_head_that_comes_byte_by_byte_has_a_deadline(impatient: Served) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), PATIENCE) as slow:
        slow.sendall(HEAD)
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.1):
                try:
                    slow.sendall(b"X")
                except OSError:
                    return

        threading.Thread(target=drip, daemon=True).start()
        received = b"".join(iter(lambda: receive(slow), b""))
        stop.set()
    assert received == b"" or received.startswith(b"HTTP/1.1 408 ")


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(10_000)
    except ConnectionError:
        return b""


def test_a_head_that_is_not_completed_gets_408_in_the_form_of_every_error(
    impatient: Served,
) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), PATIENCE) as slow:
        slow.sendall(HEAD)
        received = b"".join(iter(lambda: slow.recv(10_000), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b'"error_type": "Validation"' in body


@pytest.mark.parametrize("more", [b"", b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_a_connection_is_closed_after_its_answer(impatient: Served, more: bytes) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), PATIENCE) as kept:
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.recv(10_000).startswith(b"HTTP/1.1 200 ")
        kept.sendall(more)
        assert receive(kept) == b""


def test_a_body_that_the_answer_did_not_wait_for_has_a_deadline(impatient: Served) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), PATIENCE) as slow:
        slow.sendall(b"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nx")
        assert slow.recv(10_000).startswith(b"HTTP/1.1 404 ")
        ends = time.monotonic() + PATIENCE
        slow.settimeout(0.1)
        closed = False
        while not closed and time.monotonic() < ends:
            try:
                slow.sendall(b"x")
                closed = not slow.recv(10_000)
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
    assert closed


def test_a_client_that_does_not_read_its_answers_is_let_go(impatient: Served) -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.settimeout(PATIENCE)
        deaf.connect(("127.0.0.1", impatient.port))
        with pytest.raises(ConnectionError):
            # Neither side's buffers hold all answers, so the server closes at last.
            deaf.sendall(request * 1_000_000)


def test_a_new_connection_takes_the_place_of_the_one_that_waited_longest(
    impatient: Served,
) -> None:
    with connections(impatient.port, 25) as idle:
        assert httpx.get(f"{impatient.url}/health").status_code == 200
        assert receive(idle[0]) == b""


def test_503_where_every_connection_is_being_answered(emotions: Predictor) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert opened.wait(30)

    body = b'{"inputs": "a"}'
    request = HEAD + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with (
        serving(watched(emotions, hold), Limits(max_connections=2)) as served,
        connections(served.port, 2, request) as busy,
    ):
        assert reached.wait(30)
        wait_for_places(served, 2)
        with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as refused:
            received = b"".join(iter(lambda: refused.recv(10_000), b""))
        assert received.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 1" in received
        assert b'"error_type": "Overloaded"' in received
        opened.set()
        assert [each.recv(10_000)[:13] for each in busy] == [b"HTTP/1.1 200 "] * 2


def wait_for_places(served: Served, busy: int) -> None:
    """Return once so many requests are in progress."""
    ends = time.monotonic() + PATIENCE
    while len(served.server.server_state.tasks) < busy:
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_is_no_http_is_told_as_every_other_error(impatient: Served) -> None:
    with socket.create_connection(("127.0.0.1", impatient.port), PATIENCE) as broken:
        broken.sendall(b"hello there\r\n\r\n")
        received = broken.recv(10_000)
    assert received.startswith(b"HTTP/1.1 400 ")
    problem = {"error": "Invalid HTTP request received.", "error_type": "Validation"}
    assert json.loads(received.partition(b"\r\n\r\n")[2]) == problem


def test_a_client_that_leaves_within_its_body_leaves_no_traceback(
    emotions: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), serving(emotions) as served:
        with connections(served.port, 5, HEAD + b"Content-Length: 9\r\n\r\n{"):
            wait_for_places(served, 5)
        while served.server.server_state.tasks:
            time.sleep(0.01)
    assert caplog.text == ""


def test_a_flood_of_bad_requests_is_counted_in_the_log(
    emotions: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), serving(emotions) as served:
        for _ in range(50):
            with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as broken:
                broken.sendall(b"no http\r\n\r\n")
                broken.recv(10_000)
    assert 1 <= len(caplog.records) <= 10


def test_the_first_record_after_a_flood_says_how_many_were_left_out() -> None:
    now = [0.0]
    bounded = Bounded(lambda: now[0])

    def record() -> logging.LogRecord:
        return logging.makeLogRecord({"msg": "wrong: %s", "args": ("x",), "levelno": 30})

    passed = [bounded(record()) for _ in range(100)]
    assert 1 <= sum(passed) < 20
    now[0] = 1_000.0
    last = record()
    assert bounded(last)
    assert last.getMessage() == f"wrong: x ({100 - sum(passed)} records before this were left out)"


def test_more_connections_than_the_process_may_open_are_refused_before_the_start() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with pytest.raises(ConfigurationError, match=f"--max-connections {soft}: the process may"):
        check_connections(Limits(max_connections=soft))
    check_connections(Limits(max_connections=10))


@pytest.mark.parametrize("name", ["header_timeout", "keep_alive", "max_connections"])
def test_every_limit_is_more_than_zero(name: str) -> None:
    values: dict[str, Any] = {name: 0}
    with pytest.raises(ConfigurationError, match=f"{name}=0: must be greater than 0"):
        Limits(**values)
