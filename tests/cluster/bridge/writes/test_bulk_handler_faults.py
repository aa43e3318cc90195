"""Writes while the cluster or the client fails; the numbers are those of our list of fault cases."""

import asyncio
import json
import time
from collections import Counter

import pytest

from sidecar.bridge.writes import bulk_preparation as preparing
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import Between, between, broken_promises, stored
from tests.support.faults import Faults
from tests.support.http import ndjson, seen_by_client
from tests.support.provenances import state_of
from tests.support.scripted import scripted
from tests.support.waiting import PATIENCE_S, until

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
HANGS = Faults(stall_after=0)
LASTING = {"binding_ttl_s": 600}  # the binding is known before the fault: it is the write that is harmed


def pairs(*numbers: int) -> bytes:
    return ndjson(*(line for n in numbers for line in ({"index": {"_id": str(n)}}, {"title": f"Passage {n}"})))


async def bind(at: Between, papers: Papers) -> None:
    """Have the bridge look the binding up."""
    assert (await at.bridge("POST", f"/{papers.index}/_bulk", pairs(0))).ingested == (1, 0)


async def kept(at: Between, papers: Papers) -> dict:
    documents = await stored(papers.direct, papers.index)
    assert broken_promises(documents, papers.binding, at.stub.hashes) == []
    return documents


async def until_idle(at: Between) -> None:
    """Connections end one by one."""
    await until(lambda: at.to_node.is_idle)


async def raw(at: Between, index: str, body: bytes, *, sends: int | None = None, headers: str = "") -> tuple[
    asyncio.StreamReader, asyncio.StreamWriter
]:  # fmt: skip
    """A connection on which a bulk has been sent, or its first `sends` bytes."""
    host, _, port = at.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /{index}/_bulk HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n{headers}"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sends])
    await writer.drain()
    return reader, writer


async def test_case_09_a_cluster_that_goes_down_within_a_bulk_has_each_document_once_after_retries(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_server=Faults(reset_peer=60_000))
        first = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(*range(1, 31)))
        assert at.to_node.struck.is_set()
        at.to_node.set()
        statuses = Counter(item["index"]["status"] for item in first.json["items"])
        failed = [n for n, item in enumerate(first.json["items"], 1) if item["index"]["status"] != 201]
        again = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(*failed))

        assert (first.status, first.json["errors"]) == (200, True)
        assert statuses.keys() == {201, 503}
        assert again.json["errors"] is False
        assert (await kept(at, papers)).keys() == {str(n) for n in range(31)}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("POST", "_doc", {"title": "Cats"}, id="12-document without an id"),
        pytest.param("PUT", "_doc/1", {"title": "Cats"}, id="12-document"),
        pytest.param("DELETE", "_doc/0", None, id="12-delete"),
        pytest.param("POST", "_bulk", ndjson({"index": {}}, {"title": "Cats"}), id="12-bulk without an id"),
        pytest.param("POST", "_bulk", ndjson({"index": {"_id": "1"}}, {"title": "Cats"}), id="12-bulk"),
    ],
)
@pytest.mark.parametrize("fault", [Faults(reset_peer=0), Faults(limit_data=0)], ids=["reset", "closed"])
async def test_a_write_whose_answer_is_lost_is_done_once_and_never_sent_again(
    papers: Papers, method: str, path: str, body: object, fault: Faults
) -> None:
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=fault)
        seen = await seen_by_client(at.bridge.url, method, f"/{papers.index}/{path}", body)
        at.to_node.set()

        assert seen == "lost"
        documents = await kept(at, papers)
        assert len(documents) == (0 if method == "DELETE" else 2)
        done = (await papers.direct("GET", f"/{papers.index}/_stats/indexing")).json["_all"]["primaries"]["indexing"]
        assert done["index_total"] + done["delete_total"] == 2  # with the one of `bind`


async def test_case_11_a_client_that_gives_up_on_a_cluster_that_hangs_frees_its_connection(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_server=HANGS, to_client=HANGS)
        _, writer = await raw(at, papers.index, pairs(1))
        await at.to_node.struck.wait()
        writer.close()
        at.to_node.set()
        await until_idle(at)


@pytest.mark.parametrize("way", ["_bulk", "_doc/1", "_update/1"])
async def test_case_11_a_write_that_is_never_answered_is_told_so_and_done_once(papers: Papers, way: str) -> None:
    body = {"_bulk": pairs(1), "_doc/1": {"title": "a"}, "_update/1": {"doc": {"year": 1}, "doc_as_upsert": True}}
    async with between(papers.direct.url, MINILM, write_answer_timeout_s=2, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=HANGS)
        started = time.monotonic()
        answer = await at.bridge("POST", f"/{papers.index}/{way}", body[way])
        took_s = time.monotonic() - started
        at.to_node.set()

        assert (answer.status, answer.json["error"]["type"]) == (504, "cluster_timeout_exception")
        assert took_s < PATIENCE_S / 2
        assert (await kept(at, papers)).keys() == {"0", "1"}


