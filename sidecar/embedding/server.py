"""The embedding server: its parts, its listeners and its life cycle."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from sidecar.config import EmbedderSettings
from sidecar.contract import embedding_pb2, embedding_pb2_grpc
from sidecar.embedding.batcher import Batcher
from sidecar.embedding.cache.file import VectorFile
from sidecar.embedding.cache.vectors import VectorCache
from sidecar.embedding.front.decoding import DecodingInterceptor
from sidecar.embedding.front.http import serve_http
from sidecar.embedding.front.servicer import EmbedderServicer, ModelsServicer
from sidecar.embedding.front.tls import Certificates, certificates
from sidecar.embedding.front.tokens import Gate, GateInterceptor
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.service import EmbeddingService, Served
from sidecar.errors import ConfigurationError
from sidecar.listening import unknown_host
from sidecar.telemetry import logger
from sidecar.tracing import OFF, Tracing

_CLOSE_TIMEOUT_S: Final = 1.0  # for health watchers and idle streams, when every request has been answered

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING

_log = logger("embedding.server")


# Gives the models when they are loaded. From then on it calls its argument when they become unusable or usable.
Load = Callable[[Callable[[bool], None]], Awaitable[Sequence[LoadedModel]]]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready: the addresses with their real ports, and the loaded models."""

    address: str
    http_address: str
    models: tuple[LoadedModel, ...]


@asynccontextmanager
async def serving(settings: EmbedderSettings, load: Load, tracing: Tracing = OFF) -> AsyncIterator[Running]:
    """Listen, wait for the models, and serve until the context ends.

    At the end, new requests are refused, and those in work are answered. The ports are bound before the models are
    loaded, so that a taken port is reported at once. A call in the meantime gets UNAVAILABLE. Raises ConfigurationError
    if a port cannot be bound or a file of tokens or certificates cannot be used, and the errors of `load`.
    """
    async with AsyncExitStack() as stack:
        tokenize_worker = _worker(stack, "tokenize")
        cache = _cache(stack, settings)
        service = EmbeddingService(
            max_texts=settings.max_texts,
            max_message_bytes=settings.max_message_bytes,
            max_inflight_bytes=settings.max_inflight_bytes,
            tokenize_worker=tokenize_worker,
            cache=cache,
            tracing=tracing,
        )
        health_servicer = health.aio.HealthServicer()  # type: ignore[attr-defined]
        await health_servicer.set("", _NOT_SERVING)
        gate = Gate(Path(settings.tokens_file)) if settings.tokens_file else None
        tls = certificates(settings)
        http_address = await stack.enter_async_context(
            serve_http(settings, service, gate=gate, tls=tls.ssl_context() if tls else None)
        )
        servicers = EmbedderServicer(service), ModelsServicer(service), health_servicer
        address = await stack.enter_async_context(_grpc(settings, servicers, gate=gate, tls=tls))

        _log.info("loading", action="embedder_loading", listen=address, http_listen=http_address)
        can_compute: asyncio.Queue[bool] = asyncio.Queue()
        loaded = await load(can_compute.put_nowait)
        # One budget for all models: as many batches at once as one of them may have in work alone.
        slots = asyncio.Semaphore(max(model.backend.streams for model in loaded))
        served = [Served(model, _batcher(model, settings, slots, cache)) for model in loaded]
        names = ("", *(model.version.id for model in loaded))
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(one.batcher.run(), name=f"batches of {one.loaded.version.id}") for one in served]
            service.serve(served)
            await _tell_health(health_servicer, names, usable=True)
            loops.append(group.create_task(_follow(can_compute, service, health_servicer, names), name="health"))
            try:
                yield Running(address, http_address, tuple(loaded))
            finally:
                _log.info("draining", action="embedder_draining")
                await health_servicer.enter_graceful_shutdown()
                await _drain(service, settings.drain_timeout_s)
                for task in loops:
                    task.cancel()


def _worker(stack: AsyncExitStack, name: str) -> ThreadPoolExecutor:
    """One thread. The end of the server does not wait for it, because a library that computes cannot be interrupted."""
    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
    stack.callback(worker.shutdown, wait=False, cancel_futures=True)
    return worker


def _cache(stack: AsyncExitStack, settings: EmbedderSettings) -> VectorCache:
    file = VectorFile.open(Path(settings.cache_dir), settings.cache_disk_bytes) if settings.cache_dir else None
    cache = VectorCache(settings.cache_memory_bytes, file)
    stack.callback(cache.close)
    return cache


async def _follow(
    can_compute: "asyncio.Queue[bool]",
    service: EmbeddingService,
    health_servicer: health_pb2_grpc.HealthServicer,
    names: Sequence[str],
) -> None:
    while True:
        usable = await can_compute.get()
        service.computing_is(usable=usable)
        await _tell_health(health_servicer, names, usable=usable)


async def _tell_health(health_servicer: health_pb2_grpc.HealthServicer, names: Sequence[str], *, usable: bool) -> None:
    for name in names:
        await health_servicer.set(name, _SERVING if usable else _NOT_SERVING)


def _batcher(model: LoadedModel, settings: EmbedderSettings, slots: asyncio.Semaphore, cache: VectorCache) -> Batcher:
    return Batcher(
        model.backend,
        model=model.version.id,
        dimension=model.version.dimension,
        slots=slots,
        cache=cache,
        max_batch_tokens=model.backend.batch_tokens or settings.max_batch_tokens,
        max_bulk_batch_s=settings.max_bulk_batch_ms / 1_000,
        max_queue_tokens=settings.max_queue_tokens,
    )


async def _drain(service: EmbeddingService, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await service.drain()
    except TimeoutError:
        _log.warning("requests in work are cancelled", action="drain_timeout", timeout_s=timeout_s)


@asynccontextmanager
async def _grpc(
    settings: EmbedderSettings,
    servicers: tuple[EmbedderServicer, ModelsServicer, health_pb2_grpc.HealthServicer],
    *,
    gate: Gate | None,
    tls: Certificates | None,
) -> AsyncIterator[str]:
    server = grpc.aio.server(
        interceptors=[*([GateInterceptor(gate)] if gate else []), DecodingInterceptor()],
        options=[
            ("grpc.so_reuseport", 0),  # otherwise a second server on the same port would take half of the calls
            # Many clients ask every few seconds whether the connection lives, also while they wait for a long answer.
            # By default such a client would be cut off after some minutes.
            ("grpc.http2.max_ping_strikes", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            # A caller that has vanished without a word is noticed, and what it holds is free again.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            ("grpc.max_send_message_length", settings.max_message_bytes),
        ],
    )
    embedder, models, health_servicer = servicers
    embedder.add_to(server)
    embedding_pb2_grpc.add_ModelsServicer_to_server(models, server)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    if settings.reflection:
        from grpc_reflection.v1alpha import reflection  # noqa: PLC0415 - a tenth of a second, only if it is served

        contract = embedding_pb2.DESCRIPTOR.services_by_name.values()
        names = [*(one.full_name for one in contract), health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
    try:
        port = (
            server.add_secure_port(settings.listen, tls.grpc_credentials())
            if tls
            else server.add_insecure_port(settings.listen)
        )
    except RuntimeError as error:
        problem = await unknown_host(settings.listen) or "is the port taken?"
        raise ConfigurationError(f"embedder.listen: cannot listen on {settings.listen}: {problem}") from error
    await server.start()
    try:
        yield f"{settings.listen.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(_CLOSE_TIMEOUT_S)
