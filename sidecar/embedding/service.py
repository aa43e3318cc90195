"""One request from end to end: check, tokenise, queue, finish, reply. The doors in `front/` call it."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import count
from time import perf_counter

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.batcher import NOTHING, Batcher, Computed, Text
from sidecar.embedding.cache.vectors import VectorCache
from sidecar.embedding.calls import Inflight
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.lookup import Lookup
from sidecar.embedding.replies import ITEM_KINDS, Answer, broken, distinct, finish, items, items_of_parts, matrix
from sidecar.embedding.requests import (
    CheckedRequest,
    check_embed,
    check_reply_bytes,
    check_tokenize,
    prompt_of,
    reply_limit,
)
from sidecar.embedding.statuses import NotServing
from sidecar.errors import ModelNotFound
from sidecar.ports import Lane
from sidecar.telemetry import EMBEDDER_ERRORS, EMBEDDER_SECONDS, EMBEDDER_TEXTS, EMBEDDER_TOKENS, series
from sidecar.tracing import OFF, Tracing


class ServerState(StrEnum):
    """The state of the server, in the words of its answers."""

    LOADING = "loading its models"
    SERVING = "serving"
    RESTARTING = "restarting what computes"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model and the queue before it."""

    loaded: LoadedModel
    batcher: Batcher


class EmbeddingService:
    """Answers requests, or refuses them with a `SidecarError`."""

    def __init__(
        self,
        *,
        max_texts: int,
        max_message_bytes: int,
        max_inflight_bytes: int,
        tokenize_worker: Executor,
        cache: VectorCache,
        tracing: Tracing = OFF,
    ) -> None:
        self.tracing = tracing
        self._max_texts = max_texts
        self._max_message_bytes = max_message_bytes
        self._lookup = Lookup(tokenize_worker, cache)
        self.inflight = Inflight(max_inflight_bytes)
        self._served: dict[str, Served] = {}
        self._in_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.state = ServerState.LOADING

    def serve(self, served: Sequence[Served]) -> None:
        """Begin to answer requests for these models."""
        self._served = {one.loaded.version.id: one for one in served}
        self.state = ServerState.SERVING

    def computing_is(self, *, usable: bool) -> None:
        """Refuse new requests while nothing can be computed. Requests in work wait until it can."""
        if self.state in {ServerState.SERVING, ServerState.RESTARTING}:
            self.state = ServerState.SERVING if usable else ServerState.RESTARTING

    async def drain(self) -> None:
        """Refuse new requests from now on, and wait until those in work have been answered."""
        self.state = ServerState.DRAINING
        await self._idle.wait()

    def models(self) -> pb.ListModelsReply:
        """The loaded model versions. Raises NotServing while they are loaded."""
        if self.state is ServerState.LOADING:
            raise NotServing(self.state)
        return pb.ListModelsReply(models=[self._info(one) for one in self._served.values()])

    def model(self, name: str) -> pb.ModelInfo:
        """One loaded model version. Raises ModelNotFound, NotServing."""
        return self._info(self._find(name))

    async def tokenize(self, request: pb.TokenizeRequest) -> pb.TokenizeReply:
        """Count the tokens of texts and give their places. Raises ModelNotFound, NotServing, InvalidRequest."""
        with self._working():
            loaded = self._find(request.model).loaded
            check_tokenize(request, loaded.version, self._max_texts)
            prompt = prompt_of(request.role, loaded.version)
            reply, reply_bytes = pb.TokenizeReply(), 0
            async with aclosing(
                self._lookup.tokenized(loaded, prompt, request.texts, offsets=request.offsets)
            ) as parts:
                async for part in parts:
                    reply_bytes += part.ByteSize()
                    check_reply_bytes(reply_bytes, self._max_message_bytes)
                    reply.MergeFrom(part)
            return reply

    async def texts_of(self, model: str, ids: Sequence[Sequence[int]]) -> list[str | None]:
        """The text of each list of token ids, or None if no text has them. Raises ModelNotFound, NotServing."""
        with self._working():
            tokenizer = self._find(model).loaded.tokenizer
            return [await self._lookup.in_tokenizer(partial(tokenizer.text_of, one)) for one in ids]

    async def embed(self, request: pb.EmbedRequest, remaining_s: float | None = None) -> pb.EmbedReply:
        """Embed a batch of texts. The caller still waits for `remaining_s`.

        Raises ModelNotFound, NotServing, InvalidRequest, SpaceMismatch, EmbedderOverloaded.
        """
        with self.tracing.embedding(request) as answered:
            reply = await self._embed(request, remaining_s)
            answered(reply)
            return reply

    async def _embed(self, request: pb.EmbedRequest, remaining_s: float | None) -> pb.EmbedReply:
        with self._working():
            served = self._find(request.model)
            checked = check_embed(request, served.loaded.version, served.loaded.space, self._max_texts)
            unique = distinct(request.texts)
            started = perf_counter()
            limit = reply_limit(request, checked, self._max_message_bytes)
            limit.check(len(unique.texts))
            parts = await self._lookup.parts(served.loaded, unique, checked, limit) if checked.chunk else None
            texts = parts.texts if parts else unique.texts
            found = await self._lookup.known(served.loaded, texts, checked, request.cache)
            tokenize_s = perf_counter() - started
            unknown = [one for one in found if isinstance(one, Text)]
            computed = NOTHING
            if unknown:
                left_s = None if remaining_s is None else remaining_s - tokenize_s
                computed = await served.batcher.compute(unknown, checked.lane, left_s)
            answers = _answers(found, computed)
            encoded, usable = finish(
                matrix(answers, served.loaded.version.dimension),
                dimension=checked.dimension,
                normalize=checked.normalize,
                encoding=checked.encoding,
            )
            if parts:
                made, leaving = items_of_parts(answers, usable, parts.of, unique.index)
            else:
                made, leaving = items(answers, usable, unique.index), usable
            reply = _heading(request, served.loaded, checked)
            reply.matrix = (encoded if leaving.all() else encoded[leaving]).tobytes()
            reply.items.extend(made)
            reply.padding_tokens = computed.padding_tokens
            reply.timing.queue_us = round(computed.queue_s * 1e6)
            reply.timing.tokenize_us = round(tokenize_s * 1e6)
            reply.timing.compute_us = round(computed.compute_s * 1e6)
            _measure(reply.model, made, checked.lane, tokenize_s)
            return reply

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self.state is not ServerState.SERVING:
            raise NotServing(self.state)
        self._in_work += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_work -= 1
            if self._in_work == 0:
                self._idle.set()

    def _find(self, name: str) -> Served:
        if self.state is ServerState.LOADING:
            raise NotServing(self.state)
        try:
            return self._served[name]
        except KeyError:
            raise ModelNotFound(name, tuple(self._served)) from None

    def _info(self, served: Served) -> pb.ModelInfo:
        version = served.loaded.version
        return pb.ModelInfo(
            model=version.id,
            space=served.loaded.space,
            backend=served.loaded.backend.name,
            dimension=version.dimension,
            max_tokens=version.max_tokens,
            normalized=version.normalized,
            manifest=version.model_dump_json(),
            max_texts=self._max_texts,
            max_message_bytes=self._max_message_bytes,
            full_text_s=served.loaded.full_text_s,
        )


