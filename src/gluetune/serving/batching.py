"""Dynamic batching: queued texts of many requests, sorted by length, in few forward passes.

One thread tokenizes and one runs the model; the event loop only passes work between them. A text
that is admitted is predicted, unless its request is cancelled before its batch starts.

Prometheus metrics hold numbers only: no text, and no label that a client could choose.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gluetune.core.errors import ConfigurationError
from gluetune.core.long_texts import window_of
from gluetune.data.encoding import Encoded
from gluetune.inference.logits import keep_cast_weights
from gluetune.models.fast.batches import cheapest_parts
from gluetune.serving.guards import Refusal, malformed, overloaded, too_large, without_message

if TYPE_CHECKING:
    from gluetune.inference.predictor import Predictor, Text
    from gluetune.serving.settings import Limits

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RequestLogits:
    """The logits of a request's texts, and where its time went, in seconds."""

    logits: NDArray[np.float32]
    tokens: int
    truncated: int
    tokenization: float
    queue: float
    """Mean over the texts."""
    inference: float
    """Mean over the texts, of the batches that they were in."""


@dataclass(eq=False)
class _Item:
    """A text in the queue."""

    example: dict[str, Any]
    length: int
    arrived: float
    result: asyncio.Future[tuple[NDArray[np.float32], float, float]]
    """Its logits, its seconds in the queue, and its batch's seconds in the model."""


class Batcher:
    """The request queue of one model. Call `start` and `close` in the event loop that uses it."""

    def __init__(self, predictor: Predictor, limits: Limits) -> None:
        self._predictor = predictor
        self._limits = limits
        opened = predictor.opened
        self._window = window_of(opened.tokenizer, opened.max_length)
        self.most_tokens = max(limits.max_batch_tokens, predictor.opened.max_length or 0)
        self.most_texts = limits.max_batch_requests or predictor.opened.batch_size
        self._waiting: deque[_Item] = deque()
        self._arrival = asyncio.Event()
        self._queued = 0
        self._rate = 0.0
        """Texts per second, as an exponential moving average."""
        self.meters = Meters(lambda: self._queued)
        self._tokenizing = ThreadPoolExecutor(1, "gluetune-tokenizer")
        self._computing = ThreadPoolExecutor(1, "gluetune-model", keep_cast_weights)
        self._work: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the batching loop."""
        self._work = asyncio.get_running_loop().create_task(self._run_forever())

    async def close(self) -> None:
        """Stop, after the batch in progress."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        self._tokenizing.shutdown()
        self._computing.shutdown()

    @property
    def is_healthy(self) -> bool:
        """Whether a request that arrives now would be served."""
        return self._work is not None and not self._work.done()

    async def predict(self, texts: Sequence[Text], *, truncate: bool) -> RequestLogits:
        """Return the logits of `texts`, in their order.

        Raises Refusal: 429 if the queue is full, 413 for a text that is too long without
        `truncate`, 422 for the wrong number of texts per example, 424 if the model fails, 503 on a
        timeout.
        """
        if self._queued + len(texts) > self._limits.max_queue:
            raise overloaded(self._seconds_to_wait())
        self._queued += len(texts)
        items: list[_Item] = []
        try:
            async with asyncio.timeout(self._limits.timeout):
                return await self._predict_admitted(texts, truncate, items)
        except TimeoutError:
            raise Refusal(
                503,
                "Overloaded",
                f"no result within {self._limits.timeout:g} s",
                {"Retry-After": str(self._seconds_to_wait())},
            ) from None
        finally:
            for item in items:
                item.result.cancel()  # no effect if it is done; otherwise its batch skips it
            self._queued -= len(texts)

    async def _predict_admitted(
        self, texts: Sequence[Text], truncate: bool, items: list[_Item]
    ) -> RequestLogits:
        loop = asyncio.get_running_loop()
        begin = time.perf_counter()
        work = partial(self._encode, texts, truncate)
        examples, lengths, truncated = await loop.run_in_executor(self._tokenizing, work)
        arrived = time.perf_counter()
        self.meters.tokenization.observe(arrived - begin)
        items += [
            _Item(example, length, arrived, loop.create_future())
            for example, length in zip(examples, lengths, strict=True)
        ]
        self._waiting.extend(items)
        self._arrival.set()
        results = await asyncio.gather(*(item.result for item in items), return_exceptions=True)
        found: list[tuple[NDArray[np.float32], float, float]] = []
        for result in results:
            if isinstance(result, BaseException):
                raise Refusal(424, "Backend", f"inference failed ({type(result).__name__})")
            found.append(result)
        self.meters.texts.inc(len(texts))
        self.meters.tokens.inc(sum(lengths))
        self.meters.truncated.inc(truncated)
        return RequestLogits(
            logits=np.stack([logits for logits, _, _ in found]),
            tokens=sum(lengths),
            truncated=truncated,
            tokenization=arrived - begin,
            queue=sum(queued for _, queued, _ in found) / len(found),
            inference=sum(computed for _, _, computed in found) / len(found),
        )

    def _encode(
        self, texts: Sequence[Text], truncate: bool
    ) -> tuple[list[dict[str, Any]], list[int], int]:
        """Return the encoded texts, their lengths in tokens, and how many were truncated."""
        examples: list[dict[str, Any]] = []
        lengths: list[int] = []
        truncated = 0
        limit = self._predictor.opened.max_length
        for text in texts:
            encoded = self._encoded(text, cut=False)
            length = int(encoded.lengths[0])
            if limit is not None and length > limit:
                encoded = self._encoded(text, cut=True)
                if encoded.truncated and not truncate:
                    raise too_large(
                        f"`inputs` must have at most {limit} tokens. Given: {length}. "
                        "Send `truncate: true` to have it cut"
                    )
                truncated += encoded.truncated
            examples.append(encoded.examples[0])
            lengths.append(int(encoded.lengths[0]))
        return examples, lengths, truncated

    def _encoded(self, text: Text, *, cut: bool) -> Encoded:
        try:
            return self._predictor.encode([text], cut=cut)
        except ConfigurationError as error:
            forms = _forms(self._predictor.texts_per_example)
            raise malformed(422, f"{error.findings[0].message} `inputs` is {forms}") from None

    async def _run_forever(self) -> None:
        while True:
            await self._arrival.wait()
            await self._wait_for_more()
            for part in self._parts():
                await self._compute(part)
            if not self._waiting:
                self._arrival.clear()

    async def _wait_for_more(self) -> None:
        ready = sum(item.length for item in self._waiting) >= self.most_tokens
        if self._waiting and not ready and self.most_texts > 1:
            waited = time.perf_counter() - self._waiting[0].arrived
            await asyncio.sleep(max(0.0, self._limits.max_wait_ms / 1000 - waited))

    def _parts(self) -> Iterator[list[_Item]]:
        """Take the oldest texts, up to the tokens of one batch, and yield parts by length."""
        taken: list[_Item] = []
        tokens = 0
        while self._waiting and len(taken) < self._limits.max_queue:
            tokens += self._waiting[0].length
            if taken and tokens > self.most_tokens:
                break
            taken.append(self._waiting.popleft())
        taken.sort(key=lambda item: item.length)
        lengths = np.array([item.length for item in taken])
        start = 0
        for size in cheapest_parts(lengths, self.most_texts, most_tokens=self.most_tokens):
            yield taken[start : start + size]
            start += size

    async def _compute(self, part: list[_Item]) -> None:
        part = [item for item in part if not item.result.done()]  # a request may have given up
        if not part:
            return
        lengths = np.array([item.length for item in part], dtype=np.int64)
        examples: Any = [item.example for item in part]
        begin = time.perf_counter()
        done = asyncio.wrap_future(
            self._computing.submit(
                self._predictor.opened.logits,
                Encoded(examples, lengths, truncated=0, window=self._window),
            )
        )
        await asyncio.wait([done])
        seconds = time.perf_counter() - begin
        error = done.exception()
        if error is not None:
            _LOG.error("The model failed: %s", without_message(error))
        self._note(part, lengths, begin, seconds)
        for row, item in enumerate(part):
            if item.result.done():
                continue
            if error is not None:
                item.result.set_exception(error)
            else:
                item.result.set_result((done.result()[row], begin - item.arrived, seconds))

    def _note(
        self, part: list[_Item], lengths: NDArray[np.int64], begin: float, seconds: float
    ) -> None:
        self._rate = 0.8 * self._rate + 0.2 * len(part) / max(seconds, 1e-6)
        self.meters.inference.observe(seconds)
        self.meters.batch_texts.observe(len(part))
        self.meters.batch_tokens.observe(int(lengths.max()) * len(part))
        for item in part:
            self.meters.queued.observe(begin - item.arrived)

    def _seconds_to_wait(self) -> int:
        """Estimate from the recent rate when the queue will have room again."""
        return min(60, max(1, math.ceil(self._queued / self._rate))) if self._rate else 1


