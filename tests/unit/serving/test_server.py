"""`gluetune serve` as a process: it starts, says where, answers, and ends well."""

from __future__ import annotations

import importlib.util
import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.processes import finish, start

from gluetune.core.errors import CheckpointError, ConfigurationError
from gluetune.inference.predictor import Predictor
from gluetune.serving.server import _listening, serve
from gluetune.serving.settings import Limits


def test_it_answers_until_a_signal_and_leaves_with_0(emotions: Predictor) -> None:
    process = start(["serve", emotions.opened.name, "--port", "0"])
    assert process.stdout is not None
    told = ""
    while "Serving" not in told:
        line = process.stdout.readline()
        assert line, process.communicate()
        told += line
    assert "No examples" in told
    url = re.search(r"http://127\.0\.0\.1:\d+", told)
    assert url, told
    answer = httpx.post(f"{url.group()}/predict", json={"inputs": "a"}, timeout=60)
    assert {each["label"] for each in answer.json()} == {"anger", "fear", "joy"}
    process.send_signal(signal.SIGTERM)
    code, out, err = finish(process)
    assert (code, out.strip(), err) == (0, "Stopped.", "")


def test_an_answer_does_not_wait_for_the_client_to_acknowledge_its_head() -> None:
    with _listening("127.0.0.1", 0) as listener:
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"--port {port} cannot be listened on"):
            serve("no-such-model", port=port)


def test_a_host_that_is_not_here_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"--host 203\.0\.113\.1"):
        serve("no-such-model", host="203.0.113.1", port=0)


def test_a_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        serve(tmp_path / "none", port=0)


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "ftp://a", "https://"])
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    with pytest.raises(ConfigurationError, match="--cors-origin"):
        serve("no-such-model", port=0, cors_origins=[origin])


def test_without_the_extra_the_line_to_type_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without_uvicorn(name: str, *rest: Any) -> Any:
        return None if name == "uvicorn" else found(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without_uvicorn)
    with pytest.raises(ConfigurationError, match=r"needs uvicorn, (?s:.*)gluetune\[serve\]"):
        serve("no-such-model", port=0)


def test_mistakes_are_told_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        serve(
            "no-such-model",
            port=0,
            allowed_hosts=["https://a"],
            cors_origins=["b"],
            api_key_file=tmp_path / "none",
            limits=Limits(max_connections=10_000_000),
        )
    told = [finding.message.split()[0] for finding in raised.value.findings]
    assert told == ["--allowed-host", "--cors-origin", "--max-connections", "--api-key-file"]
