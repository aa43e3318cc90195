"""The HTTP door of the service: the embeddings API of OpenAI, and the probes."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from sidecar.config import EmbedderSettings
from sidecar.connections import Answer, SlowBody, Unbranded, arriving
from sidecar.embedding.calls import ID_HEADER, Held, id_of
from sidecar.embedding.front.codings import coding_of, decoded
from sidecar.embedding.front.openai import (
    EmbeddingsBody,
    ErrorAnswer,
    TimedOut,
    answer,
    described,
    error_answer,
    full_id,
    parse,
    plain_error,
    timeout_s,
    token_texts,
)
from sidecar.embedding.front.tokens import REFUSAL, Gate
from sidecar.embedding.service import EmbeddingService, ServerState
from sidecar.embedding.statuses import Fault
from sidecar.errors import BodyTooLarge, ErrorKind, SidecarError
from sidecar.listening import Limits, Readiness, listening, probes
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_REQUESTS, logger, series
from sidecar.threads import off_the_loop

_API: Final = "/v1/"
_LIMIT_SETTING: Final = "embedder.max_message_bytes"
_REQUEST_ID: Final = web.RequestKey("request_id", str)
_CLOSE_TIMEOUT_S: Final = 1.0  # for answers that are being written. Requests in work have ended before
_PIECE_BYTES: Final = 64 * 1024  # of an answer. The next one is written when the caller has read most of the last
_WEIGHT_OF_BYTE: Final = 4  # for `off_the_loop`: JSON of texts and vectors is slow to parse and to write

_log = logger("embedding.http")


@asynccontextmanager
async def serve_http(
    settings: EmbedderSettings, service: EmbeddingService, *, gate: Gate | None, tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """Serve the API and the probes. The value is the address with the real port.

    The API asks for a token if there is a gate, the probes never do. Raises ConfigurationError if the port cannot be
    bound.
    """

    async def readiness() -> Readiness:
        return Readiness(service.state is ServerState.SERVING, str(service.state))

    app = web.Application(middlewares=[_identified, _counting, _answering(gate)])
    app.add_routes([*probes(readiness), *_api(service, settings.max_message_bytes)])
    # If a caller hangs up, its request is cancelled, so that its texts leave the queue.
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=_CLOSE_TIMEOUT_S,
        auto_decompress=False,  # aiohttp answers in plain text to a body that it cannot decode
    )
    app.on_response_prepare.append(_name)
    limits = Limits(refuse=lambda status, reason: _error(plain_error(status, reason)))
    async with listening(runner, settings.http_listen, "embedder.http_listen", tls=tls, limits=limits) as bound:
        yield f"{settings.http_listen.rpartition(':')[0]}:{bound.rpartition(':')[2]}"


def _api(service: EmbeddingService, max_body_bytes: int) -> list[web.RouteDef]:
    async def embeddings(request: web.Request) -> web.StreamResponse:
        timeout = timeout_s(request.headers.get("X-Sidecar-Timeout-Ms"))
        _check_declared(request, max_body_bytes)
        with service.inflight.hold(0) as held:  # a body counts by what has arrived of it
            try:
                async with asyncio.timeout(timeout) as deadline:
                    found = await embedded(request, held, deadline.when())
            except TimeoutError as error:
                if timeout is None:
                    raise
                raise TimedOut(timeout) from error
            held.grow_to(held.bytes + len(found))  # until it has been read
            return await _written(request, found)

    async def embedded(request: web.Request, held: Held, deadline: float | None) -> bytes:
        coding = coding_of(request.headers.get("Content-Encoding", ""))
        body = await _body(request, held, max_body_bytes)
        if coding:
            body = await asyncio.to_thread(decoded, body, coding, limit=max_body_bytes, setting=_LIMIT_SETTING)
            held.grow_to(len(body))
        asked = await off_the_loop(_WEIGHT_OF_BYTE * len(body), parse, body, request.headers.get("X-Sidecar-Lane"))
        model = full_id(asked.model, _loaded(service))
        wanted = asked.request(model, await _texts(service, asked, model))
        remaining_s = None if deadline is None else deadline - asyncio.get_running_loop().time()
        with service.tracing.called_by(request.headers.items()):
            reply = await service.embed(wanted, remaining_s)
        weight = _WEIGHT_OF_BYTE * len(reply.items) * reply.dimension * 4
        return await off_the_loop(weight, answer, reply, as_base64=asked.as_base64)

    async def models(_request: web.Request) -> web.Response:
        return _json(orjson.dumps({"object": "list", "data": [described(info) for info in service.models().models]}))

    async def model(request: web.Request) -> web.Response:
        name = full_id(request.match_info["model"], _loaded(service))
        return _json(orjson.dumps(described(service.model(name))))

    return [
        web.post("/v1/embeddings", embeddings),
        web.get("/v1/models", models),
        web.get("/v1/models/{model}", model),
    ]


async def _texts(service: EmbeddingService, asked: EmbeddingsBody, model: str) -> tuple[str, ...]:
    if not asked.token_ids:
        return asked.texts
    return token_texts(await service.texts_of(model, asked.token_ids), model)


def _loaded(service: EmbeddingService) -> tuple[str, ...]:
    return tuple(info.model for info in service.models().models)


def _check_declared(request: web.Request, limit: int) -> None:
    """Refuse a body by its length in the head of the request. Raises BodyTooLarge."""
    if (request.content_length or 0) > limit:
        raise BodyTooLarge(limit, _LIMIT_SETTING)


async def _body(request: web.Request, held: Held, limit: int) -> bytes:
    """Read the body. In chunks, or unpacked, it may be longer than the head says.

    Raises BodyTooLarge, EmbedderOverloaded, SlowBody.
    """
    body = bytearray()
    async for piece in arriving(request.content):
        body += piece
        if len(body) > limit:
            raise BodyTooLarge(limit, _LIMIT_SETTING)
        held.grow_to(len(body))
    return bytes(body)


def _answering(gate: Gate | None) -> Middleware:
    """Check the token, and give every error the shape that OpenAI's clients read."""

    @web.middleware
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        protected = request.path.startswith(_API)
        if gate is not None and protected and not gate.lets_in(request.headers.get("Authorization", "")):
            return _error(plain_error(401, REFUSAL, headers={"WWW-Authenticate": "Bearer"}))
        try:
            return await handler(request)
        except SlowBody as error:
            _log.info("a body does not arrive", action="slow_body", request_id=request[_REQUEST_ID])
            return _error(plain_error(408, str(error)))
        except SidecarError as error:
            series(EMBEDDER_ERRORS, "request", error.kind).inc()
            _log.info(
                "refused a request",
                action="request_refused",
                kind=error.kind,
                reason=str(error),
                request_id=request[_REQUEST_ID],
            )
            return _error(error_answer(error))
        except web.HTTPException as error:
            headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            problem = f"{error.reason}: {request.method} {request.path}"
            return _error(plain_error(error.status, problem, headers=headers))
        except Exception:  # noqa: BLE001 - the edge: the log gets the traceback, the caller an answer
            series(EMBEDDER_ERRORS, "request", ErrorKind.INTERNAL).inc()
            _log.exception(
                "a request failed", action="request_failed", path=request.path, request_id=request[_REQUEST_ID]
            )
            return _error(error_answer(Fault()))

    return answering


@web.middleware
async def _identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its own id or a new one."""
    request[_REQUEST_ID] = id_of(request.headers.items())
    return await handler(request)


async def _name(request: web.Request, response: web.StreamResponse) -> None:
    """Send the id with the answer."""
    if _REQUEST_ID in request:
        response.headers[ID_HEADER] = request[_REQUEST_ID]


@web.middleware
async def _counting(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the requests of the API by their status."""
    status = "cancelled"
    try:
        response = await handler(request)
        status = str(response.status)
        return response
    finally:
        if request.path.startswith(_API):
            series(EMBEDDER_REQUESTS, "http", status).inc()


async def _written(request: web.Request, body: bytes) -> web.StreamResponse:
    """Write an answer. It ends when the caller has read it but for its last bytes, or the connection is lost."""
    response = Unbranded(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    for start in range(0, len(body), _PIECE_BYTES):
        await response.write(memoryview(body)[start : start + _PIECE_BYTES])
    await response.write_eof()
    return response


def _json(body: bytes) -> web.Response:
    return Answer(body=body, content_type="application/json")


def _error(error: ErrorAnswer) -> web.Response:
    return Answer(status=error.status, body=error.body, headers=error.headers, content_type="application/json")
