"""The service without a socket: the real tokenizer of MiniLM, and a back end that counts what it computes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.batcher import Batcher
from sidecar.embedding.cache.file import VectorFile
from sidecar.embedding.cache.vectors import VectorCache
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.service import EmbeddingService, Served
from sidecar.embedding.text.tokenizer import EncodedText, TextTokenizer
from sidecar.models.store import ModelStore
from tests.support.computing import Double, InThread

MINILM = "all-minilm-l6-v2@1"
DISK_BYTES = 16_777_216


class CountingBackend(Double):
    """Every batch gives other vectors, as a back end that is not deterministic may."""

    name = "counting"
    deterministic = False
    bucket_tokens = 0

    def __init__(self) -> None:
        self.texts = 0

    def compute(self, batch: Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        self.texts += len(batch)
        pooled: NDArray[np.float32] = np.random.default_rng().standard_normal((len(batch), 384), dtype=np.float32)
        return pooled


class GatedTokenizer(TextTokenizer):
    """Remembers the first text of each slice, and waits before it goes on to the next."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        super().__init__(tokenizer._tokenizer, 256)
        self.slices: list[str] = []
        self.largest = 0
        self.may_go_on = threading.Event()

    def encode(self, texts: Sequence[str]) -> list[EncodedText]:
        assert self.may_go_on.wait(10)
        self.slices.append(texts[0])
        self.largest = max(self.largest, len(texts))
        return super().encode(texts)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    version, folder = ModelStore(tmp_path_factory.mktemp("none")).open(MINILM)
    tokenizer = TextTokenizer.from_json((folder / "tokenizer.json").read_bytes(), version.max_tokens)
    return LoadedModel(version, InThread(CountingBackend()), tokenizer)


@asynccontextmanager
async def serving(loaded: LoadedModel, cache: VectorCache) -> AsyncIterator[EmbeddingService]:
    with ThreadPoolExecutor(1) as tokenize_worker:
        batcher = Batcher(
            loaded.backend,
            model=MINILM,
            dimension=384,
            slots=asyncio.Semaphore(1),
            cache=cache,
            max_batch_tokens=1_024,
            max_bulk_batch_s=0.05,
            max_queue_tokens=1_000_000,
        )
        service = EmbeddingService(
            max_texts=1_024,
            max_message_bytes=1_000_000,
            max_inflight_bytes=1_000_000,
            tokenize_worker=tokenize_worker,
            cache=cache,
        )
        async with asyncio.TaskGroup() as group:
            batches = group.create_task(batcher.run())
            service.serve([Served(loaded, batcher)])
            yield service
            batches.cancel()
    cache.close()


def counting(loaded: LoadedModel) -> tuple[LoadedModel, CountingBackend]:
    backend = CountingBackend()
    return LoadedModel(loaded.version, InThread(backend), loaded.tokenizer), backend


def request(*texts: str, **options: object) -> pb.EmbedRequest:
    return pb.EmbedRequest(model=MINILM, texts=texts, **options)


async def test_a_cached_text_has_the_same_bytes_and_costs_nothing(loaded: LoadedModel) -> None:
    model, backend = counting(loaded)
    async with serving(model, VectorCache(100_000)) as service:
        first = await service.embed(request("hello world", "word " * 300))
        again = await service.embed(request("word " * 300, "new", "hello world"))
    assert backend.texts == 3
    assert [item.cached for item in first.items] == [False, False]
    assert [item.cached for item in again.items] == [True, False, True]
    assert again.matrix[-1536:] == first.matrix[:1536]
    assert again.matrix[:1536] == first.matrix[-1536:]
    assert (again.items[0].tokens, again.items[0].tokens_dropped, again.items[0].truncated) == (256, 46, True)


async def test_a_request_of_nothing_but_cached_texts_is_not_tokenised(loaded: LoadedModel) -> None:
    gated = GatedTokenizer(loaded.tokenizer)
    gated.may_go_on.set()
    async with serving(
        LoadedModel(loaded.version, InThread(CountingBackend()), gated), VectorCache(100_000)
    ) as service:
        for _ in range(2):
            reply = await service.embed(request("a", "b"))
    assert gated.slices == ["a"]
    assert reply.timing.compute_us == 0


async def test_bypass_computes_anew_and_leaves_the_cache_alone(loaded: LoadedModel) -> None:
    model, backend = counting(loaded)
    async with serving(model, VectorCache(100_000)) as service:
        await service.embed(request("a", cache=pb.CACHE_POLICY_BYPASS))
        kept = await service.embed(request("a"))
        anew = await service.embed(request("a", cache=pb.CACHE_POLICY_BYPASS))
        again = await service.embed(request("a"))
    assert backend.texts == 3
    assert [reply.items[0].cached for reply in (kept, anew, again)] == [False, False, True]
    assert again.matrix == kept.matrix != anew.matrix


async def test_dimension_encoding_and_normalisation_share_a_vector(loaded: LoadedModel) -> None:
    model, backend = counting(loaded)
    async with serving(model, VectorCache(100_000)) as service:
        whole = await service.embed(request("a", normalize=False))
        cut = await service.embed(request("a", dimension=2, encoding=pb.ENCODING_FLOAT16))
    assert backend.texts == 1
    vector = np.frombuffer(whole.matrix, "<f4")[:2]
    expected = (vector / np.linalg.norm(vector)).astype("<f2")
    assert cut.matrix == expected.tobytes()


async def test_a_cached_long_text_is_refused_where_it_must_not_be_cut(loaded: LoadedModel) -> None:
    model, backend = counting(loaded)
    async with serving(model, VectorCache(100_000)) as service:
        await service.embed(request("word " * 300))
        refused = await service.embed(request("word " * 300, on_too_long=pb.ON_TOO_LONG_ERROR))
    assert backend.texts == 1
    assert refused.items[0].error.message == "the text has at least 302 tokens; the model takes 256"


async def test_the_same_bytes_after_a_restart(loaded: LoadedModel, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(100)]
    replies = []
    model, backend = counting(loaded)
    for _ in range(2):
        cache = VectorCache(1_000_000, VectorFile.open(tmp_path, DISK_BYTES))
        async with serving(model, cache) as service:
            replies.append(await service.embed(request(*texts)))
    assert backend.texts == 100
    assert replies[0].matrix == replies[1].matrix
    assert {item.cached for item in replies[1].items} == {True}
    assert [item.tokens for item in replies[0].items] == [item.tokens for item in replies[1].items]
