"""One request from end to end: check, tokenise, queue, finish, reply. What speaks gRPC is `servicer.py`."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import count, islice
from time import perf_counter
from typing import Final, TypeVar

from sidecar.embedding.batcher import NOTHING, Batcher, Computed, Text
from sidecar.embedding.cache import Entry, VectorCache, cache_key
from sidecar.embedding.chunking import Parts, cut, joined, whole
from sidecar.embedding.inflight import Inflight
from sidecar.embedding.loading import LoadedModel
from sidecar.embedding.replies import EMPTY, ITEM_KINDS, Answer, Distinct, broken, distinct, items, matrix, too_long
from sidecar.embedding.requests import ReplyLimit, Wanted, check_embed, check_tokenize, prompt_of, reply_limit
from sidecar.embedding.statuses import NotServing
from sidecar.embedding.tokenizing import TokenizedText
from sidecar.embedding.vectors import finish
from sidecar.errors import ModelNotFound
from sidecar.ports import Lane
from sidecar.rpc.pb import embedding_pb2 as pb
from sidecar.telemetry import EMBEDDER_CACHE, EMBEDDER_ERRORS, EMBEDDER_SECONDS, EMBEDDER_TEXTS, EMBEDDER_TOKENS
from sidecar.tracing import OFF, Tracing

# Between two slices of a load a query gets its turn: some 3 ms of one core, unless one text is longer than that.
_SLICE_TEXTS: Final = 32
_SLICE_CHARACTERS: Final = 16_384
_QUERY_CHARACTERS: Final = 512  # tokenised in a tenth of a millisecond
_SLICE_PARTS: Final = 4  # each is looked at about twice

T = TypeVar("T")


class State(StrEnum):
    """What the server is doing."""

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
    """Answers requests; refuses them with `SidecarError`s."""

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
        self._tokenize_worker = tokenize_worker
        self._cache = cache
        self.inflight = Inflight(max_inflight_bytes)
        self._bulk_turn = asyncio.Lock()  # one slice of one load at a time, however many loads there are
        self._served: dict[str, Served] = {}
        self._in_work = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.state = State.LOADING

    def serve(self, served: Sequence[Served]) -> None:
        """Begin to answer for these models."""
        self._served = {one.loaded.version.id: one for one in served}
        self.state = State.SERVING

    def computing_is(self, *, usable: bool) -> None:
        """Refuse requests while nothing can be computed; those in work wait for it to come back."""
        if self.state in {State.SERVING, State.RESTARTING}:
            self.state = State.SERVING if usable else State.RESTARTING

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
                async with self._bulk_turn:
                    counted = await self._in_tokenizer(partial(loaded.tokenizer.spans, prompt, texts))
                for found in counted:
                    spans = found.spans if request.offsets else ()
                    reply.items.add(
                        tokens=found.tokens, char_starts=[s for s, _ in spans], char_ends=[e for _, e in spans]
                    )
            return reply

    async def texts_of(self, model: str, ids: Sequence[Sequence[int]]) -> list[str | None]:
        """The text of each list of token ids; None for ids that are no text's. Raises ModelNotFound, NotServing."""
        with self._working():
            tokenizer = self._find(model).loaded.tokenizer
            return [await self._in_tokenizer(partial(tokenizer.text_of, one)) for one in ids]

    async def embed(self, request: pb.EmbedRequest, remaining_s: float | None = None) -> pb.EmbedReply:
        """Embed a batch of texts; `remaining_s`: how long the caller still waits.

        Raises ModelNotFound, NotServing, InvalidRequest, SpaceMismatch, EmbedderOverloaded.
        """
        with self.tracing.embedding(request) as answered:
            reply = await self._embed(request, remaining_s)
            answered(reply)
            return reply

    async def _embed(self, request: pb.EmbedRequest, remaining_s: float | None) -> pb.EmbedReply:
        with self._working():
            served = self._find(request.model)
            wanted = check_embed(request, served.loaded.version, self._max_texts)
            unique = distinct(request.texts)
            started = perf_counter()
            limit = reply_limit(request, wanted, self._max_message_bytes)
            parts = await self._parts(served.loaded, unique, wanted, limit)
            found = await self._looked_up(served.loaded, parts.texts, wanted, request.cache)
            tokenize_s = perf_counter() - started
            texts = [one for one in found if isinstance(one, Text)]
            computed = NOTHING
            if texts:
                left_s = None if remaining_s is None else remaining_s - tokenize_s
                computed = await served.batcher.compute(texts, wanted.lane, left_s)
            answers = _answers(found, computed)
            encoded, usable = finish(
                matrix(answers, served.loaded.version.dimension),
                dimension=wanted.dimension,
                normalize=wanted.normalize,
                encoding=wanted.encoding,
            )
            made, kept = items(answers, usable, parts.of, unique.index, chunked=wanted.chunk)
            reply = _heading(request, served.loaded, wanted)
            reply.matrix = encoded[kept].tobytes()
            reply.items.extend(made)
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

    async def _parts(self, loaded: LoadedModel, unique: Distinct, wanted: Wanted, limit: ReplyLimit) -> Parts:
        """What is embedded for each text; long ones are cut a few parts at a time, so that others have their turn.

        Raises InvalidRequest if the reply would have too many rows.
        """
        limit.check(len(unique.texts))
        if not wanted.chunk:
            return whole(unique.texts)
        cutting = cut(unique.texts, partial(loaded.tokenizer.seen, wanted.prompt), loaded.version.max_tokens)
        spans: list[tuple[int, int, int]] = []
        while True:
            async with self._turn(wanted.lane):
                found = await self._in_tokenizer(lambda: list(islice(cutting, _SLICE_PARTS)))
            if not found:
                break
            spans += found
            limit.check(len(spans))
        parts = joined(unique.texts, spans)
        limit.check(sum(len(parts.of[number]) for number in unique.index))
        return parts

    async def _looked_up(
        self, loaded: LoadedModel, texts: Sequence[str], wanted: Wanted, policy: int
    ) -> list[Answer | Text]:
        """What the cache knows of each text; what it does not know, ready to be computed."""
        if policy == pb.CACHE_POLICY_BYPASS:
            keys: list[bytes | None] = [None] * len(texts)
        else:
            space, computed_by = loaded.version.space, loaded.computed_by
            keys = [cache_key(space, computed_by, wanted.prompt + text) for text in texts]
        found: dict[int, Answer | Text] = {}
        for number, (text, key) in enumerate(zip(texts, keys, strict=True)):
            if not text:
                found[number] = Answer(failure=EMPTY)
            elif key is not None and (entry := self._cache.get(key)) is not None:
                found[number] = _cached(entry, wanted)
        unknown = [number for number in range(len(texts)) if number not in found]
        in_memory = sum(one.cached for one in found.values() if isinstance(one, Answer))
        not_in_memory, on_disk = len(unknown), 0
        for some in _slices([texts[number] for number in unknown]):
            numbers, unknown = unknown[: len(some)], unknown[len(some) :]
            read = await self._read_or_tokenized(loaded, some, [keys[number] for number in numbers], wanted)
            for number, one in zip(numbers, read, strict=True):
                key = keys[number]
                if isinstance(one, Entry):
                    on_disk += 1
                    if key is not None:
                        self._cache.remember(key, one)
                    found[number] = _cached(one, wanted)
                else:
                    found[number] = _tokenized(one, key, wanted)
        if policy != pb.CACHE_POLICY_BYPASS:
            _measure_cache(loaded.version.id, in_memory, on_disk, not_in_memory - on_disk)
        return [found[number] for number in range(len(texts))]

    def _read_or_tokenize(
        self, loaded: LoadedModel, texts: Sequence[str], keys: Sequence[bytes | None], wanted: Wanted
    ) -> list[Entry | TokenizedText]:
        """The disk is asked first: blocking, but quicker than the tokenizer."""
        entries = self._cache.read_file([key for key in keys if key is not None], loaded.version.dimension)
        missing = [number for number, key in enumerate(keys) if key is None or key not in entries]
        tokenized = iter(loaded.tokenizer.encode([wanted.prompt + texts[number] for number in missing]))
        return [entries[key] if key is not None and key in entries else next(tokenized) for key in keys]

    def _turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        return self._bulk_turn if lane is Lane.BULK else nullcontext()

    async def _read_or_tokenized(
        self, loaded: LoadedModel, texts: Sequence[str], keys: Sequence[bytes | None], wanted: Wanted
    ) -> list[Entry | TokenizedText]:
        work = partial(self._read_or_tokenize, loaded, texts, keys, wanted)
        if wanted.lane is Lane.INTERACTIVE and sum(map(len, texts)) <= _QUERY_CHARACTERS:
            return work()  # the way to the thread and back takes longer
        async with self._turn(wanted.lane):
            return await self._in_tokenizer(work)

    async def _in_tokenizer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._tokenize_worker, work)


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = characters = 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end > start and (end - start == _SLICE_TEXTS or characters > _SLICE_CHARACTERS):
            yield texts[start:end]
            start, characters = end, len(text)
    if start < len(texts):
        yield texts[start:]


