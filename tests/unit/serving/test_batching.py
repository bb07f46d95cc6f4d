"""Many requests at once: batched, bounded, in time, and each with its own answer."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.support.casts import WeightCasts
from tests.support.servers import watched

from gluetune.data.encoding import Encoded
from gluetune.inference.predictor import Predictor, Text
from gluetune.serving.batching import Batcher, RequestLogits
from gluetune.serving.guards import Refusal
from gluetune.serving.settings import Limits

_WORDS = ("a", "quick", "brown", "fox", "jumps", "over", "it")
TEXTS = [" ".join(_WORDS[: 1 + number % 7]) for number in range(20)]
SECRET = "-".join(("my", "secret"))


def run(predictor: Predictor, work: Callable[[Batcher], Awaitable[Any]], **limits: Any) -> Any:
    """Run `work` with a Batcher that is started and closed around it."""

    async def main() -> Any:
        batcher = Batcher(predictor, Limits(**limits))
        batcher.start()
        try:
            return await work(batcher)
        finally:
            await batcher.close()

    return asyncio.run(main())


class Gate:
    """Holds the model at its first batch until it is opened."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.open.wait(30)

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 30)


async def ask(batcher: Batcher, *typed: Text, texts: Sequence[Text] = ()) -> RequestLogits:
    return await batcher.predict(typed or texts, truncate=False)


def test_requests_that_wait_are_answered_together_each_its_own(emotions: Predictor) -> None:
    gate = Gate()
    predictor = watched(emotions, gate)

    async def work(batcher: Batcher) -> list[RequestLogits]:
        first = asyncio.create_task(ask(batcher, TEXTS[0]))
        await gate.is_reached()
        others = [asyncio.create_task(ask(batcher, text)) for text in TEXTS[1:]]
        await asyncio.sleep(0.2)
        gate.open.set()
        return await asyncio.gather(first, *others)

    answers = run(predictor, work)
    batches = predictor.opened.batches  # type: ignore[attr-defined]  # Watched
    assert sum(map(len, batches)) == len(TEXTS)
    assert len(batches) < len(TEXTS) / 2
    for text, answered in zip(TEXTS, answers, strict=True):
        # Products of other shapes round differently; see docs/how-to/serve.md.
        np.testing.assert_allclose(answered.logits, emotions.logits([text]), rtol=0, atol=1e-5)


def test_a_text_alone_is_answered_to_the_bit(emotions: Predictor) -> None:
    texts: list[Text] = ["a", "a quick brown fox", ("a pair", "of texts")]
    for text in texts:
        answered = run(emotions, partial(ask, texts=[text]))
        np.testing.assert_array_equal(answered.logits, emotions.logits([text]))


def test_weights_are_cast_once_for_all_requests(emotions: Predictor) -> None:
    opened: Any = emotions.opened
    casts = WeightCasts(opened.classifier.model)

    class Counted(type(opened)):  # type: ignore[misc]  # whichever backend it is
        def logits(self, encoded: Encoded) -> Any:
            with casts:  # in the thread that computes
                return super().logits(encoded)

    fields = {field.name: getattr(opened, field.name) for field in dataclasses.fields(opened)}
    halves = Predictor(Counted(**{**fields, "precision": "bf16"}))

    async def one_after_the_other(batcher: Batcher) -> list[RequestLogits]:
        return [await ask(batcher, text) for text in ("I am glad.", "Rain again.", "No.")]

    run(halves, one_after_the_other)
    assert len(casts.counts) > 10
    assert set(casts.counts.values()) == {1}


def test_one_request_of_many_texts_keeps_their_order(emotions: Predictor) -> None:
    answered = run(emotions, lambda batcher: ask(batcher, *TEXTS))
    np.testing.assert_allclose(answered.logits, emotions.logits(TEXTS), rtol=0, atol=1e-5)
    assert answered.tokens == sum(emotions.encode(TEXTS).lengths)


