"""The client of the embedding server and its replicas, over gRPC. It is an `Embedder`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import ConfigurationError, Conflict, EmbedderMisbehaved, InvalidInput, SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embeddings, Lane, ServedModel
from sidecar.rpc import forks
from sidecar.rpc.addresses import parse
from sidecar.rpc.arguments import check_source, check_timeout, checked_choice, checked_name, checked_texts
from sidecar.rpc.connections import Connection, Connector, watched_credentials
from sidecar.rpc.replies import Limits, Part, join, rows, split, within
from sidecar.rpc.rotation import Rotation
from sidecar.rpc.streaming import BulkStream, async_batches

_MAX_PART_TEXTS: Final = 256
_MAX_PART_BYTES: Final = 4 * 1024 * 1024
_MESSAGE_OVERHEAD_BYTES: Final = 64 * 1024  # for the other fields of a request, and the tags and lengths of its texts
_MAX_PARTS_IN_FLIGHT: Final = 4  # so many that the server never waits for us, and so few that others get their turn
_STREAM_BATCH_TEXTS: Final = 64  # with 256 tokens each, the credits of one reply are enough for four batches
_LOOKUP_TIMEOUT_S: Final = 5.0
_TIMEOUT_S: Final = 60.0

_ROLES: Final[Mapping[Role, pb.Role]] = {Role.PASSAGE: pb.ROLE_PASSAGE, Role.QUERY: pb.ROLE_QUERY}
_LANES: Final[Mapping[Lane, pb.Lane]] = {Lane.INTERACTIVE: pb.LANE_INTERACTIVE, Lane.BULK: pb.LANE_BULK}


class EmbedderClient:
    """Calls the embedding server, which may have replicas. It implements `ports.Embedder`.

    An async context manager. Without `async with`, the first call opens it, and `close` closes it.
    """

    def __init__(
        self,
        address: str | Sequence[str],
        *,
        token: str | Callable[[], str] = "",
        tls_ca: Path | str | None = None,
        tls_certificate: Path | str | None = None,
        tls_key: Path | str | None = None,
        max_message_bytes: int = 32 * 1024 * 1024,
    ) -> None:
        """`address` may be a sequence or one comma-separated string. `dns:///HOST:PORT` means all servers of that name.

        `token` may be a function, which is called before each call, so that tokens can be rotated.

        `tls_ca` holds the authorities for the server's certificate. Without it nothing is encrypted. `tls_certificate`
        and `tls_key` are our own, for a server that asks for them. The files are read again when they change. Raises
        ConfigurationError for an address that is not valid.
        """
        self._addresses = parse(address)
        self._token = token if callable(token) else lambda: token
        self._tls = (_path(tls_ca), _path(tls_certificate), _path(tls_key))
        self._max_message_bytes = max_message_bytes
        self._limits = Limits(_MAX_PART_TEXTS, _MAX_PART_BYTES, max_message_bytes - _MESSAGE_OVERHEAD_BYTES)
        self._limits_of: dict[str, Limits] = {}  # by model, for servers that take less than `_limits`
        self._life: asyncio.Task[None] | None = None  # from the first call until `close`
        self._rotation: Rotation | None = None
        self._is_closed = False
        forks.keep(self, EmbedderClient._forget)

    async def __aenter__(self) -> Self:
        """Get ready to connect. Raises ConfigurationError for a certificate or key that cannot be read."""
        self._is_closed = False
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. This ends the calls in work, and later calls raise Conflict."""
        self._is_closed = True
        life, self._life = self._life, None
        if life is not None and life.get_loop() is asyncio.get_running_loop():
            self._end.set()
            await asyncio.wait([life])

    aclose = close  # for `contextlib.aclosing`

    def _forget(self) -> None:
        forks.abandon(self._life, self._rotation)
        self._life = self._rotation = None

    async def _opened(self) -> Rotation:
        """The replicas. Raises ConfigurationError, and Conflict if the client is closed."""
        if self._is_closed:
            raise Conflict("the client is closed")
        loop = asyncio.get_running_loop()
        if self._life is None or self._life.done():  # done: its event loop has ended
            self._ready, self._end = loop.create_future(), asyncio.Event()
            # The probes of replicas are no part of the first call, so they do not get its context.
            self._life = loop.create_task(self._live(), name="embedder client", context=Context())
        elif self._life.get_loop() is not loop:
            raise Conflict("the client is open in another event loop")
        return self._ready.result() if self._ready.done() else await asyncio.shield(self._ready)

    async def _live(self) -> None:
        ready, end = self._ready, self._end
        try:
            connector = Connector(watched_credentials(*self._tls), self._max_message_bytes)
            async with Rotation(self._addresses, connector) as self._rotation:
                ready.set_result(self._rotation)
                await end.wait()
        except SidecarError as error:
            ready.set_exception(error)
        finally:
            self._rotation = None

    async def embed(
        self, texts: Iterable[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        """One vector or one error per text, in order. `timeout_s` is for the whole call with all its messages.

        Raises ModelNotFound, SpaceMismatch, InvalidInput, EmbedderOverloaded, EmbedderUnavailable, DeadlineExceeded,
        EmbedderMisbehaved.
        """
        sendable = checked_texts(texts)
        options = _options(model, expect_space, role, lane)
        check_timeout(timeout_s)
        deadline = asyncio.get_running_loop().time() + timeout_s
        limits = self._limits_of.get(model, self._limits)
        try:
            answered = await self._send(tuple(split(sendable, limits)), options, timeout_s, deadline)
        except InvalidInput as refusal:
            limits_there = await self._limits_there(model, deadline) if refusal.field == "texts" else limits
            if limits_there == limits:
                raise
            limits = limits_there
            answered = await self._send(tuple(split(sendable, limits)), options, timeout_s, deadline)
        return join(sendable, answered, model=model, expect_space=expect_space, max_text_bytes=limits.max_text_bytes)

    async def encode(
        self,
        texts: Iterable[str],
        role: Role,
        *,
        model: str,
        lane: Lane = Lane.BULK,
        timeout_s: float = _TIMEOUT_S,
    ) -> NDArray[np.float32]:
        """One row per text, in order. Raises as `embed`, and InvalidInput for the first text that has no vector."""
        return rows(await self.embed(texts, role, model=model, lane=lane, timeout_s=timeout_s))

    async def embed_many(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        role: Role,
        *,
        model: str,
        expect_space: str = "",
        timeout_s: float = _TIMEOUT_S,
    ) -> AsyncGenerator[Embeddings, None]:
        """Embed any number of texts, in order, a batch at a time. Only a few batches are in memory at once.

        `timeout_s` is for each batch, including the wait for a busy server. To stop early, close the iterator
        (`contextlib.aclosing`). Raises as `embed`.
        """
        check_source(texts, may_be_async=True)
        stream = await self.open_stream(role, model=model, expect_space=expect_space, timeout_s=timeout_s)
        try:
            async with aclosing(async_batches(texts, stream.limits)) as source:
                waiting = await anext(source, None)
                while waiting is not None or stream.in_work:
                    if waiting is not None and stream.has_room(waiting):
                        await stream.send(waiting)
                        waiting = await anext(source, None)
                    else:
                        yield await stream.receive()
        finally:
            stream.close()

    async def open_stream(
        self, role: Role, *, model: str, expect_space: str = "", timeout_s: float = _TIMEOUT_S
    ) -> BulkStream:
        """The stream through which `embed_many` sends its batches. Raises as `embed`."""
        options = _options(model, expect_space, role, Lane.BULK)
        check_timeout(timeout_s)
        info = await self._info(options.model, _LOOKUP_TIMEOUT_S)

        async def ask_alone(part: Part) -> pb.EmbedReply:
            return await self._call(part, options, timeout_s)

        return BulkStream(
            await self._opened(),
            options,
            metadata=self._metadata,
            ask_alone=ask_alone,
            version=_served(info).version,
            role=role,
            limits=within(replace(self._limits, max_texts=_STREAM_BATCH_TEXTS), info, self._max_message_bytes),
            timeout_s=timeout_s,
        )

    async def models(self, timeout_s: float = _LOOKUP_TIMEOUT_S) -> tuple[ServedModel, ...]:
        """The model versions that a replica has loaded. All replicas have the same. Raises as `embed`."""

        async def call(at: Connection, left_s: float) -> pb.ListModelsReply:
            reply: pb.ListModelsReply = await at.models.List(
                pb.ListModelsRequest(), timeout=left_s, metadata=self._metadata()
            )
            return reply

        check_timeout(timeout_s)
        reply = await (await self._opened()).ask(call, timeout_s=timeout_s)
        return tuple(_served(info) for info in reply.models)

    async def model(self, model: str, *, timeout_s: float = _LOOKUP_TIMEOUT_S) -> ServedModel:
        """One loaded model version. Raises as `embed`."""
        check_timeout(timeout_s)
        return _served(await self._info(checked_name("model", model), timeout_s))

    async def healthy(self, *, timeout_s: float = 1.0) -> bool:
        """Whether a replica answers that it serves. If so, it is used again at once."""
        check_timeout(timeout_s)
        return await (await self._opened()).are_healthy(timeout_s)

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        token = self._token()
        if not isinstance(token, str) or not all("!" <= character <= "~" for character in token):
            raise ConfigurationError("a token is printable ASCII without spaces")
        return (("authorization", f"Bearer {token}"),) if token else ()

    async def _info(self, model: str, timeout_s: float) -> pb.ModelInfo:
        async def call(at: Connection, left_s: float) -> pb.ModelInfo:
            info: pb.ModelInfo = await at.models.Get(
                pb.GetModelRequest(model=model), timeout=left_s, metadata=self._metadata()
            )
            return info

        return await (await self._opened()).ask(call, timeout_s=timeout_s, model=model)

    async def _limits_there(self, model: str, deadline: float) -> Limits:
        """The limits of the server. We ask for them only after it has refused a message within our own limits."""
        left_s = max(deadline - asyncio.get_running_loop().time(), 0.0)
        info = await self._info(model, min(left_s, _LOOKUP_TIMEOUT_S))
        self._limits_of[model] = within(self._limits, info, self._max_message_bytes)
        return self._limits_of[model]

    async def _send(
        self, parts: Sequence[Part], options: pb.EmbedRequest, timeout_s: float, deadline: float
    ) -> list[tuple[Part, pb.EmbedReply]]:
        if len(parts) == 1:  # a query, which does not need a task
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

    async def _call(
        self, part: Part, options: pb.EmbedRequest, timeout_s: float, deadline: float | None = None
    ) -> pb.EmbedReply:
        request = pb.EmbedRequest(texts=part.texts)
        request.MergeFrom(options)

        async def call(at: Connection, left_s: float) -> pb.EmbedReply:
            reply: pb.EmbedReply = await at.embedder.Embed(request, timeout=left_s, metadata=self._metadata())
            return reply

        return await (await self._opened()).ask(
            call, timeout_s=timeout_s, deadline=deadline, model=request.model, expect_space=request.expect_space
        )


def _options(model: str, expect_space: str, role: Role, lane: Lane) -> pb.EmbedRequest:
    return pb.EmbedRequest(
        model=checked_name("model", model),
        expect_space=checked_name("expect_space", expect_space),
        role=checked_choice("role", role, _ROLES),
        lane=checked_choice("lane", lane, _LANES),
        encoding=pb.ENCODING_FLOAT32,
    )


def _path(file: Path | str | None) -> Path | None:
    return None if file is None else Path(file)


def _served(info: pb.ModelInfo) -> ServedModel:
    try:
        version = ModelVersion.model_validate_json(info.manifest)
    except ValidationError as error:
        raise EmbedderMisbehaved(
            f"the manifest of [{info.model}] cannot be read: {error.errors()[0]['msg']}"
        ) from error
    if (version.id, version.space) != (info.model, info.space):
        raise EmbedderMisbehaved(f"the manifest of [{info.model}] is of [{version.id}] with space [{version.space}]")
    return ServedModel(version, info.backend, info.full_text_s)
