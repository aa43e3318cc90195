"""Reads of the fuzzer: searches and what else shows documents, mostly good, with one fault or odd form here and there."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from tests.soak.sent import JSON, NDJSON, Sent, changed, codings, mostly, rendered, with_query

DOCUMENTS: Final = {
    f"{number}": {"title": title, "abstract": abstract, "year": 2000 + number, "team": ("red", "blue")[number % 2]}
    for number, (title, abstract) in enumerate(
        [("Felines purr", "A kitten is content"), ("Dogs bark", "A hound at strangers"), ("Rates rise", "The bank"),
         ("Cat allergies", "Sneezing near pets"), ("Rivers", "Water at the bank"), ("Zoë 🦉", "Owls hoot")]
    )
}  # fmt: skip
_words = mostly(
    st.sampled_from(["cats", "dogs bark", "bank", "river owls"]),
    st.sampled_from(["", " ", "\ud800", "🦉", "a" * 500]),
    8,
)
_usual_texts = st.one_of(
    st.builds(lambda words: {"match": {"title": words}}, _words),
    st.builds(lambda words: {"match": {"abstract": {"query": words, "operator": "and"}}}, _words),
    st.builds(lambda words: {"multi_match": {"query": words, "fields": ["title^2", "abstract"]}}, _words),
    st.builds(lambda words: {"query_string": {"query": words, "default_field": "title"}}, _words),
    st.builds(lambda words: {"simple_query_string": {"query": words, "fields": ["title"]}}, _words),
    st.builds(lambda words: {"match_phrase": {"title": {"query": words, "slop": 2}}}, _words),
)
_odd_texts = st.sampled_from(
    [{"match": {"title": 5}}, {"match": {"title": None}}, {"match": {"title": ["a"]}}, {"match": {}}, {"match": "a"},
     {"match": {"title": "a", "abstract": "b"}}, {"match": {"title": {"query": "a", "fuzziness": "x"}}},
     {"match": {"title": {"query": "a", "minimum_should_match": "x"}}}, {"match": {"": "a"}}, {"match": {"t*": "a"}},
     {"multi_match": {"query": "a", "fields": ["*"]}}, {"multi_match": {"query": "a", "fields": []}},
     {"multi_match": {"query": "a", "fields": "title", "type": "x"}}, {"query_string": {"query": "title:("}},
     {"multi_match": {"query": "a", "fields": ["title^x"]}}, {"query_string": {"query": "_exists_:title AND a"}},
     {"match": {"title": {"query": "a", "boost": -1}}}, {"nothing": {}}, {}, {"match_all": {}}, {"match_none": {}},
     {"match": {"title": {"query": "a", "unknown": 1}}}, {"match": {"title": {"query": "a", "_name": "n"}}},
     {"wrapper": {"query": "eyJtYXRjaF9hbGwiOnt9fQ=="}}, {"function_score": {"query": {"match": {"title": "bank"}}}},
     {"dis_max": {"queries": [{"match": {"title": "a"}}]}}, {"constant_score": {"filter": {"match": {"title": "bank"}}}}]
)  # fmt: skip

_filters: st.SearchStrategy[tuple[Any, frozenset[str]]] = st.one_of(  # with the ids that they let through
    st.sampled_from(["red", "blue"]).map(
        lambda team: ({"term": {"team": team}}, _where(lambda one: one["team"] == team))
    ),
    st.integers(1999, 2007).map(
        lambda year: ({"range": {"year": {"gte": year}}}, _where(lambda one: one["year"] >= year))
    ),
    st.sets(st.sampled_from(sorted(DOCUMENTS)), max_size=3).map(
        lambda ids: ({"ids": {"values": sorted(ids)}}, frozenset(ids))
    ),
    st.just(({"match_none": {}}, frozenset[str]())),
)


def _where(holds: Any) -> frozenset[str]:
    return frozenset(name for name, one in DOCUMENTS.items() if holds(one))


_options = st.fixed_dictionaries(
    {},
    optional={
        "size": mostly(st.integers(0, 20), st.sampled_from([-1, "3", None, 20_000, 1.5]), 8),
        "from": mostly(st.integers(0, 3), st.sampled_from([-1, "x", 10_001]), 8),
        "_source": st.sampled_from([True, False, "title", ["t*"], {"excludes": ["title"]}, {"includes": []}, 5, None, {"x": 1}]),
        "fields": st.sampled_from([["*"], ["title"], ["emb*"], "title", [], [{"field": "year"}], 5]),
        "stored_fields": st.sampled_from(["year", "_none_", ["*"], ["_source"], []]),
        "docvalue_fields": st.sampled_from([["year"], ["*"], ["t*"], [{"field": "team"}], 5]),
        "sort": st.sampled_from([["year"], [{"year": "desc"}], "_score", ["none"], [{"year": "x"}]]),
        "aggs": st.sampled_from(
            [{"a": {"terms": {"field": "team"}}}, {"a": {"top_hits": {}}}, {"a": {"top_hits": {"_source": "title"}}}, {"a": {}}, 5]
        ),
        "track_total_hits": st.sampled_from([True, False, 3, "x"]),
        "min_score": st.sampled_from([0.1, 1e9, "x"]),
        "highlight": st.sampled_from([{"fields": {"title": {}}}, {"fields": {"*": {}}}, {}, 5]),
        "explain": st.sampled_from([True, "x"]),
        "version": st.just(True),
        "collapse": st.sampled_from([{"field": "team"}, {"field": "team", "inner_hits": {"name": "i"}}, {"field": "title"}]),
        "rescore": st.just({"window_size": 5, "query": {"rescore_query": {"match": {"title": "bank"}}}}),
        "terminate_after": st.sampled_from([1, 0, -1]),
        "timeout": st.sampled_from(["1m", "soon"]),
        "search_after": st.sampled_from([[2001], [], ["x"]]),
        "suggest": st.just({"s": {"text": "dgos", "term": {"field": "title"}}}),
        "script_fields": st.just({"s": {"script": "1"}}),
        "search_pipeline": st.sampled_from(["no-such-pipeline", "\ud800", {}, 5]),
        "unknown": st.just(1),
        "indices_boost": st.sampled_from([[{"INDEX": 2}], 5]),
        "slice": st.just({"id": 0, "max": 2}),
        "ext": st.sampled_from([{}, {"x": {}}]),
    },
)  # fmt: skip
_few_options = mostly(
    st.fixed_dictionaries({}, optional={"size": st.integers(0, 20), "_source": st.sampled_from([True, "title"])}),
    _options,
    2,
)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[dict[str, Any], frozenset[str]]:
    """A search, and the ids that its filters let through."""
    query, allowed = draw(mostly(_usual_texts, _odd_texts, 5)), frozenset(DOCUMENTS)
    for kind in draw(st.lists(st.sampled_from(["filter", "filter", "must", "must_not", "should", "deep"]), max_size=3)):
        constraint, lets = draw(_filters)
        match kind:
            case "filter" | "must":
                query, allowed = (
                    {"bool": {"must": [query, constraint] if kind == "must" else [query], "filter": constraint}},
                    allowed & lets,
                )
            case "must_not":
                query, allowed = {"bool": {"must": query, "must_not": [constraint]}}, allowed - lets
            case "should":
                query = {"bool": {"must": [query], "should": [constraint]}}
            case "deep":
                for _ in range(draw(st.integers(2, 30))):
                    query = {"bool": {"must": [query]}}
    body: dict[str, Any] = {"query": query, **draw(_few_options)}
    if draw(st.integers(1, 4)) == 1:
        body["post_filter"], lets = draw(_filters)
        allowed &= lets
    return body, allowed


_url = st.sampled_from(
    ["size=2", "size=x", "_source=title", "_source=false", "_source_excludes=title", "_source_includes=t*", "q=cats",
     "q=title:(", "sort=year:desc", "from=-1", "unknown=1", "pretty", "filter_path=hits.hits._id", "format=yaml",
     "typed_keys", "rest_total_hits_as_int=true", "track_total_hits=2", "search_type=dfs_query_then_fetch", "search_type=x",
     "preference=_local", "routing=a", "ignore_unavailable=true", "stored_fields=_none_", "docvalue_fields=year",
     "explain=true", "_source=t;size=1", "%5Fsource=title", "%zz", "request_cache=true", "allow_partial_search_results=false",
     "batched_reduce_size=1", "error_trace", "source=%7B%7D&source_content_type=application/json", "search_pipeline=none"]
)  # fmt: skip
_queries = mostly(st.just([]), st.lists(_url, min_size=1, max_size=2), 4)
_types = st.sampled_from(
    ["", "text/plain", "application/yaml", "Application/JSON", "nonsense", "application/json; charset=utf-8"]
)
_one_paths = mostly(
    st.just("/INDEX/_search"),
    st.sampled_from(
        [
            "/INDEX/_search/",
            "/INDEX,INDEX/_search",
            "/INDEX*/_search",
            "/INDEX,none/_search",
            "/none/_search",
            "/INDEX/_count",
            "/INDEX/_validate/query",
            "/INDEX/_explain/1",
            "/%49NDEX/_search",
        ]
    ),
    3,
)


def _headers(draw: st.DrawFn, usual: str) -> dict[str, str]:
    kind = draw(mostly(st.just(usual), _types, 15))
    mode = draw(st.sampled_from(["", "lexical"]))
    return {"Content-Type": kind} | ({"X-Sidecar-Mode": mode} if mode else {})


@st.composite
def searches(draw: st.DrawFn) -> Sent:
    body, allowed = draw(_bodies())
    sent = draw(rendered(body))
    is_changed = draw(st.integers(1, 8)) == 1
    query = draw(_queries)
    if is_changed:
        sent = draw(changed(sent))
    is_known = not is_changed and not query
    path = draw(_one_paths)
    return Sent(
        draw(mostly(st.just("POST"), st.sampled_from(["GET", "PUT"]), 6)), with_query(path, query), sent,
        _headers(draw, JSON), draw(codings), allowed if is_known else None,
    )  # fmt: skip


@st.composite
def several_searches(draw: st.DrawFn) -> Sent:
    lines = []
    for _ in range(draw(st.integers(1, 3))):
        head = draw(mostly(st.sampled_from([{}, {"index": "INDEX"}]), st.sampled_from(
            [{"index": ["INDEX"]}, {"index": "none"}, {"index": 5}, {"unknown": 1}, {"preference": "_local"}, [], {"search_type": "x"},
             {"ignore_unavailable": True, "index": "none"}, {"index": "\ud800"}, {"routing": 5}]), 6))  # fmt: skip
        body, _ = draw(_bodies())
        lines += [draw(rendered(head)), draw(rendered(body))]
    end = draw(mostly(st.just(b"\n"), st.sampled_from([b"", b"\n\n", b"\r\n"]), 15))
    sent = b"\n".join(lines) + end
    if draw(st.integers(1, 8)) == 1:
        sent = draw(changed(sent))
    return Sent("POST", with_query("/INDEX/_msearch", draw(_queries)), sent, _headers(draw, NDJSON), draw(codings))


# Few, because a cluster compiles 75 in five minutes.
_sources = st.sampled_from(
    [{"query": {"match": {"title": "cats"}}, "_source": ["t*"]}, {"query": {"match": {"title": "{{words}}"}}, "size": 3},
     {"query": {"match": {"abstract": "bank"}}, "fields": 5}, {"query": {"nothing": {}}}, '{"size": {{a}} }', "{", 5, None]
)  # fmt: skip
_calls = st.fixed_dictionaries(
    {"source": _sources},
    optional={
        "params": st.sampled_from([{}, {"words": "river", "a": 1}, {"words": "\ud800"}, 5]),
        "explain": st.booleans(),
        "profile": st.sampled_from([False, "x"]),
        "id": st.just("none"),
        "unknown": st.just(1),
    },
)


@st.composite
def templates(draw: st.DrawFn) -> Sent:
    path = with_query("/INDEX/_search/template", draw(_queries))
    return Sent("POST", path, json.dumps(draw(_calls)).encode(), _headers(draw, JSON), draw(codings))


_several = st.one_of(
    st.fixed_dictionaries({"ids": st.lists(st.sampled_from(["0", "1", "none", 2, None]), max_size=3)}),
    st.fixed_dictionaries({"docs": st.lists(st.fixed_dictionaries({"_id": st.sampled_from(["0", "none", 1])}, optional={
        "_source": st.sampled_from([True, False, "title", ["t*"], {"includes": ["*"]}, 5]), "_index": st.sampled_from(["INDEX", "none", 5]),
        "stored_fields": st.sampled_from(["year", ["_source"]]), "unknown": st.just(1)}), max_size=3)}),
    st.sampled_from([{}, [], {"docs": 5}, {"ids": "0"}, {"docs": [], "ids": []}]),
)  # fmt: skip


@st.composite
def documents_by_id(draw: st.DrawFn) -> Sent:
    query = draw(
        mostly(
            st.just([]),
            st.lists(
                st.one_of(_url, st.sampled_from(["realtime=false", "version=1", "refresh=x"])), min_size=1, max_size=2
            ),
            2,
        )
    )
    if draw(st.booleans()):
        path = draw(
            st.sampled_from(
                [
                    "/INDEX/_doc/0",
                    "/INDEX/_source/0",
                    "/INDEX/_doc/none",
                    "/INDEX/_source/none",
                    "/INDEX/_doc/%ED%A0%80",
                ]
            )
        )
        return Sent(draw(st.sampled_from(["GET", "HEAD"])), with_query(path, query))
    body = draw(rendered(draw(_several)))
    path = draw(mostly(st.just("/INDEX/_mget"), st.just("/_mget"), 5))
    return Sent("POST", with_query(path, query), body, _headers(draw, JSON), draw(codings))


reads = st.one_of(searches(), searches(), searches(), several_searches(), templates(), documents_by_id())
