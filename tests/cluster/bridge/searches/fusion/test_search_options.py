"""Which searches the bridge fuses itself, from the client's request to the answer, with the real model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from sidecar.bridge.app import serving
from sidecar.rpc.client import EmbedderClient
from tests.cluster.bridges import Papers, ReadOnly, bulk_of
from tests.support.between import bridge_settings
from tests.support.http import Http, http, ndjson

DOCUMENTS = {
    "1": {"title": "Felines purr", "abstract": "A kitten makes this sound when it is content", "year": 2001},
    "2": {"title": "Dogs bark", "abstract": "A hound makes noise at strangers", "year": 2002},
    "3": {"title": "Interest rates", "abstract": "The central bank raised them to fight inflation", "year": 2003},
    "4": {"title": "Cat allergies", "abstract": "Sneezing near pets", "year": 2003},
}
QUERY = {"match": {"title": "dogs and kitty noises"}}  # lexically, only the second document
INNER = {"name": "n", "_source": ["year"]}
AGGREGATIONS = {"years": {"terms": {"field": "year"}}}
RERANKING = {"response_processors": [{"rerank": {"by_field": {"target_field": "year"}}}]}
NOTE = "hybrid; model=all-minilm-l6-v2@1; fusion=min_max(0.5,0.5); where="


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("fused-searches", DOCUMENTS)


@pytest.fixture
async def changeable(papers: Papers) -> Papers:
    """The same for a test that changes it."""
    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", bulk_of(DOCUMENTS))
    assert answer.ingested == (4, 0)
    return papers


async def set_search(papers: Papers, **search: object) -> None:
    """Change the index's `_meta.sidecar.search`, through the bridge, which then looks again."""
    mapping = (await papers.direct("GET", f"/{papers.index}/_mapping")).json[papers.index]["mappings"]
    mapping["_meta"]["sidecar"]["search"] |= search
    answer = await papers.bridge("PUT", f"/{papers.index}/_mapping", {"_meta": mapping["_meta"]})
    assert answer.status == 200, answer.body


async def both(papers: Papers, body: dict[str, object], query: str = "") -> tuple[dict, dict, str]:
    through = await papers.bridge("POST", f"/{papers.index}/_search{query}", body)
    direct = await papers.direct("POST", f"/{papers.index}/_search{query}", body)
    assert through.status == direct.status == 200, through.body
    return through.json, direct.json, through.headers["X-Sidecar-Search"]


async def test_a_search_with_aggregations_is_hybrid_and_they_are_those_of_the_lexical_query(filled: Papers) -> None:
    ours, lexical, note = await both(filled, {"query": QUERY, "aggs": AGGREGATIONS})

    assert note == NOTE + "bridge"
    assert ours["aggregations"] == lexical["aggregations"]
    assert {hit["_id"]: hit["_source"] for hit in ours["hits"]["hits"]} == DOCUMENTS
    assert [hit["_id"] for hit in ours["hits"]["hits"]][:2] == ["2", "1"]


async def test_exact_totals_count_what_the_lexical_query_misses_too(filled: Papers) -> None:
    ours, lexical, note = await both(filled, {"query": QUERY, "track_total_hits": True})

    assert note == NOTE + "bridge"
    assert lexical["hits"]["total"] == {"value": 1, "relation": "eq"}
    assert ours["hits"]["total"] == {"value": 4, "relation": "eq"}


async def test_a_filter_after_the_aggregations_holds_for_the_hits_of_both_legs(filled: Papers) -> None:
    body = {"query": QUERY, "aggs": AGGREGATIONS, "post_filter": {"range": {"year": {"lt": 2003}}}}
    ours, lexical, note = await both(filled, body)

    assert note == NOTE + "bridge"
    assert ours["aggregations"] == lexical["aggregations"]
    assert [hit["_id"] for hit in ours["hits"]["hits"]] == ["2", "1"]


async def test_a_binding_may_ask_for_the_bridge(changeable: Papers) -> None:
    cluster, _, _ = await both(changeable, {"query": QUERY})
    await set_search(changeable, where="bridge")
    ours, _, note = await both(changeable, {"query": QUERY}, "?size=3&_source=year")

    assert note == NOTE + "bridge"
    assert [(hit["_id"], hit["_source"]) for hit in ours["hits"]["hits"]] == [
        (hit["_id"], {"year": DOCUMENTS[hit["_id"]]["year"]}) for hit in cluster["hits"]["hits"][:3]
    ]
    assert ours["hits"]["max_score"] == pytest.approx(cluster["hits"]["max_score"], abs=1e-5)


