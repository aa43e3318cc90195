"""JSON of more than a thousand levels never reaches the node: it is refused with the answer of OpenSearch 3."""

import pytest

from tests.cluster.bridge.writes.test_updates import (
    NEW,
    Bridged,
    bridged,  # noqa: F401 - a fixture
)
from tests.support.http import ndjson

REASON = "Document nesting depth (1001) exceeds the maximum allowed (1000, from `StreamReadConstraints.getMaxNestingDepth()`)"
CAUSE = {"type": "stream_constraints_exception", "reason": REASON}
IN_DOCUMENT = {"type": "parse_exception", "reason": "Failed to parse content to map", "caused_by": CAUSE}


def objects(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def lists(levels: int) -> bytes:
    return b'{"title":"a [ {","a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


WRITES = [
    ("PUT", "_doc/1", b"%b", "parse_exception"),
    ("POST", "_doc", b"%b", "parse_exception"),
    ("PUT", "_create/1", b"%b", "parse_exception"),
    ("POST", "_update/1", b'{"doc":%b}', "x_content_parse_exception"),
    ("POST", "_bulk", b'{"update":{"_id":"1"}}\n{"doc":%b}\n', "x_content_parse_exception"),
    ("POST", "_bulk", b'{"index":{}}\n{}\n{"update":{"_id":"1"}}\n{"script":%b}\n', "x_content_parse_exception"),
]


@pytest.mark.parametrize("deep", [objects(1_001), lists(1_001), lists(1_000_000)], ids=["objects", "lists", "killing"])
@pytest.mark.parametrize("is_bound", [True, False])
async def test_a_write_that_is_too_deep_is_refused(bridged: Bridged, deep: bytes, *, is_bound: bool) -> None:
    index = bridged.papers.index if is_bound else bridged.papers.index[:-1]  # no template matches the latter
    for method, path, around, error in WRITES:
        answer = await bridged.bridge(method, f"/{index}/{path}", around % deep)

        assert answer.status == answer.json["status"] == 400
        assert answer.json["error"]["type"] == error, (path, around)
        assert answer.json["error"]["caused_by"] == CAUSE
    assert (await bridged.papers.direct("GET", f"/{index}/_count?ignore_unavailable=true")).json["count"] == 0


async def test_brackets_among_the_bytes_of_a_binary_format_are_no_levels(bridged: Bridged) -> None:
    text = b"[" * 1_100
    document = b"\xbf\x61a\x79\x04\x4c" + text + b"\xff"  # CBOR of {"a": text}

    answer = await bridged.bridge("PUT", f"/{bridged.papers.index}/_doc/1", document, Content_Type="application/cbor")

    assert answer.status == 201, answer.body
    assert await bridged.papers.stored("1") == {"a": text.decode()}


async def test_a_thousand_levels_are_not_too_many(bridged: Bridged) -> None:
    index = bridged.papers.index
    mapping = {"properties": {"a": {"type": "object", "enabled": False}}}
    assert (await bridged.papers.direct("PUT", f"/{index}/_mapping", mapping)).status == 200

    whole = await bridged.bridge("PUT", f"/{index}/_doc/1", objects(1_000))
    update = await bridged.bridge("POST", f"/{index}/_update/1", b'{"doc":%b}' % objects(999))
    bulk = await bridged.bridge("POST", f"/{index}/_bulk", b'{"update":{"_id":"1"}}\n{"doc":%b}\n' % objects(999))

    assert (whole.status, update.status, bulk.status, bulk.json["errors"]) == (201, 200, 200, False)


@pytest.mark.parametrize("is_bound", [True, False])
async def test_in_a_bulk_only_the_document_that_is_too_deep_is_refused(bridged: Bridged, *, is_bound: bool) -> None:
    index = bridged.papers.index if is_bound else bridged.papers.index[:-1]
    deep = ndjson(b'{"create":{"_id":"2"}/* a comment */}', objects(1_001))
    lines = ndjson({"index": {"_id": "1"}}, NEW) + deep + ndjson({"index": {"_id": "3"}}, NEW)

    answer = await bridged.bridge("POST", f"/{index}/_bulk", lines)
    refused = await bridged.bridge("POST", f"/{index}/_bulk", ndjson({"index": {"_id": "4"}}, lists(5_000)))

    assert answer.json["errors"] is True
    assert [next(iter(item.values()))["status"] for item in answer.json["items"]] == [201, 400, 201]
    assert answer.json["items"][1]["create"] == {"_index": index, "_id": "2", "status": 400, "error": IN_DOCUMENT}
    assert refused.json["items"] == [{"index": {"_index": index, "_id": "4", "status": 400, "error": IN_DOCUMENT}}]
    await bridged.papers.direct("POST", f"/{index}/_refresh")
    assert (await bridged.papers.direct("GET", f"/{index}/_count")).json["count"] == 2
    await bridged.papers.direct("DELETE", f"/{index}")


@pytest.mark.parametrize("levels", [480, 900, 990, 999])
@pytest.mark.parametrize("way", ["doc", "upsert", "title"])
async def test_an_update_of_many_levels_is_no_error_of_ours(bridged: Bridged, way: str, levels: int) -> None:
    index = bridged.papers.index
    bodies = {
        "doc": b'{"doc":{"title":"Owls","a":%b},"doc_as_upsert":true}' % objects(levels - 2),
        "upsert": b'{"doc":{"title":"Owls"},"upsert":{"title":"Bees","a":%b}}' % objects(levels - 2),
        "title": b'{"doc":{"title":%b%b}}' % (b"[" * (levels - 2), b"]" * (levels - 2)),
    }
    answers = []
    for _ in range(2):  # the second time there is a document
        line = b'{"update":{"_id":"1"}}\n%b\n' % bodies[way]
        answers.append((await bridged.bridge("POST", f"/{index}/_bulk", line)).status)
        answers.append((await bridged.bridge("POST", f"/{index}/_update/2", bodies[way])).status)
        await bridged.bridge("PUT", f"/{index}/_doc/1", NEW)
        await bridged.bridge("PUT", f"/{index}/_doc/2", NEW)

    assert not {status for status in answers if status >= 500}


HALF = '"a\\ud800"'  # not as `_index`: a node that makes such an index has no cluster manager for a minute
LINES = {
    "id": '{"index":{"_id":%s}}\n{"title":"Cats"}\n',
    "id of an update": '{"update":{"_id":%s}}\n{"doc":{"title":"Cats"},"doc_as_upsert":true}\n',
    "id of a script": '{"update":{"_id":%s}}\n{"script":"ctx._source.year = 1","upsert":{"title":"Cats"}}\n',
    "routing": '{"index":{"_id":"1","routing":%s}}\n{"title":"Cats"}\n',
    "routing of an update": '{"update":{"_id":"1","routing":%s}}\n{"doc":{"title":"Cats"},"doc_as_upsert":true}\n',
    "routing of a script": '{"update":{"_id":"1","routing":%s}}\n{"script":"ctx._source.year = 1"}\n',
    "pipeline": '{"index":{"_id":"1","pipeline":%s}}\n{"title":"Cats"}\n',
    "pipeline of an update": '{"update":{"_id":"1","pipeline":%s}}\n{"doc":{"title":"Cats"},"doc_as_upsert":true}\n',
    "pipeline of a script": '{"update":{"_id":"1","pipeline":%s}}\n{"script":"x","upsert":{"title":"Cats"}}\n',
    "source": '{"update":{"_id":"1","_source":%s}}\n{"doc":{"title":"Cats"},"doc_as_upsert":true}\n',
}


@pytest.mark.parametrize("name", LINES)
async def test_half_a_surrogate_pair_in_an_action_line_is_no_error_of_ours(bridged: Bridged, name: str) -> None:
    lines = (LINES[name] % HALF).encode() + ndjson({"index": {"_id": "good"}}, NEW)

    through = await bridged.bridge("POST", f"/{bridged.papers.index}/_bulk", lines)

    assert through.status in (200, 400), through.body
    if through.status == 200:
        assert through.json["items"][1]["index"]["status"] == 201
        assert (await bridged.states())["good"] in ("ok", "pending")
