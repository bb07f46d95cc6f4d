"""The routes: Text Embeddings Inference's `/predict`, `/info`, `/health`, `/metrics`; the page.

In the body of `/predict`, `inputs` (PredictInput in router/src/http/types.rs) is a text, a
pair `[first, second]`, or a batch `[[text], [first, second], …]`; `["text"]` is one text too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gluetune.serving.batching import Batcher, RequestLogits
from gluetune.serving.guards import SECURITY_HEADERS, Guard, KeyCheck, Refusal, malformed, too_large
from gluetune.serving.page import MEDIA_TYPES, STATIC, render_docs, render_page

if TYPE_CHECKING:
    from gluetune.inference.predictor import Predictor, Text
    from gluetune.serving.page import Example
    from gluetune.serving.settings import Limits

_SHAPES = "a text, a pair [text, text], or a batch [[text], [text, text], …]"

TextInput = Annotated[list[str], Field(min_length=1, max_length=2)]
"""A text in a list of one, or a pair."""


class PredictRequest(BaseModel):
    """A request for predictions."""

    inputs: str | TextInput | list[TextInput] = Field(
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


_TIMES = ("x-total-time", "x-tokenization-time", "x-queue-time", "x-inference-time")


def make_app(
    predictor: Predictor,
    limits: Limits,
    *,
    examples: Sequence[Example] = (),
    note: str = "",
    allowed_hosts: Sequence[str] = (),
    cors_origins: Sequence[str] = (),
    auto_truncate: bool = False,
    api_key: str | None = None,
) -> FastAPI:
    """Return the application. `note` explains why there are no examples, if there are none."""
    batcher = Batcher(predictor, limits)
    if api_key is not None:
        # A browser opens the page without a key, so the page shows nothing that the key protects.
        examples, note = (), "No examples are shown where a key is required."

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        yield
        await batcher.close()

    app = FastAPI(
        title=f"gluetune serve: {predictor.opened.name}",
        description="Predictions of a text classifier, with the API of Text Embeddings Inference.",
        version=version("gluetune"),
        docs_url=None,  # FastAPI's own pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Refusal, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(Exception, _fail)
    page = render_page(predictor, examples, note, needs_key=api_key is not None)
    _add_pages(app, page, render_docs(predictor, limits))
    _add_prediction(app, predictor, batcher, limits, auto_truncate=auto_truncate)
    _add_state(app, batcher, _info(predictor, batcher, limits, auto_truncate=auto_truncate))
    if api_key is not None:
        app.add_middleware(KeyCheck, key=api_key)
    if cors_origins:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "authorization"],
            expose_headers=[*_TIMES, "x-truncated-inputs", "retry-after"],
        )
    app.add_middleware(Guard, names=list(allowed_hosts))
    return app


def _add_prediction(
    app: FastAPI, predictor: Predictor, batcher: Batcher, limits: Limits, *, auto_truncate: bool
) -> None:
    errors: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorResponse, "description": text}
        for status, text in {
            400: "No text, or no JSON",
            401: "No API key, or a wrong one, where the server has one",
            408: "Timeout while reading the head or the body",
            413: "More than the limits allow",
            415: "Another content type than application/json",
            421: "The Host header names another server",
            422: "Inputs of another shape than the model reads",
            424: "The model failed",
            429: "The queue is full; Retry-After gives the seconds to wait",
            503: "Timeout, or too many connections",
        }.items()
    }
    schema = PredictRequest.model_json_schema()

    # Text Embeddings Inference serves classifiers there too.
    @app.post("/", include_in_schema=False)
    @app.post("/invocations", include_in_schema=False)
    @app.post(
        "/predict",
        response_model=list[Prediction] | list[list[Prediction]],
        responses=errors,
        summary="Classes or labels with their probabilities, the most likely first",
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}
        },
    )
    async def predict(request: Request) -> Response:
        begin = time.perf_counter()
        outcome = "cancelled"
        try:
            parsed = parse(await read_body(request, limits), limits)
            truncate = auto_truncate if parsed.truncate is None else parsed.truncate
            output = await batcher.predict(parsed.texts, truncate=truncate)
            outcome = "ok"
        except Refusal as refusal:
            outcome = refusal.error_type.lower()
            raise
        finally:
            batcher.meters.requests.labels(outcome).inc()
            batcher.meters.request.observe(time.perf_counter() - begin)
        rows = _predictions(predictor, output, raw_scores=parsed.raw_scores)
        headers = _headers(parsed, output, time.perf_counter() - begin)
        return JSONResponse(rows if parsed.is_batch else rows[0], headers=headers)


def _add_state(app: FastAPI, batcher: Batcher, info: dict[str, Any]) -> None:
    @app.get("/info", summary="The model and the limits")
    async def get_info() -> dict[str, Any]:
        return info

    @app.get("/health", summary="200 while requests are served", response_class=Response)
    async def get_health() -> Response:
        if not batcher.is_healthy:
            raise Refusal(503, "Unhealthy", "unhealthy")
        return Response(status_code=200)

    @app.get("/metrics", summary="Prometheus metrics", response_class=Response)
    async def get_metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST

        return Response(batcher.meters.exposition(), media_type=CONTENT_TYPE_LATEST)


def _add_pages(app: FastAPI, page: str, docs: str) -> None:
    @app.get("/", include_in_schema=False)
    async def show_page() -> Response:
        return HTMLResponse(page)

    @app.get("/docs", include_in_schema=False)
    async def show_docs() -> Response:
        return HTMLResponse(docs)

    @app.get("/static/{name}", include_in_schema=False)
    async def get_file(name: str) -> Response:
        if name not in MEDIA_TYPES:
            return Response(status_code=404)
        return FileResponse(STATIC / name, media_type=MEDIA_TYPES[name])


async def _refuse(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal), "the handler is registered for Refusal"
    return JSONResponse(refusal.body, refusal.status, headers=dict(refusal.headers))


async def _refuse_route(request: Request, error: Exception) -> Response:
    """Return an unknown path or method as JSON, like every other error."""
    assert isinstance(error, HTTPException), "the handler is registered for HTTPException"
    refusal = malformed(error.status_code, f"{request.method} {request.url.path}: {error.detail}")
    return JSONResponse(refusal.body, refusal.status, headers=error.headers)


async def _fail(request: Request, error: Exception) -> Response:
    """Return an unexpected error by its type alone: its message may quote a text."""
    refusal = Refusal(500, "Backend", f"the server failed ({type(error).__name__}); see its log")
    headers = {name.decode(): value.decode() for name, value in SECURITY_HEADERS}
    # This handler runs outside of every middleware, so the headers are added here.
    return JSONResponse(refusal.body, refusal.status, headers=headers)


def _predictions(
    predictor: Predictor, output: RequestLogits, *, raw_scores: bool
) -> list[list[dict[str, Any]]]:
    """Return each text's classes or labels, the most likely first; for regression the number."""
    logits = output.logits
    labels = predictor.labels or ("score",)
    scores = logits if raw_scores else predictor.scores(logits)
    rows: list[list[dict[str, Any]]] = [
        sorted(
            (
                {"label": label, "score": float(score)}
                for label, score in zip(labels, row, strict=True)
            ),
            key=lambda each: -float(each["score"]),
        )
        for row in scores
    ]
    if predictor.threshold is not None:
        for row, prediction in zip(rows, predictor.predictions(logits), strict=True):
            row[0]["uncertain"] = prediction.uncertain
    return rows