async def test_case_11_a_part_that_is_never_answered_is_told_item_by_item(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, write_answer_timeout_s=2, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=Faults(stall_after=1_000))
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(*range(1, 6)))
        at.to_node.set()

        statuses = [item["index"]["status"] for item in answer.json["items"]]
        assert (answer.status, answer.json["errors"], statuses[0], len(statuses)) == (200, True, 201, 5)
        assert 504 in statuses
        unknown = next(item["index"] for item in answer.json["items"] if item["index"]["status"] == 504)
        assert "not known" in unknown["error"]["reason"]
        await kept(at, papers)


async def test_case_13_a_429_is_passed_on_as_it_came_and_not_retried(papers: Papers) -> None:
    refusal = b'{"error":{"type":"rejected_execution_exception","reason":"queue"},"status":429}'
    async with scripted(papers.direct.url) as cluster, between(cluster.url, MINILM) as at:
        cluster.answers.append((429, refusal))
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2))

        assert (answer.status, answer.body, len(cluster.bulks)) == (429, refusal, 1)


async def test_case_13_a_429_of_one_item_stays_at_its_place(papers: Papers) -> None:
    items = [{"index": {"_id": "1", "status": 201}}, {"index": {"_id": "2", "status": 429, "error": {"type": "x"}}}]
    body = json.dumps({"took": 1, "errors": True, "items": items}).encode()
    async with scripted(papers.direct.url) as cluster, between(cluster.url, MINILM) as at:
        cluster.answers.append((200, body))
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2))

        assert (answer.status, answer.body, len(cluster.bulks)) == (200, body, 1)


@pytest.mark.parametrize("status", [413, 429, 503])
async def test_case_14_a_later_part_that_is_refused_is_told_item_by_item(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)  # with a vector, each document is a part of its own
    refusal = json.dumps({"error": {"type": "refused", "reason": "why"}, "status": status}).encode()
    async with scripted(papers.direct.url) as cluster, between(cluster.url, MINILM) as at:
        check = [None, None]  # the bulk with two lines more, and these two lines alone
        cluster.answers.extend([*check, None, None, (status, refusal)])
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2, 3, 4, 5))

        items = [item["index"] for item in answer.json["items"]]
        assert (answer.status, answer.json["errors"]) == (200, True)
        assert [item["_id"] for item in items] == ["1", "2", "3", "4", "5"]
        assert [item["status"] for item in items] == [201, 201, status, 201, 201]
        assert items[2]["error"] == {"type": "refused", "reason": "why"}
        assert (await kept(at, papers)).keys() == {"1", "2", "4", "5"}


@pytest.mark.parametrize("sub_bulk_bytes", [1_000, 1_000_000], ids=["merged", "relayed"])
@pytest.mark.parametrize("fault", [Faults(limit_data=150), Faults(reset_peer=150)], ids=["closed", "reset"])
async def test_case_15_a_cut_answer_never_looks_whole(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, sub_bulk_bytes: int, fault: Faults
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", sub_bulk_bytes)
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=fault)
        reader, writer = await raw(at, papers.index, pairs(1, 2), headers="Connection: close\r\n")
        try:
            received = await reader.read()
        except ConnectionResetError:
            received = b""
        writer.close()
        at.to_node.set()

        head, _, body = received.partition(b"\r\n\r\n")
        if body and b"200 OK" in head:
            with pytest.raises(ValueError, match="char"):
                json.loads(body)
        assert (await kept(at, papers)).keys() >= {"0"}


async def test_case_16_an_answer_that_drips_arrives_and_harms_nobody_else(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=Faults(slice_bytes=1, latency_s=0.002))
        async with asyncio.TaskGroup() as tasks:
            dripping = tasks.create_task(at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2)))
            async with asyncio.timeout(5 * PATIENCE_S):
                while not dripping.done():
                    assert (await at.bridge("TRACE", "/")).status == 405  # an answer of the bridge itself

        assert [item["index"]["status"] for item in dripping.result().json["items"]] == [201, 201]


