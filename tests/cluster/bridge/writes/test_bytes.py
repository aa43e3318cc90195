"""Bytes and values in odd forms: read as the cluster reads them, direct and through the bridge side by side.

docs/reading.md has the same rows.
"""

import json

import pytest

from sidecar.bridge.writes.bulk_action import parameters_of
from sidecar.jsontext import as_text, loads_as_written
from sidecar.provenance import provenance_hash, source_text
from tests.cluster.bridges import Papers
from tests.support.http import ndjson
from tests.support.provenances import state_of

OURS = ("embedding", "embedding_meta")
TEXTS: dict[str, bytes] = {
    "half a surrogate pair, raw": b"a \xed\xa0\xbd b",
    "half a surrogate pair, escaped": b"a \\ud83d b",
    "CESU-8": b"a \xed\xa0\xbd\xed\xb8\x80 b",
    "a pair of a raw and an escaped half": b"a \xed\xa0\xbd\\ude00 b",
    "C0 80": b"a \xc0\x80 b",
    "longer than needed": b"\xc1\xa1 \xe0\x81\xa1 \xf0\x80\x81\xa1",
    "a quote in two bytes": b"a \xc0\xa2 b",
    "beyond all characters": b"a \xf4\x90\x80\x80 \xf7\xbf\xbf\xbf b",
    "signs of comments": b"a /* http://b */ c",
}
DOCUMENTS: dict[str, bytes] = {name: b'{"title":"%b"}' % text for name, text in TEXTS.items()} | {
    "a BOM": b'\xef\xbb\xbf{"title":"Cats purr"}',
    "comments": b'{"title":/* "} */"Cats purr"/*}*/}/* } " */',
    "a comment to the end": b'{"title":"Cats purr"}// } "',
    "a key in CESU-8": b'{"title":"Cats purr","\xed\xa0\xbd\xed\xb8\x80":1}',
    "a key that is longer than needed": b'{"\xc1\xb4itle":"Cats purr"}',
    "UTF-16, little end first": '{"title":"Cats purr 😀"}'.encode("utf-16-le"),
    "an integer": b'{"title":42}',
    "a boolean": b'{"title":[true,"or",false]}',
    "a negative zero": b'{"title":-0}',
    "texts and integers": b'{"title":["Apollo",11]}',
}
REFUSED: dict[str, bytes] = {
    "a comment before it": b'/* a */{"title":"a"}',
    "UTF-16, big end first": '{"title":"a"}'.encode("utf-16-be"),
    "UTF-16 with a BOM": '{"title":"a"}'.encode("utf-16"),
    "two BOMs": b'\xef\xbb\xbf\xef\xbb\xbf{"title":"a"}',
    "a byte that begins nothing": b'{"title":"a\x80"}',
    "five bytes": b'{"title":"a\xf8\x88\x80\x80\x80"}',
    "half a character": b'{"title":"a\xc3"}',
    "a raw control": b'{"title":"a\x01"}',
    "a doubled key": b'{"title":"a","title":"b"}',
    "a doubled key within": b'{"title":"a","o":{"b":1,"b":1}}',
    "NaN": b'{"title":"a","n":NaN}',
    "a plus": b'{"title":"a","n":+1}',
    "a leading zero": b'{"title":"a","n":01}',
    "a last comma": b'{"title":"a",}',
    "single quotes": b"{'title':'a'}",
}
WITHOUT_TEXT: dict[str, bytes] = {
    "a fraction": b'{"title":3.14}',
    "an exponent": b'{"title":[1e7,1e-4,2e23,-0.0]}',
    "a blank": b'{"title":" "}',
    "no width": b'{"title":"\\u200b"}',
    "NUL": b'{"title":"\\u0000","abstract":"\\t"}',
    "C0 80 alone": b'{"title":"\xc0\x80"}',
}
# What stands in an action line for the document 1.50, 1e3 or true of an index.
ACTIONS: dict[str, bytes] = {
    "a BOM": b'\xef\xbb\xbf{"%b":{"_id":"a"}}',
    "a comment": b'{"%b":{"_id":"a"}/* note */}',
    "comments around": b'/* { */{"%b":{"_id":"a"}}// }',
    "no end": b'{"%b":{"_id":"a"}',
    "more text": b'{"%b":{"_id":"a"}} etc. "{',
    "the action twice": b'{"%b":{"_id":"a"},"%b":{"_id":"b"}}',
    "an action that is longer than needed": b'{"%b":{"\xc1\x9fid":"a"}}',
    "an integer": b'{"%b":{"_id":7,"routing":8}}',
    "an exponent": b'{"%b":{"_id":1e3,"routing":1e3}}',
    "a fraction": b'{"%b":{"_id":1.50,"routing":1.50}}',
    "a negative zero": b'{"%b":{"_id":-0,"routing":-0}}',
    "a boolean": b'{"%b":{"_id":true,"routing":false}}',
    "a long integer": b'{"%b":{"_id":123456789012345678901234567890}}',
    "CESU-8": b'{"%b":{"_id":"\xed\xa0\xbd\xed\xb8\x80"}}',
}


