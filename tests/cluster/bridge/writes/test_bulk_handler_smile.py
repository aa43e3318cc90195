"""Bulk requests in Smile, which the bridge does not read."""

from tests.cluster.bridges import Papers
from tests.support.http import Answer, Http
from tests.support.provenances import state_of

HEAD = b":)\n\x00"
UPDATE = HEAD + b"\xfa\x85update\xfa\x82_id\x401\xfb\xfb\xff" + HEAD + b"\xfa\x82doc\xfa\x84title\x43Dogs\xfb\xfb\xff"
INDEX = HEAD + b"\xfa\x84index\xfa\x82_id\x401\xfb\xfb\xff" + HEAD + b"\xfa\x84title\x43Dogs\xfb\xff"


async def bulk(server: Http, index: str, body: bytes) -> Answer:
    return await server("POST", f"/{index}/_bulk?format=json", body, Content_Type="application/smile")


async def test_an_update_of_a_bound_index_is_refused(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})
    before = await papers.stored("1")

    answer = await bulk(papers.bridge, papers.index, UPDATE)

    assert (answer.status, answer.json["error"]["type"]) == (400, "illegal_argument_exception")
    assert "in JSON only" in answer.json["error"]["reason"]
    assert await papers.stored("1") == before


async def test_an_update_of_another_index_is_carried_out(papers: Papers, unique: str) -> None:
    plain = f"{unique}-plain"
    await papers.direct("PUT", f"/{plain}/_doc/1", {"title": "Cats"})

    answer = await bulk(papers.bridge, plain, UPDATE)

    assert answer.json["items"][0]["update"]["result"] == "updated"
    await papers.direct("DELETE", f"/{plain}")


async def test_documents_are_stored_and_marked(papers: Papers) -> None:
    answer = await bulk(papers.bridge, papers.index, INDEX)

    assert (answer.status, answer.json["errors"]) == (200, False)
    assert state_of(await papers.stored("1")) == "pending"
