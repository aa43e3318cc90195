"""Searches that no client means: what the cluster answers with an error is not an error of the bridge."""

import asyncio
import json

import pytest

from tests.cluster.bridges import Papers, ReadOnly
from tests.support.http import ndjson

DOCUMENTS = {"1": {"title": "Felines purr"}}
MATCH = {"match": {"title": "felines"}}
SURROGATE = "\ud800"


@pytest.fixture
async def filled(read_only: ReadOnly) -> Papers:
    return await read_only("odd-searches", DOCUMENTS)


def nested(levels: int) -> bytes:
    return b'{"query":' + b'{"bool":{"must":' * levels + b'{"match_all":{}}' + b"}}" * levels + b"}"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"query": MATCH, "search_pipeline": SURROGATE}, id="pipeline"),
        pytest.param({"query": {"match": {"title": SURROGATE}}}, id="text"),
        pytest.param({"query": {"match": {SURROGATE: "a"}}}, id="field"),
        pytest.param({"query": {"multi_match": {"query": "a", "fields": [SURROGATE, "title"]}}}, id="fields"),
        pytest.param({"query": {"multi_match": {"query": "a", "type": ["x"]}}}, id="type"),
        pytest.param({"query": {"neural": {"embedding": {"query_text": SURROGATE}}}}, id="neural text"),
        pytest.param({"query": {"neural": {"embedding": {"query_text": "a", "k": SURROGATE}}}}, id="neural k"),
        pytest.param({"query": MATCH, "aggs": {SURROGATE: {"terms": {"field": "year"}}}}, id="aggregation"),
        pytest.param({"query": MATCH, "_source": [SURROGATE]}, id="source"),
        pytest.param({"query": MATCH, "collapse": {"field": SURROGATE}}, id="collapse"),
        pytest.param({"query": MATCH, "pit": {"id": SURROGATE}}, id="point in time"),
        pytest.param({"query": MATCH, "highlight": {"fields": {SURROGATE: {}}}}, id="highlight"),
    ],
)
@pytest.mark.parametrize("kind", ["_search", "_msearch", "_search/template", "_msearch/template"])
async def test_odd_values(filled: Papers, kind: str, body: dict[str, object]) -> None:
    sent = {"source": body} if kind.endswith("template") else body
    data = ndjson({}, sent) if kind.startswith("_msearch") else json.dumps(sent).encode()
    path = f"/{filled.index}/{kind}"
    direct = await filled.direct("POST", path, data)
    through = await filled.bridge("POST", path, data, X_Sidecar_Explain="1")

    assert through.status < 500 or through.status == direct.status


@pytest.mark.parametrize("option", ["fields", "docvalue_fields", "highlight", "_source", "script_fields"])
async def test_an_option_of_hits_is_refused_also_where_the_bridge_finds_none(filled: Papers, option: str) -> None:
    nothing = {"bool": {"must": [MATCH], "filter": [{"match_none": {}}]}}
    body = {"query": nothing, "aggs": {"a": {"terms": {"field": "year"}}}}
    path = f"/{filled.index}/_search"

    fused = await filled.bridge("POST", path, body)
    assert (fused.status, fused.headers["X-Sidecar-Search"].rpartition("=")[2]) == (200, "bridge")
    through = await filled.bridge("POST", path, {**body, option: 5})
    direct = await filled.direct("POST", path, {**body, option: 5})

    assert direct.status == 400
    assert (through.status, through.json["error"]["type"]) == (400, direct.json["error"]["type"])


@pytest.mark.parametrize("header", [b"[]", b"5", b"null", b'"x"'])
async def test_a_header_that_is_no_object_has_no_option(filled: Papers, header: bytes) -> None:
    data = header + b"\n" + json.dumps({"query": MATCH, "_source": True}).encode() + b"\n"
    path = f"/{filled.index}/_msearch"

    (hit,) = (await filled.bridge("POST", path, data)).json["responses"][0]["hits"]["hits"]

    assert hit["_source"] == DOCUMENTS["1"]


@pytest.mark.parametrize("index", [SURROGATE, f"{SURROGATE}*", [SURROGATE, "a"], {SURROGATE: 1}, [[SURROGATE]]])
async def test_an_odd_index_of_an_item(filled: Papers, index: object) -> None:
    data = ndjson({"index": index}, {"query": MATCH}, {"index": filled.index}, {"query": MATCH})
    direct = await filled.direct("POST", "/_msearch", data)
    through = await filled.bridge("POST", "/_msearch", data)

    assert through.status == direct.status
    if direct.status == 200:
        assert [i["status"] for i in through.json["responses"]] == [i["status"] for i in direct.json["responses"]]


@pytest.mark.parametrize(
    "target", ["/%ED%A0%80/_search", "/%FF/_msearch", "/%FF/_mget", "/a/_search?q=%FF&routing=%FF"]
)
async def test_names_that_are_no_utf_8(filled: Papers, target: str) -> None:
    data = ndjson({}, {"query": MATCH}) if target.endswith("_msearch") else b"{}"
    direct = await filled.direct("POST", target, data)
    through = await filled.bridge("POST", target, data)

    assert through.status == direct.status


@pytest.mark.parametrize("target", [b"/\xff/_search", b"/\xff/_doc/1", b"/papers/_search?q=\xff", b"/_cat/\xff"])
async def test_raw_bytes_in_a_target_are_no_error_of_ours(filled: Papers, target: bytes) -> None:
    host, _, port = filled.bridge.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()

    assert int(answer.split()[1]) < 500


@pytest.mark.parametrize("levels", [500, 1_005, 10_000])
@pytest.mark.parametrize(
    "kind", ["_search", "_msearch", "_search/template", "_msearch/template", "_search?sidecar=off"]
)
async def test_levels_that_would_end_the_node_are_refused(filled: Papers, kind: str, levels: int) -> None:
    body = nested(levels)
    if "template" in kind:
        body = b'{"source":' + body + b"}"
    if "_msearch" in kind:
        body = b"{}\n" + body + b"\n"
    answer = await filled.bridge("POST", f"/{filled.index}/{kind}", body)

    assert (answer.status, answer.json["error"]["type"]) == (400, "stream_constraints_exception")
    assert (await filled.direct("GET", "/")).status == 200
