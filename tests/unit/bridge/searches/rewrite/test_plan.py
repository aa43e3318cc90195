"""What becomes of a search: one row per rule, and the bodies that are sent."""

import pytest

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.hidden_fields import hide_fields
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.rewrite.plan import (
    NeuralSearch,
    TextSearch,
    Untouched,
    plan_search,
    rewrite,
    with_pipeline,
)
from sidecar.errors import InvalidInput
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound

MATCH = {"match": {"title": "dogs"}}
PAPERS = (an_index(),)
NEURAL = {"neural": {"embedding": {"query_text": "dogs", "k": 3, "method_parameters": {"ef_search": 9}}}}


def lexical(reason: Reason) -> Untouched:
    return Untouched(Mode.LEXICAL, reason)


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        pytest.param({"query": MATCH, "aggs": {}}, {}, Reason.AGGREGATIONS, id="aggs"),
        pytest.param({"query": MATCH, "aggregations": {}}, {}, Reason.AGGREGATIONS, id="aggregations"),
        pytest.param({"query": MATCH, "min_score": 1}, {}, Reason.MIN_SCORE, id="min_score"),
        pytest.param(
            {"query": MATCH, "search_pipeline": {}},
            {"search_pipeline": "p"},
            Reason.SEARCH_PIPELINE,
            id="two pipelines, which the cluster refuses",
        ),
        pytest.param({"query": MATCH, "search_pipeline": 3}, {}, Reason.SEARCH_PIPELINE, id="not a pipeline"),
        pytest.param({"query": MATCH}, {"scroll": "1m"}, Reason.SCROLL, id="scroll"),
        pytest.param({"query": MATCH}, {"q": "title:dogs"}, Reason.EXACT_MATCH, id="exact query in the URL"),
        pytest.param({}, {"q": "dogs", "default_operator": "AND"}, Reason.EXACT_MATCH, id="all words, in the URL"),
        pytest.param({}, {"q": "dogs", "df": "other"}, Reason.UNBOUND_FIELDS, id="an unbound field in the URL"),
        pytest.param({"query": MATCH}, {"df": "title"}, Reason.OPTION, id="a field for no query in the URL"),
        pytest.param({"query": MATCH, "sort": ["year"]}, {}, Reason.SORT, id="sort"),
        pytest.param({"query": MATCH}, {"sort": "year"}, Reason.SORT, id="sort in the URL"),
        pytest.param({"query": MATCH, "size": 0}, {}, Reason.SIZE_ZERO, id="size 0"),
        pytest.param({"query": MATCH}, {"size": "0"}, Reason.SIZE_ZERO, id="size 0 in the URL"),
        pytest.param({"query": MATCH, "track_total_hits": True}, {}, Reason.EXACT_TOTALS, id="exact totals"),
        pytest.param({"query": MATCH, "rescore": {}}, {}, Reason.OPTION, id="rescore"),
        pytest.param({"query": MATCH, "search_after": [1]}, {}, Reason.SORT, id="search_after"),
        pytest.param(
            {"query": {"bool": {"must": [MATCH], "should": [{"nested": {"path": "n", "inner_hits": {}}}]}}},
            {},
            Reason.OPTION,
            id="inner_hits",
        ),
        *(
            pytest.param({"query": MATCH, name: {}}, {}, Reason.OPTION, id=name)
            for name in (
                "explain",
                "profile",
                "indices_boost",
                "pit",
                "slice",
                "ext",
                "terminate_after",
                "track_scores",
            )
        ),
        pytest.param({"query": MATCH, "collapse": {}}, {}, Reason.OPTION, id="collapse"),
        pytest.param({"query": MATCH, "anything_new": 1}, {}, Reason.OPTION, id="an option that we do not know"),
        pytest.param({"query": MATCH}, {"search_type": "dfs_query_then_fetch"}, Reason.OPTION, id="search type"),
        pytest.param({"query": MATCH, "from": -1}, {}, Reason.OPTION, id="a from that the cluster refuses"),
        pytest.param({"query": MATCH, "size": "many"}, {}, Reason.OPTION, id="a size that is no number"),
        pytest.param({"query": MATCH, "from": 9_995, "size": 10}, {}, Reason.WINDOW, id="beyond the result window"),
        pytest.param({}, {}, Reason.NO_TEXT, id="no query"),
    ],
)
def test_what_stays_lexical(body: dict[str, object], url: dict[str, str], reason: Reason) -> None:
    assert plan_search(body, PAPERS, None, url) == lexical(reason)


