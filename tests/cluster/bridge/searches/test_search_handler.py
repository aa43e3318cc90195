"""Searches through the bridge on a real node with the real model: what is found, and what is said about it."""

import pytest

from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers, ReadOnly, bulk_of
from tests.support.between import between
from tests.support.http import ndjson

DOCUMENTS = {
    "1": {"title": "Felines purr", "abstract": "A kitten makes this sound when it is content", "year": 2001},
    "2": {"title": "Dogs bark", "abstract": "A hound makes noise at strangers", "year": 2002},
    "3": {"title": "Interest rates", "abstract": "The central bank raised them to fight inflation", "year": 2003},
    "4": {"title": "Cat allergies", "abstract": "Sneezing near pets", "year": 2004},
}
QUERY = {"multi_match": {"query": "cat sound", "fields": ["title^2", "abstract"]}}


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("forms-of-search", DOCUMENTS)


@pytest.fixture
async def changeable(papers: Papers) -> Papers:
    """The same for a test that changes it."""
    answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", bulk_of(DOCUMENTS))
    assert answer.ingested == (4, 0)
    return papers


def ids(answer: dict) -> list[str]:
    return [hit["_id"] for hit in answer["hits"]["hits"]]


async def test_a_plain_multi_match_finds_by_meaning(filled: Papers) -> None:
    through = await filled.bridge("POST", f"/{filled.index}/_search", {"query": {"match": {"title": "kitty noises"}}})
    direct = await filled.direct("POST", f"/{filled.index}/_search", {"query": {"match": {"title": "kitty noises"}}})

    assert through.headers["X-Sidecar-Search"] == (
        "hybrid; model=all-minilm-l6-v2@1; fusion=min_max(0.5,0.5); where=cluster"
    )
    assert ids(direct.json) == []
    assert ids(through.json)[0] == "1"


async def test_hits_show_what_the_client_wrote(filled: Papers) -> None:
    answer = await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY})

    assert {hit["_id"]: hit["_source"] for hit in answer.json["hits"]["hits"]} == DOCUMENTS


async def test_hybrid_is_the_clusters_own_arithmetic(filled: Papers) -> None:
    semantic = (
        await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY}, X_Sidecar_Mode="semantic")
    ).json
    lexical = (await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY}, X_Sidecar_Mode="lexical")).json
    hybrid = (await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY})).json

    def normalised(answer: dict) -> dict[str, float]:
        scores = {hit["_id"]: hit["_score"] for hit in answer["hits"]["hits"]}
        low, high = min(scores.values()), max(scores.values())
        return {i: 1.0 if high == low else max((s - low) / (high - low), 0.001) for i, s in scores.items()}

    first, second = normalised(lexical), normalised(semantic)
    expected = {i: (first.get(i, 0) + second.get(i, 0)) / 2 for i in DOCUMENTS}
    assert {hit["_id"]: hit["_score"] for hit in hybrid["hits"]["hits"]} == pytest.approx(expected, abs=1e-5)


async def test_filters_hold_in_both_legs(filled: Papers) -> None:
    query = {
        "bool": {
            "must": [QUERY],
            "filter": [{"range": {"year": {"gte": 2002}}}],
            "must_not": [{"term": {"year": 2004}}],
        }
    }

    answer = await filled.bridge("POST", f"/{filled.index}/_search", {"query": query})

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert sorted(ids(answer.json)) == ["2", "3"]


@pytest.mark.parametrize("expression", ["{index}*", "{index},{index}-alias", "{index}-alias"])
async def test_wildcards_lists_and_aliases_are_searched_by_meaning(changeable: Papers, expression: str) -> None:
    await changeable.direct(
        "POST", "/_aliases", {"actions": [{"add": {"index": changeable.index, "alias": f"{changeable.index}-alias"}}]}
    )

    answer = await changeable.bridge("POST", f"/{expression.format(index=changeable.index)}/_search", {"query": QUERY})

    assert answer.headers["X-Sidecar-Search"].startswith("hybrid")
    assert sorted(ids(answer.json)) == ["1", "2", "3", "4"]


