"""The gRPC door of the service: calls, streams and statuses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, TypeAlias

import grpc
from google.rpc import code_pb2
from grpc_status import rpc_status

from sidecar.contract import embedding_pb2 as pb
from sidecar.contract import embedding_pb2_grpc
from sidecar.embedding.calls import Held, id_of, shortened
from sidecar.embedding.front.unread import gone_is_cancelled, write
from sidecar.embedding.service import EmbeddingService
from sidecar.embedding.statuses import Fault, retry_after_s, status_of
from sidecar.errors import ErrorKind, SidecarError
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_REQUESTS, logger, series

# The requests of one stream that are in work or wait to be written. We do not read from a caller that does not read.
_STREAM_WINDOW: Final = 4
_STREAM_CREDIT_TOKENS: Final = 65_536

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_log = logger("embedding.servicer")


class EmbedderServicer:
    """`sidecar.embedding.v1.Embedder`. It writes each reply itself, so it knows how long the reply takes memory."""

    def __init__(self, service: EmbeddingService) -> None:
        self._service = service

    def add_to(self, server: grpc.aio.Server) -> None:
        """Serve the methods. A stream of one reply looks to a caller as a reply without a stream."""
        name = pb.DESCRIPTOR.services_by_name["Embedder"].full_name
        methods = {
            "Embed": grpc.unary_stream_rpc_method_handler(self.embed, pb.EmbedRequest.FromString),
            "EmbedStream": grpc.stream_stream_rpc_method_handler(self.embed_stream, pb.EmbedRequest.FromString),
            "Tokenize": grpc.unary_stream_rpc_method_handler(self.tokenize, pb.TokenizeRequest.FromString),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))

    async def embed(self, request: pb.EmbedRequest, context: Context) -> None:
        """Answer one request."""
        async with _aborting(context, request.request_id) as request.request_id:
            with self._service.inflight.hold(request.ByteSize()) as held:
                reply = (await self._embed(request, context)).SerializeToString()
                await _write(reply, held, context)

    async def embed_stream(self, requests: AsyncIterator[pb.EmbedRequest], context: Context) -> None:
        """Answer the requests of a stream in their order."""
        window = asyncio.Semaphore(_STREAM_WINDOW)
        turn = asyncio.Event()
        turn.set()
        with gone_is_cancelled():
            async with asyncio.TaskGroup() as group:
                async for request in requests:
                    await window.acquire()
                    after = asyncio.Event()
                    work = self._answer_in_turn(request, context, turn, after)
                    task = group.create_task(work, name="embed stream request")
                    task.add_done_callback(lambda _: window.release())
                    turn = after

    async def tokenize(self, request: pb.TokenizeRequest, context: Context) -> None:
        """Count the tokens of texts."""
        async with _aborting(context):
            with self._service.inflight.hold(request.ByteSize()) as held:
                reply = (await self._service.tokenize(request)).SerializeToString()
                await _write(reply, held, context)

    async def _embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedReply:
        with self._service.tracing.called_by(context.invocation_metadata() or ()):
            return await self._service.embed(request, context.time_remaining())

    async def _answer_in_turn(
        self, request: pb.EmbedRequest, context: Context, turn: asyncio.Event, after: asyncio.Event
    ) -> None:
        with ExitStack() as stack:
            reply = (await self._stream_reply(request, context, stack)).SerializeToString()
            await turn.wait()
            await write(context, reply)
            after.set()

    async def _stream_reply(self, request: pb.EmbedRequest, context: Context, stack: ExitStack) -> pb.StreamReply:
        """The reply to one request. The bytes of both are held until the stack is closed."""
        request.request_id = _request_id(context, request.request_id)
        try:
            with _counted():
                held = stack.enter_context(self._service.inflight.hold(request.ByteSize()))
                reply = await self._embed(request, context)
                held.grow_to(held.bytes + reply.ByteSize())
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


async def _write(reply: bytes, held: Held, context: Context) -> None:
    """Write the reply of a call, which is held until its caller has read it. Raises EmbedderOverloaded."""
    held.grow_to(held.bytes + len(reply))
    with gone_is_cancelled():
        await write(context, reply)


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
async def _aborting(context: Context, given: str = "") -> AsyncIterator[str]:
    """Answer every error of a call with its status. The value is the id of the call: the given one, or a new one."""
    request_id = _request_id(context, given)
    try:
        with _counted():
            yield request_id
    except Exception as error:  # noqa: BLE001 - the edge: the log gets the traceback, the caller an answer
        status = rpc_status.to_status(status_of(_logged(error, request_id), shortened(request_id)))
        with gone_is_cancelled():
            await context.abort(status.code, status.details, status.trailing_metadata)


def _request_id(context: Context, given: str) -> str:
    return given or id_of(context.invocation_metadata() or ())


def _logged(error: Exception, request_id: str) -> SidecarError:
    """Log a call that was refused or has failed. The value is the error that its caller gets."""
    name = shortened(request_id)
    if isinstance(error, SidecarError):
        _log.info("refused a call", action="call_refused", kind=error.kind, reason=str(error), request_id=name)
        return error
    _log.error("a call failed", action="call_failed", request_id=name, exc_info=error)
    return Fault()
