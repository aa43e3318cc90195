"""EmbedStream calls, for any number of texts. The batches on their way are bounded, also by the server's credits."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import grpc

from sidecar.contract import embedding_pb2 as pb
from sidecar.errors import DeadlineExceeded, EmbedderMisbehaved, EmbedderOverloaded
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embeddings
from sidecar.rpc.arguments import checked_text
from sidecar.rpc.failures import translate_refusal
from sidecar.rpc.replica import Replica, ReplicaHangs
from sidecar.rpc.replies import Batches, Limits, Part, join, most_tokens, split
from sidecar.rpc.rotation import Rotation

_MAX_IN_FLIGHT: Final = 4  # batches. The server takes as many of one stream before it stops reading
_SHORTEST_WAIT_S: Final = 0.05

T = TypeVar("T")


class _Line:
    """One EmbedStream call, to one replica."""

    def __init__(self, replica: Replica, metadata: Sequence[tuple[str, str]]) -> None:
        self.replica = replica
        self.credit_tokens = 0
        self._connection = replica.lease()
        self.call = self._connection.embedder.EmbedStream(metadata=metadata)

    def close(self) -> None:
        self.call.cancel()
        self.replica.release(self._connection)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch that waits for its reply. `part` is None if no text could be sent. `line` is the call that has it."""

    texts: Sequence[str]
    part: Part | None
    line: _Line | None


class BulkStream:
    """Batches in, their embeddings out, in order: `send` while it `has_room`, otherwise `receive`.

    When the replica dies, each batch that it has not answered is sent to another one in a call of its own. Later
    batches go through a new stream to another replica.
    """

    def __init__(
        self,
        rotation: Rotation,
        options: pb.EmbedRequest,
        *,
        metadata: Callable[[], Sequence[tuple[str, str]]],
        ask_alone: Callable[[Part], Awaitable[pb.EmbedReply]],
        version: ModelVersion,
        role: Role,
        limits: Limits,
        timeout_s: float,
    ) -> None:
        """Raises EmbedderUnavailable if no replica is usable."""
        self.limits = limits
        self._rotation = rotation
        self._options = options
        self._metadata = metadata
        self._ask_alone = ask_alone
        self._version = version
        self._prompt = version.prompts.of(role)
        self._timeout_s = timeout_s
        self._sent: deque[_Sent] = deque()
        self._line: _Line | None = self._open()

    @property
    def in_work(self) -> bool:
        """Whether a batch was sent and not yet received."""
        return bool(self._sent)

    def has_room(self, texts: Sequence[str]) -> bool:
        """Whether these texts may be sent now. They may if no batch is on its way, as only replies bring credits."""
        if not self._sent:
            return True
        credit_tokens = self._line.credit_tokens if self._line else 0
        return len(self._sent) < _MAX_IN_FLIGHT and self._most_tokens(texts) <= credit_tokens

    async def send(self, texts: Sequence[str]) -> None:
        """Send one batch from `batches`. Raises as `EmbedderClient.embed`."""
        part = next(split(texts, self.limits), None)
        line = None if part is None else await self._within_time(self._write(part))
        self._sent.append(_Sent(texts, part, line))

    async def receive(self) -> Embeddings:
        """The embeddings of the oldest batch that was sent. Raises as `EmbedderClient.embed`."""
        oldest = self._sent.popleft()
        answered = []
        if oldest.part is not None:
            answered = [(oldest.part, await self._within_time(self._answer(oldest.part, oldest.line)))]
        return join(
            oldest.texts,
            answered,
            model=self._options.model,
            expect_space=self._options.expect_space,
            max_text_bytes=self.limits.max_text_bytes,
        )

    def close(self) -> None:
        """End the call, and with it the batches on their way."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def _open(self) -> _Line:
        replica = self._rotation.next()
        if replica is None:
            raise self._rotation.nobody()
        return _Line(replica, self._metadata())

    def _most_tokens(self, texts: Sequence[str]) -> int:
        return most_tokens(texts, max_tokens=self._version.max_tokens, prompt=self._prompt)

    async def _within_time(self, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except TimeoutError as error:
            raise DeadlineExceeded(self._rotation.address, self._timeout_s) from error

    async def _write(self, part: Part) -> _Line:
        """Write to the stream. The value is the call that took the part. If it has ended, `_answer` will notice."""
        if self._line is None:
            self._line = self._open()
        line = self._line
        request = pb.EmbedRequest(texts=part.texts)
        request.MergeFrom(self._options)
        line.credit_tokens -= self._most_tokens(part.texts)
        try:
            async with line.replica.waiting():
                await line.call.write(request)
        except ReplicaHangs:
            self.close()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):  # InvalidStateError: it had ended before
            pass
        return line

    async def _answer(self, part: Part, line: _Line | None) -> pb.EmbedReply:
        if line is None or line is not self._line:  # the stream broke
            return await self._ask_until_there_is_room(part)
        try:
            reply = await self._read(line)
        except (ReplicaHangs, grpc.aio.AioRpcError):  # a separate call gives the answer or the error
            return await self._ask_elsewhere(part)
        if reply.WhichOneof("outcome") == "reply":
            return reply.reply
        refusal = translate_refusal(
            reply.error,
            address=line.replica.address,
            model=self._options.model,
            expect_space=self._options.expect_space,
            timeout_s=self._timeout_s,
        )
        if reply.error.code == grpc.StatusCode.UNAVAILABLE.value[0]:  # the server drains
            line.replica.refused(reply.error.message)
            return await self._ask_elsewhere(part)
        if not isinstance(refusal, EmbedderOverloaded):
            raise refusal
        await asyncio.sleep(max(refusal.retry_after_s, _SHORTEST_WAIT_S))
        return await self._ask_until_there_is_room(part)

    async def _read(self, line: _Line) -> pb.StreamReply:
        while True:
            async with line.replica.waiting():
                reply = await line.call.read()
            if not isinstance(reply, pb.StreamReply):
                raise EmbedderMisbehaved("the stream ended before every request was answered")
            line.replica.answered()
            line.credit_tokens += reply.credit_tokens
            if reply.WhichOneof("outcome") is not None:  # otherwise it only grants credits
                return reply

    async def _ask_elsewhere(self, part: Part) -> pb.EmbedReply:
        self.close()
        return await self._ask_until_there_is_room(part)

    async def _ask_until_there_is_room(self, part: Part) -> pb.EmbedReply:
        """Ask in a separate call, and again when a busy server said to. Raises any other refusal."""
        while True:
            try:
                return await self._ask_alone(part)
            except EmbedderOverloaded as busy:
                await asyncio.sleep(max(busy.retry_after_s, _SHORTEST_WAIT_S))


def batches(texts: Iterable[str], limits: Limits) -> Iterator[list[str]]:
    """Cut a source of texts into lists that fit into one message each."""
    cutter = Batches(limits)
    for position, text in enumerate(texts):
        if (full := cutter.add(checked_text(text, position))) is not None:
            yield full
    if rest := cutter.rest():
        yield rest


async def async_batches(texts: Iterable[str] | AsyncIterable[str], limits: Limits) -> AsyncGenerator[list[str], None]:
    """As `batches`, also for an async source."""
    if not isinstance(texts, AsyncIterable):
        for batch in batches(texts, limits):
            yield batch
        return
    cutter, position = Batches(limits), 0
    async for text in texts:
        if (full := cutter.add(checked_text(text, position))) is not None:
            yield full
        position += 1
    if rest := cutter.rest():
        yield rest
