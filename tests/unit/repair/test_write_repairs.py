"""The writes that repair faults, and what the cluster says of them."""

import json

import numpy as np
import pytest

from sidecar.embedded_texts import EmbeddedTexts
from sidecar.ports import EmbeddedText, Embeddings, Space
from sidecar.provenance import provenance_hash
from sidecar.repair import write_repairs
from sidecar.repair.documents import Kind, StoredDocument, faults
from sidecar.repair.write_repairs import WriteResult, bulks, plan_write, read_result
from tests.support.bindings import SPACE, a_binding, bound

BINDING = a_binding()
M1 = Space("m@1", SPACE)


def stored(source: dict, *vectors: str, routing: str | None = None, name: str = "1") -> StoredDocument:
    return StoredDocument("papers", name, routing, 5, 2, source, frozenset(vectors))


def embedded(text: str, error: str | None = None) -> EmbeddedTexts:
    texts = EmbeddedTexts()
    item = EmbeddedText(0, truncated=True) if error is None else EmbeddedText(-1, error=error)
    texts.add(M1, (text,), Embeddings("m@1", SPACE, "torch", np.array([[0.5, 0.1]], np.float32), (item,)))
    return texts


def test_a_write_is_guarded_and_routed_and_replaces_vector_and_provenance() -> None:
    one = plan_write(faults(stored({"title": "a"}, routing="r"), bound()), embedded("a"))

    action, body = (json.loads(line) for line in one.lines.splitlines())
    assert action == {"update": {"_id": "1", "if_seq_no": 5, "if_primary_term": 2, "routing": "r"}}
    assert body["script"]["params"] == {
        "gone": ["embedding", "embedding_meta"],
        "dotted": ["embedding_meta."],
        "set": {
            "embedding": [0.5, 0.1],
            "embedding_meta": {
                "hash": provenance_hash("a", BINDING),
                "about": {"model": "m@1", "backend": "torch", "truncated": True},
            },
        },
    }
    assert one.refused == {}


def test_without_a_text_everything_goes() -> None:
    one = plan_write(faults(stored({"embedding_meta": {}}, "embedding"), bound()), EmbeddedTexts())

    assert json.loads(one.lines.splitlines()[1])["script"]["params"]["set"] == {}


@pytest.mark.parametrize(
    ("meta", "vectors", "is_written"),
    [
        pytest.param({"hash": "0", "about": {"model": "m@1"}}, ("embedding",), True, id="a false vector goes"),
        pytest.param({"hash": "", "pending": 1}, (), True, id="the hash is put in"),
        pytest.param({"hash": provenance_hash("a", BINDING), "pending": 1}, (), False, id="said already"),
    ],
)
def test_a_refused_text_is_marked_as_pending(meta: dict, vectors: tuple[str, ...], is_written: bool) -> None:
    one = plan_write(
        faults(stored({"title": "a", "embedding_meta": meta}, *vectors), bound()), embedded("a", "too odd")
    )

    assert one.refused == {"embedding": "too odd"}
    assert bool(one.lines) is is_written
    if is_written:
        new = json.loads(one.lines.splitlines()[1])["script"]["params"]["set"]
        assert new == {"embedding_meta": {"hash": provenance_hash("a", BINDING), "pending": 1}}


def test_bulks_are_bounded_by_bytes_and_keep_every_write(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("a", "b", "c", "a long one that is too large alone" * 40, "d")
    found = [faults(stored({"title": "a"}, name=name), bound()) for name in names]
    writes = [plan_write(one, embedded("a")) for one in found]
    monkeypatch.setattr(write_repairs, "MAX_BULK_BYTES", 2 * len(writes[0].lines))

    parts = list(bulks(writes))

    assert [[one.document.id[0] for one in part] for part in parts] == [["a", "b"], ["c"], ["a"], ["d"]]


@pytest.mark.parametrize(
    ("item", "result", "reason"),
    [
        pytest.param({"status": 200}, WriteResult.WRITTEN, "", id="written"),
        pytest.param({"status": 409, "error": {"type": "version_conflict_engine_exception"}}, WriteResult.CONFLICT,
                     "version_conflict_engine_exception", id="changed meanwhile"),
        pytest.param({"status": 404, "error": {"type": "document_missing_exception"}}, WriteResult.GONE,
                     "document_missing_exception", id="deleted meanwhile"),
        pytest.param({"status": 429, "error": {"type": "rejected_execution_exception"}}, WriteResult.NOT_NOW,
                     "rejected_execution_exception", id="queue full"),
        pytest.param({"status": 503, "error": {"type": "unavailable_shards_exception"}}, WriteResult.NOT_NOW,
                     "unavailable_shards_exception", id="no shard"),
        pytest.param({"status": 403, "error": {"type": "cluster_block_exception"}}, WriteResult.NOT_NOW,
                     "cluster_block_exception", id="read-only"),
        pytest.param(
            {"status": 400, "error": {"type": "mapper_parsing_exception", "reason": "Preview of value: 'secret'",
                                      "caused_by": {"type": "illegal_argument_exception", "reason": "secret"}}},
            WriteResult.FAILED, "mapper_parsing_exception, illegal_argument_exception", id="refused: only types are told"),
    ],
)  # fmt: skip
def test_what_the_cluster_says_of_a_write(item: dict, result: WriteResult, reason: str) -> None:
    assert read_result({"update": item}) == (result, reason)


def test_a_document_with_two_fields_is_written_once() -> None:
    both = bound(a_binding("a", source=("title",)), a_binding("b", source=("abstract",)))
    found = faults(stored({"title": "a", "b_meta": {}}, "b"), both)

    one = plan_write(found, embedded("a", "too odd"))

    assert [fault.kind for fault in found] == [Kind.NO_PROVENANCE, Kind.NO_TEXT]
    params = json.loads(one.lines.splitlines()[1])["script"]["params"]
    assert params["gone"] == ["a", "a_meta", "b", "b_meta"]
    assert list(params["set"]) == ["a_meta"]
