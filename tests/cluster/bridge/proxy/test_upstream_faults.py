"""A fault of the cluster looks to a client as it would without the bridge. docs/writes.md has the same table."""

import asyncio

import pytest

from sidecar.bridge.writes import bulk_preparation as preparing
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import Between, between
from tests.support.faults import Faults
from tests.support.http import ndjson, seen_by_client

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
TEXT = {"title": "Cats"}
SCRIPT = {"script": {"source": "ctx._source.n = 1"}, "upsert": {"n": 0}}
QUERY = {"query": {"match": {"title": "cats"}}}


def documents(count: int) -> bytes:
    return ndjson(*(line for n in range(count) for line in ({"index": {"_id": str(n)}}, {"title": f"Passage {n}"})))


# Method, path behind the index, body.
REQUESTS = {
    "passed through": ("POST", "_refresh", None),
    "passed through with a body": ("PUT", "_mapping", {"properties": {"n": {"type": "long"}}}),
    "document": ("PUT", "_doc/1", TEXT),
    "document without an id": ("POST", "_doc", TEXT),
    "update": ("POST", "_update/0", {"doc": {"title": "Dogs"}, "doc_as_upsert": True}),
    "bulk whole": ("POST", "_bulk", documents(3)),
    "bulk without texts": ("POST", "_bulk", ndjson({"index": {"_id": "1"}}, {"year": 1})),
    "bulk with an update": ("POST", "_bulk", ndjson({"update": {"_id": "0"}}, {"doc": {"title": "Owls"}})),
    "bulk of scripts": ("POST", "_bulk", ndjson(*([{"update": {"_id": "9"}}, SCRIPT] * 2))),
    "search": ("POST", "_search", QUERY),
    "several searches": ("POST", "_msearch", ndjson({}, QUERY, {}, QUERY)),
    "read": ("GET", "_doc/0", None),
}


async def seen(at: Between, papers: Papers, name: str, body: bytes | None = None) -> tuple[int | str, int | str]:
    """The view of a client without the bridge, and through it."""
    method, path, given = REQUESTS[name]
    found = [
        await seen_by_client(url, method, f"/{papers.index}/{path}", body or given)
        for url in (at.to_node.url, at.bridge.url)
    ]
    return found[0], found[1]


async def warm(at: Between, papers: Papers, name: str) -> None:
    """Send it once without a fault, so that the bridge knows what it asks the cluster on its own."""
    assert (await at.bridge("POST", f"/{papers.index}/_bulk?refresh=true", documents(1))).ingested == (1, 0)
    for view in await seen(at, papers, name):
        assert view in {200, 201}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"to_client": Faults(reset_peer=0)}, id="carried out and reset"),
        pytest.param({"to_client": Faults(limit_data=0)}, id="carried out and closed"),
        pytest.param({"to_client": Faults(limit_data=30)}, id="closed within the answer"),
        pytest.param({"to_server": Faults(reset_peer=40)}, id="reset within the request"),
    ],
)
async def test_a_lost_connection_is_a_lost_connection(papers: Papers, name: str, fault: dict[str, Faults]) -> None:
    async with between(papers.direct.url, MINILM, binding_ttl_s=600) as at:
        await warm(at, papers, name)
        at.to_node.set(**fault)
        views = await seen(at, papers, name)
        at.to_node.set()

    assert views == ("lost", "lost")


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_cluster_that_refuses_connections_is_a_503(papers: Papers, name: str) -> None:
    async with between(papers.direct.url, MINILM, binding_ttl_s=600) as at:
        await warm(at, papers, name)
        at.to_node.refuse()
        views = await seen(at, papers, name)
        await at.to_node.listen()

    assert views == ("refused", 503)


@pytest.mark.parametrize("fault", [{"reset_peer": 0}, {"limit_data": 0}], ids=["reset", "closed"])
async def test_the_first_part_of_a_cut_bulk_is_lost_as_a_whole(
    papers: Papers, monkeypatch: pytest.MonkeyPatch, fault: dict[str, int]
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, binding_ttl_s=600) as at:
        await warm(at, papers, "bulk whole")
        at.to_node.set(to_client=Faults(**fault))
        views = await seen(at, papers, "bulk whole")

    assert views == ("lost", "lost")


async def test_after_the_first_part_of_a_cut_bulk_each_lost_item_says_so(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "MAX_SUB_BULK_BYTES", 1_000)
    async with between(papers.direct.url, MINILM, binding_ttl_s=600) as at:
        await warm(at, papers, "bulk whole")
        # The check of the bulk is answered with some 1,200 bytes, and each part with some 300.
        at.to_node.set(to_client=Faults(limit_data=3_000))
        answer = await at.bridge("POST", f"/{papers.index}/_bulk", documents(20))

    items = [item["index"] for item in answer.json["items"]]
    lost = [item for item in items if item["status"] == 503]
    assert (answer.status, answer.json["errors"]) == (200, True)
    assert 0 < len(lost) < len(items) == 20
    assert {item["error"]["type"] for item in lost} == {"cluster_unreachable_exception"}
    assert all("is not known" in item["error"]["reason"] for item in lost)
    assert answer.ingested[0] == len(items) - len(lost)


async def test_a_client_sees_the_end_of_its_connection_and_no_answer(papers: Papers) -> None:
    async with between(papers.direct.url, MINILM, binding_ttl_s=600) as at:
        await warm(at, papers, "bulk whole")
        at.to_node.set(to_client=Faults(reset_peer=0))
        host, _, port = at.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = documents(2)
        head = f"POST /{papers.index}/_bulk HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        try:
            received = await reader.read()
        except ConnectionResetError:
            received = b""
        writer.close()

    assert received == b""
