"""Searches of tools that no test here runs, as they send them: each is answered by meaning."""

import base64
import json

import pytest

from tests.cluster.bridges import Papers, ReadOnly

DOCUMENTS = {
    "cats": {"title": "Felines purr", "year": 2001},
    "dogs": {"title": "Dogs bark", "year": 2002},
    "rates": {"title": "Interest rates", "year": 2003},
}
TEXT = {"match": {"title": "why do cats make noises"}}
OLD = {"range": {"year": {"gte": 1990}}}
WRAPPED = {"wrapper": {"query": base64.b64encode(json.dumps(TEXT).encode()).decode()}}
JAVA = "batched_reduce_size=512&ccs_minimize_roundtrips=true&ignore_throttled=true"


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("tools", DOCUMENTS)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        pytest.param(JAVA, {"query": TEXT, "track_total_hits": True}, id="Flink: exact totals"),
        pytest.param("", {"query": {"bool": {"must": TEXT, "filter": OLD, "minimum_should_match": "0"}},
                          "track_scores": True}, id="Hibernate Search: must and filter"),
        pytest.param("", {"query": {"bool": {"must": [TEXT], "should": [OLD], "minimum_should_match": 0}}},
                     id="Hibernate Search: must and should"),
        pytest.param("", {"query": {"bool": {"must": [WRAPPED], "filter": {"exists": {"field": "year"}}}}, "sort": []},
                     id="Spring Data: a wrapper beside a filter"),
    ],
)  # fmt: skip
async def test_a_search_of_a_tool_is_answered_by_meaning(filled: Papers, url: str, body: dict[str, object]) -> None:
    answer = await filled.bridge("POST", f"/{filled.index}/_search?{url}", body)

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert answer.json["hits"]["hits"][0]["_id"] == "cats"
