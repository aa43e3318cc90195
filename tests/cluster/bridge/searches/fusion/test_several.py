"""Searches of one `_msearch` that the bridge fuses."""

from typing import Any

import pytest

from tests.cluster.bridge.searches.fusion.test_search_forms import note, untimed
from tests.cluster.bridge.searches.fusion.test_search_options import (
    AGGREGATIONS,
    NOTE,
    QUERY,
    filled,  # noqa: F401 - a fixture
)
from tests.cluster.bridges import Papers
from tests.support.http import ndjson

FAILING = {"t": {"terms": {"field": "title"}}}  # no doc values: it parses, and fails on every shard


async def test_each_item_of_an_msearch_is_answered_as_a_search_of_its_own(filled: Papers) -> None:
    searches = [
        ({}, {"query": QUERY, "aggs": AGGREGATIONS}),
        ({"index": filled.index}, {"query": QUERY}),
        ({"index": [filled.index]}, {"query": QUERY, "track_total_hits": True, "size": 1}),
        ({}, {"query": {"term": {"year": 2003}}}),
        ({}, {"query": QUERY, "collapse": {"field": "year"}, "_source": ["year"]}),
    ]
    lines = ndjson(*(line for search in searches for line in search))
    several = await filled.bridge("POST", f"/{filled.index}/_msearch?max_concurrent_searches=2", lines)
    alone = [await filled.bridge("POST", f"/{filled.index}/_search", body) for _, body in searches]
    direct = await filled.direct("POST", f"/{filled.index}/_msearch", lines)

    assert note(several) == "msearch; hybrid=4; lexical=1"
    assert [untimed(item) for item in several.json["responses"]] == [untimed(answer.json) for answer in alone]
    assert [item["status"] for item in several.json["responses"]] == [200] * 5
    assert list(several.json) == list(direct.json)


async def test_an_msearch_is_presented_as_the_client_wants_it(filled: Papers) -> None:
    lines = ndjson({}, {"query": QUERY, "aggs": AGGREGATIONS, "size": 1}, {}, {"query": {"term": {"year": 2001}}})
    answer = await filled.bridge("POST", f"/{filled.index}/_msearch?pretty&filter_path=responses.hits.hits._id", lines)
    alone = await filled.bridge(
        "POST", f"/{filled.index}/_search?filter_path=hits.hits._id", {"query": QUERY, "aggs": AGGREGATIONS, "size": 1}
    )

    assert answer.json == {"responses": [{"hits": {"hits": [{"_id": "2"}]}}, {"hits": {"hits": [{"_id": "1"}]}}]}
    assert answer.body.startswith(b'{\n  "responses" : [\n    {\n')
    assert (note(alone), alone.json) == (NOTE + "bridge", {"hits": {"hits": [{"_id": "2"}]}})


@pytest.mark.parametrize("beside", [[], [({}, {"query": {"term": {"year": 2003}}})]], ids=["alone", "beside another"])
async def test_an_item_that_fails_gets_the_clusters_own_error(filled: Papers, beside: list[Any]) -> None:
    searches = [({}, {"query": QUERY, "aggs": FAILING}), *beside, ({}, {"query": QUERY, "aggs": AGGREGATIONS})]
    lines = ndjson(*(line for search in searches for line in search))
    through = await filled.bridge("POST", f"/{filled.index}/_msearch", lines)
    direct = await filled.direct("POST", f"/{filled.index}/_msearch", lines)

    assert note(through) == f"msearch; hybrid=1; lexical={1 + len(beside)}"
    assert through.json["responses"][0] == direct.json["responses"][0]
    assert through.json["responses"][0]["status"] == 400


async def test_an_msearch_that_the_cluster_refuses_is_refused_whole(filled: Papers) -> None:
    lines = ndjson({}, {"query": QUERY, "aggs": AGGREGATIONS}, {}, {"query": {"nothing": {}}})
    path = f"/{filled.index}/_msearch"
    for query in ("", "?max_concurrent_searches=none"):
        through = await filled.bridge("POST", path + query, lines)
        direct = await filled.direct("POST", path + query, lines)

        assert (through.status, through.json) == (direct.status, direct.json) == (400, direct.json)
