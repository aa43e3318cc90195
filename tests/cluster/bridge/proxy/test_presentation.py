"""`filter_path` and `pretty` of answers that the bridge composes, beside the cluster's own."""

import json
import random
from urllib.parse import quote

import pytest

from sidecar.bridge.proxy.presentation import present
from tests.cluster.bridges import Papers
from tests.support.http import ndjson

KEYS = ("a", "b", "ab", "a.b", "items", "status", "*", "\\")
PARTS = (*KEYS, "**", "*", "a*", "*b", "_source", "_id", "", "a\\.b", "?", "[a]")


def a_value(draw: random.Random, depth: int) -> object:
    kind = draw.choice(("object", "array", "scalar") if depth else ("scalar",))
    if kind == "object":
        return {key: a_value(draw, depth - 1) for key in draw.sample(KEYS, draw.randrange(4))}
    if kind == "array":
        return [a_value(draw, depth - 1) for _ in range(draw.randrange(3))]
    return draw.choice((None, True, 7, 12345678901234567890, "x", "y:{,"))


def a_filter(draw: random.Random) -> str:
    one = ".".join(draw.choice(PARTS) for _ in range(draw.randrange(1, 5)))
    return draw.choice(("", "-")) + draw.choice(("_source.", "")) + (one or "a")


@pytest.mark.parametrize("seed", range(2))
async def test_any_answer_is_filtered_and_indented_as_by_the_cluster(papers: Papers, unique: str, seed: int) -> None:
    draw, index = random.Random(seed), f"{papers.index}-unread"
    await papers.direct("PUT", f"/{unique}-unread", {"mappings": {"enabled": False}})
    for _ in range(12):
        document = {key: a_value(draw, 4) for key in KEYS}
        await papers.direct("PUT", f"/{unique}-unread/_doc/1", json.dumps(document, separators=(",", ":")).encode())
        whole = (await papers.direct("GET", f"/{unique}-unread/_doc/1")).body
        for _ in range(12):
            filter_path = ",".join(a_filter(draw) for _ in range(draw.randrange(1, 4)))
            pretty = draw.choice(("", "&pretty"))
            shown = await papers.direct("GET", f"/{unique}-unread/_doc/1?filter_path={quote(filter_path)}{pretty}")
            ours = present(whole, {"filter_path": filter_path, **({"pretty": ""} if pretty else {})})
            assert ours == shown.body, (filter_path, document)
    await papers.direct("DELETE", f"/{index},{unique}-unread?ignore_unavailable=true")


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("filter_path=errors,items.*.status", id="what libraries ask"),
        pytest.param("filter_path=-*took,-items.*._*,-**.index_uuid,-**.index&pretty", id="all but some"),
        pytest.param("filter_path=nothing&pretty=true", id="nothing"),
        pytest.param("filter_path=errors&format=json&pretty=false", id="one thing"),
    ],
)
async def test_a_composed_bulk_answer_is_shown_as_the_cluster_shows_its_own(papers: Papers, query: str) -> None:
    lines = ndjson(
        {"index": {"_id": "1"}}, {"title": "Cats"},
        {"update": {"_id": "1"}}, {"doc": {"title": "Dogs"}},
        {"update": {"_id": "1"}}, {"script": "ctx._source.year = 7"},
        {"update": {"_id": "9"}}, {"doc": {"title": "Dogs"}},
        {"delete": {"_id": "8"}},
    )  # fmt: skip

    through = await papers.bridge("POST", f"/{papers.index}/_bulk?{query}", lines)
    direct = await papers.direct("POST", f"/{papers.index}-direct/_bulk?{query}", lines)

    assert (through.status, through.body) == (direct.status, direct.body)
    assert through.headers["Content-Type"] == direct.headers["Content-Type"]


@pytest.mark.parametrize(("query", "accept"), [("?format=cbor", "*/*"), ("", "application/smile")])
async def test_a_format_that_only_the_cluster_writes_is_refused_before_anything_is_written(
    papers: Papers, query: str, accept: str
) -> None:
    lines = ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Dogs"}, "doc_as_upsert": True})

    refused = await papers.bridge("POST", f"/{papers.index}/_bulk{query}", lines, Accept=accept)
    relayed = await papers.bridge(
        "POST", f"/{papers.index}/_bulk{query}", ndjson({"index": {"_id": "2"}}, {"title": "Cats"}), Accept=accept
    )

    assert (refused.status, refused.json["error"]["type"]) == (400, "illegal_argument_exception")
    assert (await papers.direct("HEAD", f"/{papers.index}/_doc/1")).status == 404
    assert (relayed.status, relayed.body[:1] == b"{") == (200, False)


SEARCH = {"query": {"match": {"title": "cats"}}, "aggs": {"years": {"terms": {"field": "year"}}}}


async def store(papers: Papers, depth: int) -> bytes:
    """A document with so many levels in a field that is not mapped further; the value of that field."""
    mapping = {"properties": {"deep": {"type": "object", "enabled": False}}}
    assert (await papers.direct("PUT", f"/{papers.index}/_mapping", mapping)).status == 200
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    document = b'{"title":"Cats purr","deep":%s}' % deep
    # Not through the bridge, which refuses a document of more than a thousand levels.
    assert (await papers.direct("PUT", f"/{papers.index}/_doc/1?refresh=true", document)).status == 201
    await papers.bridge("POST", f"/{papers.index}/_update/1?refresh=true", {"doc": {"title": "Cats purr"}})
    return deep


@pytest.mark.parametrize("depth", [400, 998])
async def test_deep_documents_are_shown_as_by_the_cluster(papers: Papers, depth: int) -> None:
    deep = await store(papers, depth)
    path = f"/{papers.index}/_search?filter_path=hits.hits._source.deep"
    through, direct = await papers.bridge("POST", path, SEARCH), await papers.direct("POST", path, SEARCH)
    lines = ndjson({"update": {"_id": "1"}}, {"doc": {"title": "Dogs bark"}})
    updated = await papers.bridge("POST", f"/{papers.index}/_bulk?_source=true&filter_path=items.*.get.**.a", lines)

    assert through.headers["X-Sidecar-Search"].endswith("where=bridge")
    assert through.body == direct.body == b'{"hits":{"hits":[{"_source":{"deep":%s}}]}}' % deep
    assert updated.body == b'{"items":[{"update":{"get":{"_source":{"deep":%s}}}}]}' % deep


async def test_what_is_deeper_than_the_bridge_reads_is_found_by_words(papers: Papers) -> None:
    await store(papers, 1_030)
    for way, body in (("_search", SEARCH), ("_msearch", ndjson({}, SEARCH))):
        path = f"/{papers.index}/{way}?filter_path=**.hits.hits._source.deep"
        through, direct = await papers.bridge("POST", path, body), await papers.direct("POST", path, body)

        assert "lexical" in through.headers["X-Sidecar-Search"]
        assert (through.status, through.body) == (200, direct.body)
