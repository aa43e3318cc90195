"""No search body is an error of ours, whatever stands in whatever place of it."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.hidden_fields import hidden_in
from sidecar.bridge.hidden_hits import hide_in_search
from sidecar.bridge.searches.explanation import explanation
from sidecar.bridge.searches.fusion.legs import legs_request, page_request
from sidecar.bridge.searches.fusion.request import Shard, plan_legs
from sidecar.bridge.searches.msearch_body import parse_msearch
from sidecar.bridge.searches.rewrite.companion import fits
from sidecar.bridge.searches.rewrite.plan import (
    NeuralSearch,
    TextSearch,
    in_bridge,
    plan_search,
    rewrite,
    vector_leg,
    with_pipeline,
)
from sidecar.bridge.searches.rewrite.point_in_time import expression_of_point
from sidecar.bridge.searches.search_body import parse_search
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, Object, dumps, dumps_quick
from tests.support.bindings import an_index

INDICES = (an_index(shards=2),)

_texts = st.text(alphabet='a*^.\ud800\udfff\U0001f600 :"', max_size=4)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([1e300, -0.0, 10**30, "title", "embedding", "phrase", "and", "_none_", "true", "desc", "m@1"])
    | _texts
)
_KEYS = (
    "aggs", "bool", "boost", "collapse", "combined_fields", "dis_max", "docvalue_fields", "embedding", "excludes",
    "field", "fields", "filter", "from", "highlight", "id", "includes", "inner_hits", "k", "knn", "match", "match_all",
    "model_id", "multi_match", "must", "must_not", "_name", "neural", "operator", "phase_results_processors", "pit",
    "post_filter", "queries", "query", "query_string", "query_text", "request_processors", "response_processors",
    "search_pipeline", "should", "simple_query_string", "size", "sort", "_source", "title", "track_total_hits", "type",
)  # fmt: skip
_anything = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS) | _texts, inner, max_size=3),
    max_leaves=12,
)
_words = st.fixed_dictionaries(
    {"query": _scalars}, optional={"fields": _anything, "type": _anything, "operator": _anything}
)
_clauses = st.recursive(
    st.sampled_from(["multi_match", "query_string", "simple_query_string", "combined_fields"]).flatmap(
        lambda kind: _words.map(lambda spec: {kind: spec})
    )
    | _anything.map(lambda spec: {"neural": {"embedding": spec}})
    | _anything.map(lambda spec: {"match": {"title": spec}})
    | _anything,
    lambda inner: st.dictionaries(
        st.sampled_from(["must", "should", "filter", "must_not", "boost"]),
        st.lists(inner, max_size=2) | inner,
        max_size=3,
    ).map(lambda spec: {"bool": spec}),
    max_leaves=6,
)
_bodies = st.fixed_dictionaries({"query": _clauses}, optional=dict.fromkeys(sorted(set(_KEYS) - {"query"}), _anything))
_urls = st.dictionaries(
    st.sampled_from(["q", "size", "from", "preference", "search_pipeline", "_source"]), _texts, max_size=2
)


def answered(body: Object, url: dict[str, str]) -> None:
    """Everything that is done with a search, up to the bytes that are sent."""
    expression_of_point(body)
    plan = plan_search(body, INDICES, None, url)
    changed, _ = hide_in_search(body, url, hidden_in(INDICES))
    body = {**body, **changed}
    dumps_quick(body)
    if not isinstance(plan, TextSearch | NeuralSearch):
        return
    rewritten = rewrite(body, plan, ([0.5, 0.25],) * len(plan.texts), INDICES)
    dumps_quick(rewritten)
    explanation("/papers/_search", rewritten).encode("latin-1")
    if not isinstance(plan, TextSearch):
        return
    fits(INDICES, INDICES[0], (plan.query, plan.knn_filter))
    if plan.pipeline is not None:
        with_pipeline(plan, plan.pipeline if isinstance(plan.pipeline, dict) else None)
    moved = in_bridge(plan, body, url, INDICES)
    if isinstance(moved, TextSearch):
        knn = vector_leg(moved, [0.5, 0.25])
        shards = [Shard(0, "papers"), Shard(1, "papers")]
        search = plan_legs({**(changed or body), "query": plan.query}, knn, 100, shards, url, token="t")
        legs_request(search)
        page_request(search, [(0, 1)], [(1, 2)])


@given(body=_bodies, url=_urls)
def test_no_body_is_an_error_of_ours(body: Object, url: dict[str, str]) -> None:
    parsed = parse_search(dumps(body))
    if parsed is not None:
        with suppress(InvalidInput):
            answered(parsed, url)


@given(header=_anything, body=_anything)
def test_no_item_of_an_msearch_is_an_error_of_ours(header: Json, body: Json) -> None:
    for item in parse_msearch(dumps(header) + b"\n" + dumps(body) + b"\n") or ():
        item.parameters({})
        item.lines(b"{}", (item.expression or "a", "b"))


@pytest.mark.parametrize("levels", [150, 250, 900, 1_000, 20_000])
@pytest.mark.parametrize("clause", ['{"bool":{"must":', '{"nested":{"query":', "[", '{"a":'])
def test_no_depth_is_an_error_of_ours(levels: int, clause: str) -> None:
    ends = "".join({"{": "}", "[": "]"}[sign] for sign in reversed(clause) if sign in "{[")
    nested = f'{clause * levels}{{"match":{{"title":"cats"}}}}{ends * levels}'
    for body in (f'{{"query":{nested}}}', f'{{"_source":{nested}}}', f'{{"aggs":{nested}}}', nested):
        parsed = parse_search(body.encode())
        if parsed is not None:
            with suppress(InvalidInput):
                answered(parsed, {})
        parse_msearch(f'{{"index":{nested}}}\n{body}\n'.encode())
