"""What a bound field is found to be, by the document that holds it."""

import pytest

from sidecar.provenance import provenance_hash
from sidecar.repair.documents import Kind, StoredDocument, faults
from tests.support.bindings import a_binding, bound

BINDING = a_binding()
HASH = provenance_hash("cats\npurr", BINDING)
TEXT = {"title": "cats", "abstract": "purr"}
OK = {"hash": HASH, "about": {"model": "m@1", "backend": "torch"}}


def stored(source: dict, *vectors: str) -> StoredDocument:
    return StoredDocument("papers", "1", None, 5, 1, source, frozenset(vectors))


@pytest.mark.parametrize(
    ("source", "has_vector", "kind"),
    [
        pytest.param(TEXT | {"embedding_meta": OK}, True, Kind.RIGHT, id="our own vector"),
        pytest.param(
            TEXT | {"embedding_meta": {"hash": HASH, "client": 1}}, True, Kind.RIGHT, id="the client's own vector"
        ),
        pytest.param({"year": 1}, False, Kind.RIGHT, id="neither text nor vector"),
        pytest.param({"title": "", "abstract": None}, False, Kind.RIGHT, id="empty texts"),
        pytest.param({"embedding": None, "embedding_meta": None}, False, Kind.RIGHT, id="explicit nulls"),
        pytest.param(TEXT, False, Kind.NO_PROVENANCE, id="text alone"),
        pytest.param(TEXT, True, Kind.NO_PROVENANCE, id="text and vector alone"),
        pytest.param(TEXT | {"embedding_meta": None}, True, Kind.NO_PROVENANCE, id="provenance null"),
        pytest.param(TEXT | {"embedding_meta": "ok"}, True, Kind.NO_PROVENANCE, id="provenance of another type"),
        pytest.param(TEXT | {"embedding_meta": [OK]}, True, Kind.NO_PROVENANCE, id="provenance in a list"),
        pytest.param(TEXT | {"embedding_meta": {}}, True, Kind.NO_PROVENANCE, id="provenance empty"),
        pytest.param(TEXT | {"embedding_meta": {"hash": HASH}}, True, Kind.NO_PROVENANCE, id="no state"),
        pytest.param(
            TEXT | {"embedding_meta": OK, "embedding_meta.pending": 1},
            True,
            Kind.NO_PROVENANCE,
            id="dotted key beside",
        ),
        pytest.param(
            TEXT | {"embedding_meta": OK | {"pending": 1}}, False, Kind.PENDING, id="pending, the hash is right"
        ),
        pytest.param(
            TEXT | {"embedding_meta": {"hash": "", "pending": 1}},
            False,
            Kind.PENDING,
            id="the guard could not run",
        ),
        pytest.param(
            TEXT | {"embedding_meta": {"hash": None, "pending": 1}},
            True,
            Kind.PENDING,
            id="pending with a vector",
        ),
        pytest.param(
            TEXT | {"embedding_meta": OK | {"about": {"model": "n@1"}}}, True, Kind.OTHER_MODEL, id="of another model"
        ),
        pytest.param(
            TEXT | {"embedding_meta": OK | {"about": {"model": "n@1"}, "hash": "0"}},
            False,
            Kind.OTHER_MODEL,
            id="in another space",
        ),
        pytest.param(
            TEXT | {"embedding_meta": {"hash": HASH, "about": {}}}, True, Kind.OTHER_MODEL, id="of no known model"
        ),
        pytest.param(
            TEXT | {"title": "dogs", "embedding_meta": OK}, True, Kind.HASH_DIFFERS, id="the text has changed"
        ),
        pytest.param(
            TEXT | {"title": "dogs", "embedding_meta": {"hash": HASH, "client": 1}},
            True,
            Kind.HASH_DIFFERS,
            id="the text has changed under a client's vector",
        ),
        pytest.param(TEXT | {"embedding_meta": OK}, False, Kind.VECTOR_MISSING, id="proven but not there"),
        pytest.param({"title": ""}, True, Kind.NO_TEXT, id="vector without text"),
        pytest.param({"embedding_meta": OK}, False, Kind.NO_TEXT, id="provenance without text"),
        pytest.param({"embedding_meta.pending": 1}, False, Kind.NO_TEXT, id="dotted key without text"),
    ],
)
def test_judgement(source: dict, has_vector: bool, kind: Kind) -> None:
    found = faults(stored(source, *(["embedding"] if has_vector else [])), bound())

    assert [fault.kind for fault in found] == ([] if kind is Kind.RIGHT else [kind])


def test_each_field_is_judged_for_itself() -> None:
    binding = bound(a_binding("a", source=("title",)), a_binding("b", source=("abstract",)))

    found = faults(stored({"title": "cats", "abstract": "purr"}, "b"), binding)

    assert [(fault.binding.field, fault.kind, fault.text) for fault in found] == [
        ("a", Kind.NO_PROVENANCE, "cats"),
        ("b", Kind.NO_PROVENANCE, "purr"),
    ]


@pytest.mark.parametrize(
    ("meta", "has_vector", "is_marked"),
    [
        pytest.param({"hash": HASH, "pending": 1}, False, True, id="as the guard marks it"),
        pytest.param({"hash": "", "pending": 1}, False, False, id="the guard could not run"),
        pytest.param({"hash": HASH, "pending": 1}, True, False, id="a vector is still there"),
        pytest.param(OK, False, False, id="not pending"),
    ],
)
def test_whether_a_document_says_itself_that_the_vector_is_missing(
    meta: dict, has_vector: bool, is_marked: bool
) -> None:
    vectors = ["embedding"] if has_vector else []
    (fault,) = faults(stored(TEXT | {"embedding_meta": meta}, *vectors), bound())

    assert fault.is_marked is is_marked


def test_a_search_hit_is_read() -> None:
    hit = {"_index": "papers", "_id": "1", "_routing": "r", "_seq_no": 7, "_primary_term": 2, "_source": TEXT}

    document = StoredDocument.read(hit, frozenset({"embedding"}))

    assert document == StoredDocument("papers", "1", "r", 7, 2, TEXT, frozenset({"embedding"}))