async def test_the_filter_of_an_alias_holds_in_both_legs(changeable: Papers) -> None:
    alias = {"index": changeable.index, "alias": f"{changeable.index}-old", "filter": {"range": {"year": {"lt": 2003}}}}
    await changeable.direct("POST", "/_aliases", {"actions": [{"add": alias}]})

    for mode in ("hybrid", "semantic"):
        answer = await changeable.bridge(
            "POST", f"/{changeable.index}-old/_search", {"query": QUERY, "from": 0, "size": 5}, X_Sidecar_Mode=mode
        )
        assert answer.headers["X-Sidecar-Search"].startswith(mode)
        assert sorted(ids(answer.json)) == ["1", "2"]


async def test_pages_do_not_overlap_and_miss_nothing(filled: Papers) -> None:
    pages = [
        ids((await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY, "from": n, "size": 1})).json)
        for n in range(5)
    ]

    assert sorted(identifier for page in pages for identifier in page) == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"highlight": {"fields": {"title": {}}}}, id="highlight"),
        pytest.param({"_source": ["year"]}, id="source"),
        pytest.param({"_source": False}, id="no source"),
        pytest.param({"fields": ["year"]}, id="fields"),
        pytest.param({"docvalue_fields": ["year"]}, id="docvalue_fields"),
        pytest.param({"stored_fields": ["year"]}, id="stored_fields"),
        pytest.param({"script_fields": {"y": {"script": "doc['year'].value"}}}, id="script_fields"),
        pytest.param({"seq_no_primary_term": True, "version": True}, id="versions"),
        pytest.param({"timeout": "5s"}, id="timeout"),
        pytest.param({"track_total_hits": False}, id="no totals"),
        pytest.param({"sort": ["_score"]}, id="sort by score"),
        pytest.param({"size": 2}, id="size"),
        pytest.param({"stats": ["group"]}, id="stats"),
        pytest.param({"suggest": {"s": {"text": "dgos", "term": {"field": "title"}}}}, id="suggest"),
    ],
)
async def test_options_that_go_with_hybrid(filled: Papers, more: dict[str, object]) -> None:
    through = await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY, **more})
    shows_source = {"_source", "stored_fields", "script_fields"}.isdisjoint(more)
    url = "?_source_excludes=embedding,embedding_meta" if shows_source else ""
    direct = await filled.direct("POST", f"/{filled.index}/_search{url}", {"query": QUERY, **more})

    assert through.status == direct.status == 200
    assert through.headers["X-Sidecar-Search"].startswith("hybrid")
    assert through.json.get("suggest") == direct.json.get("suggest")
    hits = {hit["_id"]: hit for hit in through.json["hits"]["hits"]}
    for hit in direct.json["hits"]["hits"]:
        if hit["_id"] in hits:
            assert {k: v for k, v in hits[hit["_id"]].items() if k != "_score"} == {
                k: v for k, v in hit.items() if k not in ("_score", "sort")
            }


