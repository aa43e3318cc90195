"""The embedding server as an `Embedder`, over gRPC."""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, NoReturn, Self, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from pydantic import ValidationError

from sidecar.errors import (
    DeadlineExceeded,
    EmbedderMisbehaved,
    EmbedderOverloaded,
    EmbedderUnavailable,
    InvalidInput,
    ModelNotFound,
    SidecarError,
    SpaceMismatch,
)
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embeddings, Lane, ServedModel
from sidecar.provenance import well_formed
from sidecar.rpc.pb import embedding_pb2 as pb
from sidecar.rpc.pb import embedding_pb2_grpc
from sidecar.rpc.replies import Limits, Part, join, split

_MAX_PART_TEXTS: Final = 256
_MAX_PART_BYTES: Final = 4 * 1024 * 1024
_MESSAGE_OVERHEAD_BYTES: Final = 64 * 1024  # the other fields of a request, and the tags and lengths of its texts
_MAX_PARTS_IN_FLIGHT: Final = 4  # enough that the server never waits for us, few enough that others get their turn
_LOOKUP_TIMEOUT_S: Final = 5.0

_ROLES: Final = {Role.PASSAGE: pb.ROLE_PASSAGE, Role.QUERY: pb.ROLE_QUERY}
_LANES: Final = {Lane.INTERACTIVE: pb.LANE_INTERACTIVE, Lane.BULK: pb.LANE_BULK}


class EmbedderClient:
    """Talks to one embedding server. An async context manager; implements `ports.Embedder`."""

    def __init__(self, address: str, *, max_message_bytes: int = 32 * 1024 * 1024) -> None:
        self._address = address
        self._max_message_bytes = max_message_bytes
        self._limits = Limits(_MAX_PART_TEXTS, _MAX_PART_BYTES, max_message_bytes - _MESSAGE_OVERHEAD_BYTES)

    async def __aenter__(self) -> Self:
        self._channel = grpc.aio.insecure_channel(self._address, options=_channel_options(self._max_message_bytes))
        self._embedder = embedding_pb2_grpc.EmbedderStub(self._channel)
        self._models = embedding_pb2_grpc.ModelsStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close(grace=None)

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        """One vector or one error per text, in order; `timeout_s` is for the whole call, whatever number of messages.

        Raises ModelNotFound, SpaceMismatch, InvalidInput, EmbedderOverloaded, EmbedderUnavailable, DeadlineExceeded,
        EmbedderMisbehaved.
        """
        sendable = [well_formed(text) for text in texts]
        options = pb.EmbedRequest(
            model=model, expect_space=expect_space, role=_ROLES[role], lane=_LANES[lane], encoding=pb.ENCODING_FLOAT32
        )
        answered = await self._send(tuple(split(sendable, self._limits)), options, timeout_s)
        return join(
            sendable,
            answered,
            model=model,
            expect_space=expect_space,
            max_text_bytes=self._limits.max_text_bytes,
        )

    async def models(self, timeout_s: float = _LOOKUP_TIMEOUT_S) -> tuple[ServedModel, ...]:
        """The model versions that the server has loaded. Raises as `embed`."""
        try:
            reply = await self._models.List(pb.ListModelsRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            self._fail(error, model="", expect_space="", timeout_s=timeout_s)
        return tuple(_served(info) for info in reply.models)

    async def model(self, model: str, *, timeout_s: float = _LOOKUP_TIMEOUT_S) -> ServedModel:
        """One loaded model version. Raises as `embed`."""
        try:
            info = await self._models.Get(pb.GetModelRequest(model=model), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            self._fail(error, model=model, expect_space="", timeout_s=timeout_s)
        return _served(info)

    async def healthy(self, *, timeout_s: float = 1.0) -> bool:
        """Whether the server answers and says that it serves."""
        try:
            reply = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.aio.AioRpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)

    async def _send(
        self, parts: Sequence[Part], options: pb.EmbedRequest, timeout_s: float
    ) -> list[tuple[Part, pb.EmbedReply]]:
        deadline = asyncio.get_running_loop().time() + timeout_s
        if len(parts) == 1:  # a query: spare it the task
            return [(parts[0], await self._call(parts[0], options, timeout_s, deadline))]
        turn = asyncio.Semaphore(_MAX_PARTS_IN_FLIGHT)

        async def send(part: Part) -> pb.EmbedReply:
            async with turn:
                return await self._call(part, options, timeout_s, deadline)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(send(part), name="embed part") for part in parts]
        except ExceptionGroup as several:
            raise several.exceptions[0] from None  # the first to fail has cancelled the others
        return [(part, task.result()) for part, task in zip(parts, tasks, strict=True)]

    async def _call(self, part: Part, options: pb.EmbedRequest, timeout_s: float, deadline: float) -> pb.EmbedReply:
        request = pb.EmbedRequest(texts=part.texts)
        request.MergeFrom(options)
        remaining_s = max(deadline - asyncio.get_running_loop().time(), 0.0)
        try:
            reply: pb.EmbedReply = await self._embedder.Embed(request, timeout=remaining_s)
        except grpc.aio.AioRpcError as error:
            self._fail(error, model=request.model, expect_space=request.expect_space, timeout_s=timeout_s)
        return reply

    def _fail(self, error: grpc.aio.AioRpcError, *, model: str, expect_space: str, timeout_s: float) -> NoReturn:
        raise translate(
            error, address=self._address, model=model, expect_space=expect_space, timeout_s=timeout_s
        ) from error