async def source_of(papers: Papers, index: str, path: str) -> dict:
    """The stored document; the cluster writes it anew for the filter, so it is strict JSON."""
    answer = await papers.direct("GET", f"/{index}/_doc/{path}{'&' if '?' in path else '?'}filter_path=_source")
    return answer.json["_source"]


async def unbound_beside(papers: Papers) -> str:
    """An index with the same texts and no binding."""
    index = f"direct-{papers.index}"
    text = {"type": "text"}
    assert (await papers.direct("PUT", f"/{index}", {"mappings": {"properties": {"title": text}}})).status == 200
    return index


def apart(source: dict) -> tuple[dict, str | None]:
    return {name: value for name, value in source.items() if name not in OURS}, state_of(source)


def is_right(papers: Papers, source: dict) -> bool:
    """Whether the vector is proven to be that of the stored text."""
    text = source_text(source, papers.binding)
    return source["embedding_meta"]["hash"] == provenance_hash(text, papers.binding) and "embedding" in source


@pytest.mark.parametrize("row", DOCUMENTS)
async def test_a_document_gets_the_vector_of_the_text_that_the_cluster_reads(papers: Papers, row: str) -> None:
    index, document = papers.index, DOCUMENTS[row]
    unbound = await unbound_beside(papers)
    through = await papers.bridge("PUT", f"/{index}/_doc/1", document)
    direct = await papers.direct("PUT", f"/{unbound}/_doc/1", document)

    assert (through.status, through.ingested) == (direct.status, (1, 0))
    stored = await source_of(papers, index, "1")
    assert apart(stored) == (await source_of(papers, unbound, "1"), "ok")
    assert is_right(papers, stored)
    await papers.direct("DELETE", f"/{unbound}")


async def test_each_item_of_a_bulk_gets_its_own_vector(papers: Papers) -> None:
    lines = b"".join(
        b'{"index":{"_id":"i%d"}}\n%b\n{"update":{"_id":"u%d"}}\n%b\n' % (n, document, n, update_of(document))
        for n, document in enumerate(DOCUMENTS.values())
        if not document.startswith(b"{\0")
    )
    unbound = await unbound_beside(papers)
    for index in (papers.index, unbound):
        old = (line for n in range(len(DOCUMENTS)) for line in ({"index": {"_id": f"u{n}"}}, {"title": "old"}))
        assert (await papers.bridge("POST", f"/{index}/_bulk", ndjson(*old))).json["errors"] is False

    through = await papers.bridge("POST", f"/{papers.index}/_bulk", lines)
    direct = await papers.direct("POST", f"/{unbound}/_bulk", lines)

    assert [status_of(item) for item in through.json["items"]] == [status_of(item) for item in direct.json["items"]]
    assert through.ingested == (lines.count(b'"_id"'), 0)
    for item in direct.json["items"]:
        (identifier,) = (one["_id"] for one in item.values())
        stored = await source_of(papers, papers.index, identifier)
        assert apart(stored) == (await source_of(papers, unbound, identifier), "ok")
        assert is_right(papers, stored)
    await papers.direct("DELETE", f"/{unbound}")


def update_of(document: bytes) -> bytes:
    """The same bytes as an update: all of it stands in the `doc`, but for a BOM and what follows the end."""
    rest = document.removeprefix(b"\xef\xbb\xbf")
    end = next((rest.index(sign) + 1 for sign in (b"}//", b"}/* }") if sign in rest), len(rest))
    return document[: len(document) - len(rest)] + b'{"doc":' + rest[:end] + b"}" + rest[end:]


def routing_of(line: bytes) -> str | None:
    return as_text(parameters_of(line)["routing"])


def status_of(item: dict) -> int:
    (outcome,) = item.values()
    return outcome["status"]


