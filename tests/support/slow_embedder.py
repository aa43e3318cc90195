"""An embedder of a given speed: our own queue and cache, and a back end that takes its time in virtual time."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
from numpy.typing import NDArray

from sidecar.embedding.backends.computing import BatchResult
from sidecar.embedding.batcher import Batcher, Text
from sidecar.embedding.cache.vectors import Entry, VectorCache
from sidecar.embedding.text.tokenizer import EncodedText
from sidecar.errors import DeadlineExceeded
from sidecar.model import Role
from sidecar.ports import EmbeddedText, Embeddings, Lane, ServedModel

_TOKENS_OF_A_TEXT = 50


class SlowBackend:
    """Computes so many texts a second, one batch after the other."""

    name = "slow"
    deterministic = True
    streams = 1
    bucket_tokens = batch_tokens = 0

    def __init__(self, texts_per_s: float) -> None:
        self.texts_per_s = texts_per_s
        self.computed = 0

    async def usable(self) -> None:
        return

    async def compute(self, batch: Sequence[NDArray[np.int32]]) -> BatchResult:
        await asyncio.sleep(len(batch) / self.texts_per_s)
        self.computed += len(batch)
        return BatchResult(np.ones((len(batch), 2), np.float32), {})


class SlowEmbedder:
    """Implements `Embedder`. `asked` has the number of texts of each call."""

    def __init__(self, batcher: Batcher, cache: VectorCache, backend: SlowBackend) -> None:
        self.backend = backend
        self.asked: list[int] = []
        self.cache = cache
        self._batcher = batcher

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.asked.append(len(texts))
        known = [self.cache.get(_key(text)) for text in texts]
        new = [text for text, entry in zip(texts, known, strict=True) if entry is None]
        ids = EncodedText(np.arange(_TOKENS_OF_A_TEXT, dtype=np.int32), dropped=0)
        try:
            async with asyncio.timeout(timeout_s):
                if new:
                    await self._batcher.compute([Text(ids, _key(text)) for text in new], lane, timeout_s)
        except TimeoutError as error:
            raise DeadlineExceeded("slow:1", timeout_s) from error
        items = tuple(EmbeddedText(row, cached=entry is not None) for row, entry in enumerate(known))
        return Embeddings(model, expect_space, "slow", np.ones((len(texts), 2), np.float32), items)

    async def models(self) -> tuple[ServedModel, ...]:
        return ()


@asynccontextmanager
async def slow_embedder(texts_per_s: float) -> AsyncIterator[SlowEmbedder]:
    """Run it until the context ends."""
    backend, cache = SlowBackend(texts_per_s), VectorCache(64 * 1024 * 1024)
    batcher = Batcher(
        backend,
        model="m@1",
        dimension=2,
        slots=asyncio.Semaphore(1),
        cache=cache,
        max_batch_tokens=16_384,
        max_bulk_batch_s=0.05,
        max_queue_tokens=1_000_000,
    )
    async with asyncio.TaskGroup() as group:
        loop = group.create_task(batcher.run())
        yield SlowEmbedder(batcher, cache, backend)
        loop.cancel()


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def entry_of(text: str, cache: VectorCache) -> Entry | None:
    """What the cache has for a text."""
    return cache.get(_key(text))
