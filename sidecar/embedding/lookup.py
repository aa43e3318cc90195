"""Looks each text of a request up in memory and on disk, and tokenises the texts that are not there."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from itertools import islice
from typing import Final, TypeVar

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.batcher import Text
from sidecar.embedding.cache.vectors import Entry, VectorCache, keys_of
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.replies import EMPTY, Answer, Distinct, tokenize_reply, too_long
from sidecar.embedding.requests import CheckedRequest, ReplyLimit
from sidecar.embedding.text.chunking import CutTexts, cut, joined
from sidecar.embedding.text.tokenizer import EncodedText
from sidecar.ports import Lane
from sidecar.telemetry import EMBEDDER_CACHE, series

# A query gets its turn between two slices of a load. A slice takes some 3 ms of one core, or one long text.
_SLICE_TEXTS: Final = 32
_SLICE_CHARACTERS: Final = 16_384
_QUERY_CHARACTERS: Final = 512  # tokenised in a tenth of a millisecond
_SLICE_PARTS: Final = 4  # each part is tokenised about twice

T = TypeVar("T")


class Lookup:
    """The tokenizer's thread, shared fairly, and the cache."""

    def __init__(self, tokenize_worker: Executor, cache: VectorCache) -> None:
        self._tokenize_worker = tokenize_worker
        self._cache = cache
        self._bulk_turn = asyncio.Lock()  # one slice of one load at a time, however many loads there are

    async def parts(
        self, loaded: LoadedModel, unique: Distinct, checked: CheckedRequest, limit: ReplyLimit
    ) -> CutTexts:
        """Cut long texts into parts, a few parts at a time, so that other requests get their turn.

        Raises InvalidRequest if the reply would have too many rows.
        """
        tokenizer = loaded.tokenizer
        look = partial(tokenizer.seen, checked.prompt)
        cutting = cut(unique.texts, look, loaded.version.max_tokens, tokenizer.blanks.end)
        spans: list[tuple[int, int, int]] = []
        while True:
            async with self._turn(checked.lane):
                found = await self.in_tokenizer(lambda: list(islice(cutting, _SLICE_PARTS)))
            if not found:
                break
            spans += found
            limit.check(len(spans))
        parts = joined(unique.texts, spans)
        limit.check(sum(len(parts.of[number]) for number in unique.index))
        return parts

    async def known(
        self, loaded: LoadedModel, texts: Sequence[str], checked: CheckedRequest, policy: int
    ) -> list[Answer | Text]:
        """The answer of the cache for each text. A text that it does not know is tokenised and ready to be computed."""
        keys: list[bytes | None] = [None] * len(texts)
        if policy != pb.CACHE_POLICY_BYPASS:
            key_of = keys_of(loaded.space, loaded.computed_by)
            keys = [key_of(checked.prompt + text) for text in texts]
        found: dict[int, Answer | Text] = {}
        for number, (text, key) in enumerate(zip(texts, keys, strict=True)):
            if not text:
                found[number] = Answer(failure=EMPTY)
            elif key is not None and (entry := self._cache.get(key)) is not None:
                found[number] = _cached(entry, checked)
        unknown = [number for number in range(len(texts)) if number not in found]
        in_memory = sum(one.cached for one in found.values() if isinstance(one, Answer))
        not_in_memory, on_disk = len(unknown), 0
        for some in _slices([texts[number] for number in unknown]):
            numbers, unknown = unknown[: len(some)], unknown[len(some) :]
            read = await self._entries_or_ids(loaded, some, [keys[number] for number in numbers], checked)
            for number, one in zip(numbers, read, strict=True):
                key = keys[number]
                if isinstance(one, Entry):
                    on_disk += 1
                    if key is not None:
                        self._cache.remember(key, one)
                    found[number] = _cached(one, checked)
                else:
                    found[number] = _to_compute(one, key, checked)
        if policy != pb.CACHE_POLICY_BYPASS:
            _measure_cache(loaded.version.id, in_memory, on_disk, not_in_memory - on_disk)
        return [found[number] for number in range(len(texts))]

    async def tokenized(
        self, loaded: LoadedModel, prompt: str, texts: Sequence[str], *, offsets: bool
    ) -> AsyncGenerator[pb.TokenizeReply, None]:
        """The number of tokens of the texts, and their places, for some texts at a time, in order."""

        def look(some: Sequence[str]) -> pb.TokenizeReply:
            return tokenize_reply(loaded.tokenizer.spans(prompt, some), offsets=offsets)

        for some in _slices(texts):
            async with self._bulk_turn:
                found = await self.in_tokenizer(partial(look, some))
            yield found

    async def in_tokenizer(self, work: Callable[[], T]) -> T:
        """Run a function in the tokenizer's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._tokenize_worker, work)

    async def _entries_or_ids(
        self, loaded: LoadedModel, texts: Sequence[str], keys: Sequence[bytes | None], checked: CheckedRequest
    ) -> list[Entry | EncodedText]:
        work = partial(self._read_or_tokenize, loaded, texts, keys, checked)
        if checked.lane is Lane.INTERACTIVE and sum(map(len, texts)) <= _QUERY_CHARACTERS:
            return work()  # the thread would take longer: the hand-over costs more than the work
        async with self._turn(checked.lane):
            return await self.in_tokenizer(work)

    def _read_or_tokenize(
        self, loaded: LoadedModel, texts: Sequence[str], keys: Sequence[bytes | None], checked: CheckedRequest
    ) -> list[Entry | EncodedText]:
        """Read from the disk first. It blocks, but it is quicker than the tokenizer."""
        entries = self._cache.read_file([key for key in keys if key is not None], loaded.version.dimension)
        missing = [number for number, key in enumerate(keys) if key is None or key not in entries]
        tokenized = iter(loaded.tokenizer.encode([checked.prompt + texts[number] for number in missing]))
        return [entries[key] if key is not None and key in entries else next(tokenized) for key in keys]

    def _turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        return self._bulk_turn if lane is Lane.BULK else nullcontext()


def _slices(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    start = characters = 0
    for end, text in enumerate(texts):
        characters += len(text)
        if end > start and (end - start == _SLICE_TEXTS or characters > _SLICE_CHARACTERS):
            yield texts[start:end]
            start, characters = end, len(text)
    if start < len(texts):
        yield texts[start:]


def _cached(entry: Entry, checked: CheckedRequest) -> Answer:
    if checked.refuse_long and entry.dropped:
        return Answer(failure=too_long(entry.tokens, entry.dropped), cached=True)
    return Answer(entry.pooled, None, entry.tokens, entry.dropped, cached=True)


def _to_compute(text: EncodedText, key: bytes | None, checked: CheckedRequest) -> Answer | Text:
    if checked.refuse_long and text.dropped:
        return Answer(failure=too_long(len(text.ids), text.dropped))
    return Text(text, key)


def _measure_cache(model: str, in_memory: int, on_disk: int, misses: int) -> None:
    for outcome, texts in (("memory", in_memory), ("disk", on_disk), ("miss", misses)):
        if texts:
            series(EMBEDDER_CACHE, model, outcome).inc(texts)
