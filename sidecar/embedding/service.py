"""One request from end to end: check, tokenise, queue, finish, reply. What speaks gRPC is `servicer.py`."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from time import perf_counter
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.batcher import Batcher, Computed
from sidecar.embedding.loading import LoadedModel
from sidecar.embedding.replies import EMPTY, Failure, distinct, items, outcomes, too_long
from sidecar.embedding.requests import Wanted, check_embed, check_tokenize, prompt_of
from sidecar.embedding.statuses import NotServing
from sidecar.embedding.tokenizing import TokenizedText
from sidecar.embedding.vectors import finish
from sidecar.errors import ModelNotFound
from sidecar.ports import Lane
from sidecar.rpc.pb import embedding_pb2 as pb
from sidecar.telemetry import EMBEDDER_SECONDS, EMBEDDER_TEXTS, EMBEDDER_TOKENS

_TOKENIZE_SLICE: Final = 32  # texts; between two slices of a bulk request a query gets its turn

T = TypeVar("T")


class State(StrEnum):
    """What the server is doing."""

    LOADING = "loading its models"
    SERVING = "serving"
    DRAINING = "draining"


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model and the queue before it."""

    loaded: LoadedModel
    batcher: Batcher


class EmbeddingService:
    """Answers requests; refuses them with `SidecarError`s."""

    def __init__(self, *, max_texts: int, max_message_bytes: int, tokenize_worker: Executor) -> None:
        self._max_texts = max_texts
        self._max_message_bytes = max_message_bytes
        self._tokenize_worker = tokenize_worker
        self._served: dict[str, Served] = {}
        self._in_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.state = State.LOADING

    def serve(self, served: Sequence[Served]) -> None:
        """Begin to answer for these models."""
        self._served = {one.loaded.version.id: one for one in served}
        self.state = State.SERVING

    async def drain(self) -> None:
        """Refuse what comes from now on, and wait until what is in work has been answered."""
        self.state = State.DRAINING
        await self._idle.wait()

    def models(self) -> pb.ListModelsReply:
        """The loaded model versions."""
        return pb.ListModelsReply(models=[self._info(one) for one in self._served.values()])

    def model(self, name: str) -> pb.ModelInfo:
        """One loaded model version. Raises ModelNotFound, NotServing."""
        return self._info(self._find(name))

    async def tokenize(self, request: pb.TokenizeRequest) -> pb.TokenizeReply:
        """Count tokens and tell where they stand. Raises ModelNotFound, NotServing, InvalidRequest."""
        with self._working():
            loaded = self._find(request.model).loaded
            check_tokenize(request, loaded.version, self._max_texts)
            prompt = prompt_of(request.role, loaded.version)
            reply = pb.TokenizeReply()
            for texts in _slices(request.texts):
                for found in await self._in_tokenizer(partial(loaded.tokenizer.spans, prompt, texts)):
                    spans = found.spans if request.offsets else ()
                    reply.items.add(
                        tokens=found.tokens, char_starts=[s for s, _ in spans], char_ends=[e for _, e in spans]
                    )
            return reply

    async def embed(self, request: pb.EmbedRequest) -> pb.EmbedReply:
        """Embed a batch of texts.

        Raises ModelNotFound, NotServing, InvalidRequest, Unsupported, SpaceMismatch, EmbedderOverloaded.
        """
        with self._working():
            served = self._find(request.model)
            wanted = check_embed(request, served.loaded.version, self._max_texts)
            unique = distinct(request.texts)
            started = perf_counter()
            texts = await self._tokenized(served.loaded, unique.texts, wanted)
            tokenize_s = perf_counter() - started
            numbers = [number for number, text in enumerate(texts) if isinstance(text, TokenizedText)]
            computed = await _compute(served, [text.ids for text in texts if isinstance(text, TokenizedText)], wanted)
            encoded, usable = finish(
                computed.pooled, dimension=wanted.dimension, normalize=wanted.normalize, encoding=wanted.encoding
            )
            found, kept = outcomes(texts, numbers, computed.failures, usable)
            reply = _heading(request, served.loaded, wanted)
            reply.matrix = encoded[kept].tobytes()
            reply.items.extend(items(found, unique.index))
            reply.padding_tokens = computed.padding_tokens
            reply.timing.queue_us = round(computed.queue_s * 1e6)
            reply.timing.tokenize_us = round(tokenize_s * 1e6)
            reply.timing.compute_us = round(computed.compute_s * 1e6)
            _measure(reply, wanted.lane, tokenize_s)
            return reply

    @contextmanager
    def _working(self) -> Iterator[None]:
        if self.state is not State.SERVING:
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
        if self.state is State.LOADING:
            raise NotServing(self.state)
        try:
            return self._served[name]
        except KeyError:
            raise ModelNotFound(name, tuple(self._served)) from None

    def _info(self, served: Served) -> pb.ModelInfo:
        version = served.loaded.version
        return pb.ModelInfo(
            model=version.id,
            space=version.space,
            backend=served.loaded.backend.name,
            dimension=version.dimension,
            max_tokens=version.max_tokens,
            normalized=version.normalized,
            manifest=version.model_dump_json(),
            max_texts=self._max_texts,
            max_message_bytes=self._max_message_bytes,
        )

    async def _tokenized(
        self, loaded: LoadedModel, texts: Sequence[str], wanted: Wanted
    ) -> list[TokenizedText | Failure]:
        found: list[TokenizedText | Failure] = []
        for some in _slices(texts):
            prompted = [wanted.prompt + text for text in some]
            tokenized = await self._in_tokenizer(partial(loaded.tokenizer.encode, prompted))
            for text, result in zip(some, tokenized, strict=True):
                if not text:
                    found.append(EMPTY)
                elif wanted.refuse_long and result.dropped:
                    found.append(too_long(result))
                else:
                    found.append(result)
        return found

    async def _in_tokenizer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._tokenize_worker, work)


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), _TOKENIZE_SLICE):
        yield texts[start : start + _TOKENIZE_SLICE]


async def _compute(served: Served, ids: Sequence[NDArray[np.int32]], wanted: Wanted) -> Computed:
    if not ids:
        return Computed(np.zeros((0, served.loaded.version.dimension), np.float32), {}, 0.0, 0.0, 0)
    return await served.batcher.compute(ids, wanted.lane)


def _heading(request: pb.EmbedRequest, loaded: LoadedModel, wanted: Wanted) -> pb.EmbedReply:
    return pb.EmbedReply(
        model=loaded.version.id,
        space=wanted.space,
        backend=loaded.backend.name,
        dimension=wanted.dimension,
        encoding=wanted.encoding,
        deterministic=loaded.backend.deterministic,
        request_id=request.request_id,
    )


def _measure(reply: pb.EmbedReply, lane: Lane, tokenize_s: float) -> None:
    failed = sum(item.row < 0 for item in reply.items)
    EMBEDDER_TEXTS.labels(reply.model, lane, "error").inc(failed)
    EMBEDDER_TEXTS.labels(reply.model, lane, "ok").inc(len(reply.items) - failed)
    EMBEDDER_TOKENS.labels(reply.model, "dropped").inc(sum(item.tokens_dropped for item in reply.items))
    EMBEDDER_SECONDS.labels(reply.model, lane, "tokenize").observe(tokenize_s)
