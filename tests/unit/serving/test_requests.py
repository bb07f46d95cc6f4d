"""The body of /predict, as Text Embeddings Inference takes it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gluetune.core.errors import ConfigurationError
from gluetune.serving.app import parse
from gluetune.serving.guards import Refusal
from gluetune.serving.settings import Limits

LIMITS = Limits(max_client_batch_size=3, max_characters=20)


def body(inputs: Any, **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


@pytest.mark.parametrize(
    ("inputs", "texts", "is_batch"),
    [
        ("a text", ["a text"], False),
        (["a text"], ["a text"], False),
        (["one", "two"], [("one", "two")], False),
        ([["one"]], ["one"], True),
        ([["one"], ["two"]], ["one", "two"], True),
        ([["one", "two"], ["three"]], [("one", "two"), "three"], True),
    ],
)
def test_every_form_of_inputs_is_read(inputs: Any, texts: list[Any], is_batch: bool) -> None:
    asked = parse(body(inputs), LIMITS)
    assert (asked.texts, asked.is_batch) == (texts, is_batch)
    assert (asked.truncate, asked.raw_scores) == (None, False)


def test_flags_are_read_and_unknown_fields_are_left_alone() -> None:
    asked = parse(body("a", truncate=True, raw_scores=True, parameters={}), LIMITS)
    assert (asked.truncate, asked.raw_scores) == (True, True)


@pytest.mark.parametrize(
    ("content", "status", "error_type", "message"),
    [
        (b"", 400, "Validation", "no JSON"),
        (b'{"inputs": "secret', 400, "Validation", "no JSON"),
        (b'{"inputs": "secret \xff"}', 400, "Validation", "no JSON"),
        (b'{"inputs": "secret \\ud800"}', 400, "Validation", "no JSON"),
        (b'["secret"]', 422, "Validation", "JSON object with `inputs`"),
        (b'{"input": "secret"}', 422, "Validation", "`inputs` is missing"),
        (body(3), 422, "Validation", "`inputs` has to be a text, a pair"),
        (body(None), 422, "Validation", "`inputs` has to be"),
        (body(["secret", "b", "c"]), 422, "Validation", "`inputs` has to be"),
        (body([["secret", "b", "c"]]), 422, "Validation", "`inputs` has to be"),
        (body(["secret", ["b"]]), 422, "Validation", "`inputs` has to be"),
        (body([[]]), 422, "Validation", "`inputs` has to be"),
        (body("secret", raw_scores="perhaps"), 422, "Validation", "`raw_scores` has to be true"),
        (body([]), 400, "Empty", "cannot be empty"),
        (body(" \n"), 400, "Empty", "cannot be empty"),
        (body([["a", " "]]), 400, "Empty", "cannot be empty"),
        (body([["a"], ["b"], ["c"], ["secret"]]), 413, "Validation", "batch size 4 > maximum"),
        (body("secret" * 4), 413, "Validation", "less than 20 characters. Given: 24"),
        (body(["secret" * 2, "b" * 9]), 413, "Validation", "Given: 21"),
    ],
)
def test_what_cannot_be_answered_is_refused_without_its_text(
    content: bytes, status: int, error_type: str, message: str
) -> None:
    with pytest.raises(Refusal, match=message) as raised:
        parse(content, LIMITS)
    assert (raised.value.status, raised.value.error_type) == (status, error_type)
    assert "secret" not in str(raised.value.body)
    assert raised.value.__cause__ is None


@settings(max_examples=50)
@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers(), st.lists, max_leaves=9))
def test_any_json_is_read_or_refused(inputs: Any) -> None:
    with contextlib.suppress(Refusal):
        asked = parse(body(inputs), LIMITS)
        assert 1 <= len(asked.texts) <= LIMITS.max_client_batch_size


@settings(max_examples=50)
@given(st.binary())
def test_any_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(Refusal):
        parse(content, LIMITS)


def test_wrong_limits_are_told_together() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Limits(max_queue=4, timeout=-1, max_wait_ms=-1)
    told = " ".join(finding.message for finding in raised.value.findings)
    assert len(raised.value.findings) == 3
    assert all(name in told for name in ("max_queue=4", "timeout=-1", "max_wait_ms=-1"))