@pytest.mark.parametrize(
    ("indices", "reason"),
    [
        pytest.param((), Reason.UNBOUND, id="no index"),
        pytest.param((an_unbound_index(),), Reason.UNBOUND, id="unbound"),
        pytest.param((an_index(), an_unbound_index()), Reason.MIXED_INDICES, id="bound and unbound"),
        pytest.param((an_index(), an_index("b", bound(a_binding(model="n@1", space="sha256:" + "b" * 64)))),
                     Reason.MIXED_INDICES, id="two spaces"),
        pytest.param((an_index(sees_all_sources=False),), Reason.HIDDEN_SOURCE, id="a source is hidden"),
        pytest.param((an_index(binding=bound(search=SearchBinding(field="embedding", mode="lexical"))),),
                     Reason.BINDING, id="bound to lexical search"),
        pytest.param((an_index(binding=bound(search=SearchBinding(field="embedding", where="bridge"))),),
                     Reason.FUSION, id="fusion in the bridge is not built yet"),
    ],
)  # fmt: skip
def test_indices_that_stay_lexical(indices: tuple[object, ...], reason: Reason) -> None:
    assert plan_search({"query": MATCH}, indices, None, {}) == lexical(reason)


def test_the_client_may_ask_for_lexical_and_for_semantic() -> None:
    assert plan_search({"query": MATCH}, PAPERS, Mode.LEXICAL, {}) == lexical(Reason.REQUEST)
    assert isinstance(plan := plan_search({"query": MATCH}, PAPERS, Mode.SEMANTIC, {}), TextSearch)
    assert plan.note == "semantic; model=m@1"
    assert rewrite({"query": MATCH, "size": 3}, plan, ([0.5, 1.0],), PAPERS) == {
        "size": 3,
        "query": {"knn": {"embedding": {"vector": [0.5, 1.0], "k": 100}}},
    }


def test_a_body_that_is_not_json_stays_as_it_is() -> None:
    assert plan_search(None, PAPERS, None, {}) == lexical(Reason.NOT_UNDERSTOOD)


def test_text_becomes_hybrid_with_the_filter_on_both_sides_and_a_normalising_pipeline() -> None:
    body = {
        "query": {"bool": {"must": [MATCH], "filter": [{"term": {"year": 2020}}]}},
        "from": 95,
        "size": 20,
        "sort": ["_score"],
        "highlight": {"fields": {"title": {}}},
    }

    plan = plan_search(body, PAPERS, None, {})

    assert isinstance(plan, TextSearch)
    assert plan.texts == ((a_binding(), "dogs"),)
    assert plan.note == "hybrid; model=m@1; fusion=min_max(0.5,0.5); where=cluster"
    assert rewrite(body, plan, ([0.5, 1.0],), PAPERS) == {
        "from": 95,
        "size": 20,
        "highlight": {"fields": {"title": {}}},
        "query": {
            "hybrid": {
                "queries": [
                    body["query"],
                    {"knn": {"embedding": {"vector": [0.5, 1.0], "k": 115, "filter": {"term": {"year": 2020}}}}},
                ],
                "pagination_depth": 115,
            }
        },
        "search_pipeline": {
            "phase_results_processors": [
                {
                    "normalization-processor": {
                        "normalization": {"technique": "min_max"},
                        "combination": {"technique": "arithmetic_mean", "parameters": {"weights": [0.5, 0.5]}},
                    }
                }
            ]
        },
    }


def test_a_query_in_the_url_becomes_the_lexical_leg() -> None:
    url = {"q": "dogs", "df": "title", "lenient": "true", "size": "3", "search_pipeline": "_none"}

    plan = plan_search({"query": {"match_all": {}}}, PAPERS, None, url)
    assert isinstance(plan, TextSearch)
    sent = rewrite({"query": {"match_all": {}}}, plan, ([1.0, 0.0],), PAPERS)

    lexical_leg = sent["query"]["hybrid"]["queries"][0]
    assert lexical_leg == {"query_string": {"query": "dogs", "default_field": "title", "lenient": "true"}}
    assert plan.consumed == ("q", "df", "lenient", "search_pipeline")


