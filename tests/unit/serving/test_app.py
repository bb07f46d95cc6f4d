"""The API over a real socket: what is answered, what is refused, and what is never written down."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.support.servers import Served, serving, watched
from tests.support.tiny_runs import Bench

from gluetune.core.runs import Run
from gluetune.inference.predictor import Predictor, load
from gluetune.serving.settings import Limits

LONG = "a " * 100


@pytest.fixture(scope="module")
def served(emotions: Predictor) -> Iterator[Served]:
    limits = Limits(max_client_batch_size=4, max_body_bytes=5_000, max_characters=1_000, timeout=2)
    with serving(emotions, limits) as running:
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, timeout=30) as opened:
        yield opened


def predict(client: httpx.Client, inputs: Any, **more: Any) -> Any:
    response = client.post("/predict", json={"inputs": inputs, **more})
    assert response.status_code == 200, response.text
    return response.json()


def test_a_text_is_answered_as_predict_answers_it(
    client: httpx.Client, emotions: Predictor
) -> None:
    found = predict(client, "a quick brown fox")
    assert {each["label"]: each["score"] for each in found} == emotions(
        "a quick brown fox"
    ).probabilities
    assert found == sorted(found, key=lambda each: -each["score"])


def test_a_pair_and_a_list_of_one_are_one_example(
    client: httpx.Client, emotions: Predictor
) -> None:
    pair = predict(client, ["a quick", "brown fox"])
    assert pair[0]["score"] == emotions("a quick", "brown fox").score
    assert predict(client, ["a quick"]) == predict(client, "a quick")


def test_a_batch_is_answered_in_its_order(client: httpx.Client) -> None:
    inputs = [["a quick"], ["brown fox", "jumps"], ["over a it"]]
    found = predict(client, inputs)
    assert len(found) == 3
    for each, one in zip(inputs, found, strict=True):
        alone = predict(client, each)
        assert [row["label"] for row in one] == [row["label"] for row in alone]
        assert [row["score"] for row in one] == pytest.approx([row["score"] for row in alone])


def test_raw_scores_are_logits(client: httpx.Client, emotions: Predictor) -> None:
    found = predict(client, "a quick brown fox", raw_scores=True)
    expected = dict(zip(emotions.labels, emotions.logits(["a quick brown fox"])[0], strict=True))
    assert {each["label"]: each["score"] for each in found} == expected


def test_labels_have_a_probability_each_and_thresholds_are_told(several: Run) -> None:
    """From the model's folder too, which knows no run, no task and no data."""
    for place in (several.path, several.model_path):
        predictor = load(place, precision="fp32")
        answer = predictor("rain walks 3 word0 word2")
        with serving(predictor) as served, httpx.Client(base_url=served.url) as client:
            found = predict(client, "rain walks 3 word0 word2")
            logits = predict(client, "rain walks 3 word0 word2", raw_scores=True)
            info = client.get("/info").json()
            docs = client.get("/docs").text
        scores = {one["label"]: one["score"] for one in found}
        assert scores == pytest.approx(answer.probabilities)
        assert {one["label"] for one in logits} == set(several.task.labels)
        assert info["problem_type"] == "multi_label_classification"
        assert info["thresholds"] == predictor.thresholds
        above = {name for name, score in scores.items() if score > info["thresholds"][name]}
        assert above == set(answer.labels or ())
        assert "any number of them, or none" in docs


def test_headers_say_where_the_time_went(client: httpx.Client) -> None:
    response = client.post("/predict", json={"inputs": [["a"], [LONG]], "truncate": True})
    assert response.headers["x-compute-characters"] == "201"
    assert response.headers["x-compute-tokens"] == str(3 + 32)
    assert response.headers["x-truncated-inputs"] == "1"
    for name in ("x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time"):
        assert float(response.headers[name]) >= 0