def _forms(texts_per_example: int | None) -> str:
    """Return how `inputs` of one example and of a batch are written."""
    if texts_per_example == 2:
        return '["first", "second"]; a batch is [["a", "b"], ["c", "d"]]'
    return '"a text"; a batch is [["one"], ["two"]]'


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_POWERS = tuple(float(2**power) for power in range(15))


class Meters:
    """The Prometheus metrics of one server."""

    def __init__(self, queued: Callable[[], int]) -> None:
        """`queued` returns how many texts are waiting or being computed."""
        self.registry = CollectorRegistry()

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"gluetune_{name}", text, buckets=buckets, registry=self.registry)

        self.requests = Counter(
            "gluetune_requests",
            "Requests to /predict by outcome: ok, or the type of the error.",
            ["outcome"],
            registry=self.registry,
        )
        self.texts = Counter(
            "gluetune_texts", "Texts and pairs that were predicted.", registry=self.registry
        )
        self.tokens = Counter(
            "gluetune_tokens", "Tokens of the texts, padding not counted.", registry=self.registry
        )
        self.truncated = Counter(
            "gluetune_truncated_texts", "Texts that were truncated.", registry=self.registry
        )
        queue = Gauge(
            "gluetune_queue_texts", "Texts waiting or being computed.", registry=self.registry
        )
        queue.set_function(queued)
        self.request = histogram(
            "request_seconds", "Seconds per request, from body to response.", _SECONDS
        )
        self.tokenization = histogram(
            "tokenization_seconds", "Seconds to tokenize a request's texts.", _SECONDS
        )
        self.queued = histogram(
            "queue_seconds", "Seconds that a text waits for its batch.", _SECONDS
        )
        self.inference = histogram("inference_seconds", "Seconds of a forward pass.", _SECONDS)
        self.batch_texts = histogram("batch_texts", "Texts per batch.", _POWERS)
        self.batch_tokens = histogram(
            "batch_tokens", "Tokens per batch, padding included.", _POWERS
        )

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