@pytest.mark.parametrize("action", ["index", "create", "update"])
async def test_action_lines_are_read_as_the_cluster_reads_them(papers: Papers, action: str) -> None:
    unbound = await unbound_beside(papers)
    source = {"title": "Cats purr"} if action != "update" else {"doc": {"title": "Cats purr"}, "doc_as_upsert": True}
    for row, line in ACTIONS.items():
        body = line.replace(b"%b", action.encode()) + b"\n" + ndjson(source)
        through = await papers.bridge("POST", f"/{papers.index}/_bulk", body)
        direct = await papers.direct("POST", f"/{unbound}/_bulk", body)

        (ours,), (theirs,) = through.json["items"], direct.json["items"]
        assert (list(ours), ours[action]["_id"]) == (list(theirs), theirs[action]["_id"]), row
        assert ours[action]["status"] == theirs[action]["status"] == 201, row
        assert through.ingested == (1, 0), row
        for item, index in ((ours, papers.index), (theirs, unbound)):
            written, routing = item[action], b'"routing":' in line
            about = {"_id": written["_id"]} | ({"routing": routing_of(line)} if routing else {})
            gone = await papers.direct("POST", f"/{index}/_bulk", ndjson({"delete": about}))
            assert gone.json["errors"] is False, row
    await papers.direct("DELETE", f"/{unbound}")


@pytest.mark.parametrize("row", REFUSED)
async def test_what_the_cluster_refuses_is_refused(papers: Papers, row: str) -> None:
    document, unbound = REFUSED[row], await unbound_beside(papers)
    through = await papers.bridge("PUT", f"/{papers.index}/_doc/1", document)
    direct = await papers.direct("PUT", f"/{unbound}/_doc/1", document)

    assert through.status == direct.status == 400
    assert direct.json["error"]["type"] == "mapper_parsing_exception"
    # An index with an ingest pipeline parses a document before it maps it, and says so.
    assert through.json["error"]["type"] in ("mapper_parsing_exception", "parse_exception")
    await papers.direct("DELETE", f"/{unbound}")


@pytest.mark.parametrize("row", WITHOUT_TEXT)
async def test_a_document_without_a_text_has_no_vector(papers: Papers, row: str) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats purr"})
    line = b'{"update":{"_id":"1"}}\n{"doc":%b}\n{"index":{"_id":"2"}}\n%b\n' % (WITHOUT_TEXT[row], WITHOUT_TEXT[row])

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk", line)

    assert answer.json["errors"] is False
    second = await source_of(papers, papers.index, "2")
    assert not set(OURS) & set(second)
    first = await source_of(papers, papers.index, "1")
    assert first.get("embedding") is None
    assert first.get("embedding_meta") is None


async def test_one_odd_line_of_many_costs_the_others_nothing(papers: Papers) -> None:
    texts = ndjson(*(line for n in range(20) for line in ({"index": {"_id": f"m{n}"}}, {"title": f"text number {n}"})))
    odd = [
        b'{"index":{"_id":"x"}/* c */}\n{"title":"x"}\n',
        b'{"update":{"_id":"m1"}/* c */} etc.\n{"doc":{"title":"new"}}}\n',
        b'{"index":{"_index":"","_id":"x"}}\n{"title":"x"}\n',
        b'{"index":{"_index":"No Name","_id":"x"}}\n{"title":"x"}\n',
        b'{"index":{"_id":"y"}}\n{"title":"x"} etc.\n',
        b'{"index":{"_id":"z"}}\n{"title":"\xff"}\n',
    ]
    for line in odd:
        answer = await papers.bridge("POST", f"/{papers.index}/_bulk?refresh=true", texts + line)

        assert answer.status == 200, line
        states = {n: state_of(await papers.stored(f"m{n}")) for n in range(20)}
        assert {n for n, state in states.items() if state != "ok"} <= {1}, line
        changed = await papers.stored("m1")
        assert states[1] == "pending" or is_right(papers, changed), line


async def test_an_update_that_only_the_cluster_reads_is_marked(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "old"})

    answer = await papers.bridge(
        "POST", f"/{papers.index}/_bulk", b'{"update":{"_id":"1"}}\n{"doc":{"title":"completely new"}}}\n'
    )

    assert answer.json["errors"] is False
    stored = await papers.stored("1")
    assert (stored["title"], state_of(stored), "embedding" in stored) == ("completely new", "pending", False)


@pytest.mark.parametrize("row", ["a fraction", "an exponent", "a boolean", "an integer"])
async def test_mget_reads_ids_as_they_are_written(papers: Papers, row: str) -> None:
    identifier = json.dumps(as_text(loads_as_written(ACTIONS[row].replace(b"%b", b"i"))["i"]["_id"])).strip('"')
    await papers.bridge("PUT", f"/{papers.index}/_doc/{identifier}", {"title": "Cats purr"})
    raw = ACTIONS[row].partition(b'"_id":')[2].partition(b",")[0]

    answer = await papers.bridge("POST", f"/{papers.index}/_mget", b'{"docs":[{"_id":%b}]}' % raw)

    (document,) = answer.json["docs"]
    assert (document["_id"], document["_source"]) == (identifier, {"title": "Cats purr"})
