"""What is known of each text, and who waits for its tokens."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import REGISTRY

from sidecar.contract import embedding_pb2 as pb
from sidecar.embedding.cache.file import VectorFile
from sidecar.embedding.cache.vectors import VectorCache
from sidecar.embedding.loading.models import LoadedModel
from sidecar.embedding.text.tokenizer import EncodedText, TextTokenizer
from tests.support.computing import InThread
from tests.unit.embedding.test_service import (
    DISK_BYTES,
    MINILM,
    CountingBackend,
    GatedTokenizer,
    counting,
    loaded,  # noqa: F401 - fixtures
    request,
    serving,
)


async def test_hits_misses_and_bytes_are_counted(loaded: LoadedModel, tmp_path: Path) -> None:
    def counted(outcome: str) -> float:
        labels = {"model": MINILM, "outcome": outcome}
        return REGISTRY.get_sample_value("sidecar_embedder_cache_total", labels) or 0.0

    outcomes = ("memory", "disk", "miss")
    before = [counted(outcome) for outcome in outcomes]
    for texts in (("a", "b", ""), ("a", "c")):
        async with serving(loaded, VectorCache(100_000, VectorFile.open(tmp_path, DISK_BYTES))) as service:
            for _ in range(2):
                await service.embed(request(*texts))
    after = [counted(outcome) for outcome in outcomes]
    assert [now - then for now, then in zip(after, before, strict=True)] == [4, 1, 3]
    assert REGISTRY.get_sample_value("sidecar_embedder_cache_bytes", {"store": "memory"}) == 2 * (1_536 + 400)
    assert (REGISTRY.get_sample_value("sidecar_embedder_cache_bytes", {"store": "disk"}) or 0) > 4_096


async def test_callers_at_the_same_time_share_a_text(loaded: LoadedModel) -> None:
    model, backend = counting(loaded)
    async with serving(model, VectorCache(0)) as service, asyncio.TaskGroup() as group:
        tasks = [group.create_task(service.embed(request("a", lane=pb.LANE_INTERACTIVE))) for _ in range(20)]
        replies = [await task for task in tasks]
    assert sum(not reply.items[0].deduplicated for reply in replies) == backend.texts
    assert backend.texts < 20


async def test_a_long_query_waits_for_one_slice_of_one_load_before_it_is_tokenised(loaded: LoadedModel) -> None:
    gated = GatedTokenizer(loaded.tokenizer)
    long = "many words that take their time " * 40
    model = LoadedModel(loaded.version, InThread(CountingBackend()), gated)
    async with serving(model, VectorCache(0)) as service, asyncio.TaskGroup() as group:
        for load in range(4):
            group.create_task(service.embed(request(*(f"{load} {number} {long}" for number in range(64)))))
        await asyncio.sleep(0)
        query = group.create_task(service.embed(request("query" * 200, lane=pb.LANE_INTERACTIVE)))
        await asyncio.sleep(0)
        gated.may_go_on.set()
        await query
    assert gated.slices.index("query" * 200) == 1
    assert gated.largest <= 12  # slices are cut by characters too


async def test_a_short_query_is_tokenised_at_once_whatever_the_tokenizer_does_for_loads(loaded: LoadedModel) -> None:
    class Held(GatedTokenizer):
        def encode(self, texts: Sequence[str]) -> list[EncodedText]:
            return TextTokenizer.encode(self, texts) if texts == ["query"] else super().encode(texts)

    held = Held(loaded.tokenizer)
    model = LoadedModel(loaded.version, InThread(CountingBackend()), held)
    async with serving(model, VectorCache(0)) as service, asyncio.TaskGroup() as group:
        group.create_task(service.embed(request("a load")))
        await asyncio.sleep(0)
        assert (await service.embed(request("query", lane=pb.LANE_INTERACTIVE))).items[0].row == 0
        held.may_go_on.set()
