"""A search means what the mapping and the settings of its index say: one row per rule, on a real node."""

import pytest

from tests.cluster.bridges import Papers, bulk_of
from tests.support.http import Answer

DOCUMENTS = {
    "1": {"title": "Felines purr", "abstract": "pets"},
    "2": {"title": "Interest rates", "abstract": "finance"},
    "3": {"title": "Cat food market", "abstract": "finance"},
}
TEXT = {"match": {"title": "kitty noises"}}


async def an_index(papers: Papers, properties: dict[str, object], **settings: object) -> str:
    index = f"{papers.index}-own"
    body = {"settings": {"number_of_shards": 1, **settings}, "mappings": {"properties": properties}}
    made = await papers.direct("PUT", f"/{index}", body)
    assert made.status == 200, made.body
    written = await papers.bridge("POST", f"/{index}/_bulk?refresh=true", bulk_of(DOCUMENTS))
    assert written.ingested == (3, 0)
    return index


def found(answer: Answer) -> set[str]:
    return {hit["_id"] for hit in answer.json["hits"]["hits"]}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({"bool": {"must": [TEXT, {"match": {"abstract": "finance"}}]}}, {"2", "3"}, id="match"),
        pytest.param({"bool": {"must": [TEXT, {"multi_match": {"query": "finance", "fields": ["abstr*"]}}]}}, {"2", "3"},
                     id="multi_match"),
        pytest.param({"bool": {"must": [TEXT, {"simple_query_string": {"query": "finance", "fields": ["abstract"]}}]}},
                     {"2", "3"}, id="simple_query_string"),
        pytest.param({"bool": {"must": [TEXT, {"query_string": {"query": "finance", "default_field": "abstract"}}]}},
                     {"2", "3"}, id="query_string"),
        pytest.param({"bool": {"must": [TEXT], "should": [{"match": {"abstract": "pets"}}], "minimum_should_match": 1}},
                     {"1"}, id="one of the alternatives must match"),
    ],
)  # fmt: skip
async def test_a_clause_on_a_keyword_source_is_a_filter(papers: Papers, query: object, expected: set[str]) -> None:
    index = await an_index(papers, {"abstract": {"type": "keyword"}})

    answer = await papers.bridge("POST", f"/{index}/_search", {"query": query})

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert found(answer) == expected


@pytest.mark.parametrize(
    "query",
    [
        pytest.param({"match": {"abstract": "finance"}}, id="match"),
        pytest.param({"query_string": {"query": "finance", "fields": ["abstract"]}}, id="query_string"),
    ],
)
async def test_alone_it_is_the_clusters(papers: Papers, query: object) -> None:
    index = await an_index(papers, {"abstract": {"type": "keyword"}})

    answer = await papers.bridge("POST", f"/{index}/_search", {"query": query})

    assert answer.headers["X-Sidecar-Search"] == "lexical; reason=unbound_fields"
    assert found(answer) == {"2", "3"}


async def test_index_query_default_field_says_which_fields_a_search_without_fields_looks_at(papers: Papers) -> None:
    index = await an_index(papers, {}, **{"index.query.default_field": ["content"]})
    path = f"/{index}/_search"

    for url, body in (
        ("?q=kitty", None),
        ("", {"query": {"query_string": {"query": "kitty"}}}),
        ("", {"query": {"simple_query_string": {"query": "kitty"}}}),
        ("", {"query": {"multi_match": {"query": "kitty", "lenient": True}}}),
    ):
        answer = await papers.bridge("POST", path + url, body)
        assert answer.headers["X-Sidecar-Search"] == "lexical; reason=unbound_fields", (url, body)
        assert found(answer) == set()
    named = await papers.bridge("POST", path, {"query": {"query_string": {"query": "kitty", "default_field": "title"}}})
    assert named.headers["X-Sidecar-Search"].startswith("hybrid")


async def test_a_search_in_the_url_may_name_the_type_of_a_body_that_it_lacks(papers: Papers) -> None:
    index = await an_index(papers, {})

    answer = await papers.bridge("GET", f"/{index}/_search?q=kitty", Content_Type="application/json")

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")


async def test_a_field_alias_is_its_field(papers: Papers) -> None:
    index = await an_index(papers, {"headline": {"type": "alias", "path": "title"}})

    answer = await papers.bridge("POST", f"/{index}/_search", {"query": {"match": {"headline": "kitty noises"}}})

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert answer.json["hits"]["hits"][0]["_id"] == "1"


@pytest.mark.parametrize(
    "options", [{}, {"aggs": {"a": {"terms": {"field": "year"}}}}, {"collapse": {"field": "year"}}]
)
async def test_a_small_result_window_is_kept_within(papers: Papers, options: dict[str, object]) -> None:
    index = await an_index(papers, {}, **{"index.max_result_window": 20})
    path = f"/{index}/_search"

    answer = await papers.bridge("POST", path, {"query": TEXT, **options})
    beyond = {"query": TEXT, "from": 15, "size": 6, **options}
    through, direct = await papers.bridge("POST", path, beyond), await papers.direct("POST", path, beyond)

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert "1" in found(answer)
    assert through.headers["X-Sidecar-Search"] == "lexical; reason=window"
    assert (through.status, through.json["error"]["root_cause"]) == (400, direct.json["error"]["root_cause"])
