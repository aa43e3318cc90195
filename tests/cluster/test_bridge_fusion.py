"""Fusion in the bridge on a real node: the cluster's own hits, order and scores, also while documents change."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from sidecar.bridge.forward import Upstream
from sidecar.bridge.searches.fused import Answered, search_fused
from sidecar.bridge.searches.legs import Shard, plan_legs
from sidecar.model import Fusion
from sidecar.opensearch.client import OpenSearchCluster
from tests.support.http import ndjson

DIMENSION = 8
ROUNDS = 20
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

    def legs(self) -> tuple[dict, dict]:  # type: ignore[type-arg]
        return {"match": {"title": self.text(3)}}, {"knn": {"embedding": {"vector": self.vector(), "k": WINDOW}}}

    async def call(self, method: str, path: str, body: object = None) -> dict:  # type: ignore[type-arg]
        reply = await self.node.call(method, path, body=body)  # type: ignore[arg-type]
        assert reply.ok, reply.reason
        return reply.body  # type: ignore[return-value]

    async def write(self, index: str, identifiers: Sequence[int], *, refresh: bool = True) -> None:
        lines = [line for i in identifiers for line in ({"index": {"_id": f"{index[-1]}{i}"}}, self.document())]
        answer = await self.call("POST", f"/{index}/_bulk?refresh={str(refresh).lower()}", ndjson(*lines))
        assert answer["errors"] is False

    async def in_cluster(self, legs: tuple[dict, dict], fusion: dict, **options: object) -> dict:  # type: ignore[type-arg]
        hybrid = {"hybrid": {"queries": list(legs), "pagination_depth": WINDOW}}
        pipeline = {"phase_results_processors": [fusion]}
        return await self.call(
            "POST", f"/{self.expression}/_search", {"query": hybrid, "search_pipeline": pipeline, **options}
        )

    async def in_bridge(
        self, legs: tuple[dict, dict], fusion: Fusion, *, url: dict[str, str] | None = None,  # type: ignore[type-arg]
        upstream: Upstream | None = None, window: int = WINDOW, path: str | None = None, **options: object,
    ) -> dict:  # type: ignore[type-arg]  # fmt: skip
        answer = await self.answer(legs, fusion, url=url, upstream=upstream, window=window, path=path, **options)
        assert answer.status == 200, answer.body
        return answer.body  # type: ignore[return-value]

    async def answer(
        self, legs: tuple[dict, dict], fusion: Fusion, *, url: dict[str, str] | None = None,  # type: ignore[type-arg]
        upstream: Upstream | None = None, window: int = WINDOW, path: str | None = None, **options: object,
    ) -> Answered:  # fmt: skip
        search = plan_legs({"query": legs[0], **options}, legs[1], window, self.shards, url or {}, token="t")
        return await search_fused(upstream or self.upstream, path or f"/{self.expression}/_search", [], search, fusion)


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


@pytest.fixture
async def one_shard(cluster: OpenSearchCluster) -> AsyncIterator[Corpus]:
    async with corpus(cluster, f"fusion1-{os.getpid()}", 1) as made:
        yield made


@pytest.fixture
async def three_shards(cluster: OpenSearchCluster) -> AsyncIterator[Corpus]:
    """Only read."""
    async with corpus(cluster, f"fusion3-{os.getpid()}", 3) as made:
        yield made


@pytest.fixture
async def changing(cluster: OpenSearchCluster, unique: str) -> AsyncIterator[Corpus]:
    """Three shards, for this test alone."""
    async with corpus(cluster, unique, 3) as made:
        yield made


@pytest.fixture
async def three_indices(cluster: OpenSearchCluster, unique: str) -> AsyncIterator[Corpus]:
    async with corpus(cluster, unique, 5, 2, 1) as made:
        yield made


def ids(answer: dict) -> list[str]:  # type: ignore[type-arg]
    return [hit["_id"] for hit in answer["hits"]["hits"]]


def processor(fusion: Fusion) -> dict:  # type: ignore[type-arg]
    if fusion.technique == "rrf":
        return {"score-ranker-processor": {"combination": {"technique": "rrf", "rank_constant": 60}}}
    parameters = {"weights": list(fusion.weights)}
    combination = {"technique": fusion.combination, "parameters": parameters}
    return {"normalization-processor": {"normalization": {"technique": fusion.technique}, "combination": combination}}


FUSIONS = [
    *(
        pytest.param(Fusion(technique=technique, combination=combination, weights=weights), id=f"{technique} {name}")
        for technique in ("min_max", "l2")
        for name, combination, weights in (
            ("arithmetic", "arithmetic_mean", (0.5, 0.5)),
            ("geometric", "geometric_mean", (0.3, 0.7)),
            ("harmonic", "harmonic_mean", (0.6, 0.4)),
        )
    ),
    pytest.param(Fusion(technique="rrf"), id="rrf"),
]


def same(ours: list[dict], theirs: list[dict]) -> bool:  # type: ignore[type-arg]
    """Whether hits, order and scores are equal; those with one score on one shard may stand in any order."""
    scores = [hit["_score"] for hit in theirs]
    assert [hit["_score"] for hit in ours] == pytest.approx(scores, abs=1e-5)
    unique = {score for score in scores if scores.count(score) == 1}
    for mine, other in zip(ours, theirs, strict=True):
        if other["_score"] in unique:
            assert mine["_id"] == other["_id"]
    return True


async def agree(documents: Corpus, fusion: Fusion, queries: int) -> None:
    for _ in range(queries):
        legs = documents.legs()
        options = {"size": 300, "_source": False}
        ours, theirs = await asyncio.gather(
            documents.in_bridge(legs, fusion, **options), documents.in_cluster(legs, processor(fusion), **options)
        )
        assert same(ours["hits"]["hits"], theirs["hits"]["hits"])
        assert ours["hits"]["max_score"] == pytest.approx(theirs["hits"]["max_score"], abs=1e-5)
        assert ours["_shards"] == theirs["_shards"]


@pytest.mark.parametrize("fusion", FUSIONS)
async def test_one_shard_is_fused_as_the_cluster_does(one_shard: Corpus, fusion: Fusion) -> None:
    await agree(one_shard, fusion, 8)


@pytest.mark.parametrize("fusion", FUSIONS)
async def test_three_shards_are_fused_as_the_cluster_does(three_shards: Corpus, fusion: Fusion) -> None:
    await agree(three_shards, fusion, 8)


async def test_three_indices_of_several_shards_are_fused_as_the_cluster_does(three_indices: Corpus) -> None:
    await agree(three_indices, Fusion(), 12)


def lexical_body(legs: tuple[dict, dict], **options: object) -> dict:  # type: ignore[type-arg]
    return {"query": legs[0], **options}


@pytest.mark.parametrize(
    ("options", "url"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"_source": ["year"]}, {}, id="source"),
        pytest.param({"_source": False, "fields": ["year"]}, {}, id="fields"),
        pytest.param({"docvalue_fields": ["year"], "version": True}, {}, id="docvalue_fields and version"),
        pytest.param({"stored_fields": "_none_"}, {}, id="no stored fields"),
        pytest.param({"seq_no_primary_term": True}, {}, id="seq_no_primary_term"),
        pytest.param({"script_fields": {"y": {"script": "doc['year'].value"}}}, {}, id="script_fields"),
        pytest.param({}, {"_source": "false"}, id="no source, by URL"),
        pytest.param({}, {"_source": "year,title", "_source_excludes": "title"}, id="source, by URL"),
        pytest.param({}, {"_source_includes": "year"}, id="includes, by URL"),
        pytest.param({}, {"size": "3", "from": "2", "timeout": "5s"}, id="page, by URL"),
        pytest.param({}, {"routing": "r1"}, id="routing"),
        pytest.param({}, {"preference": "session"}, id="preference of the client's own"),
        pytest.param({}, {"preference": "_local"}, id="preference that the cluster knows"),
        pytest.param({"track_total_hits": False}, {}, id="no totals"),
    ],
)
async def test_hits_are_what_the_cluster_would_have_shown(
    three_shards: Corpus, options: dict[str, object], url: dict[str, str]
) -> None:
    legs = three_shards.legs()
    unequal = Fusion(weights=(0.3, 0.7))  # so that the best of both legs do not tie
    ours = await three_shards.in_bridge(legs, unequal, url=url, **options)
    query = "&".join(f"{name}={value}" for name, value in url.items())
    hybrid = {"hybrid": {"queries": list(legs), "pagination_depth": WINDOW}}
    pipeline = {"phase_results_processors": [processor(unequal)]}
    theirs = await three_shards.call(
        "POST",
        f"/{three_shards.expression}/_search?{query}",
        {"query": hybrid, "search_pipeline": pipeline, **options},
    )

    assert ours["hits"]["hits"] == [
        {**hit, "_score": pytest.approx(hit["_score"], abs=1e-5)} for hit in theirs["hits"]["hits"]
    ]
    assert ours.keys() == theirs.keys()
    assert ours["hits"].keys() == theirs["hits"].keys()


async def test_highlights_and_named_queries_are_those_of_the_clients_query(three_shards: Corpus) -> None:
    text, knn = three_shards.legs()
    named = {"match": {"title": {"query": text["match"]["title"], "_name": "words"}}}
    options = {"highlight": {"fields": {"title": {}}}, "size": WINDOW * 6}
    ours = await three_shards.in_bridge((named, knn), Fusion(), **options)
    lexical = await three_shards.call("POST", f"/{three_shards.expression}/_search", lexical_body((named, knn), **{**options, "size": 500}))  # fmt: skip

    shown = {hit["_id"]: (hit.get("highlight"), hit.get("matched_queries")) for hit in lexical["hits"]["hits"]}
    assert ours["hits"]["hits"]
    for hit in ours["hits"]["hits"]:
        assert (hit.get("highlight"), hit.get("matched_queries")) == shown.get(hit["_id"], (None, None))


@pytest.mark.parametrize("shards", [1, 3])
async def test_aggregations_and_suggestions_are_those_of_the_lexical_query(
    one_shard: Corpus, three_shards: Corpus, shards: int
) -> None:
    summaries = {
        "aggs": {"years": {"terms": {"field": "year", "order": {"_key": "asc"}}}},
        "suggest": {"s": {"text": "w11", "term": {"field": "title"}}},
    }
    documents = one_shard if shards == 1 else three_shards
    legs = documents.legs()
    ours = await documents.in_bridge(legs, Fusion(), url={"typed_keys": "true"}, **summaries)
    theirs = await documents.call(
        "POST", f"/{documents.expression}/_search?typed_keys=true", lexical_body(legs, **summaries)
    )

    assert ours["aggregations"] == theirs["aggregations"]
    assert ours["suggest"] == theirs["suggest"]


@pytest.mark.parametrize(
    ("wanted", "relation"), [(True, "eq"), (None, "eq"), (10, "gte")], ids=["exact", "default", "up to 10"]
)
async def test_totals_are_the_lexical_ones_and_what_the_vectors_add(
    three_shards: Corpus, wanted: bool | int | None, relation: str
) -> None:
    legs = three_shards.legs()
    asked = {} if wanted is None else {"track_total_hits": wanted}
    ours = await three_shards.in_bridge(legs, Fusion(), size=200, **asked)
    lexical = await three_shards.call(
        "POST", f"/{three_shards.expression}/_search", lexical_body(legs, size=1000, track_total_hits=True)
    )

    matching = set(ids(lexical))
    total = 10 if wanted == 10 else len(matching)
    assert ours["hits"]["total"] == {"value": total + len(set(ids(ours)) - matching), "relation": relation}
    as_number = await three_shards.in_bridge(legs, Fusion(), size=0, url={"rest_total_hits_as_int": "true"})
    assert as_number["hits"]["total"] == len(matching) + len(set(ids(ours)) - matching)


async def test_pages_follow_each_other_without_doubles_or_holes(three_shards: Corpus) -> None:
    legs = three_shards.legs()
    whole = ids(await three_shards.in_bridge(legs, Fusion(), size=200))
    pages = [
        identifier
        for start in range(0, len(whole) + 7, 7)
        for identifier in ids(await three_shards.in_bridge(legs, Fusion(), **{"from": start, "size": 7}))
    ]

    assert pages == whole


async def test_the_filter_of_an_alias_holds_in_both_legs_and_on_the_page(three_indices: Corpus) -> None:
    alias = f"{three_indices.expression[:-2]}-alias"
    add = {"index": three_indices.expression, "alias": alias, "filter": {"range": {"year": {"lt": 2004}}}}
    await three_indices.call("POST", "/_aliases", {"actions": [{"add": add}]})

    found = await three_indices.in_bridge(three_indices.legs(), Fusion(), path=f"/{alias}/_search", size=200)

    assert {hit["_source"]["year"] for hit in found["hits"]["hits"]} == {2000, 2001, 2002, 2003}


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


@pytest.mark.parametrize("change", ["update", "delete"])
async def test_a_document_that_changes_between_the_phases_is_replaced_by_the_next(
    changing: Corpus, change: str
) -> None:
    legs = changing.legs()
    before = ids(await changing.in_bridge(legs, Fusion(), size=20))
    gone = [before[0], before[3], before[9], before[10]]
    index = changing.shards[0].index

    async def act() -> None:
        lines = [
            line
            for i in gone
            for line in ([{"delete": {"_id": i}}] if change == "delete" else [{"index": {"_id": i}}, {"title": "x"}])
        ]
        await changing.call("POST", f"/{index}/_bulk?refresh=true", ndjson(*lines))

    after = ids(await changing.in_bridge(legs, Fusion(), upstream=Interrupted(changing.upstream, act)))

    assert after == [i for i in before if i not in gone][:10]


async def test_beside_updates_every_page_is_what_the_full_legs_give(three_indices: Corpus) -> None:
    """Writes go on all the time; in each second round they become visible between the legs and the page."""
    written: set[str] = set()
    names = sorted({shard.index for shard in three_indices.shards})
    for number in range(ROUNDS):
        legs = three_indices.legs()
        reference = await three_indices.in_cluster(legs, processor(Fusion()), size=300, _source=False)
        index = names[number % 3]
        changed = [three_indices.drawn.randrange(DOCUMENTS) for _ in range(6)]
        written |= {f"{index[-1]}{i}" for i in changed}

        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(three_indices.write(index, changed, refresh=False))

            async def act(writing: asyncio.Task[None] = writing, number: int = number) -> None:
                if number % 2:
                    await writing
                    await three_indices.call("POST", f"/{three_indices.expression}/_refresh")

            page = await three_indices.in_bridge(
                legs, Fusion(), upstream=Interrupted(three_indices.upstream, act), **{"from": number % 5, "size": 10}
            )
        lost = written if number % 2 else set()
        ranked = [hit for hit in reference["hits"]["hits"][number % 5 :] if hit["_id"] not in lost]
        assert same(page["hits"]["hits"], ranked[:10])
        if number % 2:
            written = set()


async def test_a_shard_that_fails_shows_in_shards(changing: Corpus) -> None:
    _, knn = changing.legs()
    source = "if (doc['year'].value == 1999) { throw new Exception('no') } return true"
    failing = {"bool": {"must": [{"match": {"title": "w1"}}], "filter": [{"script": {"script": source}}]}}
    index = changing.shards[0].index
    await changing.call("PUT", f"/{index}/_doc/bad?refresh=true", {"title": "w1", "year": 1999})

    ours = await changing.in_bridge((failing, knn), Fusion())
    theirs = await changing.call("POST", f"/{index}/_search", {"query": failing})
    whole = await changing.answer((failing, knn), Fusion(), url={"allow_partial_search_results": "false"})

    assert ours["_shards"] == theirs["_shards"]
    assert ours["_shards"]["failed"] == 1
    assert whole.status == 400


@pytest.mark.parametrize(
    ("options", "path", "status"),
    [
        pytest.param({"aggs": {"a": {"nothing": {}}}}, None, 400, id="an aggregation that does not exist"),
        pytest.param({}, "/absent-index/_search", 404, id="no such index"),
    ],
)
async def test_errors_are_the_clusters_own(
    three_shards: Corpus, options: dict[str, object], path: str | None, status: int
) -> None:
    legs = three_shards.legs()
    answer = await three_shards.answer(legs, Fusion(), path=path, **options)
    direct = await three_shards.node.call(
        "POST", path or f"/{three_shards.expression}/_search", body=lexical_body(legs, **options)
    )

    assert answer.status == direct.status == status
    assert answer.body["error"]["type"] == direct.body["error"]["type"]  # type: ignore[index,call-overload]
