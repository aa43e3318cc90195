"""What an update needs: one row per shape."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.bridge.writes.document_plan import Counts, Vectors
from sidecar.bridge.writes.update_body import Position, parse_update
from sidecar.bridge.writes.update_plan import (
    Stored,
    apply_update,
    fields_to_read,
    guard_action,
    merge,
    needs_read,
    plan_update,
)
from sidecar.model import Binding, WritePolicy
from sidecar.ports import EmbeddedText, Embeddings, Space
from sidecar.provenance import provenance_hash
from tests.support.bindings import SPACE, a_binding, bound
from tests.support.provenances import state_of

BINDING = a_binding()
BOUND = bound(BINDING)
AT = Position(7, 1)
UNKNOWN = {"hash": None, "pending": 1, "client": None, "about": None}


def proven(title: str, abstract: str | None = None, **more: object) -> dict[str, object]:
    """A stored document with the right vector."""
    text = "\n".join(part for part in (title, abstract) if part)
    meta = {"hash": provenance_hash(text, BINDING), "about": {"model": "m@1"}}
    return {"title": title, "abstract": abstract, "embedding": [0.5, 0.5], "embedding_meta": meta, **more}


def embedded(*texts: str) -> Vectors:
    vectors = Vectors()
    matrix = np.array([[0.1, row] for row in range(len(texts))], dtype=np.float32)
    items = tuple(EmbeddedText(row) for row in range(len(texts)))
    vectors.add(Space("m@1", SPACE), texts, Embeddings("m@1", SPACE, "torch", matrix, items))
    return vectors


def written(body: object, stored: object, *texts: str, binding: Binding = BINDING) -> tuple[dict, Position | None]:
    """What is sent for an update of what is stored (None: nothing), and for which state of the document."""
    source = json.dumps(body).encode()
    update = parse_update(source, {})
    assert update is not None
    found = Stored(None) if stored is None else Stored(stored, AT)
    plan = plan_update(update, found, bound(binding))
    line, _ = apply_update(source, plan, embedded(*texts))
    return json.loads(line), plan.guard


@pytest.mark.parametrize(
    ("source", "parameters"),
    [
        pytest.param(b"{bad", {}, id="not JSON"),
        pytest.param(b"[]", {}, id="not an object"),
        pytest.param(b"{}", {}, id="neither doc nor script"),
        pytest.param(b'{"dok":{}}', {}, id="unknown member"),
        pytest.param(b'{"doc":{},"script":"x"}', {}, id="doc and script"),
        pytest.param(b'{"doc":null}', {}, id="null doc"),
        pytest.param(b'{"doc":{},"upsert":[]}', {}, id="upsert is a list"),
        pytest.param(b'{"doc":{},"doc_as_upsert":1}', {}, id="a number is no flag"),
        pytest.param(b'{"doc":{},"upsert":{}}', {"if_seq_no": 1, "if_primary_term": 1}, id="guarded upsert"),
        pytest.param(b'{"doc":{},"doc_as_upsert":"true"}', {"if_seq_no": "1"}, id="guarded doc_as_upsert"),
        pytest.param(b'{"doc":{},"if_seq_no":1}', {"retry_on_conflict": "1"}, id="guarded and tried again"),
    ],
)
def test_what_the_cluster_would_refuse(source: bytes, parameters: dict) -> None:
    assert parse_update(source, parameters) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"doc": {"title": "x"}}, True, id="a source"),
        pytest.param({"doc": {"abstract": None}}, True, id="a source goes"),
        pytest.param({"doc": {"title.raw": "x"}}, True, id="below a source"),
        pytest.param({"doc": {"embedding": None}}, True, id="the vector"),
        pytest.param({"doc": {"embedding_meta.pending": 1}}, True, id="the provenance, dotted"),
        pytest.param({"doc": {"year": 1, "titles": "x"}}, False, id="neither"),
        pytest.param({"doc": {"year": 1}, "upsert": {"title": "x"}}, True, id="an upsert with a text"),
        pytest.param({"doc": {"year": 1}, "upsert": {"year": 1}}, False, id="an upsert without"),
        pytest.param({"script": "x"}, False, id="a script"),
    ],
)
def test_what_depends_on_what_is_stored(body: object, expected: bool) -> None:
    update = parse_update(json.dumps(body).encode(), {})
    assert update is not None

    assert needs_read(update, BOUND) is expected


def test_a_changed_text_gets_its_vector_and_a_whole_provenance() -> None:
    sent, guard = written({"doc": {"abstract": "bark"}, "detect_noop": False}, proven("dogs"), "dogs\nbark")

    assert guard == AT
    assert sent["detect_noop"] is False
    assert sent["doc"]["embedding"] == [0.1, 0.0]
    assert sent["doc"]["embedding_meta"] == {
        "hash": provenance_hash("dogs\nbark", BINDING),
        "pending": None,
        "client": None,
        "about": {"model": "m@1", "backend": "torch", "truncated": False},
    }


def test_without_a_vector_the_old_one_goes_and_the_hash_says_for_which_text() -> None:
    sent, _ = written({"doc": {"title": "cats"}}, proven("dogs"))

    assert sent["doc"]["embedding"] is None
    assert sent["doc"]["embedding_meta"] == UNKNOWN | {"hash": provenance_hash("cats", BINDING)}


@pytest.mark.parametrize(
    ("stored", "doc", "added"),
    [
        pytest.param(proven("dogs"), {"title": "dogs"}, {}, id="the same text"),
        pytest.param(proven("dogs"), {"title": "", "abstract": "dogs"}, {}, id="the same text from elsewhere"),
        pytest.param({"year": 1}, {"title": None}, {}, id="no text before and after"),
        pytest.param(proven("dogs"), {"title": None}, {"embedding": None, "embedding_meta": None}, id="no text left"),
        pytest.param({"title": "x", "embedding_meta": {"hash": "0", "about": {}}}, {"abstract": "y"},
                     {"embedding": None, "embedding_meta": UNKNOWN}, id="what was read is not what was proven"),
    ],
)  # fmt: skip
def test_what_is_added_without_embedding(stored: object, doc: dict, added: dict) -> None:
    sent, guard = written({"doc": doc}, stored)

    assert sent == {"doc": doc | added}
    assert guard == AT


@pytest.mark.parametrize("upsert", [{"doc_as_upsert": True}, {"upsert": {"title": "bees"}}], ids=["doc", "upsert"])
def test_an_upsert_of_a_document_that_exists_is_a_guarded_update(upsert: dict) -> None:
    sent, guard = written({"doc": {"title": "dogs"}, **upsert}, proven("dogs"))

    assert sent == {"doc": {"title": "dogs"}}
    assert guard == AT


@pytest.mark.parametrize(
    ("body", "text"),
    [
        pytest.param({"doc": {"title": "cats"}, "doc_as_upsert": True}, "cats", id="doc_as_upsert"),
        pytest.param({"doc": {"title": "cats"}, "upsert": {"title": "bees"}}, "bees", id="doc and upsert"),
    ],
)
def test_where_nothing_is_stored_the_new_document_has_its_vector_and_doc_a_mark(body: dict, text: str) -> None:
    sent, guard = written(body, None, text)

    assert guard is None
    assert sent.keys() == {"doc", "upsert"}
    assert (sent["upsert"]["title"], sent["upsert"]["embedding"]) == (text, [0.1, 0.0])
    assert sent["doc"] == body["doc"] | {"embedding": None, "embedding_meta": UNKNOWN}


def test_the_bytes_of_a_client_survive() -> None:
    source = b'{ "upsert" : {"n":1.50} , "doc":{ "title" : "caf\\u00e9", "n":12345678901234567890 } , "_source":true }'
    update = parse_update(source, {})
    assert update is not None

    line, counts = apply_update(source, plan_update(update, Stored(None), BOUND), Vectors())

    assert line.startswith(b'{ "upsert" : {"n":1.50} , "doc":{ "title" : "caf\\u00e9", "n":12345678901234567890 ,"emb')
    assert line.endswith(b'} , "_source":true }')
    assert counts == Counts()


@pytest.mark.parametrize(
    ("policy", "doc", "expected"),
    [
        pytest.param("keep", {"embedding": [1, 2]}, {"embedding": [1, 2]}, id="kept"),
        pytest.param("keep", {"title": "cats", "embedding": [1, 2]}, {"embedding": [1, 2]}, id="kept with its text"),
        pytest.param("replace", {"title": "cats", "embedding": [1, 2]}, {"embedding": [0.1, 0.0]}, id="replaced"),
        pytest.param("keep", {"embedding": None}, {"embedding": [0.1, 0.0]}, id="a text has a vector"),
        pytest.param("keep", {"embedding_meta.pending": 1}, {"embedding": [0.1, 0.0]}, id="a second provenance"),
    ],
)
def test_a_clients_own_vector(policy: str, doc: dict, expected: dict) -> None:
    binding = a_binding(write=WritePolicy.model_validate({"client_vector": policy}))

    sent, _ = written({"doc": doc}, proven("dogs"), doc.get("title", "dogs"), binding=binding)

    state = "client" if expected["embedding"] == [1, 2] else "ok"
    assert sent["doc"]["embedding"] == expected["embedding"]
    assert state_of(sent["doc"]) == state
    assert "embedding_meta.pending" not in sent["doc"]


def test_a_clients_own_vector_is_refused_if_the_binding_says_so() -> None:
    refusing = bound(a_binding(write=WritePolicy(client_vector="reject")))
    for doc, refused in (({"embedding": [1, 2]}, True), ({"embedding": [0.5, 0.5]}, False)):
        update = parse_update(json.dumps({"doc": doc}).encode(), {})
        assert update is not None
        assert (plan_update(update, Stored(proven("dogs"), AT), refusing).refused is not None) is refused


@pytest.mark.parametrize("position", [AT, Position(6, 1)])
def test_a_clients_own_guard_stays_and_is_not_planned_for_another_document(position: Position) -> None:
    source = b'{"doc":{"title":"cats"}}'
    update = parse_update(source, {"if_seq_no": position.seq_no, "if_primary_term": str(position.primary_term)})
    assert update is not None

    plan = plan_update(update, Stored(proven("dogs"), AT), BOUND)

    assert plan.guard is None
    assert bool(plan.doc.stale) is (position != AT)


def test_what_the_client_may_not_read_is_not_embedded() -> None:
    update = parse_update(b'{"doc":{"title":"cats"}}', {})
    assert update is not None

    for stored, unseen in ((Stored(proven("dogs"), AT), frozenset({"embedding"})), (None, frozenset())):
        assert plan_update(update, stored, BOUND, unseen).doc.stale == (BINDING,)


@pytest.mark.parametrize("member", ["doc", "upsert"])
def test_what_is_nested_too_deeply_to_be_read_is_marked(member: str) -> None:
    deep = b'{"title":' + b"[" * 990 + b"]" * 990 + b"}"
    update = parse_update(b'{"doc":{"title":"x"},"%b":' % b"upsert" + deep + b"}" if member == "upsert"
                          else b'{"doc":' + deep + b"}", {})  # fmt: skip
    assert update is not None

    assert needs_read(update, BOUND)
    assert plan_update(update, Stored(None), BOUND).doc.stale == (BINDING,)


def test_the_fields_to_read_are_the_roots() -> None:
    assert fields_to_read(bound(a_binding(source=("a.b", "a.c", "d")))) == ("a", "d", "embedding", "embedding_meta")


def test_the_guard_stands_in_the_action_line() -> None:
    line = guard_action(b'{ "update" : {"_id":"1","retry_on_conflict":3} }\r', AT)

    assert json.loads(line) == {"update": {"_id": "1", "if_seq_no": 7, "if_primary_term": 1}}


def test_a_merge_goes_deep_only_where_both_are_objects() -> None:
    stored = {"a": {"b": 1, "c": {"d": 1}}, "e": [1, 2], "f": {"g": 1}, "a.b": "dotted"}

    merged = merge(stored, {"a": {"c": {"x": 2}}, "e": [3], "f": None, "h": {"i": 1}})

    assert merged == {"a": {"b": 1, "c": {"d": 1, "x": 2}}, "e": [3], "f": None, "h": {"i": 1}, "a.b": "dotted"}


JSON = st.recursive(
    st.none() | st.integers(0, 3) | st.sampled_from(["x", "y"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


@given(OBJECTS, OBJECTS)
def test_a_merge_changes_nothing_of_its_own_and_is_the_same_twice(stored: dict, changes: dict) -> None:
    before = json.dumps(stored)

    merged = merge(stored, changes)

    assert json.dumps(stored) == before
    assert merge(merged, changes) == merged


def planned(doc: object, stored: dict, *texts: str, **fields: frozenset[str]) -> dict:
    """The `doc` that is sent. `fields` are those that cannot hold our vector, or are lost by every update."""
    source = json.dumps({"doc": doc}).encode()
    update = parse_update(source, {})
    assert update is not None
    line, _ = apply_update(source, plan_update(update, Stored(stored, AT), BOUND, **fields), embedded(*texts))
    return json.loads(line)["doc"]


EMBEDDING = frozenset({"embedding"})


def test_a_new_text_beside_a_field_that_cannot_hold_our_vector_is_pending() -> None:
    kept: dict[str, object] = {"title": "dogs", "embedding": [1, 2, 3]}
    kept["embedding_meta"] = {"hash": provenance_hash("dogs", BINDING), "client": 1}
    pending = {"hash": provenance_hash("cats", BINDING), "pending": 1, "client": None, "about": None}

    assert planned({"title": "cats"}, kept, "cats", unfit=EMBEDDING) == {
        "title": "cats", "embedding": None, "embedding_meta": pending,
    }  # fmt: skip
    assert planned({"title": "dogs"}, kept, unfit=EMBEDDING) == {"title": "dogs"}
    own = planned({"title": "cats", "embedding": [4, 5, 6]}, kept, unfit=EMBEDDING)
    assert own["embedding"] == [4, 5, 6]
    assert own["embedding_meta"] == {**pending, "pending": None, "client": 1}


def test_an_upsert_beside_such_a_field_is_pending() -> None:
    update = parse_update(b'{"script":"x","upsert":{"title":"cats"}}', {})
    assert update is not None

    plan = plan_update(update, Stored(None), BOUND, unfit=EMBEDDING)

    assert (plan.wanted, [one.text for one in plan.created.unfit]) == ((), ["cats"])


def test_every_update_of_an_index_whose_source_lacks_the_vector_writes_it_again() -> None:
    update = parse_update(b'{"doc":{"n":1}}', {})
    assert update is not None
    stored = {name: value for name, value in proven("dogs").items() if name != "embedding"}

    assert needs_read(update, BOUND, EMBEDDING)
    assert not needs_read(update, BOUND)
    assert planned({"n": 1}, stored, "dogs", forgotten=EMBEDDING)["embedding"] == [0.1, 0.0]
    assert planned({"n": 1}, stored, forgotten=EMBEDDING)["embedding_meta"]["pending"] == 1


def test_an_update_of_an_index_whose_source_lacks_the_text_is_marked() -> None:
    stored = {name: value for name, value in proven("dogs").items() if name != "title"}

    assert planned({"n": 1}, stored, forgotten=EMBEDDING) == {"n": 1, "embedding": None, "embedding_meta": UNKNOWN}