def _answers(found: Sequence[Answer | Text], computed: Computed) -> list[Answer]:
    answers, rows = [], count()
    for one in found:
        if isinstance(one, Answer):
            answers.append(one)
            continue
        row = next(rows)
        failed = row in computed.failures
        answers.append(
            Answer(
                pooled=None if failed else computed.pooled[row],
                failure=broken(computed.failures[row]) if failed else None,
                tokens=len(one.tokenized.ids),
                dropped=one.tokenized.dropped,
                shared=row in computed.shared,
            )
        )
    return answers


def _heading(request: pb.EmbedRequest, loaded: LoadedModel, checked: CheckedRequest) -> pb.EmbedReply:
    return pb.EmbedReply(
        model=loaded.version.id,
        space=checked.space,
        backend=loaded.backend.name,
        dimension=checked.dimension,
        encoding=checked.encoding,
        deterministic=loaded.backend.deterministic,
        request_id=request.request_id,
    )


def _measure(model: str, made: Sequence[pb.Item], lane: Lane, tokenize_s: float) -> None:
    failed = dropped = 0
    for item in made:
        dropped += item.tokens_dropped
        if item.row < 0:
            failed += 1
            series(EMBEDDER_ERRORS, "text", ITEM_KINDS[item.error.code]).inc()
    if failed:
        series(EMBEDDER_TEXTS, model, lane, "error").inc(failed)
    series(EMBEDDER_TEXTS, model, lane, "ok").inc(len(made) - failed)
    series(EMBEDDER_TOKENS, model, "dropped").inc(dropped)
    series(EMBEDDER_SECONDS, model, lane, "tokenize").observe(tokenize_s)
