"""`filter_path` and `pretty` of answers that the bridge composes, beside the cluster's own."""

import json
import random
from urllib.parse import quote

import pytest

from sidecar.bridge.presentation import present
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
