"""Read and validate the body of `/predict`, in the format of Text Embeddings Inference.

`inputs` (PredictInput in router/src/http/types.rs) is a text, a pair `[first, second]`, or a
batch `[[text], [first, second], …]`; `["text"]` is one text too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect

from gluetune.serving.refusals import Refusal, malformed, too_large

if TYPE_CHECKING:
    from starlette.requests import Request

    from gluetune.inference.predictor import Text
    from gluetune.serving.settings import Limits

_SHAPES = "a text, a pair [text, text], or a batch [[text], [text, text], …]"

Sequence = Annotated[list[str], Field(min_length=1, max_length=2)]
"""A text in a list of one, or a pair."""


class PredictRequest(BaseModel):
    """A request for predictions."""

    inputs: str | Sequence | list[Sequence] = Field(
        description="A text, a pair of texts, or a batch of either in lists.",
        examples=["A lovely film.", ["The first.", "The second."], [["One."], ["Two."]]],
    )
    truncate: bool | None = Field(
        None, description="Cut a text that is too long; it is refused otherwise."
    )
    raw_scores: bool = Field(False, description="Logits in place of probabilities.")


class Prediction(BaseModel):
    """A label with its probability, or its logit."""

    score: float
    label: str
    uncertain: bool | None = None
    """Of the likeliest label, where the server marks uncertain predictions."""


class ErrorResponse(BaseModel):
    """Why a request failed."""

    error: str
    error_type: str


@dataclass(frozen=True)
class ParsedRequest:
    """A request whose inputs are a list of texts and pairs."""

    texts: list[Text]
    is_batch: bool
    truncate: bool | None
    raw_scores: bool

    @property
    def characters(self) -> int:
        """Characters of all texts."""
        return sum(map(_characters, self.texts))


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read a request's body. Raises Refusal if it is too large, too slow or not JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":  # browsers send other types across origins without a preflight
        raise malformed(415, "Content-Type has to be application/json")
    problem = f"the body is larger than {limits.max_body_bytes:,} bytes"
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limits.max_body_bytes:
        raise too_large(problem)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise too_large(problem)
    except ClientDisconnect:
        raise malformed(400, "the connection was closed before the body was complete") from None
    except TimeoutError:
        raise Refusal(
            408, "Validation", "the body came too slowly", {"Connection": "close"}
        ) from None
    return bytes(body)


def parse(body: bytes, limits: Limits) -> ParsedRequest:
    """Parse a body. Raises Refusal, whose message never quotes the texts."""
    try:
        request = PredictRequest.model_validate_json(body)
    except ValidationError as error:
        raise _explained(error) from None
    parsed = _normalised(request)
    count = len(parsed.texts)
    if not count:
        raise Refusal(400, "Empty", "`inputs` cannot be empty")
    if count > limits.max_client_batch_size:
        most = limits.max_client_batch_size
        raise too_large(f"batch size {count} > maximum allowed batch size {most}")
    if any(_is_empty(text) for text in parsed.texts):
        raise Refusal(400, "Empty", "`inputs` cannot be empty")
    longest = max(map(_characters, parsed.texts))
    if longest > limits.max_characters:
        raise too_large(
            f"`inputs` must have less than {limits.max_characters} characters. Given: {longest}"
        )
    return parsed


def _normalised(request: PredictRequest) -> ParsedRequest:
    inputs = request.inputs
    alone = [inputs] if isinstance(inputs, str) else [x for x in inputs if isinstance(x, str)]
    lists = [] if isinstance(inputs, str) else [x for x in inputs if isinstance(x, list)]
    texts = [_text(alone)] if alone else [_text(each) for each in lists]
    return ParsedRequest(texts, not alone, request.truncate, request.raw_scores)


def _text(sequence: list[str]) -> Text:
    return sequence[0] if len(sequence) == 1 else (sequence[0], sequence[1])


def _characters(text: Text) -> int:
    return len(text) if isinstance(text, str) else sum(map(len, text))


def _is_empty(text: Text) -> bool:
    return not text.strip() if isinstance(text, str) else not all(map(str.strip, text))


def _explained(error: ValidationError) -> Refusal:
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return malformed(400, "the body is no JSON in UTF-8")
    name = str(first["loc"][0]) if first["loc"] else ""
    if not name:
        return malformed(422, "the body has to be a JSON object with `inputs`")
    if first["type"] == "missing":
        return malformed(422, f"`{name}` is missing")
    if name == "inputs":
        return malformed(422, f"`inputs` has to be {_SHAPES}")
    return malformed(422, f"`{name}` has to be true or false")
