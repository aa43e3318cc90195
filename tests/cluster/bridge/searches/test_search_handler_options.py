"""Options of searches that look at more than one hit: what comes back with each, and why (docs/search.md, "Options").

Those that shape single hits are in `test_search_handler.py`; aggregations and totals in `test_search_options.py`.
"""

import pytest

from tests.cluster.bridges import Papers, ReadOnly

DOCUMENTS = {
    "1": {"title": "Felines purr", "year": 2001, "parts": [{"text": "kitten sound"}, {"text": "content"}]},
    "2": {"title": "Dogs bark", "year": 2002, "parts": [{"text": "hound noise"}]},
    "3": {"title": "Interest rates", "year": 2003, "parts": [{"text": "central bank"}]},
    "4": {"title": "Cat allergies and noises", "year": 2003, "parts": [{"text": "noise of sneezing"}]},
}
QUERY = {"match": {"title": "kitty noises"}}  # lexically, only the last one
PARTS = {"nested": {"path": "parts", "query": {"match": {"parts.text": "noise"}}, "inner_hits": {}}}


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    parts = {"properties": {"parts": {"type": "nested", "properties": {"text": {"type": "text"}}}}}
    return await read_only("options-of-search", DOCUMENTS, {"mappings": parts})


def ids(answer: dict) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("preference=_local", id="preference for a copy"),
        pytest.param("preference=session-7", id="preference of the client's own"),
        pytest.param("request_cache=true", id="request_cache"),
        pytest.param("batched_reduce_size=2", id="batched_reduce_size"),
        pytest.param("pre_filter_shard_size=1", id="pre_filter_shard_size"),
        pytest.param("timeout=5s", id="timeout"),
        pytest.param("allow_partial_search_results=false", id="allow_partial_search_results"),
        pytest.param("from=0&size=10", id="from and size"),
        pytest.param("track_total_hits=false", id="no totals"),
    ],
)
async def test_an_option_that_says_how_to_search_leaves_what_is_found(filled: Papers, url: str) -> None:
    plain = await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY})
    answer = await filled.bridge("POST", f"/{filled.index}/_search?{url}", {"query": QUERY})

    assert answer.headers["X-Sidecar-Search"] == plain.headers["X-Sidecar-Search"]
    assert answer.headers["X-Sidecar-Search"].endswith("where=cluster")
    assert answer.json["hits"]["hits"] == plain.json["hits"]["hits"]
    assert ids(answer.json)[0] in ("1", "4")


@pytest.mark.parametrize(
    ("options", "query", "reason"),
    [
        pytest.param({"profile": True}, QUERY, "option", id="profile: hybrid has none, or loses a shard"),
        pytest.param({"terminate_after": 1}, QUERY, "option", id="terminate_after: each leg ends elsewhere"),
        pytest.param({"sort": ["year"], "search_after": [2001]}, QUERY, "sort", id="search_after: another order"),
        pytest.param({}, {"bool": {"must": [QUERY], "should": [PARTS]}}, "option", id="inner_hits: hybrid drops them"),
        pytest.param({"collapse": {"field": "year", "inner_hits": {"name": "others", "_source": False}}}, QUERY, "option",
                     id="inner_hits of a collapse: hybrid refuses them"),
        pytest.param({"rescore": {"query": {"rescore_query": {"match_all": {}}}}}, QUERY, "option",
                     id="rescore: of each leg, before normalisation"),
        pytest.param({"min_score": 0.1}, QUERY, "min_score", id="min_score: of other scores"),
    ],
)  # fmt: skip
async def test_an_option_that_fused_hits_cannot_serve_makes_a_search_lexical(
    filled: Papers, options: dict[str, object], query: object, reason: str
) -> None:
    body = {"query": query, **options}
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)
    direct = await filled.direct("POST", f"/{filled.index}/_search?_source_excludes=embedding,embedding_meta", body)

    assert through.headers["X-Sidecar-Search"] == f"lexical; reason={reason}"
    assert (through.status, through.json["hits"]) == (direct.status, direct.json["hits"])
    assert through.json.keys() == direct.json.keys()


async def test_the_clusters_own_totals_up_to_a_number_count_what_is_fused(filled: Papers) -> None:
    answer = await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY, "track_total_hits": 2})

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert answer.json["hits"]["total"]["value"] >= 2


async def test_suggestions_are_those_of_the_text_whatever_is_found(filled: Papers) -> None:
    body = {"query": QUERY, "suggest": {"words": {"text": "dgos", "term": {"field": "title"}}}}
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)
    direct = await filled.direct("POST", f"/{filled.index}/_search", body)

    assert through.headers["X-Sidecar-Search"].startswith("hybrid")
    assert through.json["suggest"] == direct.json["suggest"]
    assert through.json["suggest"]["words"][0]["options"][0]["text"] == "dogs"


async def test_a_filter_after_the_search_holds_for_what_is_found_by_meaning(filled: Papers) -> None:
    body = {"query": QUERY, "post_filter": {"term": {"year": 2003}}}
    answer = await filled.bridge("POST", f"/{filled.index}/_search", body)

    assert answer.headers["X-Sidecar-Search"].endswith("where=cluster")
    assert sorted(ids(answer.json)) == ["3", "4"]


async def test_words_are_marked_where_the_text_matched(filled: Papers) -> None:
    body = {"query": QUERY, "highlight": {"fields": {"title": {}}}}
    answer = await filled.bridge("POST", f"/{filled.index}/_search", body)

    assert answer.headers["X-Sidecar-Search"].endswith("where=cluster")
    marked = {hit["_id"]: hit.get("highlight") for hit in answer.json["hits"]["hits"]}
    assert marked == {"1": None, "2": None, "3": None, "4": {"title": ["Cat allergies and <em>noises</em>"]}}
