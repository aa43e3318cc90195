"""Refuses gRPC messages that cannot be decoded. gRPC itself would say that they are a fault of the server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_status import rpc_status

from sidecar.embedding.statuses import status_of
from sidecar.errors import InvalidInput
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_REQUESTS, logger, series

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

_OURS: Final = "/sidecar.embedding.v1."
_REFUSAL: Final = InvalidInput("request", "is no message of this method, or a text in it is not UTF-8")

_log = logger("embedding.decoding")


class DecodingInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic only in its stubs
    """Answers INVALID_ARGUMENT to a call with such a message. In a stream, the messages before it are answered."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith(_OURS):
            return handler
        kind = f"{_form(handler.request_streaming)}_{_form(handler.response_streaming)}"
        behaviour = getattr(handler, kind)
        checked = _checked_stream(behaviour) if handler.request_streaming else _checked(behaviour)
        build = getattr(grpc, f"{kind}_rpc_method_handler")
        made: Handler = build(checked, _tolerant(handler.request_deserializer), handler.response_serializer)
        return made


def _form(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def _tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def decoded(message: bytes) -> Any:
        try:
            return decode(message) if decode else message
        except DecodeError as error:
            return error

    return decoded


def _checked(behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def answer(request: Any, context: Context) -> Any:
        if isinstance(request, DecodeError):
            await _refuse(context)
        return await behaviour(request, context)

    return answer


def _checked_stream(behaviour: Callable[[Any, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
    async def answer(requests: AsyncIterator[Any], context: Context) -> Any:
        is_broken = False

        async def decoded() -> AsyncIterator[Any]:
            nonlocal is_broken
            async for request in requests:
                if isinstance(request, DecodeError):
                    is_broken = True
                    return
                yield request

        await behaviour(decoded(), context)
        if is_broken:
            await _refuse(context)

    return answer


async def _refuse(context: Context) -> None:
    series(EMBEDDER_REQUESTS, "grpc", code_pb2.Code.Name(code_pb2.INVALID_ARGUMENT)).inc()
    series(EMBEDDER_ERRORS, "request", _REFUSAL.kind).inc()
    _log.info("refused a call", action="call_refused", kind=_REFUSAL.kind, reason=str(_REFUSAL))
    status = rpc_status.to_status(status_of(_REFUSAL))
    await context.abort(status.code, status.details, status.trailing_metadata)
