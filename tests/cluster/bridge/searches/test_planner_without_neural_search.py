"""A cluster that has k-NN and not neural-search: what it cannot fuse the bridge fuses, with the same result."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from sidecar.bridge.app import serving
from sidecar.models.catalogue import shipped_versions
from sidecar.opensearch.assembly import KNN
from sidecar.opensearch.client import OpenSearchCluster
from sidecar.rpc.client import EmbedderClient
from sidecar.templates.apply import apply
from sidecar.templates.compiler import compile_template
from tests.support.between import bridge_settings
from tests.support.http import Answer, Http, http, ndjson
from tests.support.nodes import node_of_its_own

pytestmark = pytest.mark.xdist_group("node without neural-search")

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
BASE = {"properties": {"title": {"type": "text"}, "abstract": {"type": "text"}, "year": {"type": "integer"}}}
DOCUMENTS = {
    str(number): {"title": title, "abstract": abstract, "year": 2000 + number}
    for number, (title, abstract) in enumerate(
        [
            ("Felines purr", "A kitten makes this sound when it is content"),
            ("Dogs bark", "A hound makes noise at strangers"),
            ("Interest rates", "The central bank raised them to fight inflation"),
            ("Cat allergies", "Sneezing near pets"),
            ("Rivers", "Water flows to the sea between two banks"),
            ("Loud pets", "Parrots and dogs are heard by every neighbour"),
            ("Silence", "No noise at all"),
        ]
    )
}
QUERY = {"match": {"title": "dogs and kitty noises"}}
SPREADS = (1, 2, 3)  # indices of so many shards


@dataclass(frozen=True, slots=True)
class Pair:
    """Bridges in front of a cluster without and of one with neural-search, which hold the same."""

    without: Http
    complete: Http
    name: str

    async def both(self, path: str, body: object) -> tuple[Answer, Answer]:
        answers = [await bridge("POST", path.format(name=self.name), body) for bridge in (self.without, self.complete)]
        assert all(answer.status == 200 for answer in answers), [answer.body for answer in answers]
        return answers[0], answers[1]


@pytest.fixture(scope="session")
def plain_node() -> Iterator[str]:
    with node_of_its_own({KNN}) as url:
        yield url


@asynccontextmanager
async def bridge_before(node_url: str, embedder: EmbedderClient) -> AsyncIterator[Http]:
    async with serving(bridge_settings(node_url), embedder) as at, http(f"http://{at.address}") as (bridge,):
        yield bridge


async def fill(node_url: str, bridge: Http, name: str) -> None:
    async with OpenSearchCluster(node_url) as cluster:
        template = compile_template(name, MINILM, BASE, index_patterns=(f"{name}-*",), source=("title", "abstract"))
        await apply(cluster, template)
        for shards in SPREADS:
            settings = {"number_of_shards": shards, "number_of_replicas": 0}
            assert (await cluster.call("PUT", f"/{name}-{shards}", body={"settings": settings})).ok
            lines = [line for i, source in DOCUMENTS.items() for line in ({"index": {"_id": i}}, source)]
            written = await bridge("POST", f"/{name}-{shards}/_bulk?refresh=true", ndjson(*lines))
            assert (written.json["errors"], written.ingested[1]) == (False, 0)


@pytest.fixture
async def pair(plain_node: str, system: dict[str, str], unique: str) -> AsyncIterator[Pair]:
    async with (
        EmbedderClient(system["embedder"]) as embedder,
        bridge_before(plain_node, embedder) as without,
        bridge_before(system["cluster"], embedder) as complete,
    ):
        await asyncio.gather(fill(plain_node, without, unique), fill(system["cluster"], complete, unique))
        yield Pair(without, complete, unique)
        for bridge in (without, complete):
            await bridge("DELETE", f"/{unique}-*,{unique}--companion")


def ranked(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(hit["_index"], hit["_id"]) for hit in answer["hits"]["hits"]]


def scores(answer: dict[str, Any]) -> list[float]:
    return [hit["_score"] for hit in answer["hits"]["hits"]]


def agree(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same hits, scores and totals; equal scores may stand in any order."""
    assert scores(ours) == pytest.approx(scores(theirs), abs=1e-5)
    assert sorted(ranked(ours)) == sorted(ranked(theirs))
    assert len(set(scores(theirs))) < len(scores(theirs)) or ranked(ours) == ranked(theirs)
    assert ours["hits"]["total"] == theirs["hits"]["total"]


async def test_text_is_fused_in_the_bridge_as_a_complete_cluster_fuses_it(pair: Pair) -> None:
    filtered = {"bool": {"must": [QUERY], "filter": [{"range": {"year": {"lt": 2005}}}]}}
    for index in (*SPREADS, "*"):
        for body in ({"query": QUERY}, {"query": filtered, "size": 3, "highlight": {"fields": {"title": {}}}}):
            ours, theirs = await pair.both(f"/{{name}}-{index}/_search", body)

            assert ours.headers["X-Sidecar-Search"].endswith("where=bridge")
            assert "where=cluster" in theirs.headers["X-Sidecar-Search"]
            agree(ours.json, theirs.json)


async def test_reciprocal_ranks_too(pair: Pair) -> None:
    for shards in SPREADS:
        mapping = (await pair.without("GET", f"/{pair.name}-{shards}/_mapping")).json[f"{pair.name}-{shards}"]
        mapping["mappings"]["_meta"]["sidecar"]["search"]["fusion"] = {"technique": "rrf"}
        for bridge in (pair.without, pair.complete):
            meta = {"_meta": mapping["mappings"]["_meta"]}
            assert (await bridge("PUT", f"/{pair.name}-{shards}/_mapping", meta)).status == 200
        ours, theirs = await pair.both(f"/{{name}}-{shards}/_search", {"query": QUERY})

        assert ours.headers["X-Sidecar-Search"].endswith("fusion=rrf; where=bridge")
        agree(ours.json, theirs.json)


async def test_neural_clauses_become_knn(pair: Pair) -> None:
    clause = {"neural": {"embedding": {"query_text": "kitty noises", "k": 3}}}
    for body in ({"query": clause}, {"query": {"bool": {"should": [clause, QUERY]}}}):
        ours, theirs = await pair.both("/{name}-1/_search", body)

        assert ours.headers["X-Sidecar-Search"] == theirs.headers["X-Sidecar-Search"]
        assert ours.headers["X-Sidecar-Search"].startswith("neural")
        agree(ours.json, theirs.json)


async def test_several_searches_at_once_are_all_answered(pair: Pair) -> None:
    clause = {"neural": {"embedding": {"query_text": "kitty noises", "k": 3}}}
    filtered = {"bool": {"must": [QUERY], "filter": [{"range": {"year": {"lt": 2005}}}]}}
    searches = [{"query": query} for query in (QUERY, {"match_all": {}}, filtered, clause)]
    for index in (*SPREADS, "*"):
        lines = ndjson(*(line for search in searches for line in ({}, search)))
        ours, theirs = await pair.both(f"/{{name}}-{index}/_msearch", lines)

        assert ours.headers["X-Sidecar-Search"] == theirs.headers["X-Sidecar-Search"]
        for mine, other in zip(ours.json["responses"], theirs.json["responses"], strict=True):
            assert mine["status"] == other["status"] == 200
            agree(mine, other)
