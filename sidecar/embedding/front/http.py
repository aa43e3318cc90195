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
from sidecar.listening import Readiness, listening, probes
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_REQUESTS, logger, series
from sidecar.threads import off_the_loop

_API: Final = "/v1/"
_LIMIT_SETTING: Final = "embedder.max_message_bytes"
_REQUEST_ID: Final = web.RequestKey("request_id", str)
_CLOSE_TIMEOUT_S: Final = 1.0  # for answers that are being written. Requests in work have ended before
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
    async with listening(runner, settings.http_listen, "embedder.http_listen", tls=tls) as bound:
        yield f"{settings.http_listen.rpartition(':')[0]}:{bound.rpartition(':')[2]}"


def _api(service: EmbeddingService, max_body_bytes: int) -> list[web.RouteDef]:
    async def embeddings(request: web.Request) -> web.Response:
        timeout = timeout_s(request.headers.get("X-Sidecar-Timeout-Ms"))
        with service.inflight.hold(_declared(request, max_body_bytes)) as held:
            try:
                async with asyncio.timeout(timeout) as deadline:
                    return await embedded(request, held, deadline.when())
            except TimeoutError as error:
                if timeout is None:
                    raise
                raise TimedOut(timeout) from error

    async def embedded(request: web.Request, held: Held, deadline: float | None) -> web.Response:
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
        return _json(await off_the_loop(weight, answer, reply, as_base64=asked.as_base64))

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


def _declared(request: web.Request, limit: int) -> int:
    """The length of the body in the head of the request, or 0 if the body arrives in chunks. Raises BodyTooLarge."""
    declared = request.content_length or 0
    if declared > limit:
        raise BodyTooLarge(limit, _LIMIT_SETTING)
    return declared


async def _body(request: web.Request, held: Held, limit: int) -> bytes:
    """Read the body. In chunks, or unpacked, it may be longer than the head says.

    Raises BodyTooLarge, EmbedderOverloaded.
    """
    body = bytearray()
    async for piece in request.content.iter_any():
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
    """Give the request its own id or a new one, and send the id with the answer."""
    request[_REQUEST_ID] = id_of(request.headers.items())
    response = await handler(request)
    response.headers[ID_HEADER] = request[_REQUEST_ID]
    return response


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


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(error: ErrorAnswer) -> web.Response:
    return web.Response(status=error.status, body=error.body, headers=error.headers, content_type="application/json")
