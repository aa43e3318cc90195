"""The client's own `neural` clauses, at any depth."""

import re

import pytest

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.rewrite.neural import may_hold_neural, neural_texts, refuse_unbound
from sidecar.bridge.searches.rewrite.plan import (
    NeuralSearch,
    plan_search,
    rewrite,
)
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from tests.support.bindings import a_binding, an_index, an_unbound_index, bound
from tests.unit.bridge.searches.rewrite.test_plan import PAPERS, lexical

NEURAL = {"neural": {"embedding": {"query_text": "dogs", "k": 3, "method_parameters": {"ef_search": 9}}}}


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


def test_neural_on_a_field_that_cannot_hold_the_models_vectors_is_refused() -> None:
    indices = (an_index(), an_index("odd", unfit=frozenset({"embedding"})))

    with pytest.raises(InvalidInput) as refused:
        list(neural_texts({"neural": {"embedding": {"query_text": "dogs"}}}, indices))

    problem = "in [odd] the field is mapped so that it holds no vectors of model [m@1]"
    assert str(refused.value) == f"neural.embedding: {problem}"


@pytest.mark.parametrize(
    ("indices", "known"),
    [
        pytest.param(PAPERS, "only [embedding] is", id="a bound index"),
        pytest.param((an_unbound_index(),), "no field of the searched indices is", id="an unbound one"),
    ],
)
def test_a_clause_on_a_field_that_is_not_bound_is_refused_by_name(indices: tuple[BoundIndex, ...], known: str) -> None:
    body: Json = {"requests": [{"request": {"query": {"neural": {"other": {"query_text": "dogs"}}}}}]}

    with pytest.raises(InvalidInput, match=re.escape(f"neural.other: is not bound to a model ({known})")):
        refuse_unbound(body, indices)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"query": NEURAL}, id="a bound field"),
        pytest.param({"aggs": {"neural": {"terms": {"field": "a"}}}}, id="an aggregation of this name"),
        pytest.param({"query": {"term": {"neural": "x"}}}, id="a field of this name"),
    ],
)
def test_no_other_query_is_refused(body: Json) -> None:
    refuse_unbound(body, PAPERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b'{"neural":{}}', True), (b'{"wrapper":{}}', True), (b'{"\\u006eeural":1}', True), (b"{}", False)],
)
def test_bodies_that_may_hold_a_clause(text: bytes, expected: bool) -> None:
    assert may_hold_neural(text) is expected
