"""Fusion in the bridge on a real node: the cluster's own hits, order and scores, also while documents change."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from sidecar.model import Fusion
from sidecar.opensearch.client import OpenSearchCluster
from tests.support.corpus import WINDOW, Corpus, Interrupted, corpus, ids, processor, same
from tests.support.http import ndjson


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


async def agree(documents: Corpus, fusion: Fusion, queries: int) -> None:
    for _ in range(queries):
        legs = documents.legs()
        options = {"size": 300, "_source": False}
        ours, theirs = await asyncio.gather(
            documents.in_bridge(legs, fusion, **options), documents.in_cluster(legs, processor(fusion), **options)
        )
        fused = len(theirs["hits"]["hits"])  # behind these, the bridge shows the other lexical hits
        assert same(ours["hits"]["hits"][:fused], theirs["hits"]["hits"])
        assert ours["hits"]["total"] == theirs["hits"]["total"]
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


def lexical_body(legs: tuple[dict, dict], **options: object) -> dict:
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
    total = 10 if wanted == 10 else len(set(ids(ours)) | matching)
    assert ours["hits"]["total"] == {"value": total, "relation": relation}
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
    assert answer.body["error"]["type"] == direct.body["error"]["type"]
