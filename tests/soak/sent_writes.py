"""Writes of the fuzzer: documents, updates and bulks, mostly good, with one fault or one odd form here and there."""

from typing import Any, Final

from hypothesis import strategies as st

from tests.soak.sent import JSON, NDJSON, Sent, changed, codings, mostly, nested, rendered, with_query

STORED: Final = {  # of each run, before its request
    "RUNRUN-1": {"title": "Felines purr", "abstract": "A kitten", "year": 2001},
    "RUNRUN-2": {"title": "Dogs bark", "tag": "loud"},
    "RUNRUN-3": {"year": 2003},
}
IDS: Final = tuple(f"RUNRUN-{number}" for number in range(1, 7))
_words = st.sampled_from(["Cats", "Felines purr", "Zoë 🦉", " ", "", "a\u0000b", "\ud83d", "x" * 300, "ﬁ\u202e\u200b"])
_texts = mostly(
    _words,
    st.sampled_from([None, 7, 1.5, True, [], ["Cats", None], [["Cats"], "purr"], {}, {"a": "b"}, [{"a": 1}], 10**30]),
)
_beside: dict[str, st.SearchStrategy[Any]] = {
    "abstract": _texts,
    "year": mostly(st.integers(1, 9), st.sampled_from(["7", "x", 1.5, 10**12, None, [1, 2], {}, 1e308])),
    "tag": st.sampled_from(["a", "b", None, 1, ["a", "b"]]),
    "parts": st.sampled_from([{"text": "a"}, [{"text": "a"}, {"text": "b"}], [], None]),
    "more": st.sampled_from([{}, {"a": {"b": []}}, [[], {}], -0.0, 10**25, 1e-320, nested(40), nested(300)]),
    "title.raw": st.just("dotted"),
    "": st.just("no name"),
}
documents = st.fixed_dictionaries({}, optional={"title": _texts, **_beside})
_usual_documents = st.fixed_dictionaries({"title": _words}, optional={"year": st.integers(1, 9)})

_scripts = st.sampled_from(
    ["ctx._source.title = 'Owls'", "ctx.op = 'none'", "ctx.op = 'delete'", "ctx._source.year = 1", "no painless",
     {"source": "ctx._source.title = params.a", "params": {"a": "Bees"}}, {"id": "none"}, {}, 5]
)  # fmt: skip
_updates = st.one_of(
    st.fixed_dictionaries(
        {"doc": documents},
        optional={"doc_as_upsert": st.sampled_from([True, False, "x"]), "detect_noop": st.sampled_from([False, True])},
    ),
    st.fixed_dictionaries({"doc": documents, "upsert": documents}),
    st.fixed_dictionaries({"script": _scripts}, optional={"upsert": documents, "scripted_upsert": st.booleans()}),
    st.sampled_from([{}, {"doc": 5}, {"doc": None}, {"dok": {}}, {"doc": {}, "script": "1"}, [], "x"]),
    st.fixed_dictionaries({"doc": documents}, optional={"_source": st.sampled_from([True, ["title"], "t*"])}),
)
_usual_updates = st.one_of(
    st.fixed_dictionaries({"doc": _usual_documents}, optional={"doc_as_upsert": st.booleans()}),
    st.fixed_dictionaries({"script": st.just("ctx._source.year = 1")}, optional={"upsert": _usual_documents}),
)

_odd_ids = st.sampled_from([7, 1.5, True, None, "", "x" * 513, ["a"], {}, "a/b", "\ud800", "RUNRUN-é"])
_odd_options = st.fixed_dictionaries(
    {},
    optional={
        "routing": st.sampled_from(["a", 7, None, ""]),
        "version": st.sampled_from([1, 5, -5, "5", None]),
        "version_type": st.sampled_from(["external", "external_gte", "internal", "none"]),
        "if_seq_no": st.sampled_from([0, 5, -1, "x"]),
        "if_primary_term": st.sampled_from([1, 0]),
        "retry_on_conflict": st.sampled_from([3, "x", -1]),
        "pipeline": st.sampled_from(["_none", "no-such-pipeline", None]),
        "require_alias": st.sampled_from([True, False, "x"]),
        "_type": st.just("t"),
        "_source": st.sampled_from([True, "title"]),
        "op_type": st.just("create"),
        "_index": st.sampled_from(["INDEX", "UPPER", "_x", "", None, ["INDEX"], "a,b"]),
        "unknown": st.just(1),
    },
)
_ids = st.sampled_from(IDS)


@st.composite
def _items(draw: st.DrawFn) -> bytes:
    """An action and its source, as lines."""
    action = draw(
        mostly(st.sampled_from(["index", "create", "update", "delete"]), st.sampled_from(["Index", "x", ""]), 30)
    )
    identifier = draw(mostly(_ids, _odd_ids, 12))
    meta: dict[str, Any] = {} if draw(st.integers(1, 12)) == 1 else {"_id": identifier}
    meta |= draw(mostly(st.just({}), _odd_options, 8))
    line = {action: draw(mostly(st.just(meta), st.sampled_from([5, None, [], "x"]), 40))}
    if draw(st.integers(1, 40)) == 1:
        line["more"] = {"_id": "RUNRUN-6"}
    end = draw(mostly(st.just(b"\n"), st.sampled_from([b"\r\n", b" \n", b"\n\n", b""]), 20))
    if action == "delete":
        return draw(rendered(line)) + end
    source = draw(mostly(_usual_updates, _updates, 3) if action == "update" else mostly(_usual_documents, documents, 3))
    return draw(rendered(line)) + b"\n" + draw(rendered(source)) + end


