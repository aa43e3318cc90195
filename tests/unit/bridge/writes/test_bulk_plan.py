"""In which order the operations of a bulk may be sent, and what is sent of each."""

import json

import numpy as np
import pytest

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.writes.bulk_plan import Step, StepKind, apply_plans, plan_items, plan_step, put_off, waves
from sidecar.bridge.writes.document_plan import Counts, Vectors
from sidecar.bridge.writes.update_body import Position
from sidecar.bridge.writes.update_plan import DocumentKey, Stored
from sidecar.model import WritePolicy
from sidecar.ports import EmbeddedText, Embeddings, Space
from tests.support.bindings import SPACE, a_binding, bound
from tests.support.bulks import items_of

TARGET = WriteTarget("papers-1", bound(), routing="r")
LINES = {"i": StepKind.PLAIN, "u": StepKind.GUARDED, "s": StepKind.SCRIPTED}


def steps(written: str) -> list[Step]:
    """`i1 u1 s2`: index 1, an update of 1 that reads, a script on 2."""
    return [Step(LINES[one[0]], ("papers", one[1:] or None), reads=one[0] == "u") for one in written.split()]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param("i1 i1 i2", "i1 i1 i2", id="nothing is read"),
        pytest.param("i1 u2 i3 u4", "i1 u2 i3 u4", id="each document once"),
        pytest.param("i1 u1", "i1 | u1", id="read after what was written before"),
        pytest.param("u1 i1", "u1 | i1", id="what comes after must not be overtaken by another try"),
        pytest.param("u1 u1 u1", "u1 | u1 | u1", id="updates of one document"),
        pytest.param("i1 i1 u2 u1 i2", "i1 i1 u2 | u1 i2", id="a wave forgets"),
        pytest.param("i i u1", "i i u1", id="ids that the cluster chooses"),
        pytest.param("i1 s2 s3 s2 i4", "i1 | s2 s3 | s2 | i4", id="scripts go apart"),
    ],
)
def test_waves(written: str, expected: str) -> None:
    given = steps(written)

    cut = [" ".join(written.split()[n] for n in wave) for wave in waves(given)]

    assert " | ".join(cut) == expected


def test_a_wave_reads_a_bounded_number_of_documents() -> None:
    given = [Step(StepKind.GUARDED, ("papers", str(n)), reads=True) for n in range(1_001)]

    assert [len(wave) for wave in waves(given)] == [500, 500, 1]


@pytest.mark.parametrize(
    ("action", "source", "expected"),
    [
        pytest.param('{"index":{"_id":"1"}}', '{"title":"x"}', Step(StepKind.PLAIN, ("papers-1", "1")), id="index"),
        pytest.param('{"update":{"_id":"1"}}', '{"doc":{"n":1}}',
                     Step(StepKind.PLAIN, ("papers-1", "1"), routing="r"), id="an update of another field"),
        pytest.param('{"update":{"_id":"1","retry_on_conflict":2}}', '{"doc":{"title":"x"}}',
                     Step(StepKind.GUARDED, ("papers-1", "1"), reads=True, routing="r", retries=2), id="of a source"),
        pytest.param('{"update":{"_id":1,"routing":7}}', '{"script":"x","upsert":{"title":"x"}}',
                     Step(StepKind.SCRIPTED, ("papers-1", "1"), reads=True, routing="7"), id="a script with an upsert"),
        pytest.param('{"update":{"_id":"1"}}', '{"dok":{}}', Step(StepKind.SCRIPTED, ("papers-1", "1")),
                     id="not understood: alone, so that the guard sees the result"),
    ],
)  # fmt: skip
def test_how_an_item_has_to_be_sent(action: str, source: str, expected: Step) -> None:
    (item,) = items_of(f"{action}\n{source}\n".encode()) or ()

    assert plan_step(item, TARGET, None) == expected


def test_the_routing_of_the_request_goes_before_that_of_the_alias() -> None:
    (item,) = items_of(b'{"update":{"_id":"1"}}\n{"doc":{"title":"x"}}\n') or ()

    step = plan_step(item, TARGET, "q")

    assert step.routing == "q"


def test_a_refused_item_is_answered_here_and_the_others_are_sent() -> None:
    refusing = WriteTarget("i", bound(a_binding(write=WritePolicy(client_vector="reject"))))
    items = items_of(b'{"index":{"_id":"1"}}\n{"title":"a","embedding":[1]}\n{"delete":{"_id":"2"}}\n')
    assert items is not None

    send, refused, _ = apply_plans(items, plan_items(items, {"i": refusing}, {}), Vectors())

    assert [item.id for item in send] == ["2"]
    assert json.loads(refused[0])["index"]["status"] == 400