@pytest.mark.parametrize(
    ("content", "kind", "status", "error_type"),
    [
        (b'{"inputs": "a"}', "text/plain", 415, "Validation"),
        (b"{", "application/json", 400, "Validation"),
        (b'{"inputs": "\xff"}', "application/json; charset=utf-8", 400, "Validation"),
        (b'{"inputs": 1}', "application/json", 422, "Validation"),
        (b'{"inputs": ""}', "application/json", 400, "Empty"),
        (json.dumps({"inputs": LONG}).encode(), "application/json", 413, "Validation"),
        (json.dumps({"inputs": "a" * 1_001}).encode(), "application/json", 413, "Validation"),
        (json.dumps({"inputs": [["a"]] * 5}).encode(), "application/json", 413, "Validation"),
        (b" " * 5_001, "application/json", 413, "Validation"),
    ],
)
def test_refusals_have_the_shape_of_text_embeddings_inference(
    client: httpx.Client, content: bytes, kind: str, status: int, error_type: str
) -> None:
    response = client.post("/predict", content=content, headers={"Content-Type": kind})
    assert response.status_code == status
    assert set(response.json()) == {"error", "error_type"}
    assert response.json()["error_type"] == error_type


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/predict", 405)])
def test_a_path_or_method_that_there_is_not_is_told_in_that_shape_too(
    client: httpx.Client, path: str, status: int
) -> None:
    response = client.get(path)
    assert response.status_code == status
    assert response.json()["error_type"] == "Validation"
    assert response.json()["error"].startswith(f"GET {path}: ")


def test_a_huge_body_without_a_length_is_cut_off(client: httpx.Client) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(2_000):
            yield b"x" * 50_000

    try:
        response = client.post(
            "/predict", content=chunks(), headers={"Content-Type": "application/json"}
        )
    except httpx.TransportError:
        pass  # the server closed while the client was still sending
    else:
        assert response.status_code == 413
    assert predict(client, "a")


def test_slow_and_idle_connections_hold_nobody_up(served: Served, client: httpx.Client) -> None:
    idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    slow = socket.create_connection(("127.0.0.1", served.port))
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    slow.sendall(f'{head}Content-Length: 100\r\n\r\n{{"inputs":'.encode())
    assert predict(client, "a")
    slow.settimeout(30)
    assert slow.recv(1_000).startswith(b"HTTP/1.1 408")
    for each in (*idle, slow):
        each.close()


