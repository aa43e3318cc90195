"""Options at their defaults, as clients send them: the hits are those of a search without them.

The lists of options are those of real clients (RestHighLevelClient, opensearch-java, Spring Data, Hibernate Search).
"""

import base64
import json

import pytest

from tests.cluster.bridge.searches.test_search_handler_options import DOCUMENTS, QUERY, ids
from tests.cluster.bridges import Papers, ReadOnly
from tests.support.http import ndjson

JAVA = (
    "typed_keys=true&max_concurrent_shard_requests=5&ignore_unavailable=false&expand_wildcards=open"
    "&allow_no_indices=true&ignore_throttled=true&search_type=query_then_fetch&batched_reduce_size=512"
    "&ccs_minimize_roundtrips=true"
)
COUNTED = {"aggs": {"years": {"terms": {"field": "year"}}}}


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    parts = {"properties": {"parts": {"type": "nested", "properties": {"text": {"type": "text"}}}}}
    return await read_only("options-of-search", DOCUMENTS, {"mappings": parts})


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param(JAVA, {}, id="RestHighLevelClient"),
        pytest.param("", {"track_scores": False, "explain": False, "profile": False}, id="opensearch-java"),
        pytest.param("", {"sort": [], "track_scores": False, "indices_boost": [], "rescore": []}, id="Spring Data"),
        pytest.param("", {"track_scores": True}, id="Hibernate Search"),
        pytest.param("sort=_score", {"ext": {}, "aggs": {}, "derived": {}}, id="empty objects"),
        pytest.param("sort=_score:desc&explain=false", {"min_score": 0, "terminate_after": 0}, id="zeros"),
        pytest.param("terminate_after=0&track_scores=true", {"timeout": "-1", "size": "10"}, id="numbers in texts"),
        pytest.param("explain=false", {"explain": True, "verbose_pipeline": False}, id="the URL wins"),
    ],
)
async def test_options_at_their_defaults_leave_what_is_found(
    filled: Papers, url: str, options: dict[str, object]
) -> None:
    path = f"/{filled.index}/_search"
    plain = await filled.bridge("POST", path, {"query": QUERY})
    answer = await filled.bridge("POST", f"{path}?{url}", {"query": QUERY, **options})
    header = {"ignore_throttled": True, "ccs_minimize_roundtrips": True}
    several = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson(header, {"query": QUERY, **options}))

    assert ids(answer.json)[:2] == ["4", "1"]  # "1" holds no word of the query
    assert answer.headers["X-Sidecar-Search"] == plain.headers["X-Sidecar-Search"]
    assert answer.json["hits"] == plain.json["hits"]
    if "explain=false" not in url or "explain" not in options:
        assert several.json["responses"][0]["hits"] == plain.json["hits"]


@pytest.mark.parametrize("url", [JAVA, "request_cache=true", "pre_filter_shard_size=128", "format=json", "sort=_score"])
async def test_so_do_they_beside_aggregations(filled: Papers, url: str) -> None:
    path = f"/{filled.index}/_search"
    plain = await filled.bridge("POST", path, {"query": QUERY, **COUNTED})
    answer = await filled.bridge("POST", f"{path}?{url}", {"query": QUERY, "explain": False, **COUNTED})

    assert answer.headers["X-Sidecar-Search"].endswith("where=bridge")
    assert answer.json["hits"] == plain.json["hits"]


async def test_a_minimum_of_one_and_a_wrapper_are_read_as_what_they_mean(filled: Papers) -> None:
    wrapper = {"wrapper": {"query": base64.b64encode(json.dumps(QUERY).encode()).decode()}}
    path = f"/{filled.index}/_search"
    plain = await filled.bridge("POST", path, {"query": QUERY})

    for query in (wrapper, {"bool": {"should": [wrapper], "minimum_should_match": "1"}}):
        answer = await filled.bridge("POST", path, {"query": query})
        assert answer.headers["X-Sidecar-Search"] == plain.headers["X-Sidecar-Search"]
        assert ids(answer.json) == ids(plain.json)


async def test_a_query_of_the_url_may_come_with_a_content_type_and_no_body(filled: Papers) -> None:
    answer = await filled.bridge(
        "GET", f"/{filled.index}/_search?q=kitty%20noises", None, Content_Type="application/json"
    )

    assert answer.status == 200
    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")


@pytest.mark.parametrize("start", [4, 10, 100])
async def test_a_page_behind_the_last_hit_is_empty_and_says_the_same_total(filled: Papers, start: int) -> None:
    path = f"/{filled.index}/_search"
    first = await filled.bridge("POST", path, {"query": QUERY})
    behind = await filled.bridge("POST", path, {"query": QUERY, "from": start})

    assert ids(behind.json) == []
    assert behind.json["hits"]["total"] == first.json["hits"]["total"]
    assert behind.headers["X-Sidecar-Search"].startswith("hybrid")


@pytest.mark.parametrize("kind", ["yaml", "cbor", "smile"])
@pytest.mark.parametrize("options", [{}, COUNTED], ids=["fused in the cluster", "with aggregations"])
async def test_several_searches_are_answered_in_the_format_that_the_client_accepts(
    filled: Papers, kind: str, options: dict[str, object]
) -> None:
    body = ndjson({}, {"query": QUERY, **options})
    answer = await filled.bridge("POST", f"/{filled.index}/_msearch", body, Accept=f"application/{kind}")

    assert (answer.status, answer.headers["Content-Type"]) == (200, f"application/{kind}")
