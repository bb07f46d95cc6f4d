"""What Prometheus is told. Numbers only: no text, no label that a client could choose."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_POWERS = tuple(float(2**power) for power in range(15))


class Meters:
    """The numbers of one server."""

    def __init__(self, held: Callable[[], int]) -> None:
        """`held` says how many texts are waiting or being computed."""
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"gluetune_{name}", text, buckets=buckets, registry=self.registry)

        self.requests = Counter(
            "gluetune_requests",
            "Requests to /predict by how they ended: ok, or the type of the error.",
            ["outcome"],
            registry=self.registry,
        )
        self.texts = Counter(
            "gluetune_texts", "Texts and pairs that were answered.", registry=self.registry
        )
        self.tokens = Counter(
            "gluetune_tokens", "Tokens of the texts, padding not counted.", registry=self.registry
        )
        self.truncated = Counter(
            "gluetune_truncated_texts", "Texts that were cut.", registry=self.registry
        )
        queue = Gauge(
            "gluetune_queue_texts", "Texts waiting or being computed.", registry=self.registry
        )
        queue.set_function(held)
        self.request = histogram("request_seconds", "From body to answer.", _SECONDS)
        self.tokenization = histogram("tokenization_seconds", "Of a request's texts.", _SECONDS)
        self.queued = histogram("queue_seconds", "A text's wait for its batch.", _SECONDS)
        self.inference = histogram("inference_seconds", "Of one batch.", _SECONDS)
        self.batch_texts = histogram("batch_texts", "Texts of a batch.", _POWERS)
        self.batch_tokens = histogram("batch_tokens", "Of a batch, with padding.", _POWERS)

    def exposition(self) -> bytes:
        """Return all numbers in Prometheus' text format."""
        return generate_latest(self.registry)