async def test_reciprocal_ranks_are_fused_alike_in_both_places(changeable: Papers) -> None:
    await set_search(changeable, fusion={"technique": "rrf"})
    cluster, _, noted = await both(changeable, {"query": QUERY})
    await set_search(changeable, where="bridge")
    bridge, _, note = await both(changeable, {"query": QUERY})

    assert noted == "hybrid; model=all-minilm-l6-v2@1; fusion=rrf; where=cluster"
    assert note == "hybrid; model=all-minilm-l6-v2@1; fusion=rrf; where=bridge"
    scores = [{hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]} for answer in (bridge, cluster)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


@pytest.mark.parametrize(
    ("search", "body", "query", "reason"),
    [
        pytest.param({"where": "cluster"}, {"aggs": AGGREGATIONS}, "", "aggregations", id="never in the bridge"),
        pytest.param({"where": "bridge"}, {}, "?preference=_shards:0,1", "fusion", id="preference"),
        pytest.param({}, {"aggs": AGGREGATIONS}, "?preference=_shards:0,1", "aggregations", id="both"),
        pytest.param({}, {"aggs": AGGREGATIONS, "size": 0}, "", "size_zero", id="nothing but aggregations"),
        pytest.param(
            {}, {"aggs": AGGREGATIONS, "search_pipeline": RERANKING}, "", "search_pipeline", id="own pipeline"
        ),
        pytest.param({}, {"collapse": {"field": "year", "inner_hits": INNER}}, "", "option", id="inner_hits"),
        pytest.param({"mode": "semantic"}, {"aggs": AGGREGATIONS}, "", "aggregations", id="one leg only"),
    ],
)
async def test_what_the_bridge_cannot_fuse_is_answered_as_the_cluster_answers(
    changeable: Papers, search: dict[str, object], body: dict[str, object], query: str, reason: str
) -> None:
    await set_search(changeable, **search)
    sent = {"query": QUERY, "_source": ["year"], **body}
    ours, direct, note = await both(changeable, sent, query)

    assert note == f"lexical; reason={reason}"
    assert {**ours, "took": 0} == {**direct, "took": 0}


async def test_a_refused_leg_gives_the_clusters_own_answer(filled: Papers) -> None:
    body = {"query": QUERY, "aggs": {"y": {"terms": {"field": "year", "size": -1}}}}
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)
    direct = await filled.direct("POST", f"/{filled.index}/_search", body)

    assert through.headers["X-Sidecar-Search"] == "lexical; reason=refused"
    assert through.status == direct.status == 400
    assert through.json == direct.json


@asynccontextmanager
async def without_neural_search(cluster: str, refused: list[str]) -> AsyncIterator[str]:
    """The cluster as it is without the plugin: it does not know `hybrid`."""

    async def answer(request: web.Request) -> web.Response:
        body = await request.read()
        if b'"hybrid"' in body:
            refused.append(request.path)
            reason = {"type": "parsing_exception", "reason": "unknown query [hybrid]"}
            return web.json_response({"error": {"root_cause": [reason], **reason}, "status": 400}, status=400)
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        async with session.request(request.method, cluster + request.raw_path, data=body, headers=headers) as reply:
            return web.Response(status=reply.status, body=await reply.read(), content_type=reply.content_type)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        async with aiohttp.ClientSession() as session:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("first", ["_search", "_msearch"])
async def test_a_cluster_without_neural_search_is_asked_once_and_then_the_bridge_fuses(
    filled: Papers, system: dict[str, str], first: str
) -> None:
    refused: list[str] = []
    async with (
        without_neural_search(system["cluster"], refused) as upstream,
        EmbedderClient(system["embedder"]) as embedder,
        serving(bridge_settings(upstream), embedder) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        begin, go_on = (search, msearch) if first == "_search" else (msearch, search)
        answers = dict([await begin(bridge, filled.index), await go_on(bridge, filled.index)])
    in_cluster = await search(filled.bridge, filled.index)

    # A search of the client, and the question of the bridge that follows it.
    assert refused == [f"/{filled.index}/{first}", f"/{filled.index}/_search"]
    assert answers == {NOTE + "bridge": in_cluster[1], "msearch; hybrid=1": in_cluster[1]}


async def search(bridge: Http, index: str) -> tuple[str, list[str]]:
    answer = await bridge("POST", f"/{index}/_search", {"query": QUERY})
    return answer.headers["X-Sidecar-Search"], [hit["_id"] for hit in answer.json["hits"]["hits"]]


async def msearch(bridge: Http, index: str) -> tuple[str, list[str]]:
    answer = await bridge("POST", f"/{index}/_msearch", ndjson({}, {"query": QUERY}))
    (item,) = answer.json["responses"]
    return answer.headers["X-Sidecar-Search"], [hit["_id"] for hit in item["hits"]["hits"]]
