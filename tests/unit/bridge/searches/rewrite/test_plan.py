"""What becomes of a search: one row per rule, and the bodies that are sent."""

import pytest

from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.rewrite.plan import (
    TextSearch,
    Untouched,
    plan_search,
    rewrite,
)
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound

MATCH = {"match": {"title": "dogs"}}
PAPERS = (an_index(),)


def lexical(reason: Reason) -> Untouched:
    return Untouched(Mode.LEXICAL, reason)


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        pytest.param({"query": MATCH, "aggs": {"a": {}}}, {}, Reason.AGGREGATIONS, id="aggs"),
        pytest.param({"query": MATCH, "aggregations": {"a": {}}}, {}, Reason.AGGREGATIONS, id="aggregations"),
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
            pytest.param({"query": MATCH, name: {"of": "another kind"}}, {}, Reason.OPTION, id=name)
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
        pytest.param({"query": MATCH, "explain": True}, {}, Reason.OPTION, id="explain"),
        pytest.param({"query": MATCH}, {"explain": "true"}, Reason.OPTION, id="explain in the URL"),
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
                     Reason.FUSION, id="fusion in the bridge, of shards that it does not know"),
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
                    {"knn": {"embedding": {"vector": [0.5, 1.0], "k": 100, "filter": {"term": {"year": 2020}}}}},
                ],
                "pagination_depth": 100,
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


@pytest.mark.parametrize("flaw", ["unfit", "unmarkable"])
def test_an_index_whose_field_cannot_hold_the_models_vectors_is_searched_by_words(flaw: str) -> None:
    odd = an_index("odd", **{flaw: frozenset({"embedding"})})

    assert plan_search({"query": MATCH}, (odd,), None, {}) == lexical(Reason.SPACE)
    assert plan_search({"query": MATCH}, (*PAPERS, odd), None, {}) == lexical(Reason.SPACE)


def test_an_option_at_its_default_goes_neither_into_the_body_nor_into_the_url() -> None:
    body = {"query": MATCH, "min_score": 0, "explain": True, "sort": [], "size": "5.0"}
    url = {"explain": "false", "sort": "_score:desc", "version": "true", "routing": "a"}

    plan = plan_search(body, PAPERS, None, url)
    assert isinstance(plan, TextSearch)
    sent = rewrite(body, plan, ([1.0, 0.0],), PAPERS, url)

    assert sent.keys() == {"query", "search_pipeline", "size", "version"}
    assert plan.consumed == ("explain", "sort", "version")


def test_a_small_result_window_makes_the_window_smaller_and_a_larger_page_is_the_clusters() -> None:
    indices = (an_index(), an_index("b", result_window=50))

    plan = plan_search({"query": MATCH}, indices, None, {})
    assert isinstance(plan, TextSearch)
    sent = rewrite({"query": MATCH}, plan, ([1.0, 0.0],), indices)

    assert (plan.window, sent["query"]["hybrid"]["pagination_depth"]) == (50, 50)
    assert plan_search({"query": MATCH, "from": 41}, indices, None, {}) == lexical(Reason.WINDOW)