def _cached(entry: Entry, wanted: Wanted) -> Answer:
    if wanted.refuse_long and entry.dropped:
        return Answer(failure=too_long(entry.tokens, entry.dropped), cached=True)
    return Answer(entry.pooled, tokens=entry.tokens, dropped=entry.dropped, cached=True)


def _tokenized(text: TokenizedText, key: bytes | None, wanted: Wanted) -> Answer | Text:
    if wanted.refuse_long and text.dropped:
        return Answer(failure=too_long(len(text.ids), text.dropped))
    return Text(text, key)


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
    failed = 0
    for item in reply.items:
        if item.row < 0:
            failed += 1
            EMBEDDER_ERRORS.labels("text", ITEM_KINDS[item.error.code]).inc()
    EMBEDDER_TEXTS.labels(reply.model, lane, "error").inc(failed)
    EMBEDDER_TEXTS.labels(reply.model, lane, "ok").inc(len(reply.items) - failed)
    EMBEDDER_TOKENS.labels(reply.model, "dropped").inc(sum(item.tokens_dropped for item in reply.items))
    EMBEDDER_SECONDS.labels(reply.model, lane, "tokenize").observe(tokenize_s)


def _measure_cache(model: str, in_memory: int, on_disk: int, misses: int) -> None:
    for outcome, texts in (("memory", in_memory), ("disk", on_disk), ("miss", misses)):
        EMBEDDER_CACHE.labels(model, outcome).inc(texts)
