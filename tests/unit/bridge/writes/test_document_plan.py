"""What a write needs, and what is then written: one row per shape."""

import json

import numpy as np
import pytest

from sidecar.bridge.writes.document_plan import (
    Counts,
    Vectors,
    apply_plan,
    plan_document,
    texts_by_space,
)
from sidecar.model import WritePolicy
from sidecar.ports import EmbeddedText, Embeddings, Space
from sidecar.provenance import provenance_hash
from tests.support.bindings import SPACE, a_binding, bound
from tests.support.provenances import state_of

BINDING = a_binding()
BOUND = bound(BINDING)
HASH = provenance_hash("dogs\nbark", BINDING)


def embedded(*texts: str, item: EmbeddedText | None = None) -> Vectors:
    vectors = Vectors()
    items = tuple(item or EmbeddedText(row, tokens=3) for row in range(len(texts)))
    matrix = np.array([[0.1, row] for row in range(len(texts))], dtype=np.float32)
    vectors.add(Space("m@1", SPACE), texts, Embeddings("m@1", SPACE, "torch", matrix, items))
    return vectors


def written(source: bytes, vectors: Vectors) -> tuple[dict[str, object], Counts]:
    line, counts = apply_plan(source, plan_document(source, BOUND), vectors)
    return json.loads(line), counts


def test_a_document_gets_vector_and_provenance_behind_its_own_bytes() -> None:
    source = b'{"title": "dogs", "abstract":"bark", "n":1.50}'

    line, counts = apply_plan(source, plan_document(source, BOUND), embedded("dogs\nbark"))

    assert line == source[:-1] + (
        b',"embedding":[0.1,0.0],"embedding_meta":{"hash":"%b","about":{"model":"m@1","backend":"torch",'
        b'"truncated":false}}}' % HASH.encode()
    )
    assert counts == Counts(embedded=1)


def test_a_text_without_a_vector_is_marked_pending() -> None:
    document, counts = written(b'{"title":"dogs","abstract":"bark"}', Vectors())

    assert document["embedding_meta"] == {"hash": HASH, "pending": 1}
    assert "embedding" not in document
    assert counts == Counts(pending=1)


def test_a_text_that_the_embedder_refused_is_marked_pending() -> None:
    refused = embedded("dogs", item=EmbeddedText(-1, error="not a number"))

    document, _ = written(b'{"title":"dogs"}', refused)

    assert state_of(document) == "pending"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(b'{"n":1}', id="no text"),
        pytest.param(b'{"title":"","abstract":null}', id="empty text"),
        pytest.param(b'{"title":7.5}', id="a number with a fraction is no text"),
        pytest.param(b"{bad", id="not JSON"),
        pytest.param(b'["title"]', id="not an object"),
        pytest.param(b'{"title":"dogs","abstract":"bark","embedding":[1,2],"embedding_meta":{"hash":"%b","about":{}}}'
                     % HASH.encode(), id="a proven copy"),
    ],
)  # fmt: skip
def test_what_is_left_alone(source: bytes) -> None:
    assert not plan_document(source, BOUND).changes


def test_a_document_that_does_not_parse_is_known_as_malformed_where_a_guard_runs() -> None:
    assert plan_document(b"{bad", BOUND).is_malformed
    assert plan_document(b'{"title":' + b"[" * 990 + b"]" * 990 + b"}", BOUND).is_malformed
    assert not plan_document(b"{bad", None).is_malformed


def test_an_unbound_index_is_left_alone() -> None:
    assert not plan_document(b'{"title":"dogs"}', None).changes


