"""Each document of an `_mget` leaves out the fields of its own index."""

import pytest

from sidecar.bridge.hidden_documents import hide_in_mget, indices_of
from sidecar.bridge.hidden_fields import NOTHING, Hidden
from sidecar.jsontext import Json, NumberText, Object

OURS = ("e", "e_meta")
HIDDEN = {"papers": Hidden(OURS), "notes": NOTHING}
WITHOUT: Json = {"excludes": [*OURS]}


@pytest.mark.parametrize(
    ("document", "url", "sent"),
    [
        pytest.param({"_id": "1"}, {}, {"_id": "1", "_source": WITHOUT}, id="nothing said"),
        pytest.param({"_index": "notes", "_id": "1"}, {}, ..., id="an unbound index"),
        pytest.param({"_index": "unknown", "_id": "1"}, {}, ..., id="an unknown index"),
        pytest.param({"_id": "1", "_source": False}, {}, ..., id="no source"),
        pytest.param({"_id": "1", "_source": NumberText("1")}, {}, ..., id="a number, which the cluster refuses"),
        pytest.param({"_id": "1", "_source": True}, {"_source": "a"}, {"_id": "1", "_source": WITHOUT}, id="all of it"),
        pytest.param({"_id": "1", "_source": "e"}, {}, {"_id": "1", "_source": {"includes": ["e"], "excludes": ["e_meta"]}},
                     id="named"),
        pytest.param({"_id": "1"}, {"_source": "a"}, {"_id": "1", "_source": {"includes": ["a"], "excludes": [*OURS]}},
                     id="the URL's filter"),
        pytest.param({"_id": "1"}, {"_source": "false"}, ..., id="none by URL"),
        pytest.param({"_id": "1", "stored_fields": ["year"]}, {}, ..., id="stored fields"),
        pytest.param({"_id": "1"}, {"stored_fields": "year"}, ..., id="stored fields by URL"),
        pytest.param({"_id": "1", "stored_fields": "_source"}, {}, {"_id": "1", "stored_fields": "_source", "_source": WITHOUT},
                     id="the source as a stored field"),
        pytest.param(7, {}, ..., id="what the cluster refuses"),
    ],
)  # fmt: skip
def test_a_document(document: Json, url: dict[str, str], sent: Json) -> None:
    changed, excludes = hide_in_mget({"docs": [document]}, url, "papers", HIDDEN)

    assert excludes == ()
    assert changed == ({} if sent is ... else {"docs": [sent]})


def test_bare_ids_are_told_by_url_and_documents_beside_them_say_what_they_show() -> None:
    documents: list[Json] = [{"_index": "notes", "_id": "1"}, {"_index": "notes", "_id": "2", "stored_fields": "year"}]

    assert hide_in_mget({"ids": ["1"]}, {}, "papers", HIDDEN) == ({}, OURS)
    assert hide_in_mget({"ids": ["1"], "docs": documents}, {}, "papers", HIDDEN) == (
        {"docs": [{**documents[0], "_source": True}, {**documents[1], "_source": False}]},
        OURS,
    )


@pytest.mark.parametrize(
    ("body", "index", "expected"),
    [
        pytest.param({"ids": ["1"]}, "papers", ("papers",), id="of the path"),
        pytest.param(
            {"docs": [{"_index": "a"}, {"_id": "1"}, {"_index": "a"}]}, "papers", ("papers", "a"), id="of both"
        ),
        pytest.param({"docs": [{"_index": []}, 2]}, None, (), id="of none"),
        pytest.param({"docs": [{"_index": 2024}, {"_index": True}]}, None, ("2024", "true"), id="no strings"),
    ],
)
def test_indices_of(body: Object, index: str | None, expected: tuple[str, ...]) -> None:
    assert indices_of(body, index) == expected