_bulk_options = st.sampled_from(
    ["refresh=false", "refresh=wait", "refresh=", "pipeline=_none", "pipeline=no-such-pipeline", "routing=a", "pretty",
     "timeout=1m", "timeout=soon", "wait_for_active_shards=1", "wait_for_active_shards=x", "require_alias=true",
     "require_alias=x", "_source=true", "_source=title", "unknown=1", "error_trace=true", "human", "format=yaml",
     "filter_path=items.*.status,errors", "filter_path=-took", "timeout=1m;pretty", "re%66resh=false", "%zz=1",
     "batch_size=1", "pretty=x", "=1", "source=x", "global=1"]
)  # fmt: skip
_document_options = st.one_of(
    _bulk_options,
    st.sampled_from(
        ["op_type=create", "op_type=index", "op_type=x", "version=5", "version=5&version_type=external", "version=x",
         "version_type=none", "if_seq_no=0", "if_seq_no=0&if_primary_term=1", "if_seq_no=99&if_primary_term=1",
         "retry_on_conflict=2", "lang=painless", "_source_excludes=title", "fields=a"]
    ),
)  # fmt: skip
_types = st.sampled_from(
    ["", "text/plain", "Application/JSON", "application/json; charset=UTF-8", "application/json;charset=latin-1",
     "application/x-ndjson", "application/json, text/plain", "application/yaml", "nonsense", "application/cbor",
     "application/x-www-form-urlencoded", "application/json; compatible-with=7", "application/vnd.opensearch+json"]
)  # fmt: skip


def _headers(draw: st.DrawFn, usual: str) -> dict[str, str]:
    kind = draw(mostly(st.just(usual), _types, 12))
    accept = draw(mostly(st.just(""), st.sampled_from([JSON, "application/yaml", "text/html", "*/*", "nonsense"]), 20))
    return {"Content-Type": kind} | ({"Accept": accept} if accept else {})


@st.composite
def bulks(draw: st.DrawFn) -> Sent:
    body = b"".join(draw(st.lists(_items(), min_size=1, max_size=4)))
    if draw(st.integers(1, 8)) == 1:
        body = draw(changed(body))
    query = draw(mostly(st.just([]), st.lists(_bulk_options, min_size=1, max_size=2), 5))
    path = draw(mostly(st.just("/INDEX/_bulk"), st.sampled_from(["/INDEX/_bulk/", "/_bulk", "/UPPER/_bulk"]), 12))
    method = draw(mostly(st.just("POST"), st.sampled_from(["PUT", "GET", "DELETE"]), 20))
    return Sent(method, with_query(path, query), body, _headers(draw, NDJSON), draw(codings))


_paths = st.sampled_from(
    ["/INDEX/_doc/{}", "/INDEX/_doc/{}/", "/INDEX/_doc", "/INDEX/_create/{}", "/INDEX/_create", "/INDEX/_update/{}",
     "/INDEX/_doc/{}/_update", "/INDEX/_doc/{}/_create", "/INDEX/t/{}", "/INDEX/%5Fdoc/{}", "/INDEX/_doc/", "/UPPER/_doc/{}"]
)  # fmt: skip
_usual_paths = st.sampled_from(["/INDEX/_doc/{}", "/INDEX/_doc", "/INDEX/_create/{}", "/INDEX/_update/{}"])
_odd_names = st.sampled_from(["%20", "a%2Fb", "%ED%A0%80", "%FF", "x" * 513, "RUNRUN-%C3%A9", "a+b", "%zz", "_x"])


@st.composite
def single_writes(draw: st.DrawFn) -> Sent:
    path = draw(mostly(_usual_paths, _paths, 10)).format(draw(mostly(_ids, _odd_names, 15)))
    is_update = "_update" in path
    value = draw(mostly(_usual_updates, _updates, 2) if is_update else mostly(_usual_documents, documents, 2))
    body: bytes | None = draw(rendered(value))
    if draw(st.integers(1, 8)) == 1:
        body = draw(st.one_of(changed(body), st.sampled_from([b"", None, b"[]", b"5", b"\xff", b"null", b"{}{}"])))
    query = draw(mostly(st.just([]), st.lists(_document_options, min_size=1, max_size=2), 4))
    method = draw(mostly(st.just("POST"), st.sampled_from(["PUT", "GET", "PATCH"]), 5))
    coding = "" if body is None else draw(codings)
    return Sent(method, with_query(path, query), body, {} if body is None else _headers(draw, JSON), coding)


writes = st.one_of(bulks(), bulks(), single_writes())