@pytest.mark.parametrize(
    ("path", "body", "note"),
    [
        pytest.param("", {"query": QUERY, "sort": ["year"]}, "lexical; reason=sort", id="sort"),
        pytest.param("", {"query": QUERY, "size": 0}, "lexical; reason=size_zero", id="size 0"),
        pytest.param("", {"query": QUERY, "min_score": 0.1}, "lexical; reason=min_score", id="min_score"),
        pytest.param("", {"query": {"match_phrase": {"title": "dogs bark"}}}, "lexical; reason=exact_match", id="phrase"),
        pytest.param("", {"query": {"term": {"year": 2001}}}, "lexical; reason=query_type", id="term"),
        pytest.param("", {"query": {"match": {"year": "2001"}}}, "lexical; reason=unbound_fields", id="unbound field"),
        pytest.param("?q=title:dogs", None, "lexical; reason=exact_match", id="exact query in the URL"),
        pytest.param("?sidecar=lexical", {"query": QUERY}, "lexical; reason=request", id="asked for lexical"),
        pytest.param("", None, "lexical; reason=no_text", id="no body"),
        pytest.param("", {"query": QUERY, "indices_boost": [{"*papers*": 2}]}, "lexical; reason=option", id="indices_boost"),
        pytest.param("", {"query": QUERY, "rescore": {"query": {"rescore_query": {"match_all": {}}}}},
                     "lexical; reason=option", id="rescore"),
        pytest.param("?search_type=dfs_query_then_fetch", {"query": QUERY}, "lexical; reason=option", id="search type"),
        pytest.param("?search_pipeline=missing", {"query": QUERY}, "lexical; reason=search_pipeline",
                     id="a pipeline that is not there"),
    ],
)  # fmt: skip
async def test_what_is_not_eligible_is_answered_as_the_cluster_answers(
    filled: Papers, path: str, body: object, note: str
) -> None:
    through = await filled.bridge("POST", f"/{filled.index}/_search{path}", body)
    separator = "&" if "?" in path else "?"
    excluding = path.replace("?sidecar=lexical", "") + separator + "_source_excludes=embedding,embedding_meta"
    direct = await filled.direct("POST", f"/{filled.index}/_search{excluding}".replace("_search&", "_search?"), body)

    assert through.headers["X-Sidecar-Search"] == note
    assert {**through.json, "took": 0} == {**direct.json, "took": 0}


async def test_a_scroll_reads_everything_without_our_fields(filled: Papers) -> None:
    first = await filled.bridge("POST", f"/{filled.index}/_search?scroll=1m", {"query": {"match_all": {}}, "size": 3})
    second = await filled.bridge("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": first.json["_scroll_id"]})

    assert first.headers["X-Sidecar-Search"] == "lexical; reason=scroll"
    hits = first.json["hits"]["hits"] + second.json["hits"]["hits"]
    assert {hit["_id"]: hit["_source"] for hit in hits} == DOCUMENTS


async def test_off_touches_nothing(filled: Papers) -> None:
    through = await filled.bridge("POST", f"/{filled.index}/_search?sidecar=off", {"query": QUERY})
    direct = await filled.direct("POST", f"/{filled.index}/_search", {"query": QUERY})

    assert through.headers["X-Sidecar-Search"] == "off; reason=request"
    assert {**through.json, "took": 0} == {**direct.json, "took": 0}


async def test_an_unknown_mode_is_refused_in_opensearchs_shape(filled: Papers) -> None:
    answer = await filled.bridge("POST", f"/{filled.index}/_search", {"query": QUERY}, X_Sidecar_Mode="best")

    assert answer.status == answer.json["status"] == 400
    assert answer.json["error"]["reason"] == (
        "X-Sidecar-Mode: must be one of off, lexical, semantic, hybrid, not [best]"
    )


async def test_neural_clauses_work_without_any_ml_node(filled: Papers) -> None:
    clause = {"neural": {"embedding": {"query_text": "pet noises", "k": 2, "filter": {"term": {"year": 2002}}}}}

    answer = await filled.bridge("POST", f"/{filled.index}/_search", {"query": {"bool": {"must": [clause]}}})

    assert answer.headers["X-Sidecar-Search"] == "neural; model=all-minilm-l6-v2@1; clauses=1"
    assert ids(answer.json) == ["2"]


async def test_neural_inside_a_clients_own_hybrid(filled: Papers) -> None:
    pipeline = {"phase_results_processors": [{"normalization-processor": {}}]}
    clause = {"neural": {"embedding": {"query_text": "pet noises", "k": 4}}}
    body = {"query": {"hybrid": {"queries": [QUERY, clause]}}, "search_pipeline": pipeline}

    answer = await filled.bridge("POST", f"/{filled.index}/_search", body)

    assert answer.headers["X-Sidecar-Search"].startswith("neural")
    assert len(ids(answer.json)) == 4


