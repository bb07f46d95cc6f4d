"""The Host check: addresses and known names, whatever the port."""

from __future__ import annotations

import pytest
from tests.support.servers import serving

from gluetune.evaluation.predictor import Predictor
from gluetune.serving.guards import is_allowed


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "localhost",
        "LOCALHOST:1",
        "app.localhost",
        "192.168.1.7:80",
        "[::1]",
        "[::1]:8000",
        "model.example.org",
        "Model.Example.org.:443",
    ],
)
def test_addresses_localhost_and_named_hosts_are_taken(host: str) -> None:
    assert is_allowed(host, ["model.example.org"])


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "[evil]",
        "notlocalhost",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    assert not is_allowed(host, ["model.example.org"])


def test_a_strange_host_gets_neither_page_nor_answer(emotions: Predictor) -> None:
    import httpx

    with serving(emotions) as served, httpx.Client(base_url=served.url) as client:
        for path in ("/", "/info", "/metrics"):
            refused = client.get(path, headers={"Host": "evil.example"})
            assert refused.status_code == 421
            assert refused.json()["error_type"] == "Validation"
        asked = client.post("/predict", json={"inputs": "a"}, headers={"Host": "evil.example:8000"})
        assert asked.status_code == 421
        assert client.get("/", headers={"Host": "localhost:1"}).status_code == 200
