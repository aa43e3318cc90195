"""What becomes of a search: one row per rule, and the bodies that are sent."""

import pytest

from sidecar.bridge.intent import Mode, Reason
from sidecar.bridge.query import NeuralSearch, TextSearch, Untouched, hide_fields, plan_search, rewrite
from sidecar.errors import InvalidInput
from sidecar.model import Fusion, SearchBinding
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound

MATCH = {"match": {"title": "dogs"}}
PAPERS = (an_index(),)


def lexical(reason: Reason) -> Untouched:
    return Untouched(Mode.LEXICAL, reason)


@pytest.mark.parametrize(
    ("body", "url", "reason"),
    [
        pytest.param({"query": MATCH, "aggs": {}}, {}, Reason.AGGREGATIONS, id="aggs"),
        pytest.param({"query": MATCH, "aggregations": {}}, {}, Reason.AGGREGATIONS, id="aggregations"),
        pytest.param({"query": MATCH, "min_score": 1}, {}, Reason.MIN_SCORE, id="min_score"),
        pytest.param({"query": MATCH, "search_pipeline": "p"}, {}, Reason.SEARCH_PIPELINE, id="pipeline in the body"),
        pytest.param({"query": MATCH}, {"search_pipeline": "p"}, Reason.SEARCH_PIPELINE, id="pipeline in the URL"),
        pytest.param({"query": MATCH}, {"scroll": "1m"}, Reason.SCROLL, id="scroll"),
        pytest.param({}, {"q": "dogs"}, Reason.QUERY_TYPE, id="query in the URL"),
        pytest.param({"query": MATCH, "sort": ["year"]}, {}, Reason.SORT, id="sort"),
        pytest.param({"query": MATCH}, {"sort": "year"}, Reason.SORT, id="sort in the URL"),
        pytest.param({"query": MATCH, "size": 0}, {}, Reason.SIZE_ZERO, id="size 0"),
        pytest.param({"query": MATCH}, {"size": "0"}, Reason.SIZE_ZERO, id="size 0 in the URL"),
        pytest.param({"query": MATCH, "track_total_hits": True}, {}, Reason.EXACT_TOTALS, id="exact totals"),
        pytest.param({"query": MATCH, "rescore": {}}, {}, Reason.OPTION, id="rescore"),
        pytest.param({"query": MATCH, "post_filter": {}}, {}, Reason.OPTION, id="post_filter"),
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
    assert plan_search(body, PAPERS, None, url) == lexical(reason)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("indices", "reason"),
    [
        pytest.param((), Reason.UNBOUND, id="no index"),
        pytest.param((an_unbound_index(),), Reason.UNBOUND, id="unbound"),
        pytest.param((an_index(), an_unbound_index()), Reason.MIXED_INDICES, id="bound and unbound"),
        pytest.param((an_index(), an_index("b", bound(a_binding(model="n@1", space="sha256:" + "b" * 64)))),
                     Reason.MIXED_INDICES, id="two spaces"),
        pytest.param((an_index(sees_all_sources=False),), Reason.HIDDEN_SOURCE, id="a source is hidden"),
        pytest.param((an_index(search_pipeline="own"),), Reason.SEARCH_PIPELINE, id="the index has its own pipeline"),
        pytest.param((an_index(binding=bound(search=SearchBinding(field="embedding", mode="lexical"))),),
                     Reason.BINDING, id="bound to lexical search"),
        pytest.param((an_index(binding=bound(search=SearchBinding(field="embedding", where="bridge"))),),
                     Reason.FUSION, id="fusion in the bridge is not built yet"),
    ],
)  # fmt: skip
def test_indices_that_stay_lexical(indices: tuple[object, ...], reason: Reason) -> None:
    assert plan_search({"query": MATCH}, indices, None, {}) == lexical(reason)  # type: ignore[arg-type]


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


def test_window_k_and_fusion_are_the_bindings() -> None:
    search = SearchBinding(field="embedding", window=50, k=70, fusion=Fusion(technique="l2", weights=(0.3, 0.7)))
    indices = (an_index(binding=bound(search=search)),)

    plan = plan_search({"query": MATCH}, indices, None, {"size": "20"})
    assert isinstance(plan, TextSearch)
    sent = rewrite({"query": MATCH}, plan, ([1.0, 0.0],), indices)

    assert plan.note.endswith("fusion=l2(0.3,0.7); where=cluster")
    assert sent["query"]["hybrid"]["pagination_depth"] == 50  # type: ignore[index,call-overload]
    assert sent["query"]["hybrid"]["queries"][1]["knn"]["embedding"]["k"] == 70  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        pytest.param({"query_text": "dogs", "k": 5}, {"vector": [1.0], "k": 5}, id="k"),
        pytest.param({"query_text": "dogs"}, {"vector": [1.0], "k": 10}, id="the default k is neural's"),
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

    plan = plan_search(body, PAPERS, Mode.LEXICAL, {"scroll": "1m"})  # type: ignore[arg-type]

    assert plan == NeuralSearch(((a_binding(), "dogs"),))
    assert rewrite(body, plan, ([1.0],), PAPERS) == {  # type: ignore[arg-type]
        "query": {"bool": {"must": [{"knn": {"embedding": expected}}], "filter": []}},
        "aggs": {"a": {}},
    }


def test_neural_clauses_get_their_vectors_in_order_at_any_depth() -> None:
    def neural(text: str, **more: object) -> dict[str, object]:
        return {"neural": {"embedding": {"query_text": text, "k": 1, **more}}}

    body = {"query": {"hybrid": {"queries": [neural("a", filter=neural("b")), neural("c")]}}}

    plan = plan_search(body, PAPERS, None, {})  # type: ignore[arg-type]
    assert isinstance(plan, NeuralSearch)
    sent = rewrite(body, plan, ([1.0], [2.0], [3.0]), PAPERS)  # type: ignore[arg-type]

    assert [text for _, text in plan.texts] == ["a", "b", "c"]
    first, second = sent["query"]["hybrid"]["queries"]  # type: ignore[index,call-overload]
    assert first["knn"]["embedding"]["vector"] == [1.0]
    assert first["knn"]["embedding"]["filter"]["knn"]["embedding"]["vector"] == [2.0]
    assert second["knn"]["embedding"]["vector"] == [3.0]


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        pytest.param({"query_image": "x"}, "neural.embedding.query_image: model [m@1] embeds text only", id="image"),
        pytest.param({"k": 1}, "neural.embedding.query_text: a text is required", id="no text"),
        pytest.param({"query_text": "a", "model_id": "n@2"},
                     "neural.embedding.model_id: [n@2] is not the model of this field, [m@1]", id="another model"),
    ],
)  # fmt: skip
def test_a_neural_clause_that_cannot_be_answered_is_refused(clause: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan_search({"query": {"neural": {"embedding": clause}}}, PAPERS, None, {})  # type: ignore[dict-item]

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
    changed, excluded = hide_fields(body, url, PAPERS)  # type: ignore[arg-type]

    assert excluded == excludes
    assert changed == (None if sent_source is ... else {"_source": sent_source})
