"""The Host check: addresses and known names, whatever the port."""

from __future__ import annotations

import pytest
from tests.support.servers import serving

from gluetune.core.errors import ConfigurationError
from gluetune.inference.predictor import Predictor
from gluetune.serving.guards import is_allowed, is_host
from gluetune.serving.server import serve


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


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("model.example.org:8000", "model.example.org:8000"),
        ("model.example.org:8000", "model.example.org"),
        ("Model.Example.org.", "model.example.org:443"),
        (" model.example.org ", "MODEL.EXAMPLE.ORG."),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("B\u00dcCHER.example:80", "xn--bcher-kva.example.:80"),
        ("xn--bcher-kva.example", "b\u00fccher.example"),
        ("stra\u00dfe.example", "xn--strae-oqa.example"),
        ("my_host", "my_host:8000"),
        ("[fd00::1]:8000", "[FD00::1]:8000"),
    ],
)
def test_a_name_is_the_same_however_it_is_written(allowed: str, host: str) -> None:
    assert is_allowed(host, [allowed])
    assert not is_allowed("other.example", [allowed])
    assert not is_allowed("", [allowed])


@pytest.mark.parametrize(
    "host",
    ["", " ", "https://a.org", "a.org/x", "*", "*.a.org", "a b", "a@b", "a:b", "a:1:2", "[evil]"],
)
def test_what_is_no_host_is_told_before_the_start(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"allowed.hosts?"):
        serve("no-such-model", port=0, allowed_hosts=[host])


@pytest.mark.parametrize(
    "host", ["a.org", "a.org:80", "A.org.", "::1", "[::1]:80", "127.0.0.1", "x_y"]
)
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert is_host(host)


def test_the_server_takes_an_allowed_name_with_port_and_capitals(emotions: Predictor) -> None:
    import httpx

    with serving(emotions, allowed_hosts=["Model.Example.org.:8000"]) as served:
        taken = httpx.get(f"{served.url}/info", headers={"Host": "model.example.org:8000"})
        assert taken.status_code == 200


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