def test_batches_are_bounded_in_tokens_and_sorted_by_length(emotions: Predictor) -> None:
    predictor = watched(emotions)
    run(predictor, lambda batcher: ask(batcher, *TEXTS), max_batch_tokens=40)
    batches = predictor.opened.batches  # type: ignore[attr-defined]  # Watched
    assert sum(map(len, batches)) == len(TEXTS)
    assert len(batches) >= 4
    for lengths in batches:
        assert len(lengths) * max(lengths) <= 40
        assert lengths == sorted(lengths)


def test_batching_can_be_switched_off(emotions: Predictor) -> None:
    predictor = watched(emotions)
    run(predictor, lambda batcher: ask(batcher, *TEXTS), max_batch_requests=1)
    assert all(len(batch) == 1 for batch in predictor.opened.batches)  # type: ignore[attr-defined]


def test_beyond_the_queue_requests_are_told_to_come_back(emotions: Predictor) -> None:
    gate = Gate()

    async def work(batcher: Batcher) -> None:
        held = [asyncio.create_task(ask(batcher, "a")) for _ in range(3)]
        await gate.is_reached()
        with pytest.raises(Refusal, match="overloaded") as raised:
            await ask(batcher, "a", "b")
        assert raised.value.status == 429
        assert int(raised.value.headers["Retry-After"]) >= 1
        last = asyncio.create_task(ask(batcher, "a"))  # one more has room
        gate.open.set()
        await asyncio.gather(*held, last)
        await ask(batcher, "a", "b")  # and after them there is room again

    run(watched(emotions, gate), work, max_queue=4, max_client_batch_size=4)


def test_a_request_that_takes_too_long_gives_up_and_leaves_the_queue(emotions: Predictor) -> None:
    gate = Gate()
    predictor = watched(emotions, gate)

    async def work(batcher: Batcher) -> None:
        first = asyncio.create_task(ask(batcher, "a"))
        await gate.is_reached()
        with pytest.raises(Refusal, match="no result within") as raised:
            await ask(batcher, "never computed")
        assert raised.value.status == 503
        with pytest.raises(Refusal):  # the first was in the model for as long
            await first
        gate.open.set()
        await ask(batcher, "c")

    run(predictor, work, timeout=0.3)
    batches = predictor.opened.batches  # type: ignore[attr-defined]  # Watched
    assert [len(batch) for batch in batches] == [1, 1]  # the second is that of "c"


def test_a_failure_is_told_without_the_text_and_the_next_request_is_answered(
    emotions: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    failing = True

    def fail() -> None:
        if failing:
            raise RuntimeError(f"could not read {SECRET}")

    async def work(batcher: Batcher) -> None:
        nonlocal failing
        with pytest.raises(Refusal, match=r"inference failed \(RuntimeError\)") as raised:
            await ask(batcher, SECRET)
        assert (raised.value.status, raised.value.error_type) == (424, "Backend")
        failing = False
        await ask(batcher, "a")
        assert batcher.is_healthy

    with caplog.at_level(logging.DEBUG):
        run(watched(emotions, fail), work)
    assert "RuntimeError" in caplog.text
    assert SECRET not in caplog.text


def test_texts_that_are_too_long_are_refused_or_cut(emotions: Predictor) -> None:
    long = "a " * 100

    async def work(batcher: Batcher) -> RequestLogits:
        with pytest.raises(Refusal, match=r"at most 32 tokens. Given: 10\d") as raised:
            await ask(batcher, "a", long)
        assert raised.value.status == 413
        return await batcher.predict(["a", long], truncate=True)

    answered = run(emotions, work)
    assert answered.truncated == 1
    np.testing.assert_allclose(answered.logits, emotions.logits(["a", long]), rtol=0, atol=1e-5)


def test_after_closing_nothing_is_healthy(emotions: Predictor) -> None:
    async def work(batcher: Batcher) -> Batcher:
        assert batcher.is_healthy
        return batcher

    assert not run(emotions, work).is_healthy
