"""Reads of documents and their options, as rows: each is sent to a bound index through the bridge and to an unbound one.

`tests/cluster/bridge/test_reads_transparency.py` runs every row, and `docs/transparency.md` shows them.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from tests.support.http import ndjson

MAPPING: Final = {
    "settings": {"number_of_shards": 1},
    "mappings": {
        "properties": {
            "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
            "abstract": {"type": "text"},
            "content": {"type": "text"},
            "year": {"type": "integer", "store": True},
            "blob": {"type": "text", "index": False},
            "tag": {"type": "keyword"},
            "day": {"type": "date"},
            "typed": {"type": "search_as_you_type"},
            "parts": {"type": "nested", "properties": {"text": {"type": "text"}}},
            "known": {"type": "completion"},
        }
    },
}
DOCUMENTS: Final = {
    "1": {"title": "Felines purr", "tag": "a", "year": 2001, "day": "2001-02-03", "parts": [{"text": "whiskers"}]},
    "2": {
        "title": "Dogs bark",
        "tag": "a",
        "year": 2002,
        "typed": "dogs bark",
        "known": "dogs",
        "embeddings": "dynamic",
    },
    "3": {"title": "Rates rise", "tag": "b", "year": 2003, "ratio": 1.5, "long": 9007199254740993, "none": None},
}

JSON: Final = "application/json"
YAML: Final = "application/yaml"
NDJSON: Final = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Row:
    """One request, and how its two answers compare. `INDEX` in path and body is the name of an index."""

    route: str
    option: str
    method: str
    path: str
    body: bytes | None = None
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    differs: str = ""  # why the answer through the bridge differs in more than our fields. "": it does not


def rows() -> Iterator[Row]:
    """Every read of documents that OpenSearch 2.19 has, with its options."""
    yield from _of_one_document()
    yield from _of_several_documents()
    yield from _searches()
    yield from _search_bodies()
    yield from _searches_in_other_forms()
    yield from _several_searches()
    yield from _others()


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


def _of_one_document() -> Iterator[Row]:
    options = (
        "", "_source", "_source=true", "_source=false", "_source=title", "_source=t*,year", "_source=*",
        "_source_includes=title", "_source_excludes=title", "_source_includes=*&_source_excludes=tag",
        "_source=title&_source_includes=year", "%5Fsource_includes=title", "_source_excludes=title&_source_excludes=tag",
        "_source_includes=title;_source_excludes=year", "_source_excludes=", "filter_path=_source.title", "pretty",
        "format=yaml", "human", "error_trace",
    )  # fmt: skip
    reading = ("realtime=false", "refresh=true", "routing=x", "preference=_local", "version=1", "version=7",
               "version_type=external&version=1")  # fmt: skip
    stored = ("stored_fields=year", "stored_fields=_source", "stored_fields=year,_source", "stored_fields=_none_",
              "stored_fields=year&_source_excludes=title", "stored_fields=*", "stored_fields=")  # fmt: skip
    for option in (*options, *reading, *stored):
        yield Row("`GET {index}/_doc/{id}`", option, "GET", f"/INDEX/_doc/1?{option}")
    for option in (*options, *reading):
        yield Row("`GET {index}/_source/{id}`", option, "GET", f"/INDEX/_source/1?{option}")
    for route in ("_doc", "_source"):
        yield Row(f"`HEAD {{index}}/{route}/{{id}}`", "", "HEAD", f"/INDEX/{route}/1")
        yield Row(f"`GET {{index}}/{route}/{{id}}`", "a document that is not there", "GET", f"/INDEX/{route}/none")
    query = _json({"query": {"match": {"title": "felines"}}})
    for option in (*options, *stored, "lenient", "preference=_local"):
        yield Row("`{index}/_explain/{id}`", option, "POST", f"/INDEX/_explain/1?{option}", query)
    yield Row("`{index}/_explain/{id}`", "q=title:felines&_source", "GET", "/INDEX/_explain/1?q=title:felines&_source")


def _of_several_documents() -> Iterator[Row]:
    own: tuple[dict[str, object], ...] = (
        {}, {"_source": True}, {"_source": False}, {"_source": "title"}, {"_source": ["t*"]},
        {"_source": {"includes": ["*"], "excludes": ["tag"]}}, {"_source": {"exclude": ["tag"]}},
        {"stored_fields": ["year"]}, {"stored_fields": "_source"}, {"routing": "x"}, {"version": 7}, {"unknown": 1},
        {"_source": 1}, {"_source": {"unknown": []}},
    )  # fmt: skip
    url = ("", "_source=false", "_source=title", "_source_excludes=tag", "stored_fields=year", "stored_fields=_source",
           "stored_fields=year&_source=true", "realtime=false", "refresh=true", "filter_path=docs._source")  # fmt: skip
    for route, path in (("`_mget`", "/_mget"), ("`{index}/_mget`", "/INDEX/_mget")):
        for one in own:
            document = {"_index": "INDEX", "_id": "1", **one} if path == "/_mget" else {"_id": "1", **one}
            body = _json({"docs": [document, {**document, "_id": "none"}]})
            yield Row(route, json.dumps(one) if one else "", "POST", path, body)
        body = _json({"docs": [{"_index": "INDEX", "_id": "1"}, {"_index": "INDEX", "_id": "2", "_source": "tag"}]})
        for option in url[1:]:
            yield Row(route, option, "POST", f"{path}?{option}", body)
        if path != "/_mget":  # there it depends on every index of the cluster whether a field is hidden
            yield Row(route, "in YAML", "POST", path, b"docs:\n- _index: INDEX\n  _id: '1'\n", YAML)
        yield Row(
            route, "a filter in YAML", "POST", path, b"docs:\n- _index: INDEX\n  _id: '1'\n  _source: tag\n", YAML
        )
        yield Row(route, "in UTF-16", "POST", path, body.decode().encode("utf-16"))
        yield Row(route, "with comments", "POST", path, b"/* both */" + body)
        source = f"source_content_type=application/json&source={quote(body)}"
        yield Row(route, "`source` in the URL", "GET", f"{path}?{source}")
    for option in url:
        yield Row(
            "`{index}/_mget`", f"ids {option}".strip(), "POST", f"/INDEX/_mget?{option}", _json({"ids": ["1", "2"]})
        )
    both = _json({"ids": ["1"], "docs": [{"_id": "2"}, {"_id": "3", "stored_fields": "year"}]})
    yield Row("`{index}/_mget`", "ids and docs", "POST", "/INDEX/_mget", both)


def _searches() -> Iterator[Row]:
    for option in (
        "", "_source=false", "_source=title", "_source_includes=t*", "_source_excludes=tag", "%5Fsource=title",
        "_source=title;size=1", "stored_fields=year", "stored_fields=_source", "stored_fields=_none_",
        "docvalue_fields=year", "q=felines", "q=title:dogs&_source=tag", "sort=year:desc", "size=1&from=1",
        "track_total_hits=false", "rest_total_hits_as_int=true", "version=true&seq_no_primary_term=true",
        "filter_path=hits.hits._source", "pretty", "format=yaml", "typed_keys", "explain=true", "search_type=dfs_query_then_fetch",
        "scroll=1m", "terminate_after=1", "preference=_local", "allow_no_indices=false", "suggest_field=title&suggest_text=dgos",
        "unknown=1", "size=-1",
    ):  # fmt: skip
        yield Row("`{index}/_search`", option, "GET", f"/INDEX/_search?{option}")
    for encoding in ("gzip", "deflate", "gzip;q=0", "identity"):
        headers = {"Accept-Encoding": encoding}
        yield Row("`{index}/_search`", f"Accept-Encoding: {encoding}", "GET", "/INDEX/_search", headers=headers)
    for accepted in (YAML, "application/cbor", "application/smile"):
        headers = {"Accept": accepted}
        yield Row("`{index}/_search`", f"Accept: {accepted}", "GET", "/INDEX/_search", headers=headers)


BODIES: Final[dict[str, dict[str, object]]] = {
    "_source: true": {"_source": True},
    "_source: false": {"_source": False},
    "_source: a name": {"_source": "title"},
    "_source: names": {"_source": ["title", "year"]},
    "_source: includes and excludes": {"_source": {"includes": ["*"], "excludes": ["tag"]}},
    "_source: the old spelling": {"_source": {"include": ["t*"], "exclude": ["tag"]}},
    "_source: an object within": {"_source": ["parts.text"]},
    "stored_fields: a name": {"stored_fields": ["year"]},
    "stored_fields: a pattern": {"stored_fields": "*"},
    "stored_fields: `_none_`": {"stored_fields": ["_none_"]},
    "stored_fields: `_source`": {"stored_fields": ["_source", "year"]},
    "script_fields": {"script_fields": {"y": {"script": "doc['year'].value"}}},
    "script_fields and _source": {"script_fields": {"y": {"script": "doc['year'].value"}}, "_source": True},
    "fields: everything": {"fields": ["*"], "_source": False},
    "fields: a pattern of ours": {"fields": ["e*"], "_source": False},
    "fields: with a format": {"fields": [{"field": "d*", "format": "yyyy"}]},
    "fields: names": {"fields": ["title", "title.raw", "none"]},
    "docvalue_fields: a pattern": {"docvalue_fields": ["y*"]},
    "docvalue_fields: a pattern of ours": {"docvalue_fields": ["embedding_m*"], "_source": False},
    "highlight": {"query": {"match": {"title": "dogs"}}, "highlight": {"fields": {"title": {}}}},
    "explain and version": {"explain": True, "version": True, "seq_no_primary_term": True, "size": 1},
    "top_hits": {"size": 0, "aggs": {"t": {"top_hits": {"size": 2}}}},
    "top_hits: a filter": {"size": 0, "aggs": {"t": {"top_hits": {"_source": ["t*"]}}}},
    "top_hits: no source": {"size": 0, "aggs": {"t": {"top_hits": {"_source": False}}}},
    "top_hits: stored_fields": {"size": 0, "aggs": {"t": {"top_hits": {"stored_fields": ["year"]}}}},
    "top_hits: script_fields": {"size": 0, "aggs": {"t": {"top_hits": {"script_fields": {"a": {"script": "1"}}}}}},
    "top_hits: fields": {"size": 0, "aggs": {"t": {"top_hits": {"fields": ["*"], "_source": False}}}},
    "top_hits: within buckets": {
        "size": 0,
        "aggregations": {"g": {"terms": {"field": "tag"}, "aggregations": {"t": {"top_hits": {"size": 1}}}}},
    },
    "collapse": {"collapse": {"field": "tag"}},
    "inner_hits of collapse": {"collapse": {"field": "tag", "inner_hits": {"name": "n"}}},
    "inner_hits of collapse: several": {
        "collapse": {"field": "tag", "inner_hits": [{"name": "n", "_source": ["t*"]}, {"name": "m", "size": 1}]}
    },
    "inner_hits of nested": {
        "query": {"nested": {"path": "parts", "query": {"match": {"parts.text": "whiskers"}}, "inner_hits": {}}}
    },
    "inner_hits of nested: a filter": {
        "query": {"nested": {"path": "parts", "query": {"match_all": {}}, "inner_hits": {"_source": ["parts.text"]}}}
    },
    "suggest": {"suggest": {"s": {"text": "dgos", "term": {"field": "title"}}}},
    "suggest: completion": {"size": 0, "suggest": {"s": {"prefix": "do", "completion": {"field": "known"}}}},
    "sort and search_after": {"sort": [{"year": "asc"}], "search_after": [2001]},
    "post_filter": {"query": {"match": {"title": "felines dogs"}}, "post_filter": {"term": {"tag": "a"}}},
    "rescore": {"rescore": {"query": {"rescore_query": {"match_all": {}}}}},
    "profile-free aggregations": {"size": 1, "aggs": {"y": {"max": {"field": "year"}}}},
    "more_like_this": {"query": {"more_like_this": {"like": {"_id": "1"}, "min_term_freq": 1, "min_doc_freq": 1}}},
    "query_string over all fields": {"query": {"query_string": {"query": "felines"}}},
    "derived": {"derived": {"d": {"type": "keyword", "script": "emit('x')"}}, "fields": ["d"], "_source": False},
    "an unknown key": {"unknown": 1},
    "a bad source": {"_source": 1},
    "a bad source within": {"_source": {"includes": [1]}, "size": 1},
    "a bad query after a source": {"_source": ["title"], "query": {"none": {}}},
}  # fmt: skip


def _search_bodies() -> Iterator[Row]:
    for option, body in BODIES.items():
        yield Row("`{index}/_search`", option, "POST", "/INDEX/_search", _json(body))
    for option, body in BODIES.items():
        lines = ndjson({"index": "INDEX"}, body, {}, {"size": 1})
        yield Row("`{index}/_msearch`", option, "POST", "/INDEX/_msearch", lines, NDJSON)
    for option, body in BODIES.items():
        template = _json({"source": body})
        yield Row("`{index}/_search/template`", option, "POST", "/INDEX/_search/template", template)


def _searches_in_other_forms() -> Iterator[Row]:
    body = _json({"_source": ["title"], "size": 2})
    route = "`{index}/_search`"
    yield Row(route, "in UTF-16", "POST", "/INDEX/_search", body.decode().encode("utf-16"))
    yield Row(route, "in UTF-32", "POST", "/INDEX/_search", body.decode().encode("utf-32-be"))
    yield Row(route, "with comments", "POST", "/INDEX/_search", b"/* a */" + body + b"// b")
    yield Row(route, "docvalue_fields: everything", "POST", "/INDEX/_search", _json({"docvalue_fields": ["*"]}),
              differs="both refuse, and the words of the error name a field of ours")  # fmt: skip
    yield Row(route, "in YAML", "POST", "/INDEX/_search", b"size: 1\n", YAML)
    yield Row(route, "a filter in YAML", "POST", "/INDEX/_search", b"_source: [title]\n", YAML)
    yield Row(route, "stored_fields in YAML", "POST", "/INDEX/_search", b"stored_fields: [year]\n", YAML)
    yield Row(route, "`top_hits` in YAML", "POST", "/INDEX/_search", b"size: 0\naggs: {t: {top_hits: {size: 1}}}\n", YAML,
              differs="the bridge reads JSON alone, and leaves other bodies as they are")  # fmt: skip
    yield Row(route, "gzip", "POST", "/INDEX/_search", gzip.compress(body), headers={"Content-Encoding": "gzip"})
    yield Row(route, "a key twice", "POST", "/INDEX/_search", b'{"size":1,"size":2}')
    yield Row(route, "300 levels deep", "POST", "/INDEX/_search",
              b'{"_source":["title"],"query":' + b'{"bool":{"must":' * 150 + b'{"match_all":{}}' + b"}}" * 150 + b"}")  # fmt: skip
    yield Row(route, "bad JSON", "POST", "/INDEX/_search", b'{"size":')
    yield Row(route, "text after the JSON", "POST", "/INDEX/_search", body + b" x")
    source = f"source_content_type=application/json&source={quote(body)}"
    yield Row(route, "`source` in the URL", "GET", f"/INDEX/_search?{source}")
    yield Row(route, "`source` without its type", "GET", "/INDEX/_search?source=%7B%7D")
    yield Row(route, "a name with escapes", "POST", "/%49NDEX/_search".replace("%49NDEX", "INDEX"), body)
    template = "`{index}/_search/template`"
    for option in (
        "_source=title",
        "size=1",
        "rest_total_hits_as_int=true",
        "typed_keys",
        "filter_path=status,hits.total",
    ):
        yield Row(template, option, "POST", f"/INDEX/_search/template?{option}", _json({"source": {"size": 2}}))
    for name in ("explain", "profile"):
        sent = {"source": {"size": 1, "_source": False}, name: name == "explain"}
        yield Row(template, name, "POST", "/INDEX/_search/template", _json(sent))
    mustache = {"source": '{"query":{"term":{"tag":"{{tag}}"}}}', "params": {"tag": "a"}}
    yield Row(template, "params", "POST", "/INDEX/_search/template", _json(mustache))
    yield Row(template, "braces in a value", "POST", "/INDEX/_search/template",
              _json({"source": {"query": {"match": {"title": "{{words}}"}}}, "params": {"words": "dogs {{x}} \"'<é"}}))  # fmt: skip
    yield Row(template, "an id that is not there", "POST", "/INDEX/_search/template", _json({"id": "none"}))
    yield Row(
        "`{index}/_msearch/template`",
        "",
        "POST",
        "/INDEX/_msearch/template",
        ndjson({}, {"source": {"size": 1}}),
        NDJSON,
    )
    yield Row(
        "`_render/template`", "", "POST", "/_render/template", _json({"source": {"size": "{{n}}"}, "params": {"n": 1}})
    )


def _several_searches() -> Iterator[Row]:
    lines = ndjson({"index": "INDEX"}, {"size": 1}, {"index": "INDEX"}, {"_source": ["title"]})
    for option in (
        "",
        "typed_keys",
        "rest_total_hits_as_int=true",
        "max_concurrent_searches=1",
        "filter_path=responses.hits",
        "pretty",
    ):
        yield Row("`_msearch`", option, "POST", f"/_msearch?{option}", lines, NDJSON)
    yield Row("`_msearch`", "Accept-Encoding: gzip", "POST", "/_msearch", lines, NDJSON, {"Accept-Encoding": "gzip"})
    yield Row("`_msearch`", "a bad item", "POST", "/INDEX/_msearch", ndjson({}, b"{", {}, {}), NDJSON)
    yield Row("`_msearch`", "a search that fails", "POST", "/INDEX/_msearch", ndjson({}, {"size": -1}, {}, {}), NDJSON)


def _others() -> Iterator[Row]:
    yield Row("`{index}/_count`", "", "GET", "/INDEX/_count?q=felines")
    yield Row("`{index}/_validate/query`", "", "GET", "/INDEX/_validate/query?q=title:felines&explain")
    yield Row("`{index}/_termvectors/{id}`", "", "GET", "/INDEX/_termvectors/1")
    for fields in ("title,tag", "*", "e*"):
        yield Row("`{index}/_termvectors/{id}`", f"fields={fields}", "GET", f"/INDEX/_termvectors/1?fields={fields}")
    yield Row(
        "`{index}/_mtermvectors`",
        "ids",
        "POST",
        "/INDEX/_mtermvectors",
        _json({"ids": ["1"], "parameters": {"fields": ["title"]}}),
    )
    yield Row("`{index}/_field_caps`", "fields=t*", "GET", "/INDEX/_field_caps?fields=t*")
    yield Row("`{index}/_field_caps`", "fields=*", "GET", "/INDEX/_field_caps?fields=*",
              differs="it tells of the mapping, which has our fields")  # fmt: skip
    yield Row("`{index}/_mapping`, `GET {index}`", "", "GET", "/INDEX/_mapping",
              differs="the mapping has our fields and the binding")  # fmt: skip
    evaluated = {
        "requests": [
            {"id": "a", "request": {"query": {"match": {"title": "dogs"}}}, "ratings": [], "summary_fields": ["title"]}
        ],
        "metric": {"precision": {"k": 2}},
    }
    yield Row("`{index}/_rank_eval`", "summary_fields: a name", "POST", "/INDEX/_rank_eval", _json(evaluated))
    evaluated["requests"][0]["summary_fields"] = ["*"]
    yield Row("`{index}/_rank_eval`", "summary_fields: a pattern", "POST", "/INDEX/_rank_eval", _json(evaluated),
              differs="the pattern matches our fields, and the request cannot exclude any")  # fmt: skip