async def test_an_error_of_the_client_is_the_clusters_own(filled: Papers) -> None:
    body = {"query": {"bool": {"must": [QUERY], "filter": [{"rang": {"year": {"gte": 1}}}]}}}

    through = await filled.bridge("POST", f"/{filled.index}/_search", body)
    direct = await filled.direct("POST", f"/{filled.index}/_search", body)

    assert through.headers["X-Sidecar-Search"] == "lexical; reason=refused"
    assert (through.status, through.json) == (direct.status, direct.json) == (400, direct.json)


@pytest.mark.parametrize("words", ["unknown query [hybrid]", "hybrid query must be a top level query"])
@pytest.mark.parametrize("several", [False, True], ids=["_search", "_msearch"])
async def test_the_words_of_a_client_in_an_error_change_no_later_search(
    filled: Papers, words: str, several: bool
) -> None:
    path = f"/{filled.index}/_search"
    quoting = {"query": {"match": {"title": {"query": "cat sound", words: 1}}}}
    if several:
        refused = await filled.bridge("POST", f"/{filled.index}/_msearch", ndjson({}, quoting, {}, {"query": QUERY}))
    else:
        refused = await filled.bridge("POST", path, quoting)
    later = await filled.bridge("POST", path, {"query": QUERY})

    assert words.encode() in refused.body
    assert "where=cluster" in later.headers["X-Sidecar-Search"]


async def test_a_query_too_deep_to_walk_is_left_to_the_cluster(filled: Papers) -> None:
    body = b'{"query":' + b'{"bool":{"must":' * 110 + b'{"match_all":{}}' + b"}}" * 110 + b"}"

    # No deeper than the test needs: a few hundred levels overflow the node's stack, and it ends.
    through = await filled.bridge("POST", f"/{filled.index}/_search", body)

    assert through.headers["X-Sidecar-Search"] == "lexical; reason=not_understood"


async def test_an_index_without_a_binding_is_searched_as_if_there_were_no_bridge(filled: Papers, unique: str) -> None:
    await filled.direct("PUT", f"/{unique}-plain/_doc/1?refresh=true", {"title": "cat sound"})

    through = await filled.bridge("POST", f"/{unique}-plain/_search", {"query": QUERY})
    direct = await filled.direct("POST", f"/{unique}-plain/_search", {"query": QUERY})
    mixed = await filled.bridge("POST", f"/{unique}-plain,{filled.index}/_search", {"query": QUERY})

    assert through.headers["X-Sidecar-Search"] == "lexical; reason=unbound"
    assert {**through.json, "took": 0} == {**direct.json, "took": 0}
    assert mixed.headers["X-Sidecar-Search"] == "lexical; reason=mixed_indices"


async def test_count_and_delete_by_query_stay_lexical(changeable: Papers) -> None:
    count = await changeable.bridge("POST", f"/{changeable.index}/_count", {"query": {"match": {"title": "kitty"}}})
    deleted = await changeable.bridge(
        "POST", f"/{changeable.index}/_delete_by_query", {"query": {"match": {"title": "kitty"}}}
    )

    assert (count.json["count"], deleted.json["deleted"]) == (0, 0)


async def test_a_text_that_is_searched_again_needs_no_embedder(papers: Papers) -> None:
    path, body = f"/{papers.index}/_search", {"query": {"match": {"title": "kitty noises"}}}
    async with between(papers.direct.url, shipped_versions()["all-minilm-l6-v2@1"]) as at:
        first = await at.bridge("POST", path, body)
        at.to_embedder.refuse()
        again = await at.bridge("POST", path, body)
        other = await at.bridge("POST", path, {"query": {"match": {"title": "Kitty noises"}}})
    notes = [answer.headers["X-Sidecar-Search"].partition(";")[0] for answer in (first, again, other)]
    assert notes == ["hybrid", "hybrid", "lexical"]
    assert len(at.stub.asked) == 1