def test_a_post_filter_holds_among_the_neighbours_too() -> None:
    body = {"query": MATCH, "post_filter": {"term": {"year": 2020}}}

    plan = plan_search(body, PAPERS, None, {})

    assert isinstance(plan, TextSearch)
    assert plan.knn_filter == body["post_filter"]
    assert rewrite(body, plan, ([1.0, 0.0],), PAPERS)["post_filter"] == body["post_filter"]


OWN = {"phase_results_processors": [{"score-ranker-processor": {}}], "response_processors": [{"rename_field": {}}]}


@pytest.mark.parametrize(
    ("body", "url", "indices", "found"),
    [
        pytest.param({}, {}, PAPERS, None, id="none"),
        pytest.param({"search_pipeline": "p"}, {}, PAPERS, "p", id="by name in the body"),
        pytest.param({"search_pipeline": "p"}, {"search_pipeline": "q"}, PAPERS, "q", id="by name in the URL"),
        pytest.param({"search_pipeline": OWN}, {}, PAPERS, OWN, id="inline"),
        pytest.param({}, {}, (an_index(search_pipeline="own"),), "own", id="the index's own"),
        pytest.param({"search_pipeline": "_none"}, {}, (an_index(search_pipeline="own"),), None, id="switched off"),
        pytest.param({}, {}, (an_index(search_pipeline="a"), an_index("b")), "a", id="that of one index of two"),
        pytest.param({}, {}, (an_index(search_pipeline="a"), an_index("b", search_pipeline="b")), None,
                     id="two different: the cluster applies neither"),
        pytest.param({}, {}, (an_index(search_pipeline="_none"),), None, id="none by name"),
    ],
)  # fmt: skip
def test_the_pipeline_that_a_search_runs_through(
    body: dict[str, object], url: dict[str, str], indices: tuple[BoundIndex, ...], found: object
) -> None:
    plan = plan_search({"query": MATCH, **body}, indices, None, url)

    assert isinstance(plan, TextSearch)
    assert plan.pipeline == found


def test_a_search_that_names_no_index_has_no_default_pipeline() -> None:
    plan = plan_search({"query": MATCH}, (an_index(search_pipeline="own"),), None, {}, names_indices=False)

    assert isinstance(plan, TextSearch)
    assert plan.pipeline is None


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(None, id="not there, or not to be read"),
        pytest.param({"request_processors": [{"filter_query": {}}]}, id="would put hybrid inside bool"),
        pytest.param({"response_processors": "x"}, id="not a pipeline"),
    ],
)
def test_a_pipeline_that_cannot_be_composed_keeps_the_search_lexical(definition: object) -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})

    assert isinstance(plan, TextSearch)
    assert with_pipeline(plan, definition) == lexical(Reason.SEARCH_PIPELINE)


def test_a_pipeline_that_normalises_fuses_in_its_own_way() -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})
    assert isinstance(plan, TextSearch)

    composed = with_pipeline(plan, OWN)

    assert isinstance(composed, TextSearch)
    assert composed.note == "hybrid; model=m@1; fusion=own; where=cluster"
    assert rewrite({"query": MATCH, "search_pipeline": "p"}, composed, ([1.0, 0.0],), PAPERS)["search_pipeline"] == OWN


def test_a_pipeline_without_a_normaliser_gets_ours() -> None:
    plan = plan_search({"query": MATCH, "search_pipeline": "p"}, PAPERS, None, {})
    assert isinstance(plan, TextSearch)
    own = {"description": "d", "version": 1, "request_processors": [{"neural_query_enricher": {}}]}

    composed = with_pipeline(plan, own)
    assert isinstance(composed, TextSearch)
    sent = rewrite({"query": MATCH, "search_pipeline": "p"}, composed, ([1.0, 0.0],), PAPERS)["search_pipeline"]

    assert isinstance(sent, dict)
    assert sent.keys() == {"request_processors", "phase_results_processors"}
    assert sent["request_processors"] == own["request_processors"]


def test_indices_of_two_templates_are_searched_together() -> None:
    other = SearchBinding(field="embedding", companion="notes--companion")

    assert isinstance(
        plan_search({"query": MATCH}, (an_index(), an_index("b", bound(search=other))), None, {}), TextSearch
    )


