"""The gRPC door of the service: calls, streams and statuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import grpc
from google.rpc import code_pb2
from grpc_status import rpc_status

from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.calls import id_of, shortened
from sidecar.embedding.service import EmbeddingService
from sidecar.embedding.statuses import Fault, retry_after_s, status_of
from sidecar.errors import ErrorKind, SidecarError
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_REQUESTS, logger, series

# The requests of one stream that are in work or wait to be written. We do not read from a caller that does not read.
_STREAM_WINDOW: Final = 4
_STREAM_CREDIT_TOKENS: Final = 65_536

_log = logger("embedding.servicer")


class EmbedderServicer(embedding_pb2_grpc.EmbedderServicer):
    """`sidecar.embedding.v1.Embedder`."""

    def __init__(self, service: EmbeddingService) -> None:
        self._service = service

    async def Embed(  # noqa: N802 - the name in the contract
        self, request: pb.EmbedRequest, context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.EmbedReply]
    ) -> pb.EmbedReply:
        async with _aborting(context, request.request_id) as request.request_id:
            return await self._embed(request, context)

    async def EmbedStream(  # noqa: N802
        self,
        requests: AsyncIterator[pb.EmbedRequest],
        context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.StreamReply],
    ) -> None:
        in_work: asyncio.Queue[asyncio.Task[pb.StreamReply] | None] = asyncio.Queue(_STREAM_WINDOW)
        with _gone_is_cancelled():
            async with asyncio.TaskGroup() as group:
                group.create_task(_write_in_order(in_work, context), name="write stream replies")
                async for request in requests:
                    work = self._stream_reply(request, context)
                    await in_work.put(group.create_task(work, name="embed stream request"))
                await in_work.put(None)

    async def Tokenize(  # noqa: N802
        self, request: pb.TokenizeRequest, context: grpc.aio.ServicerContext[pb.TokenizeRequest, pb.TokenizeReply]
    ) -> pb.TokenizeReply:
        async with _aborting(context):
            with self._service.inflight.hold(request.ByteSize()):
                return await self._service.tokenize(request)

    async def _embed(
        self, request: pb.EmbedRequest, context: grpc.aio.ServicerContext[pb.EmbedRequest, Any]
    ) -> pb.EmbedReply:
        caller = self._service.tracing.called_by(context.invocation_metadata() or ())
        with caller, self._service.inflight.hold(request.ByteSize()):
            return await self._service.embed(request, context.time_remaining())

    async def _stream_reply(
        self, request: pb.EmbedRequest, context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.StreamReply]
    ) -> pb.StreamReply:
        request.request_id = _request_id(context, request.request_id)
        try:
            with _counted():
                reply = await self._embed(request, context)
            return pb.StreamReply(reply=reply, credit_tokens=_STREAM_CREDIT_TOKENS)
        except Exception as error:  # noqa: BLE001 - the edge: one request of the stream has failed, the others have not
            refusal = _logged(error, request.request_id)
            status = status_of(refusal)
            return pb.StreamReply(
                error=pb.StreamError(
                    code=status.code,
                    message=status.message,
                    request_id=request.request_id,
                    retry_after_ms=round(retry_after_s(refusal) * 1000),
                ),
                credit_tokens=_STREAM_CREDIT_TOKENS,
            )


class ModelsServicer(embedding_pb2_grpc.ModelsServicer):
    """`sidecar.embedding.v1.Models`."""

    def __init__(self, service: EmbeddingService) -> None:
        self._service = service

    async def List(  # noqa: N802
        self,
        request: pb.ListModelsRequest,  # noqa: ARG002 - it has no fields
        context: grpc.aio.ServicerContext[pb.ListModelsRequest, pb.ListModelsReply],
    ) -> pb.ListModelsReply:
        async with _aborting(context):
            return self._service.models()

    async def Get(  # noqa: N802
        self, request: pb.GetModelRequest, context: grpc.aio.ServicerContext[pb.GetModelRequest, pb.ModelInfo]
    ) -> pb.ModelInfo:
        async with _aborting(context):
            return self._service.model(request.model)


async def _write_in_order(
    in_work: asyncio.Queue[asyncio.Task[pb.StreamReply] | None],
    context: grpc.aio.ServicerContext[pb.EmbedRequest, pb.StreamReply],
) -> None:
    while (task := await in_work.get()) is not None:
        await context.write(await task)


@contextmanager
def _gone_is_cancelled() -> Iterator[None]:
    """Take it for a cancellation if a caller cannot be written to. It has gone, and gRPC would log a traceback."""
    gone = False
    try:
        yield
    except* (grpc.aio.InternalError, grpc.aio.UsageError):
        gone = True  # what is raised here would be wrapped in a group
    if gone:
        raise asyncio.CancelledError


@contextmanager
def _counted() -> Iterator[None]:
    """Count a request by its status. Each request of a stream counts."""
    status, kind = "INTERNAL", ErrorKind.INTERNAL
    try:
        yield
        status = "OK"
    except SidecarError as error:
        status, kind = code_pb2.Code.Name(status_of(error).code), error.kind
        raise
    except asyncio.CancelledError:
        status = "CANCELLED"  # by the caller or by its deadline: gRPC does not tell us which
        raise
    finally:
        series(EMBEDDER_REQUESTS, "grpc", status).inc()
        if status not in {"OK", "CANCELLED"}:
            series(EMBEDDER_ERRORS, "request", kind).inc()


@asynccontextmanager
async def _aborting(context: grpc.aio.ServicerContext[Any, Any], given: str = "") -> AsyncIterator[str]:
    """Answer every error of a call with its status. The value is the id of the call: the given one, or a new one."""
    request_id = _request_id(context, given)
    try:
        with _counted():
            yield request_id
    except Exception as error:  # noqa: BLE001 - the edge: the log gets the traceback, the caller an answer
        status = rpc_status.to_status(status_of(_logged(error, request_id), shortened(request_id)))
        with _gone_is_cancelled():
            await context.abort(status.code, status.details, status.trailing_metadata)


def _request_id(context: grpc.aio.ServicerContext[Any, Any], given: str) -> str:
    return given or id_of(context.invocation_metadata() or ())


def _logged(error: Exception, request_id: str) -> SidecarError:
    """Log a call that was refused or has failed. The value is the error that its caller gets."""
    name = shortened(request_id)
    if isinstance(error, SidecarError):
        _log.info("refused a call", action="call_refused", kind=error.kind, reason=str(error), request_id=name)
        return error
    _log.error("a call failed", action="call_failed", request_id=name, exc_info=error)
    return Fault()
