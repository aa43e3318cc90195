"""How much is asked for at a time, and what is read from the answers."""

import pytest

from sidecar.repair.documents import StoredDocument
from sidecar.repair.pages import Extent, again_request, next_size, page_request, read_again, read_extent, read_page
from tests.support.bindings import a_binding, bound

BOUND = bound(a_binding("a", source=("title", "x.y")), a_binding("b", source=("title",)))


def stored(title: str = "t", *, routing: str | None = None) -> StoredDocument:
    return StoredDocument("papers", "1", routing, 5, 1, {"title": title}, frozenset())


@pytest.mark.parametrize(
    ("size", "documents", "text_bytes", "expected"),
    [
        pytest.param(20, 20, 100, 40, id="small documents: twice as many"),
        pytest.param(400, 400, 100, 500, id="never more than 500"),
        pytest.param(20, 20, 200_000, 20, id="about 4 MiB"),
        pytest.param(20, 20, 5_000_000, 1, id="a large document alone"),
        pytest.param(4, 2, 100, 8, id="a page that was not full"),
    ],
)
def test_the_size_of_the_next_page(size: int, documents: int, text_bytes: int, expected: int) -> None:
    page = [stored("t" * (text_bytes // 2))] * documents  # each title feeds two fields

    assert next_size(size, page, BOUND) == expected


@pytest.mark.parametrize(
    ("total", "last", "expected"),
    [
        pytest.param(3, 17.0, Extent(3, 17), id="some"),
        pytest.param(0, None, Extent(0, -1), id="none"),
    ],
)
def test_the_extent_of_a_shard(total: int, last: float | None, expected: Extent) -> None:
    answer = {"hits": {"total": {"value": total}}, "aggregations": {"last": {"value": last}}}

    assert read_extent(answer) == expected


def test_a_page_asks_for_texts_and_provenances_and_whether_there_are_vectors() -> None:
    request = page_request(BOUND, {"match_all": {}}, after=4, last=9, size=7)

    assert request["_source"] == ["title", "x.y", "a_meta", "b_meta"]
    assert request["query"]["bool"]["filter"][1] == {"range": {"_seq_no": {"gt": 4, "lte": 9}}}
    assert [clause["exists"] for clause in request["query"]["bool"]["should"]] == [
        {"field": "a", "_name": "a"},
        {"field": "b", "_name": "b"},
    ]


def test_hits_tell_by_their_matched_queries_which_vectors_there_are() -> None:
    hit = {"_index": "papers", "_id": "1", "_seq_no": 5, "_primary_term": 1, "_source": {"title": "t"}}

    page = read_page({"hits": {"hits": [hit | {"matched_queries": ["b"]}, hit]}})

    assert [document.vectors for document in page] == [{"b"}, frozenset()]


def test_a_second_look_reads_the_vectors_too_and_drops_what_is_gone() -> None:
    request = again_request(BOUND, [stored(), stored(routing="r")])
    found = {"_index": "papers", "_id": "1", "_seq_no": 6, "_primary_term": 1, "found": True}
    answer = {
        "docs": [found | {"_source": {"a": [1], "b": None}}, {"_id": "2", "found": False}, {"_id": "3", "error": {}}]
    }

    assert [line.get("routing") for line in request["docs"]] == [None, "r"]
    assert request["docs"][0]["_source"] == ["title", "x.y", "a_meta", "b_meta", "a", "b"]
    assert [(document.seq_no, document.vectors) for document in read_again(answer, BOUND)] == [(6, {"a"})]