def test_window_k_and_fusion_are_the_bindings() -> None:
    search = SearchBinding(field="embedding", window=50, k=70, fusion=Fusion(technique="l2", weights=(0.3, 0.7)))
    indices = (an_index(binding=bound(search=search)),)

    plan = plan_search({"query": MATCH}, indices, None, {"size": "20"})
    assert isinstance(plan, TextSearch)
    sent = rewrite({"query": MATCH}, plan, ([1.0, 0.0],), indices)

    assert plan.note.endswith("fusion=l2(0.3,0.7); where=cluster")
    assert sent["query"]["hybrid"]["pagination_depth"] == 50
    assert sent["query"]["hybrid"]["queries"][1]["knn"]["embedding"]["k"] == 70


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        pytest.param({"query_text": "dogs", "k": 5}, {"vector": [1.0], "k": 5}, id="k"),
        pytest.param({"query_text": "dogs"}, {"vector": [1.0], "k": 10}, id="the default k is neural's"),
        pytest.param({"query_text": "dogs", "k": "5"}, {"vector": [1.0], "k": "5"}, id="k as the cluster reads it, too"),
        pytest.param({"query_text": "dogs", "min_score": 0.5}, {"vector": [1.0], "min_score": 0.5}, id="radial search"),
        pytest.param({"query_text": "dogs", "model_id": "aVeif4oB5Vm0Tdw8zYO2", "k": 1}, {"vector": [1.0], "k": 1},
                     id="an id of ml-commons is dropped"),
        pytest.param({"query_text": "dogs", "model_id": "m@1", "k": 1}, {"vector": [1.0], "k": 1}, id="the right model"),
        pytest.param({"query_text": "dogs", "k": 1, "filter": {"term": {"a": 1}}, "boost": 2, "new": {}},
                     {"vector": [1.0], "k": 1, "filter": {"term": {"a": 1}}, "boost": 2, "new": {}}, id="other keys stay"),
    ],
)  # fmt: skip
def test_neural_becomes_knn(clause: dict[str, object], expected: dict[str, object]) -> None:
    body = {"query": {"bool": {"must": [{"neural": {"embedding": clause}}], "filter": []}}, "aggs": {"a": {}}}

    plan = plan_search(body, PAPERS, Mode.LEXICAL, {"scroll": "1m"})

    assert plan == NeuralSearch(((a_binding(), "dogs"),))
    assert rewrite(body, plan, ([1.0],), PAPERS) == {
        "query": {"bool": {"must": [{"knn": {"embedding": expected}}], "filter": []}},
        "aggs": {"a": {}},
    }