def test_an_update_is_guarded_by_what_was_read() -> None:
    items = items_of(b'{"update":{"_id":"1","retry_on_conflict":3}}\n{"doc":{"title":"a"},"upsert":{}}\n')
    assert items is not None
    stored: dict[DocumentKey, Stored] = {("papers-1", "1"): Stored({"abstract": "b"}, Position(7, 2))}

    (sent,), _, counts = apply_plans(items, plan_items(items, {"i": TARGET}, stored), Vectors())

    assert json.loads(sent.action_line) == {"update": {"_id": "1", "if_seq_no": 7, "if_primary_term": 2}}
    assert sent.source_line is not None
    assert json.loads(sent.source_line).keys() == {"doc"}
    assert counts == {0: Counts(pending=1)}


@pytest.mark.parametrize(
    ("of_url", "sent_with"),
    [pytest.param(None, {}, id="of the action line"), pytest.param("q", {"pipeline": "_none"}, id="of the URL")],
)
def test_a_pipeline_that_the_cluster_would_not_run_on_doc_as_upsert_is_left_out(
    of_url: str | None, sent_with: dict[str, str]
) -> None:
    items = items_of(b'{"update":{"_id":"1","pipeline":"p"}}\n{"doc":{"title":"a"},"doc_as_upsert":true}\n')
    assert items is not None

    (sent,), _, _ = apply_plans(items, plan_items(items, {"i": TARGET}, {}), Vectors(), of_url)

    assert json.loads(sent.action_line) == {"update": {"_id": "1", **sent_with}}
    assert json.loads(sent.source_line or b"").keys() == {"doc", "upsert"}


def test_a_text_that_the_embedder_refuses_is_refused_where_the_binding_wants_no_document_without_a_vector() -> None:
    refusing = WriteTarget("i", bound(a_binding(write=WritePolicy(on_failure="reject"))))
    items = items_of(b'{"index":{"_id":"1"}}\n{"title":"a"}\n{"index":{"_id":"2"}}\n{"title":"b"}\n')
    assert items is not None
    plans = plan_items(items, {"i": refusing}, {})
    matrix = np.ones((1, 2), np.float32)
    answer = Embeddings("m@1", SPACE, "hash", matrix, (EmbeddedText(-1, error="too odd"), EmbeddedText(0)))
    vectors = Vectors()
    vectors.add(Space("m@1", SPACE), ("a", "b"), answer)

    send, refused, counts = apply_plans(items, plans, vectors)

    assert [item.id for item in send] == ["2"]
    error = json.loads(refused[0])["index"]["error"]
    assert error["reason"] == "the embedder refuses the text of [embedding]: too odd"
    assert counts == {1: Counts(embedded=1)}


def test_without_an_answer_of_the_embedder_only_strict_items_wait_and_what_follows_on_their_documents() -> None:
    strict = WriteTarget("papers-1", bound(a_binding(write=WritePolicy(on_failure="reject"))))
    targets = {"i": strict, "alias": strict, "lax": WriteTarget("notes", bound())}
    lines = [
        ('{"index":{"_index":"i","_id":"1"}}', '{"title":"late"}'),
        ('{"index":{"_index":"i","_id":"2"}}', '{"n":1}'),
        ('{"delete":{"_index":"alias","_id":"1"}}', None),
        ('{"index":{"_index":"lax","_id":"1"}}', '{"title":"late"}'),
        ('{"index":{"_index":"i"}}', '{"title":"late"}'),
        ('{"index":{"_index":"i"}}', '{"n":1}'),
    ]
    items = items_of("".join(f"{line}\n" for pair in lines for line in pair if line is not None).encode(), None)
    plans, vectors = plan_items(items, targets, {}), Vectors()
    vectors.miss(Space("m@1", SPACE), ["late"])
    documents: set[DocumentKey] = set()

    waiting = put_off(items, plans, vectors, targets, documents)
    send, refused, counts = apply_plans(items, plans, vectors, None, waiting)

    assert (waiting, documents) == ({0, 2, 4}, {("papers-1", "1")})
    assert [item.id for item in send] == ["2", "1", None]
    outcomes = [next(iter(json.loads(answer).values())) for answer in refused.values()]
    assert [(one["status"], one["error"]["type"]) for one in outcomes] == [(429, "rejected_execution_exception")] * 3
    assert counts == {3: Counts(pending=1)}
    assert put_off(items[1:3], plans[1:3], Vectors(), targets, documents) == {1}