@pytest.mark.parametrize(
    "brought",
    [
        pytest.param(b'"embedding":[1,2],"embedding_meta":{"hash":"0","about":{}}', id="the vector of another text"),
        pytest.param(b'"embedding_meta":{"pending":1}', id="provenance without a vector"),
        pytest.param(b'"embedding":null', id="a null vector"),
        pytest.param(b'"embedding":[1,2],"embedding_meta":{"hash":"%b","pending":1}' % HASH.encode(), id="pending"),
    ],
)
def test_a_stale_vector_that_a_document_brings_is_replaced(brought: bytes) -> None:
    document, _ = written(b'{"title":"dogs","abstract":"bark",' + brought + b"}", embedded("dogs\nbark"))

    assert document["embedding"] == [0.1, 0.0]
    assert document["embedding_meta"]["hash"] == HASH


def test_a_clients_own_vector_is_kept_and_marked() -> None:
    document, counts = written(b'{"title":"dogs","abstract":"bark","embedding":[1,2]}', Vectors())

    assert document["embedding"] == [1, 2]
    assert document["embedding_meta"] == {"hash": HASH, "client": 1}
    assert counts == Counts()


def test_a_clients_own_vector_is_replaced_or_refused_if_the_binding_says_so() -> None:
    source = b'{"title":"dogs","embedding":[1,2]}'
    replacing = bound(a_binding(write=WritePolicy(client_vector="replace")))
    refusing = bound(a_binding(write=WritePolicy(client_vector="reject")))

    assert [w.text for w in plan_document(source, replacing).wanted] == ["dogs"]
    assert (
        plan_document(source, refusing).refused == "[embedding] is written by the bridge, a document must not bring it"
    )


def test_texts_are_distinct_by_space_and_well_formed() -> None:
    second = a_binding("other", source=("title",), model="n@1", space="sha256:" + "b" * 64)
    plans = [plan_document(source, bound(BINDING, second)) for source in (b'{"title":"a\\ud800"}', b'{"title":"a?"}')]

    assert texts_by_space(plans) == {Space("m@1", SPACE): ("a?",), Space("n@1", second.space): ("a?",)}


UNFIT = frozenset({"embedding"})


@pytest.mark.parametrize(
    ("document", "expected", "pending"),
    [
        pytest.param({"title": "dogs"}, {"title": "dogs", "embedding_meta": "pending"}, 1, id="no vector"),
        pytest.param({"n": 1}, {"n": 1}, 0, id="no text"),
        pytest.param({"title": "dogs", "embedding": [1, 2, 3]},
                     {"title": "dogs", "embedding": [1, 2, 3], "embedding_meta": "client"}, 0, id="a client's own"),
        pytest.param({"title": "dogs", "embedding": None}, {"title": "dogs", "embedding_meta": "pending"}, 1,
                     id="an explicit null"),
        pytest.param({"title": "dogs", "embedding": [1, 2, 3], "embedding_meta": {"hash": "cats", "client": 1}},
                     {"title": "dogs", "embedding_meta": "pending"}, 1, id="that of another text, read and written back"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("policy", [WritePolicy(), WritePolicy(client_vector="replace", on_failure="reject")])
def test_a_field_that_cannot_hold_our_vector_gets_none(
    document: dict[str, object], expected: dict[str, object], pending: int, policy: WritePolicy
) -> None:
    source = json.dumps(document).encode()
    plan = plan_document(source, bound(a_binding(write=policy)), UNFIT)

    line, counts = apply_plan(source, plan, embedded("dogs"))

    stored = json.loads(line)
    if "embedding_meta" in expected:
        expected = {
            **expected,
            "embedding_meta": {"hash": provenance_hash("dogs", BINDING), expected["embedding_meta"]: 1},
        }
    assert stored == expected
    assert counts == Counts(pending=pending)
    assert texts_by_space([plan]) == {}


def test_where_vectors_of_clients_are_refused_they_are_refused_there_too() -> None:
    bound_so = bound(a_binding(write=WritePolicy(client_vector="reject")))

    assert plan_document(b'{"title":"dogs","embedding":[1]}', bound_so, UNFIT).refused is not None


def test_counts_after_a_pipeline_do_not_say_what_is_pending() -> None:
    assert str(Counts(embedded=2) + Counts(pending=1, is_certain=False)) == "embedded=2; pending=?"