async def test_case_17_a_client_that_leaves_within_its_upload_writes_nothing_and_holds_nothing(
    papers: Papers,
) -> None:
    body = pairs(*range(1, 51))
    async with between(papers.direct.url, MINILM, max_inflight_bytes=len(body) + 100, **LASTING) as at:
        await bind(at, papers)
        _, writer = await raw(at, papers.index, body, sends=len(body) // 2)
        writer.close()

        async def is_let_in() -> bool:
            return (await at.bridge("POST", f"/{papers.index}/_bulk", body)).status != 429

        await until(is_let_in)

        documents = await kept(at, papers)
        assert len(documents) == 51
        assert {state_of(document) for document in documents.values()} == {"ok"}


async def test_case_18_a_client_that_leaves_while_its_texts_are_embedded_writes_nothing(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        await kept(at, papers)
        at.stub.may_answer.clear()
        at.stub.was_asked.clear()
        _, writer = await raw(at, papers.index, pairs(1, 2))
        await at.stub.was_asked.wait()
        connections = at.to_node.connections
        writer.close()
        await writer.wait_closed()
        assert (await at.bridge("GET", f"/{papers.index}/_count")).json["count"] == 1
        at.stub.may_answer.set()

        assert (await kept(at, papers)).keys() == {"0"}
        assert at.to_node.connections <= connections + 1


async def test_case_18_a_client_that_leaves_between_two_parts_leaves_nothing_unmarked(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.to_node.set(to_client=Faults(stall_after=1_000))
        _, writer = await raw(at, papers.index, pairs(*range(1, 21)))
        await at.to_node.struck.wait()
        writer.close()
        at.to_node.set()
        await until_idle(at)

        assert 1 < len(await kept(at, papers)) <= 21


async def test_case_19_a_client_that_half_closes_is_not_kept_waiting(papers: Papers) -> None:
    async def answer(host_and_port: str) -> bytes:
        host, _, port = host_and_port.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"GET /{papers.index}/_count HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        writer.write_eof()
        received = await reader.read()
        writer.close()
        return received.partition(b" ")[2][:3]

    async with between(papers.direct.url, MINILM) as at:
        for url in (at.address, papers.direct.url):
            # Both take it for one that has left, and both may be quicker with their answer.
            assert await answer(url) in {b"", b"200"}


async def test_case_28_an_index_deleted_within_a_bulk_comes_back_bound_by_its_template(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        await bind(at, papers)
        at.stub.may_answer.clear()
        at.stub.was_asked.clear()
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2)))
            await at.stub.was_asked.wait()
            assert (await papers.direct("DELETE", f"/{papers.index}")).status == 200
            at.stub.may_answer.set()

        assert writing.result().ingested == (2, 0)
        assert (await kept(at, papers)).keys() == {"1", "2"}


async def test_case_28_an_alias_that_loses_its_write_index_is_the_clusters_error(papers: Papers) -> None:
    alias = f"{papers.index}-alias"

    async def change(action: str, index: str, **more: object) -> None:
        body = {"actions": [{action: {"index": index, "alias": alias, **more}}]}
        assert (await papers.direct("POST", "/_aliases", body)).status == 200

    for index in (f"{papers.index}-a", f"{papers.index}-b"):
        assert (await papers.direct("PUT", f"/{index}")).status == 200
        await change("add", index, is_write_index=index.endswith("a"))
    async with between(papers.direct.url, MINILM, **LASTING) as at:
        assert (await at.bridge("POST", f"/{alias}/_bulk", pairs(0))).ingested == (1, 0)
        await change("add", f"{papers.index}-a", is_write_index=False)
        through = await at.bridge("POST", f"/{alias}/_bulk", pairs(1))
        direct = await papers.direct("POST", f"/{alias}/_bulk", pairs(1))

        assert through.json["items"] == direct.json["items"]
        assert through.json["errors"] is True


async def test_case_28_a_binding_changed_behind_the_bridge_is_seen_when_its_time_is_up(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, binding_ttl_s=0.2) as at:
        await bind(at, papers)
        assert (await papers.direct("PUT", f"/{papers.index}/_mapping", {"_meta": {}})).status == 200

        async def is_seen() -> bool:
            answer = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(1))
            return "X-Sidecar-Ingest" not in answer.headers

        await until(is_seen, every_s=0.05)


async def test_case_30_a_block_on_the_index_is_told_in_the_clusters_own_words(papers: Papers) -> None:
    block = {"index.blocks.read_only_allow_delete": True}
    assert (await papers.direct("PUT", f"/{papers.index}/_settings", block)).status == 200
    async with between(papers.direct.url, MINILM) as at:
        through = await at.bridge("POST", f"/{papers.index}/_bulk", pairs(1, 2))
        direct = await papers.direct("POST", f"/{papers.index}/_bulk", pairs(1, 2))
        single = await at.bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})
        alone = await papers.direct("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})

    assert (through.status, through.json["items"]) == (direct.status, direct.json["items"])
    assert (single.status, single.body) == (alone.status, alone.body)
