"""Documents that the reader of ingest pipelines overlooks or fails on: refused as by an index without the guard."""

from collections.abc import AsyncIterator

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import Answer, ndjson
from tests.support.provenances import state_of

DOCUMENTS: dict[str, bytes] = {
    "a list": b"[]",
    "a list of a document": b'[{"title":"Cats"}]',
    "a number": b"5",
    "null": b"null",
    "no JSON": b"garbage",
    "blanks": b"  ",
    "a comment before it": b'/* a */{"title":"Cats"}',
    "a NUL before it": b'\0{"title":"Cats"}',
    "UTF-16 with a BOM": '{"title":"Cats"}'.encode("utf-16"),
    "a BOM alone": b"\xef\xbb\xbf",
    "two documents": b'{"title":"Cats"} {}',
    "two documents without a text": b"{}{}",
    "a list behind": b'{"title":"Cats"} [1]',
    "a string behind": b'{"title":"Cats"} "}"',
    "a word behind": b'{"title":"Cats"} null',
    "a bracket too many": b'{"title":"Cats"}]',
    "a comma behind": b'{"title":"Cats"},',
    "a NUL behind": b'{"title":"Cats"}\0',
    "a form feed behind": b'{"title":"Cats"}\f',
    "a comment without an end": b'{"title":"Cats"} /*',
    "two documents in UTF-16": '{"title":"Cats"} {}'.encode("utf-16-le"),
    "braces in a string": b'{"title":"}"} {"title":"{"}',
}
OF_OTHER_FORMATS = {
    "JSON as CBOR": ("cbor", b'{"title":"Cats"}'),
    "no CBOR": ("cbor", b"xx"),
    "a number in CBOR": ("cbor", b"\xd9\xd9\xf7\x05"),
    "Smile without its head": ("smile", b"\xfa\x80aAa\xfb"),
    "a list in Smile": ("smile", b":)\n\0\xf8\xf9"),
    "no object in Smile": ("smile", b":)\n\0"),
    "YAML without its head": ("yaml", b"title: Cats\n"),
}
STORED: dict[str, bytes] = {
    "a line end behind": b'{"title":"Cats"} \r\n\t',
    "comments behind": b'{"title":"Cats"} /* {} */ // []',
    "a BOM before": b'\xef\xbb\xbf {"title":"Cats"}',
    "braces in strings": b'{"title":"} {", "a":{"}":"\\"}"}}',
}


@pytest.fixture
async def plain(papers: Papers, unique: str) -> AsyncIterator[str]:
    """An index without the guard. Its name is as long as the other's, because errors tell columns."""
    name = f"{unique}-plain"
    assert (await papers.direct("PUT", f"/{name}")).status == 200
    yield name
    await papers.direct("DELETE", f"/{name}")


def told(answer: Answer) -> tuple[object, ...]:
    error = answer.json.get("error", {})
    return answer.status, error.get("type"), error.get("reason"), error.get("caused_by", {}).get("type")


@pytest.mark.parametrize("path", ["_doc/{}", "_create/{}", "_doc"])
async def test_a_document_is_refused_as_by_an_index_without_a_pipeline(papers: Papers, plain: str, path: str) -> None:
    for number, (name, sent) in enumerate(DOCUMENTS.items()):
        method = "PUT" if "{}" in path else "POST"
        direct = await papers.direct(method, f"/{plain}/{path.format(number)}", sent)
        through = await papers.bridge(method, f"/{papers.index}/{path.format(number)}", sent)

        assert told(through)[:3] == told(direct)[:3] == (400, "mapper_parsing_exception", "failed to parse"), name
    assert (await papers.direct("GET", f"/{papers.index}/_count")).json["count"] == 0


@pytest.mark.parametrize("name", ["two documents", "a list behind", "a string behind", "no JSON"])
async def test_the_cause_is_told_in_the_cluster_s_words(papers: Papers, plain: str, name: str) -> None:
    direct = await papers.direct("PUT", f"/{plain}/_doc/1", DOCUMENTS[name])
    through = await papers.bridge("PUT", f"/{papers.index}/_doc/1", DOCUMENTS[name])

    assert through.json == direct.json


@pytest.mark.parametrize("name", OF_OTHER_FORMATS)
async def test_a_document_in_another_format_is_refused_if_it_does_not_begin_as_one(
    papers: Papers, plain: str, name: str
) -> None:
    form, sent = OF_OTHER_FORMATS[name]
    headers = {"Content-Type": f"application/{form}"}
    direct = await papers.direct.request("PUT", f"/{plain}/_doc/1?format=json", sent, headers)
    through = await papers.bridge.request("PUT", f"/{papers.index}/_doc/1?format=json", sent, headers)

    assert told(through)[:2] == told(direct)[:2] == (400, "mapper_parsing_exception")
    assert (await papers.direct("GET", f"/{papers.index}/_doc/1")).status == 404


async def test_yaml_that_begins_with_a_brace_is_not_read_as_json(papers: Papers) -> None:
    sent = b'{"title":/* a */"Cats"}'
    answer = await papers.bridge("PUT", f"/{papers.index}/_doc/1", sent, Content_Type="application/yaml")
    stored = await papers.stored("1")

    assert (answer.status, stored["title"], state_of(stored)) == (201, '/* a */"Cats"', "pending")


async def test_a_document_before_blanks_and_comments_is_stored(papers: Papers) -> None:
    for name, sent in STORED.items():
        answer = await papers.bridge("PUT", f"/{papers.index}/_create/{name.replace(' ', '-')}", sent)

        assert (answer.status, answer.ingested) == (201, (1, 0)), name


async def test_in_a_bulk_only_the_items_with_a_fault_are_refused(papers: Papers, plain: str) -> None:
    lines: list[object] = []
    for number, sent in enumerate(one for one in DOCUMENTS.values() if one.strip() and b"\n" not in one):
        lines += [{"create": {"_id": f"good-{number}"}}, {"title": f"Cats {number}"}]
        lines += [{"index": {"_id": f"bad-{number}"}}, sent]
    answers = [
        (await server("POST", f"/{index}/_bulk", ndjson(*lines))).json
        for server, index in ((papers.direct, plain), (papers.bridge, papers.index))
    ]

    seen = [
        [
            (action, one["_id"], one["status"], one.get("error", {}).get("type"), one.get("error", {}).get("reason"))
            for item in answer["items"]
            for action, one in item.items()
        ]
        for answer in answers
    ]
    assert seen[1] == seen[0]
    assert [one[2] for one in seen[1]] == [201, 400] * (len(lines) // 4)


@pytest.mark.parametrize("sent", [b"[]", b'{"title":"Cats"} {}'])
async def test_a_bulk_of_one_such_document_is_answered_with_its_fault(papers: Papers, sent: bytes) -> None:
    answer = await papers.bridge("POST", f"/{papers.index}/_bulk", ndjson({"index": {"_id": "1"}}, sent))

    (item,) = answer.json["items"]
    assert (answer.status, answer.json["errors"]) == (200, True)
    assert (item["index"]["status"], item["index"]["error"]["type"]) == (400, "mapper_parsing_exception")


async def test_an_update_in_another_format_is_marked_and_hides_our_fields(papers: Papers) -> None:
    await papers.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})

    answer = await papers.bridge(
        "POST",
        f"/{papers.index}/_update/1?format=json&_source=true",
        b"doc: {title: Dogs}",
        Content_Type="application/yaml",
    )

    assert (answer.status, answer.json["get"]["_source"]) == (200, {"title": "Dogs"})
    assert state_of(await papers.stored("1")) == "pending"