def test_a_full_queue_says_when_to_come_again(emotions: Predictor) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert opened.wait(30)

    limits = Limits(max_queue=2, max_client_batch_size=2)
    with (
        serving(watched(emotions, hold), limits) as served,
        httpx.Client(base_url=served.url, timeout=30) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        held = pool.submit(predict, client, [["a"], ["a quick"]])
        assert reached.wait(30)
        refused = httpx.post(f"{served.url}/predict", json={"inputs": "a"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json() == {"error": "Model is overloaded", "error_type": "Overloaded"}
        opened.set()
        assert len(held.result()) == 2


def test_what_has_come_in_is_answered_before_the_end(emotions: Predictor) -> None:
    reached, opened = threading.Event(), threading.Event()

    def hold() -> None:
        reached.set()
        assert opened.wait(30)

    with (
        serving(watched(emotions, hold)) as served,
        httpx.Client(base_url=served.url, timeout=30) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        held = pool.submit(predict, client, "a")
        assert reached.wait(30)
        stopping = pool.submit(served.stop)
        threading.Timer(0.3, opened.set).start()
        assert held.result()
        stopping.result()
    with pytest.raises(httpx.TransportError):
        httpx.get(served.url)


def test_a_model_of_pairs_refuses_single_texts(pairs: Run) -> None:
    predictor = load(pairs.path)
    with serving(predictor) as served, httpx.Client(base_url=served.url) as client:
        answer = predict(client, ["a b", "c d"])
        assert answer[0]["score"] == predictor("a b", "c d").score
        refused = client.post("/predict", json={"inputs": "a b"})
        assert refused.status_code == 422
        assert "reads two texts per example, and was given 1" in refused.json()["error"]
        assert '[["a", "b"], ["c", "d"]]' in refused.json()["error"]
        info = client.get("/info").json()
        assert (info["task"], info["text_columns"]) == ("mrpc", ["sentence1", "sentence2"])


def test_a_model_of_single_texts_says_how_a_batch_is_written(bench: Bench) -> None:
    predictor = load(bench.train("sst2", epochs=1).path)
    with serving(predictor) as served, httpx.Client(base_url=served.url) as client:
        refused = client.post("/predict", json={"inputs": ["one text", "another"]})
        assert refused.status_code == 422
        assert "reads one text per example, and was given 2" in refused.json()["error"]
        assert '[["one"], ["two"]]' in refused.json()["error"]
        assert "another" not in refused.text


def test_a_number_is_answered_as_it_is(numbers: Run) -> None:
    predictor = load(numbers.path)
    with serving(predictor) as served, httpx.Client(base_url=served.url) as client:
        expected = [{"label": "score", "score": predictor("a b", "c d").score}]
        assert predict(client, ["a b", "c d"]) == expected
        assert predict(client, ["a b", "c d"], raw_scores=True) == expected
        assert client.get("/info").json()["label_range"] == [0.0, 5.0]


def test_info_has_the_names_of_text_embeddings_inference(client: httpx.Client) -> None:
    info = client.get("/info").json()
    assert info["model_dtype"] == "float32"
    assert info["model_type"]["classifier"]["id2label"] == {"0": "anger", "1": "fear", "2": "joy"}
    assert info["max_input_length"] == 32
    assert info["max_client_batch_size"] == 4
    assert info["auto_truncate"] is False


def test_truncation_may_be_the_rule(emotions: Predictor) -> None:
    with (
        serving(emotions, auto_truncate=True) as served,
        httpx.Client(base_url=served.url) as client,
    ):
        assert predict(client, LONG)
        assert client.post("/predict", json={"inputs": LONG, "truncate": False}).status_code == 413


@pytest.mark.parametrize("path", ["/", "/invocations"])
def test_text_embeddings_inference_predicts_there_too(client: httpx.Client, path: str) -> None:
    for inputs in ("a quick fox", [["a"], ["brown fox", "jumps"]]):
        found = client.post(path, json={"inputs": inputs})
        assert found.status_code == 200
        assert [type(each) for each in found.json()] == [
            type(each) for each in predict(client, inputs)
        ]
    assert client.post(path, json={"input": "a"}).status_code == 422
    assert client.post(path, content=b"{}").status_code == 415


def test_the_hubs_client_is_answered(served: Served, emotions: Predictor) -> None:
    from huggingface_hub import InferenceClient

    found: Any = InferenceClient(served.url).text_classification("a quick fox")
    assert found.label == emotions("a quick fox").label
    assert found.score == pytest.approx(emotions("a quick fox").score)


def test_health_metrics_and_the_schema(client: httpx.Client) -> None:
    assert client.get("/health").status_code == 200
    predict(client, [["a"], ["a quick"]])
    client.post("/predict", content=b"")
    text = client.get("/metrics").text
    (texts,) = re.findall(r"^gluetune_texts_total (\S+)$", text, re.MULTILINE)
    assert float(texts) >= 2
    assert 'gluetune_requests_total{outcome="validation"}' in text
    assert "gluetune_queue_texts 0.0" in text
    schema = client.get("/openapi.json").json()
    assert {"/predict", "/info", "/health", "/metrics"} == set(schema["paths"])
    body = schema["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == {"inputs", "truncate", "raw_scores"}
    assert "429" in schema["paths"]["/predict"]["post"]["responses"]


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.css", "/static/page.js"])
def test_pages_name_no_other_server_and_hold_no_inline_code(
    client: httpx.Client, path: str
) -> None:
    response = client.get(path)
    assert response.status_code == 200
    assert not re.findall(r"https?://|//cdn", response.text)
    assert not re.findall(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", response.text)
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e%2fapp.py", "/static/x"])
def test_only_the_pages_own_files_are_served(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_other_origins_are_answered_only_when_asked_for(
    client: httpx.Client, emotions: Predictor
) -> None:
    origin = {"Origin": "https://app.example"}
    asks = {**origin, "Access-Control-Request-Method": "POST"}
    answered = client.post("/predict", json={"inputs": "a"}, headers=origin)
    assert "access-control-allow-origin" not in answered.headers
    assert client.options("/predict", headers=asks).status_code == 405
    with (
        serving(emotions, cors_origins=["https://app.example"]) as served,
        httpx.Client(base_url=served.url) as open_client,
    ):
        preflight = open_client.options("/predict", headers=asks)
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        other = open_client.get("/info", headers={"Origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers


def test_no_text_is_written_down(
    emotions: Predictor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "-".join(("my", "secret"))

    def fail(*_: Any, **__: Any) -> None:
        raise KeyError(secret)

    monkeypatch.setattr("gluetune.serving.app._predictions", fail)  # a fault of the server's own
    with caplog.at_level(logging.INFO), serving(emotions) as served:
        broken = httpx.post(f"{served.url}/predict", json={"inputs": secret})
        assert broken.status_code == 500
        assert broken.json()["error_type"] == "Backend"
        assert "KeyError" in broken.json()["error"]
        assert secret not in broken.text
        assert broken.headers["x-content-type-options"] == "nosniff"
        httpx.post(f"{served.url}/predict", content=f'{{"inputs": "{secret}'.encode())
    assert "KeyError" in caplog.text
    assert secret not in caplog.text