def test_neural_clauses_get_their_vectors_in_order_at_any_depth() -> None:
    def neural(text: str, **more: object) -> dict[str, object]:
        return {"neural": {"embedding": {"query_text": text, "k": 1, **more}}}

    body = {"query": {"hybrid": {"queries": [neural("a", filter=neural("b")), neural("c")]}}}

    plan = plan_search(body, PAPERS, None, {})
    assert isinstance(plan, NeuralSearch)
    sent = rewrite(body, plan, ([1.0], [2.0], [3.0]), PAPERS)

    assert [text for _, text in plan.texts] == ["a", "b", "c"]
    first, second = sent["query"]["hybrid"]["queries"]  # type: ignore[str-unpack]
    assert first["knn"]["embedding"]["vector"] == [1.0]
    assert first["knn"]["embedding"]["filter"]["knn"]["embedding"]["vector"] == [2.0]
    assert second["knn"]["embedding"]["vector"] == [3.0]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        pytest.param({"query": {"nested": {"path": "n", "query": NEURAL}}}, ("query", "nested", "query"), id="nested"),
        pytest.param({"query": {"script_score": {"query": NEURAL, "script": {}}}}, ("query", "script_score", "query"),
                     id="script_score"),
        pytest.param({"query": {"function_score": {"query": NEURAL}}}, ("query", "function_score", "query"),
                     id="function_score"),
        pytest.param({"query": {"constant_score": {"filter": NEURAL}}}, ("query", "constant_score", "filter"),
                     id="constant_score"),
        pytest.param({"rescore": {"query": {"rescore_query": NEURAL}}}, ("rescore", "query", "rescore_query"),
                     id="rescore"),
        pytest.param({"post_filter": NEURAL}, ("post_filter",), id="post_filter"),
        pytest.param({"aggs": {"near": {"filter": NEURAL}}}, ("aggs", "near", "filter"), id="filter of an aggregation"),
    ],
)  # fmt: skip
def test_neural_is_found_wherever_a_query_may_stand(body: dict[str, object], path: tuple[str, ...]) -> None:
    plan = plan_search(body, PAPERS, None, {})

    assert isinstance(plan, NeuralSearch)
    found: object = rewrite(body, plan, ([1.0],), PAPERS)
    for key in path:
        found = found[key]
    assert found == {"knn": {"embedding": {"vector": [1.0], "k": 3, "method_parameters": {"ef_search": 9}}}}


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        pytest.param({"query_image": "x"}, "neural.embedding.query_image: model [m@1] embeds text only", id="image"),
        pytest.param({"k": 1}, "neural.embedding.query_text: a text is required", id="no text"),
        pytest.param({"query_text": "a", "model_id": "n@2"},
                     "neural.embedding.model_id: [n@2] is not the model of this field, [m@1]", id="another model"),
        *(
            pytest.param({"query_text": "a", "k": k}, f"neural.embedding.k: must be an integer from 1 to 10000; got [{k}]",
                         id=f"k of {k!r}")
            for k in (0, 10_001, 1.5, True, None, "many", "nan", [1])
        ),
    ],
)  # fmt: skip
def test_a_neural_clause_that_cannot_be_answered_is_refused(clause: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_search({"query": {"neural": {"embedding": clause}}}, PAPERS, None, {})

    assert str(caught.value) == message


def test_neural_across_two_spaces_is_refused() -> None:
    other = an_index("b", bound(a_binding(model="n@1", space="sha256:" + "b" * 64)))

    with pytest.raises(InvalidInput, match=r"several models: m@1, n@1"):
        plan_search({"query": {"neural": {"embedding": {"query_text": "a"}}}}, (*PAPERS, other), None, {})


def test_neural_on_a_field_that_is_not_bound_is_left_alone() -> None:
    assert plan_search({"query": {"neural": {"other": {"query_text": "a"}}}}, PAPERS, None, {}) == lexical(
        Reason.QUERY_TYPE
    )


HIDDEN = ("embedding", "embedding_meta")


@pytest.mark.parametrize(
    ("body", "url", "sent_source", "excludes"),
    [
        pytest.param({}, {}, ..., HIDDEN, id="nothing said: excluded by URL, the body untouched"),
        pytest.param(None, {}, ..., HIDDEN, id="a body that we do not read"),
        pytest.param({"_source": True}, {}, ..., HIDDEN, id="true"),
        pytest.param({"_source": False}, {}, ..., (), id="no source at all"),
        pytest.param({"_source": ["title"]}, {}, {"includes": ["title"], "excludes": [*HIDDEN]}, (), id="includes"),
        pytest.param({"_source": "*"}, {}, {"includes": ["*"], "excludes": [*HIDDEN]}, (), id="a pattern is not a wish"),
        pytest.param({"_source": ["embedding"]}, {}, {"includes": ["embedding"], "excludes": ["embedding_meta"]}, (),
                     id="what is named is shown"),
        pytest.param({"_source": {"excludes": "a"}}, {}, {"excludes": ["a", *HIDDEN]}, (), id="excludes"),
        pytest.param({"_source": {"exclude": ["a"]}}, {}, {"exclude": ["a", *HIDDEN]}, (), id="the old spelling"),
        pytest.param({"_source": ["a"]}, {"_source": "false"}, ..., (), id="the URL wins"),
        pytest.param({}, {"_source_includes": "title,embedding"}, ..., ("embedding_meta",), id="named in the URL"),
    ],
)  # fmt: skip
def test_our_fields_are_left_out_of_hits(
    body: dict[str, object] | None, url: dict[str, str], sent_source: object, excludes: tuple[str, ...]
) -> None:
    changed, excluded = hide_fields(body, url, PAPERS)

    assert excluded == excludes
    assert changed == (None if sent_source is ... else {"_source": sent_source})
