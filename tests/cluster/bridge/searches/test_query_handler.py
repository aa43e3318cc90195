"""`neural` clauses in requests that are no searches, on a real node."""

import pytest

from tests.cluster.bridges import Papers, bulk_of
from tests.support.http import Answer, ndjson

DOCUMENTS = {"1": {"title": "Felines purr"}, "2": {"title": "Dogs bark"}, "3": {"title": "Interest rates"}}
NOTE = "neural; model=all-minilm-l6-v2@1; clauses=1"


def neural(field: str = "embedding") -> dict[str, object]:
    return {"query": {"bool": {"filter": {"neural": {field: {"query_text": "kitty noises", "k": 1}}}}}}


@pytest.fixture
async def filled(papers: Papers) -> Papers:
    one = {"settings": {"number_of_shards": 1}}
    index = f"{papers.index}-one"
    assert (await papers.direct("PUT", f"/{index}", one)).status == 200
    written = await papers.bridge("POST", f"/{index}/_bulk?refresh=true", bulk_of(DOCUMENTS))
    assert written.ingested == (3, 0)
    return Papers(papers.bridge, papers.direct, papers.admin, index, papers.binding)


async def test_a_clause_counts_validates_and_explains(filled: Papers) -> None:
    counted = await filled.bridge("POST", f"/{filled.index}/_count", neural())
    valid = await filled.bridge("GET", f"/{filled.index}/_validate/query", neural())
    explained = [await filled.bridge("GET", f"/{filled.index}/_explain/{number}", neural()) for number in (1, 2)]

    assert counted.json["count"] == 1
    assert valid.json["valid"] is True
    assert [answer.json["matched"] for answer in explained] == [True, False]
    assert {answer.headers["X-Sidecar-Search"] for answer in (counted, valid, *explained)} == {NOTE}


async def test_a_clause_selects_documents_to_copy_to_change_and_to_delete(filled: Papers) -> None:
    copy = {"source": {"index": filled.index, **neural()}, "dest": {"index": f"{filled.index}-copy"}}
    copied = await filled.bridge("POST", "/_reindex?refresh=true", copy)
    updated = await filled.bridge("POST", f"/{filled.index}/_update_by_query?refresh=true", neural())
    deleted = await filled.bridge("POST", f"/{filled.index}/_delete_by_query?refresh=true", neural())

    assert (copied.json["created"], updated.json["updated"], deleted.json["deleted"]) == (1, 1, 1)
    left = (await filled.direct("GET", f"/{filled.index}/_search?_source=title")).json["hits"]["hits"]
    assert {hit["_id"] for hit in left} == {"2", "3"}


async def test_rankings_are_evaluated(filled: Papers) -> None:
    rated = {"_index": filled.index, "_id": "1", "rating": 1}
    body = {"requests": [{"id": "a", "request": neural(), "ratings": [rated]}], "metric": {"precision": {"k": 1}}}

    answer = await filled.bridge("POST", f"/{filled.index}/_rank_eval", body)

    assert answer.json["metric_score"] == 1.0


@pytest.mark.parametrize(
    "call", ["_count", "_validate/query", "_explain/1", "_update_by_query", "_delete_by_query", "_search"]
)
async def test_a_field_that_is_not_bound_is_named(filled: Papers, call: str) -> None:
    answer = await filled.bridge("POST", f"/{filled.index}/{call}", neural("other"))

    refused(answer)


async def test_so_is_one_of_a_reindex_and_of_several_searches(filled: Papers) -> None:
    copy = {"source": {"index": filled.index, **neural("other")}, "dest": {"index": f"{filled.index}-copy"}}
    refused(await filled.bridge("POST", "/_reindex", copy))

    several = await filled.bridge("POST", f"/{filled.index}/_msearch", bulk_lines(neural("other"), neural()))
    first, second = several.json["responses"]
    assert (first["status"], second["status"]) == (400, 200)
    assert "only [embedding] is" in first["error"]["reason"]
    assert several.headers["X-Sidecar-Search"] == "msearch; neural=1; refused=1"


async def test_a_text_is_never_found_by_meaning_here(filled: Papers) -> None:
    text = {"query": {"match": {"title": "kitty noises"}}}

    assert (await filled.bridge("POST", f"/{filled.index}/_count", text)).json["count"] == 0
    assert (await filled.bridge("POST", f"/{filled.index}/_delete_by_query", text)).json["deleted"] == 0


async def test_a_request_without_a_clause_is_forwarded_unchanged(filled: Papers) -> None:
    for path in ("_count", "_count?q=dogs", "_validate/query?explain=true", "_explain/1?q=felines"):
        through = await filled.bridge("GET", f"/{filled.index}/{path}")
        direct = await filled.direct("GET", f"/{filled.index}/{path}")
        assert (through.status, through.body) == (direct.status, direct.body)


def refused(answer: Answer) -> None:
    assert answer.status == 400
    assert "neural.other: is not bound to a model (only [embedding] is)" in answer.json["error"]["reason"]


def bulk_lines(*bodies: object) -> bytes:
    return ndjson(*(line for body in bodies for line in ({}, body)))
