"""One EmbedStream call, for work of any size: what is on its way is bounded, and the server's credits are kept."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from sidecar.errors import DeadlineExceeded, EmbedderMisbehaved, EmbedderOverloaded, SidecarError
from sidecar.model import ModelVersion, Role
from sidecar.ports import Embeddings
from sidecar.provenance import well_formed
from sidecar.rpc.failures import translate, translate_refusal
from sidecar.rpc.pb import embedding_pb2 as pb
from sidecar.rpc.replies import Batches, Limits, Part, join, most_tokens, split

_MAX_IN_FLIGHT: Final = 4  # batches: the server takes as many of one stream before it stops reading
_SHORTEST_WAIT_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch that waits for its reply; `part` is None if none of its texts could be sent."""

    texts: Sequence[str]
    part: Part | None


class BulkStream:
    """Batches in, their embeddings out, in order: `send` while there `has_room`, else `receive`."""

    def __init__(
        self,
        call: grpc.aio.StreamStreamCall[pb.EmbedRequest, pb.StreamReply],
        options: pb.EmbedRequest,
        *,
        ask_alone: Callable[[Part], Awaitable[pb.EmbedReply]],
        version: ModelVersion,
        role: Role,
        limits: Limits,
        address: str,
        timeout_s: float,
    ) -> None:
        self.limits = limits
        self._call = call
        self._options = options
        self._ask_alone = ask_alone
        self._version = version
        self._prompt = version.prompts.of(role)
        self._address = address
        self._timeout_s = timeout_s
        self._sent: deque[_Sent] = deque()
        self._credit_tokens = 0

    @property
    def in_work(self) -> bool:
        """Whether something was sent that has not been received."""
        return bool(self._sent)

    def has_room(self, texts: Sequence[str]) -> bool:
        """Whether these texts may be sent now. With nothing on its way they always may: only replies bring credits."""
        return not self._sent or (len(self._sent) < _MAX_IN_FLIGHT and self._most_tokens(texts) <= self._credit_tokens)

    async def send(self, texts: Sequence[str]) -> None:
        """Send one batch, as `batches` makes them. Raises as `EmbedderClient.embed`."""
        part = next(split(texts, self.limits), None)
        if part is not None:
            request = pb.EmbedRequest(texts=part.texts)
            request.MergeFrom(self._options)
            self._credit_tokens -= self._most_tokens(part.texts)
            await self._within_time(self._write(request))
        self._sent.append(_Sent(texts, part))

    async def receive(self) -> Embeddings:
        """The embeddings of the oldest batch that was sent. Raises as `EmbedderClient.embed`."""
        oldest = self._sent.popleft()
        answered = [] if oldest.part is None else [(oldest.part, await self._within_time(self._answer(oldest.part)))]
        return join(
            oldest.texts,
            answered,
            model=self._options.model,
            expect_space=self._options.expect_space,
            max_text_bytes=self.limits.max_text_bytes,
        )

    def close(self) -> None:
        """End the call; what is on its way is given up."""
        self._call.cancel()

    def _most_tokens(self, texts: Sequence[str]) -> int:
        return most_tokens(texts, max_tokens=self._version.max_tokens, prompt=self._prompt)

    async def _within_time(self, work: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except TimeoutError as error:
            raise DeadlineExceeded(self._address, self._timeout_s) from error
        except grpc.aio.AioRpcError as error:
            raise translate(error, **self._circumstances()) from error

    async def _write(self, request: pb.EmbedRequest) -> None:
        try:
            await self._call.write(request)
        except asyncio.InvalidStateError:  # the call has ended: the next `receive` says why
            return

    async def _answer(self, part: Part) -> pb.EmbedReply:
        reply = await self._read()
        if reply.WhichOneof("outcome") == "reply":
            return reply.reply
        return await self._ask_again(part, translate_refusal(reply.error, **self._circumstances()))

    async def _read(self) -> pb.StreamReply:
        while True:
            reply = await self._call.read()
            if not isinstance(reply, pb.StreamReply):
                raise EmbedderMisbehaved("the stream ended before every request was answered")
            self._credit_tokens += reply.credit_tokens
            if reply.WhichOneof("outcome") is not None:  # else it grants credits and no more
                return reply

    async def _ask_again(self, part: Part, refusal: SidecarError) -> pb.EmbedReply:
        """Come back, by a call of its own, when a busy server said to. Any other refusal is raised."""
        while isinstance(refusal, EmbedderOverloaded):
            await asyncio.sleep(max(refusal.retry_after_s, _SHORTEST_WAIT_S))
            try:
                return await self._ask_alone(part)
            except EmbedderOverloaded as still:
                refusal = still
        raise refusal

    def _circumstances(self) -> Any:
        return {
            "address": self._address,
            "model": self._options.model,
            "expect_space": self._options.expect_space,
            "timeout_s": self._timeout_s,
        }


def batches(texts: Iterable[str], limits: Limits) -> Iterator[list[str]]:
    """Cut a source of texts into lists of which each fits into one message."""
    cutter = Batches(limits)
    for text in texts:
        if (full := cutter.add(well_formed(text))) is not None:
            yield full
    if rest := cutter.rest():
        yield rest


async def async_batches(texts: Iterable[str] | AsyncIterable[str], limits: Limits) -> AsyncGenerator[list[str], None]:
    """The same, also for a source that is waited for."""
    if isinstance(texts, Iterable):
        for batch in batches(texts, limits):
            yield batch
        return
    cutter = Batches(limits)
    async for text in texts:
        if (full := cutter.add(well_formed(text))) is not None:
            yield full
    if rest := cutter.rest():
        yield rest