def _headers(parsed: ParsedRequest, output: RequestLogits, seconds: float) -> dict[str, str]:
    """Return TEI's timing headers, in milliseconds, here with a decimal."""
    spent = (seconds, output.tokenization, output.queue, output.inference)
    return {
        **{name: f"{1000 * each:.1f}" for name, each in zip(_TIMES, spent, strict=True)},
        "x-compute-characters": str(parsed.characters),
        "x-compute-tokens": str(output.tokens),
        "x-truncated-inputs": str(output.truncated),
    }


def _info(
    predictor: Predictor, batcher: Batcher, limits: Limits, *, auto_truncate: bool
) -> dict[str, Any]:
    """Return TEI's Info, with the fields of a text classifier."""
    backend = predictor.opened
    names = predictor.labels or ("score",)
    classes = {
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
    }
    return {
        "model_id": backend.name,
        "model_sha": None,
        "model_dtype": {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}.get(
            backend.precision, backend.precision
        ),
        "model_type": {"classifier" if predictor.labels else "regressor": classes},
        "max_concurrent_requests": limits.max_queue,
        "max_input_length": backend.max_length,
        "max_batch_tokens": batcher.most_tokens,
        "max_batch_requests": batcher.most_texts,
        "max_client_batch_size": limits.max_client_batch_size,
        "auto_truncate": auto_truncate,
        "tokenization_workers": 1,
        "version": version("gluetune"),
        "backend": backend.backend,
        "task": backend.task.name if backend.task else None,
        "text_columns": list(backend.task.text_columns) if backend.task else None,
        "label_range": backend.task.label_range if backend.task else None,
        "problem_type": predictor.problem_type,
        "thresholds": predictor.thresholds or None,
        "min_confidence": predictor.threshold and predictor.threshold.confidence,
    }
