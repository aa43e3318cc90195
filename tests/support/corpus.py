"""Indices of random documents, searched by the bridge's own fusion and by the cluster's."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from sidecar.bridge.proxy.budget import Budget
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.searches.fusion.request import Shard, plan_legs
from sidecar.bridge.searches.fusion.search import FusedAnswer, search_fused
from sidecar.model import Fusion
from sidecar.opensearch.client import OpenSearchCluster
from tests.support.http import ndjson

DIMENSION = 8
DOCUMENTS = 150
WINDOW = 20  # less than what a query finds, so that every shard's window is cut
MAPPING = {
    "properties": {
        "title": {"type": "text"},
        "year": {"type": "integer"},
        "embedding": {
            "type": "knn_vector",
            "dimension": DIMENSION,
            "space_type": "cosinesimil",
            "method": {"name": "hnsw", "engine": "lucene"},
        },
    }
}


@dataclass
class Corpus:
    """Indices of random documents, searched with random queries; only an explicit refresh shows a change."""

    node: OpenSearchCluster
    upstream: Upstream
    expression: str
    shards: tuple[Shard, ...]
    drawn: random.Random = field(default_factory=lambda: random.Random(1))

    def text(self, words: int) -> str:
        return " ".join(f"w{int(self.drawn.paretovariate(0.8)) % 200}" for _ in range(words))

    def document(self) -> dict[str, object]:
        return {"title": self.text(12), "year": self.drawn.randrange(2000, 2010), "embedding": self.vector()}

    def vector(self) -> list[float]:
        return [round(self.drawn.gauss(0, 1), 4) for _ in range(DIMENSION)]

    def legs(self) -> tuple[dict, dict]:
        return {"match": {"title": self.text(3)}}, {"knn": {"embedding": {"vector": self.vector(), "k": WINDOW}}}

    async def call(self, method: str, path: str, body: object = None) -> dict:
        reply = await self.node.call(method, path, body=body)
        assert reply.ok, reply.reason
        return reply.body  # type: ignore[return-value]

    async def write(self, index: str, identifiers: Sequence[int], *, refresh: bool = True) -> None:
        lines = [line for i in identifiers for line in ({"index": {"_id": f"{index[-1]}{i}"}}, self.document())]
        answer = await self.call("POST", f"/{index}/_bulk?refresh={str(refresh).lower()}", ndjson(*lines))
        assert answer["errors"] is False

    async def in_cluster(self, legs: tuple[dict, dict], fusion: dict, **options: object) -> dict:
        hybrid = {"hybrid": {"queries": list(legs), "pagination_depth": WINDOW}}
        pipeline = {"phase_results_processors": [fusion]}
        path = "/_search" if "pit" in options else f"/{self.expression}/_search"
        return await self.call("POST", path, {"query": hybrid, "search_pipeline": pipeline, **options})

    async def in_bridge(
        self, legs: tuple[dict, dict], fusion: Fusion, *, url: dict[str, str] | None = None,
        upstream: Upstream | None = None, path: str | None = None, **options: object,
    ) -> dict:  # fmt: skip
        answer = await self.answer(legs, fusion, url=url, upstream=upstream, path=path, **options)
        assert answer.status == 200, answer.body
        return answer.body  # type: ignore[return-value]

    async def answer(
        self, legs: tuple[dict, dict], fusion: Fusion, *, url: dict[str, str] | None = None,
        upstream: Upstream | None = None, path: str | None = None, **options: object,
    ) -> FusedAnswer:  # fmt: skip
        search = plan_legs({"query": legs[0], **options}, legs[1], WINDOW, self.shards, url or {}, token="t")
        at = path or f"/{self.expression}/_search"
        with Budget(0).share() as share:
            return await search_fused(upstream or self.upstream, at, [], search, fusion, share=share)


@asynccontextmanager
async def corpus(node: OpenSearchCluster, name: str, *shards: int) -> AsyncIterator[Corpus]:
    """Indices `NAME-a`, `NAME-b` … with so many shards each; filled by the first who asks."""
    names = [f"{name}-{letter}" for letter, _ in zip("abc", shards, strict=False)]
    async with Upstream(node.url, connect_timeout_s=5) as upstream:
        known = tuple(Shard(n, name) for name, count in zip(names, shards, strict=True) for n in range(count))
        made = Corpus(node, upstream, f"{name}-*", known)
        for index, count in zip(names, shards, strict=True):
            settings = {"number_of_shards": count, "number_of_replicas": 0, "refresh_interval": -1, "knn": True}
            body = {"settings": {"index": settings}, "mappings": MAPPING}
            if (await node.call("PUT", f"/{index}", body=body)).ok:
                await made.write(index, range(DOCUMENTS))
        yield made


def ids(answer: dict) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def processor(fusion: Fusion) -> dict:
    if fusion.technique == "rrf":
        return {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 60}}}
    parameters = {"weights": list(fusion.weights)}
    combination = {"technique": fusion.combination, "parameters": parameters}
    return {"normalization-processor": {"normalization": {"technique": fusion.technique}, "combination": combination}}


def same(ours: list[dict], theirs: list[dict]) -> bool:
    """Whether hits, order and scores are equal, also the order of those with one score."""
    assert [hit["_score"] for hit in ours] == pytest.approx([hit["_score"] for hit in theirs], abs=1e-5)
    assert [hit["_id"] for hit in ours] == [hit["_id"] for hit in theirs]
    return True


class Interrupted(Upstream):
    """Does something between the legs and the page."""

    def __init__(self, upstream: Upstream, action: Callable[[], Awaitable[None]]) -> None:
        self._inner, self._action, self._sent = upstream, action, 0

    @asynccontextmanager
    async def send(self, *request: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        self._sent += 1
        if self._sent == 2:
            await self._action()
        async with self._inner.send(*request) as response:
            yield response
