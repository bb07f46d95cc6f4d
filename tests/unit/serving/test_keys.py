"""The API key: read from a file, asked of every request, never written down."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.processes import finish, start
from tests.support.servers import serving

from gluetune.core.errors import ConfigurationError
from gluetune.inference.predictor import Predictor
from gluetune.serving.guards import read_key
from gluetune.serving.page import Example
from gluetune.serving.server import serve

KEY = "-".join(("a", "key", "of", "the", "tests"))
RIGHT = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def client(emotions: Predictor) -> Iterator[httpx.Client]:
    examples = [Example(("a text of the validation set",), "joy")]
    with (
        serving(emotions, api_key=KEY, examples=examples, cors_origins=["https://a.org"]) as served,
        httpx.Client(base_url=served.url, timeout=60) as opened,
    ):
        yield opened


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {KEY}x"},
        {"Authorization": f"Bearer {KEY[:-1]}"},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": KEY},
        {"Authorization": "Bearer \u00e9".encode()},
        [("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer other")],
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/", "/invocations"])
def test_without_the_right_key_there_is_no_answer(
    client: httpx.Client, path: str, headers: dict[str, str]
) -> None:
    refused = client.post(path, json={"inputs": "a"}, headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert set(refused.json()) == {"error", "error_type"}
    assert KEY not in refused.text


@pytest.mark.parametrize("headers", [RIGHT, {"authorization": f"bearer  {KEY}"}])
def test_with_the_key_there_is(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/predict", json={"inputs": "a"}, headers=headers).status_code == 200


def test_only_health_and_the_bare_page_are_open(client: httpx.Client) -> None:
    for path in ("/info", "/metrics", "/openapi.json", "/none"):
        assert client.get(path).status_code == 401, path
        assert client.get(path, headers=RIGHT).status_code == (404 if path == "/none" else 200)
    for path in ("/health", "/", "/docs", "/static/page.js"):
        assert client.get(path).status_code == 200, path
    assert "validation set" not in client.get("/").text


def test_a_page_of_another_origin_may_send_the_key(client: httpx.Client) -> None:
    asks = {
        "Origin": "https://a.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    assert client.options("/predict", headers=asks).status_code == 200
    refused = client.post("/predict", json={"inputs": "a"}, headers={"Origin": "https://a.org"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://a.org"


def test_the_key_is_never_logged(emotions: Predictor, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), serving(emotions, api_key=KEY) as served:
        for headers in (RIGHT, {"Authorization": f"Bearer {KEY}{KEY}"}):
            httpx.post(f"{served.url}/predict", json={"inputs": "a"}, headers=headers)
            httpx.post(f"{served.url}/predict", content=b"{", headers=headers)
    assert KEY not in caplog.text


@pytest.mark.parametrize("content", [KEY, f"{KEY}\n", f"\n  {KEY}\r\n"])
def test_a_key_is_the_word_in_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    file.chmod(0o600)
    assert read_key(file) == (KEY, "")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_warned_of(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "key"
    file.write_text(KEY, encoding="utf-8")
    file.chmod(mode)
    key, warning = read_key(file)
    assert key == KEY
    assert f"chmod 600 {file}" in warning
    assert KEY not in warning


@pytest.mark.parametrize(
    "content", ["", " \n", "two words", "one\nanother", "\u00e9", "x" * 20_000]
)
def test_what_is_no_key_is_refused_and_not_quoted(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="--api-key-file") as raised:
        serve("no-such-model", port=0, api_key_file=file)
    assert not content.strip() or content.strip() not in str(raised.value)


def test_a_file_that_is_not_there_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    process = start(["serve", "no-such-model", "--api-key-file", str(tmp_path / "none")])
    code, _, err = finish(process)
    assert code == 2
    assert "--api-key-file" in err
    assert "Traceback" not in err


def test_the_hubs_client_sends_the_key(emotions: Predictor) -> None:
    from huggingface_hub import InferenceClient

    with serving(emotions, api_key=KEY) as served:
        found: Any = InferenceClient(served.url, token=KEY).text_classification("a quick fox")
        assert found.label in emotions.labels
