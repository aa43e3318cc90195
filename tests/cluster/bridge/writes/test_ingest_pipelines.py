"""Ingest pipelines that move, change or make what the bridge would embed: the documents and the header."""

import pytest

from tests.cluster.bridges import Papers
from tests.support.http import ndjson
from tests.support.provenances import state_of

STRICT = {"mappings": {"dynamic": "strict", "properties": {"title": {"type": "text"}, "to": {"type": "keyword"}}}}


async def pipeline(papers: Papers, name: str, *processors: object) -> str:
    made = await papers.direct("PUT", f"/_ingest/pipeline/{papers.index}-{name}", {"processors": list(processors)})
    assert made.status == 200, made.body
    return f"{papers.index}-{name}"


def movers(index: str) -> dict[str, object]:
    """Ways to move a document."""
    return {
        "set": {"set": {"field": "_index", "value": index}},
        "script": {"script": {"source": f"ctx._index = '{index}'"}},
        "templated": {"set": {"field": "{{to}}", "value": index}},
        "failure": {"fail": {"message": "no", "on_failure": [{"set": {"field": "_index", "value": index}}]}},
        "stored": {"script": {"id": f"{index}-script"}},
    }  # fmt: skip


@pytest.mark.parametrize("way", ["set", "script", "templated", "failure", "stored", "called", "default", "item"])
async def test_a_document_that_is_moved_takes_nothing_of_ours_along(papers: Papers, way: str) -> None:
    elsewhere = f"elsewhere-{papers.index}"
    assert (await papers.direct("PUT", f"/{elsewhere}", STRICT)).status == 200
    script = {"script": {"lang": "painless", "source": f"ctx._index = '{elsewhere}'"}}
    assert (await papers.direct("PUT", f"/_scripts/{elsewhere}-script", script)).status == 200
    mover = await pipeline(papers, "move", movers(elsewhere).get(way, movers(elsewhere)["set"]))
    if way == "called":
        mover = await pipeline(papers, "calling", {"pipeline": {"name": mover}})
    if way == "default":
        await papers.direct("PUT", f"/{papers.index}/_settings", {"index.default_pipeline": mover})
    query = "" if way in ("default", "item") else f"?pipeline={mover}"
    action = {"_id": "2", **({"pipeline": mover} if way == "item" else {})}
    document = {"title": "felines purr", "to": "_index"}

    directly = await papers.direct("POST", f"/{papers.index}/_bulk{query}", ndjson({"index": action}, document))
    bulk = await papers.bridge("POST", f"/{papers.index}/_bulk{query}", ndjson({"index": action}, document))
    answers = [bulk]
    if way != "item":
        answers.append(await papers.bridge("PUT", f"/{papers.index}/_doc/3{query}", document))

    assert [item["status"] for answer in (directly, bulk) for (item,) in map(dict.values, answer.json["items"])] == [
        201, 200,
    ]  # fmt: skip
    assert [answer.status for answer in answers] == [200, 201][: len(answers)]
    for answer in answers:
        assert answer.headers["X-Sidecar-Ingest"] == "embedded=0; pending=?"
    for identifier in ("2", "3")[: len(answers)]:
        assert (await papers.stored(identifier, elsewhere)).keys() == document.keys()
    await papers.direct("DELETE", f"/{elsewhere}")
    await papers.direct("DELETE", f"/_scripts/{elsewhere}-script")


async def test_a_document_that_is_moved_to_a_bound_index_is_marked_there(papers: Papers) -> None:
    other = f"{papers.index}-other"
    await papers.direct("PUT", f"/{other}")
    mover = await pipeline(papers, "move", {"set": {"field": "_index", "value": other}})

    answer = await papers.bridge("PUT", f"/{papers.index}/_doc/1?pipeline={mover}", {"title": "felines purr"})

    assert (answer.status, answer.headers["X-Sidecar-Ingest"]) == (201, "embedded=0; pending=?")
    assert state_of(await papers.stored("1", other)) == "pending"


@pytest.mark.parametrize(
    ("processor", "document", "said", "state"),
    [
        pytest.param({"uppercase": {"field": "title"}}, {"title": "felines purr"}, "embedded=1; pending=?", "pending",
                     id="changes the text"),
        pytest.param({"lowercase": {"field": "title"}}, {"title": "felines purr"}, "embedded=1; pending=?", "ok",
                     id="would have changed it"),
        pytest.param({"set": {"field": "title", "value": "{{first}} {{last}}"}}, {"first": "a", "last": "b"},
                     "embedded=0; pending=?", "pending", id="makes the text"),
        pytest.param({"script": {"source": "ctx.remove('title')"}}, {"title": "felines purr"}, "embedded=1; pending=?",
                     None, id="removes the text"),
        pytest.param({"set": {"field": "year", "value": 1}}, {"title": "felines purr"}, "embedded=1; pending=0", "ok",
                     id="does something else"),
    ],
)  # fmt: skip
async def test_the_header_says_no_more_than_is_true(
    papers: Papers, processor: object, document: object, said: str, state: str | None
) -> None:
    name = await pipeline(papers, "changes", processor)

    single = await papers.bridge("PUT", f"/{papers.index}/_doc/1?pipeline={name}", document)
    bulk = await papers.bridge(
        "POST", f"/{papers.index}/_bulk?pipeline={name}", ndjson({"index": {"_id": "2"}}, document)
    )
    none = await papers.bridge("PUT", f"/{papers.index}/_doc/3?pipeline=_none", {"title": "felines purr"})

    assert [answer.headers["X-Sidecar-Ingest"] for answer in (single, bulk)] == [said, said]
    assert none.headers["X-Sidecar-Ingest"] == "embedded=1; pending=0"
    for identifier in ("1", "2"):
        assert state_of(await papers.stored(identifier)) == state


async def test_items_of_one_bulk_go_through_their_own_pipelines(papers: Papers) -> None:
    elsewhere = f"elsewhere-{papers.index}"
    await papers.direct("PUT", f"/{elsewhere}", STRICT)
    mover = await pipeline(papers, "move", {"set": {"field": "_index", "value": elsewhere}})
    escaped = b'{"index":{"_id":"2","pipel\\u0069ne":"%b"}}' % mover.encode()
    lines = ndjson(
        {"index": {"_id": "1"}}, {"title": "felines purr"},
        escaped, {"title": "dogs bark"},
        {"create": {"_id": "3", "pipeline": "_none"}}, {"title": "rain falls"},
        {"delete": {"_id": "9", "pipeline": mover}},
    )  # fmt: skip

    answer = await papers.bridge("POST", f"/{papers.index}/_bulk", lines)

    assert answer.json["errors"] is False, answer.body
    assert answer.headers["X-Sidecar-Ingest"] == "embedded=2; pending=?"
    assert await papers.stored("2", elsewhere) == {"title": "dogs bark"}
    assert [state_of(await papers.stored(one)) for one in ("1", "3")] == ["ok", "ok"]
    await papers.direct("DELETE", f"/{elsewhere}")
