"""Writes while the embedder fails; the numbers are those of our list of fault cases."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable

import grpc
import numpy as np
import pytest

from sidecar.bridge.writes import bulk_preparation as preparing
from sidecar.contract import embedding_pb2 as pb
from sidecar.model import IndexBinding, SearchBinding, WritePolicy
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import Between, between, broken_promises, stored
from tests.support.faults import Faults
from tests.support.http import Answer, ndjson
from tests.support.provenances import state_of
from tests.support.waiting import until

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
BUDGET_S = 60.0  # of a write, for its vectors: what takes less than half of it has not waited for it
HANGS = Faults(stall_after=0)


def bulk_body(count: int, text: str = "Passage") -> bytes:
    lines = ({"index": {"_id": str(n)}} if is_action else {"title": f"{text} {n}"}
             for n in range(count) for is_action in (True, False))  # fmt: skip
    return ndjson(*lines)


async def write(at: Between, papers: Papers, count: int = 3, text: str = "Passage", query: str = "") -> Answer:
    return await at.bridge("POST", f"/{papers.index}/_bulk{query}", bulk_body(count, text))


async def states(at: Between, papers: Papers) -> list[str]:
    """The state of each document, after a look at whether the promise is kept."""
    documents = await stored(papers.direct, papers.index)
    assert broken_promises(documents, papers.binding, at.stub.hashes) == []
    return [state_of(document) for document in documents.values()]


async def rather_refused(papers: Papers) -> None:
    """Bind the index so that a write is refused when its texts cannot be embedded."""
    binding = papers.binding.model_copy(update={"write": WritePolicy(on_failure="reject")})
    block = IndexBinding(fields={"embedding": binding}, search=SearchBinding(field="embedding")).to_meta()
    answer = await papers.direct("PUT", f"/{papers.index}/_mapping", {"_meta": {"sidecar": block}})
    assert answer.status == 200


def killed(at: Between) -> None:
    at.to_embedder.refuse()


def overloaded(at: Between) -> None:
    at.stub.status = grpc.StatusCode.RESOURCE_EXHAUSTED


def draining(at: Between) -> None:
    at.stub.status = grpc.StatusCode.UNAVAILABLE


def broken(at: Between) -> None:
    at.stub.status = grpc.StatusCode.INTERNAL


def resets(at: Between) -> None:
    at.to_embedder.set(to_client=Faults(reset_peer=0))


def cuts_its_reply(at: Between) -> None:
    at.to_embedder.set(to_client=Faults(limit_data=1_000))


FAILURES = [
    pytest.param(killed, id="01-killed"),
    pytest.param(overloaded, id="08-overloaded"),
    pytest.param(draining, id="draining"),
    pytest.param(broken, id="internal error"),
    pytest.param(resets, id="connection reset"),
    pytest.param(cuts_its_reply, id="reply cut off"),
]


@pytest.mark.parametrize("fail", FAILURES)
async def test_what_cannot_be_embedded_is_stored_as_pending(papers: Papers, fail: Callable[[Between], None]) -> None:
    async with between(papers.direct.url, MINILM) as at:
        fail(at)
        answer = await write(at, papers)

        assert (answer.status, answer.json["errors"], answer.ingested) == (200, False, (0, 3))
        assert await states(at, papers) == ["pending"] * 3


@pytest.mark.parametrize("fail", FAILURES)
async def test_or_refused_with_429_as_by_a_full_queue_if_bound_so(
    papers: Papers, fail: Callable[[Between], None]
) -> None:
    await rather_refused(papers)
    async with between(papers.direct.url, MINILM) as at:
        fail(at)
        answer = await write(at, papers)
        single = await at.bridge("PUT", f"/{papers.index}/_doc/9", {"title": "Cats"})
        update = await at.bridge("POST", f"/{papers.index}/_update/9", {"doc": {"title": "a"}, "doc_as_upsert": True})

    items = [item["index"] for item in answer.json["items"]]
    assert (answer.status, answer.json["errors"], answer.ingested) == (200, True, (0, 0))
    assert [(item["status"], item["error"]["type"]) for item in items] == [(429, "rejected_execution_exception")] * 3
    for one in (single, update):
        assert (one.status, one.json["error"]["type"]) == (429, "rejected_execution_exception")
        assert "Retry-After" in one.headers
    assert await stored(papers.direct, papers.index) == {}


async def test_only_what_needs_the_embedder_is_refused_if_bound_so(papers: Papers) -> None:
    await rather_refused(papers)
    script = {"script": {"source": "ctx._source.n = 1"}, "upsert": {"title": "Owls"}}
    lines = [
        {"index": {"_id": "1"}}, {"title": "Felines purr"},
        {"index": {"_id": "2"}}, {"year": 1},
        {"delete": {"_id": "3"}},
        {"create": {"_id": "4"}}, {"title": ""},
        {"update": {"_id": "2"}}, {"doc": {"title": "Dogs bark"}},
        {"update": {"_id": "2"}}, {"doc": {"year": 2}},  # must not overtake the one before
        {"update": {"_id": "5"}}, script,
        {"update": {"_id": "6"}}, {**script, "upsert": {"year": 3}},
    ]  # fmt: skip
    async with between(papers.direct.url, MINILM) as at:
        killed(at)
        first_part = await at.bridge("POST", f"/{papers.index}/_bulk", ndjson(*lines[:7]))
        all_kinds = await at.bridge("POST", f"/{papers.index}/_bulk", ndjson(*lines))

    def statuses(answer: Answer) -> list[int]:
        return [next(iter(item.values()))["status"] for item in answer.json["items"]]

    assert (first_part.status, statuses(first_part)) == (200, [429, 201, 404, 201])
    assert (all_kinds.status, statuses(all_kinds)) == (200, [429, 200, 404, 409, 429, 429, 429, 201])
    assert (await stored(papers.direct, papers.index)).keys() == {"2", "4", "6"}


@pytest.mark.parametrize("query", ["", "?refresh=true"])
async def test_what_the_cluster_refuses_is_not_counted_as_embedded(papers: Papers, query: str) -> None:
    def creates(*numbers: int) -> bytes:
        return ndjson(*(line for n in numbers for line in ({"create": {"_id": str(n)}}, {"title": f"Passage {n}"})))

    async with between(papers.direct.url, MINILM) as at:
        first = await at.bridge("POST", f"/{papers.index}/_bulk{query}", creates(1, 2))
        again = await at.bridge("POST", f"/{papers.index}/_bulk{query}", creates(1, 2, 3))
        update = ndjson({"update": {"_id": "1", "if_seq_no": 99, "if_primary_term": 1}}, {"doc": {"title": "Owls"}})
        refused = await at.bridge("POST", f"/{papers.index}/_bulk{query}", update)
        single = await at.bridge("PUT", f"/{papers.index}/_create/1{query}", {"title": "Passage"})
        malformed = await at.bridge("POST", f"/{papers.index}/_bulk?version=x", creates(9))

    assert first.ingested == (2, 0)
    assert (again.status, again.ingested) == (200, (1, 0))
    assert (refused.json["items"][0]["update"]["status"], refused.ingested) == (409, (0, 0))
    assert (single.status, single.ingested) == (409, (0, 0))
    assert (malformed.status, malformed.ingested) == (400, (0, 0))


async def test_a_relayed_answer_is_the_clusters_also_if_it_is_compressed_or_filtered(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:
        packed = await at.bridge("POST", f"/{papers.index}/_bulk", bulk_body(3), Accept_Encoding="gzip")
        part = await at.bridge("POST", f"/{papers.index}/_bulk?filter_path=errors,items.*.status", bulk_body(2))
        yaml = await at.bridge("POST", f"/{papers.index}/_bulk?format=yaml", bulk_body(1))

    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(json.loads(gzip.decompress(packed.body))["items"]) == 3
    assert packed.ingested == (3, 0)
    assert part.json == {"errors": False, "items": [{"index": {"status": 200}}] * 2}
    assert yaml.body.startswith(b"---")
    assert "X-Sidecar-Ingest" not in part.headers


async def test_a_later_part_is_refused_item_by_item_if_bound_so(papers: Papers) -> None:
    await rather_refused(papers)
    async with between(papers.direct.url, MINILM) as at:
        killed(at)
        lines = ndjson({"index": {"_id": "1"}}, {"year": 1}, {"update": {"_id": "1"}}, {"doc": {"title": "Cats"}})
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", lines)

    items = [next(iter(item.values())) for item in answer.json["items"]]
    assert (answer.status, answer.json["errors"], [item["status"] for item in items]) == (200, True, [201, 429])
    assert items[1]["error"]["type"] == "rejected_execution_exception"
    assert answer.ingested == (0, 0)
    assert await stored(papers.direct, papers.index) == {"1": {"year": 1}}


async def test_a_text_that_the_embedder_refuses_is_refused_for_good_if_bound_so(papers: Papers) -> None:
    await rather_refused(papers)
    async with between(papers.direct.url, MINILM) as at:
        at.stub.reply = lambda request: one_fails(at, request)
        bulk = await write(at, papers)
        single = await at.bridge("PUT", f"/{papers.index}/_doc/9", {"title": "poison"})

    assert [item["index"]["status"] for item in bulk.json["items"]] == [400, 201, 201]
    assert bulk.ingested == (2, 0)
    assert (single.status, single.json["error"]["type"]) == (400, "illegal_argument_exception")
    assert single.json["error"]["reason"].endswith("the embedder refuses the text of [embedding]: too odd")
    assert len(await stored(papers.direct, papers.index)) == 2


async def test_case_02_an_embedder_killed_within_a_bulk_leaves_no_document_unmarked(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:

        def die_at_the_second(request: pb.EmbedRequest) -> pb.EmbedReply:
            if len(at.stub.asked) == 2:
                at.to_embedder.refuse()
            return at.stub.honest(request)

        at.stub.reply = die_at_the_second
        answer = await write(at, papers, 600)

        assert answer.json["errors"] is False
        assert sum(answer.ingested) == 600
        assert len(await states(at, papers)) == 600


async def test_case_03_an_embedder_that_hangs_costs_one_write_seconds_and_later_ones_nothing(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:
        assert (await write(at, papers, 1, "before")).ingested == (1, 0)
        at.to_embedder.set(to_server=HANGS, to_client=HANGS)
        seconds = []
        for text in ("first", "second", "third"):
            started = time.monotonic()
            assert (await write(at, papers, 1, text)).ingested == (0, 1)
            seconds.append(time.monotonic() - started)
        at.to_embedder.set()

        async def is_used_again() -> bool:
            return (await write(at, papers, 1, "after")).ingested == (1, 0)

        await until(is_used_again, every_s=0.1)

        assert seconds[0] < BUDGET_S / 2
        assert max(seconds[1:]) < seconds[0]
        assert await states(at, papers) == ["ok"]


async def test_case_03_a_reply_that_never_comes_costs_the_budget_and_leaves_no_task(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, write_embed_timeout_s=0.3) as at:
        await write(at, papers, 1, "before")
        tasks = len(asyncio.all_tasks())
        at.stub.may_answer.clear()
        started = time.monotonic()
        answer = await write(at, papers)
        took_s = time.monotonic() - started
        at.stub.may_answer.set()
        await until(lambda: len(asyncio.all_tasks()) <= tasks)  # the stub's own calls end as well

        assert answer.ingested == (0, 3)
        assert took_s < BUDGET_S / 2
        assert await states(at, papers) == ["pending"] * 3


async def test_case_03_a_client_that_waits_less_than_the_budget_gets_its_answer_in_time(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, write_embed_timeout_s=BUDGET_S) as at:
        at.stub.may_answer.clear()
        started = time.monotonic()
        answer = await write(at, papers, query="?timeout=300ms")
        took_s = time.monotonic() - started

        assert answer.ingested == (0, 3)
        assert took_s < BUDGET_S / 2
        assert await states(at, papers) == ["pending"] * 3


def answers_only_once(at: Between) -> None:
    def hold_the_next(request: pb.EmbedRequest) -> pb.EmbedReply:
        at.stub.may_answer.clear()
        return at.stub.honest(request)

    at.stub.reply = hold_the_next


async def test_what_was_embedded_within_the_budget_is_kept(papers: Papers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, write_embed_timeout_s=3) as at:
        answers_only_once(at)
        answer = await write(at, papers, 50)

        assert sum(answer.ingested) == 50
        assert min(answer.ingested) > 0
        assert set(await states(at, papers)) == {"ok", "pending"}


async def test_what_was_embedded_within_the_budget_is_kept_also_within_a_part(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, write_embed_timeout_s=3) as at:
        answers_only_once(at)
        answer = await write(at, papers, 600)  # three messages

        assert sum(answer.ingested) == 600
        assert min(answer.ingested) > 0


async def test_case_04_beside_writes_that_wait_for_a_slow_embedder_the_rest_is_served(papers: Papers) -> None:
    body = bulk_body(10)
    async with between(papers.direct.url, MINILM, max_inflight_bytes=2 * len(body) + 10) as at:
        at.stub.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(write(at, papers, 10, text)) for text in ("Passage", "passage")]
            await at.stub.was_asked.wait()
            await until(lambda: len(at.stub.asked) >= 2)
            refused = await write(at, papers, 10)
            for _ in range(20):
                assert (await at.bridge("GET", f"/{papers.index}/_count")).status == 200
            assert not any(task.done() for task in waiting)
            at.stub.may_answer.set()

        assert (refused.status, refused.json["error"]["type"]) == (429, "rejected_execution_exception")
        assert [task.result().ingested for task in waiting] == [(10, 0), (10, 0)]


def one_fails(at: Between, request: pb.EmbedRequest) -> pb.EmbedReply:
    reply = at.stub.honest(request)
    for text, item in zip(request.texts, reply.items, strict=True):
        if text in {"Passage 0", "poison"}:
            item.CopyFrom(pb.Item(row=-1, error=pb.ItemError(code=13, message="too odd")))
    return reply


def one_item_less(reply: pb.EmbedReply) -> None:
    del reply.items[-1]


def one_row_less(reply: pb.EmbedReply) -> None:
    reply.matrix = reply.matrix[: -4 * reply.dimension]


def wrong_dimension(reply: pb.EmbedReply) -> None:
    reply.dimension //= 2
    reply.matrix = reply.matrix[: len(reply.matrix) // 2]


def first_component(value: float) -> Callable[[pb.EmbedReply], None]:
    def change(reply: pb.EmbedReply) -> None:
        reply.matrix = np.float32(value).tobytes() + reply.matrix[4:]

    return change


def zero_vector(reply: pb.EmbedReply) -> None:
    reply.matrix = bytes(4 * reply.dimension) + reply.matrix[4 * reply.dimension :]


def another_space(reply: pb.EmbedReply) -> None:
    reply.space = "sha256:" + "0" * 64


def another_model(reply: pb.EmbedReply) -> None:
    reply.model = "all-minilm-l6-v2@2"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(one_item_less, id="05-wrong count of items"),
        pytest.param(one_row_less, id="05-wrong count of vectors"),
        pytest.param(wrong_dimension, id="05-wrong dimension"),
        pytest.param(first_component(np.nan), id="05-NaN"),
        pytest.param(first_component(np.inf), id="05-infinity"),
        pytest.param(zero_vector, id="05-zero vector"),
        pytest.param(another_space, id="07-another space"),
        pytest.param(another_model, id="07-another model version"),
    ],
)
async def test_a_reply_that_breaks_the_contract_is_never_stored(
    papers: Papers, change: Callable[[pb.EmbedReply], None]
) -> None:
    async with between(papers.direct.url, MINILM) as at:

        def changed(request: pb.EmbedRequest) -> pb.EmbedReply:
            reply = at.stub.honest(request)
            change(reply)
            return reply

        at.stub.reply = changed
        answer = await write(at, papers)

        assert answer.ingested == (0, 3)
        assert await states(at, papers) == ["pending"] * 3


async def test_case_06_an_error_of_one_text_is_of_its_document_alone(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:
        at.stub.reply = lambda request: one_fails(at, request)
        answer = await write(at, papers)

        assert answer.ingested == (2, 1)
        assert sorted(await states(at, papers)) == ["ok", "ok", "pending"]


async def test_case_07_an_embedder_that_is_replaced_within_a_bulk_never_mixes_spaces(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:

        def replaced(request: pb.EmbedRequest) -> pb.EmbedReply:
            reply = at.stub.honest(request)
            if len(at.stub.asked) > 1:
                another_space(reply)
            return reply

        at.stub.reply = replaced
        answer = await write(at, papers, 600)

        assert sum(answer.ingested) == 600
        assert len(await states(at, papers)) == 600


async def test_case_08_texts_beyond_what_a_message_may_hold_are_pending(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, max_message_bytes=1_000) as at:
        answer = await write(at, papers, 100, "Passage " * 200)

        assert (answer.status, answer.ingested) == (200, (0, 100))
        assert set(await states(at, papers)) == {"pending"}


async def test_case_32_an_embedder_that_is_back_is_used_again(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM) as at:
        at.to_embedder.refuse()
        assert (await write(at, papers)).ingested == (0, 3)
        await at.to_embedder.listen()

        async def is_used_again() -> bool:
            return (await write(at, papers)).ingested == (3, 0)

        await until(is_used_again, every_s=0.1)

        assert await states(at, papers) == ["ok"] * 3