def _channel_options(max_message_bytes: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_receive_message_length", max_message_bytes),
        # A call on a broken channel fails at once; these say how soon a server that is back is found again.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        ("grpc.min_reconnect_backoff_ms", 2_000),  # in fact the time that one attempt to connect may take
        ("grpc.enable_http_proxy", 0),  # the embedder is a neighbour; a proxy for the outer world must not see texts
    ]


def translate(
    error: grpc.aio.AioRpcError, *, address: str, model: str, expect_space: str, timeout_s: float
) -> SidecarError:
    """The one table from gRPC status to our errors."""
    message = error.details() or error.code().name
    rich = _rich(error)
    match error.code():
        case grpc.StatusCode.INVALID_ARGUMENT:
            return _invalid_input(rich, message)
        case grpc.StatusCode.NOT_FOUND:
            known = _reason(rich).get("known", "")
            return ModelNotFound(model, tuple(known.split(",")) if known else ())
        case grpc.StatusCode.FAILED_PRECONDITION:
            return SpaceMismatch(model, expect_space, _reason(rich).get("space", "unknown"))
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            retry = error_details_pb2.RetryInfo()
            if _unpack(rich, retry):
                return EmbedderOverloaded(retry.retry_delay.ToTimedelta().total_seconds())
            return InvalidInput("texts", message)  # gRPC's own limit on message size: it would never pass
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(address, timeout_s)
        case grpc.StatusCode.INTERNAL | grpc.StatusCode.UNIMPLEMENTED | grpc.StatusCode.DATA_LOSS:
            return EmbedderMisbehaved(message)
        case _:
            return EmbedderUnavailable(address, message)


def _invalid_input(rich: status_pb2.Status, message: str) -> InvalidInput:
    bad = error_details_pb2.BadRequest()
    if _unpack(rich, bad) and bad.field_violations:
        return InvalidInput(bad.field_violations[0].field, bad.field_violations[0].description)
    return InvalidInput("request", message)


def _reason(rich: status_pb2.Status) -> Mapping[str, str]:
    info = error_details_pb2.ErrorInfo()
    _unpack(rich, info)
    return dict(info.metadata)


def _rich(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    try:
        return rpc_status.from_call(cast(grpc.Call, error)) or status_pb2.Status()
    except ValueError:  # details of another status than the call's: not ours
        return status_pb2.Status()


def _unpack(rich: status_pb2.Status, wanted: Message) -> bool:
    """Fill `wanted` from the first detail of its type; False, and it stays empty, if there is none."""
    return any(packed.Unpack(wanted) for packed in rich.details)


def _served(info: pb.ModelInfo) -> ServedModel:
    try:
        version = ModelVersion.model_validate_json(info.manifest)
    except ValidationError as error:
        raise EmbedderMisbehaved(
            f"the manifest of [{info.model}] cannot be read: {error.errors()[0]['msg']}"
        ) from error
    if (version.id, version.space) != (info.model, info.space):
        raise EmbedderMisbehaved(f"the manifest of [{info.model}] is of [{version.id}] with space [{version.space}]")
    return ServedModel(version, info.backend)
