"""What happens when a part fails: nothing is lost, nothing waits for ever, and the client is told."""

import asyncio
import time

import pytest

from sidecar.bridge.app import serving
from sidecar.config import BridgeSettings
from sidecar.errors import DeadlineExceeded, EmbedderOverloaded, EmbedderUnavailable, SpaceMismatch
from sidecar.models.catalogue import shipped_versions
from sidecar.rpc.client import EmbedderClient
from tests.cluster.bridges import Papers
from tests.support.embedders import HashEmbedder
from tests.support.http import http, ndjson, seen_by_client
from tests.support.provenances import state_of

MINILM = shipped_versions()["all-minilm-l6-v2@1"]
BUDGET_S = 60.0  # of a write, for its vectors: what takes less than half of it has not waited for it
QUERY = {"query": {"match": {"title": "cats"}}}
ANY = "127.0.0.1:0"


def settings(upstream: str, **more: object) -> BridgeSettings:
    return BridgeSettings.model_validate({"listen": ANY, "admin_listen": ANY, "upstream": upstream, **more})


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        pytest.param(EmbedderUnavailable("h:1", "refused"), "embedder_unavailable", id="down"),
        pytest.param(DeadlineExceeded("h:1", 1), "embedder_deadline", id="slow"),
        pytest.param(EmbedderOverloaded(1), "embedder_busy", id="full"),
        pytest.param(SpaceMismatch(MINILM.id, "a", "b"), "space", id="another space"),
    ],
)
async def test_without_the_embedder_writes_are_pending_and_searches_lexical(
    papers: Papers, failure: Exception, reason: str
) -> None:
    embedder = HashEmbedder(MINILM, failure=failure)
    async with serving(settings(papers.direct.url), embedder) as at, http(f"http://{at.address}") as (bridge,):
        written = await bridge("PUT", f"/{papers.index}/_doc/1?refresh=true", {"title": "Cats"})
        found = await bridge("POST", f"/{papers.index}/_search", QUERY)
        neural = await bridge(
            "POST", f"/{papers.index}/_search", {"query": {"neural": {"embedding": {"query_text": "x"}}}}
        )

    assert (written.status, written.ingested) == (201, (0, 1))
    assert state_of(await papers.stored("1")) == "pending"
    assert found.headers["X-Sidecar-Search"] == f"lexical; reason={reason}"
    assert [hit["_id"] for hit in found.json["hits"]["hits"]] == ["1"]
    assert neural.status == neural.json["status"] >= 400


async def test_an_embedder_that_nobody_runs_is_noticed_at_once(papers: Papers) -> None:
    started = time.monotonic()
    async with (
        EmbedderClient("127.0.0.1:1") as embedder,
        serving(settings(papers.direct.url), embedder) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        written = await bridge("PUT", f"/{papers.index}/_doc/1", {"title": "Cats"})
        found = await bridge("POST", f"/{papers.index}/_search", QUERY)

    assert written.ingested == (0, 1)
    assert found.headers["X-Sidecar-Search"] == "lexical; reason=embedder_unavailable"
    assert time.monotonic() - started < BUDGET_S / 2


async def test_a_text_that_cannot_be_embedded_leaves_the_others_alone(papers: Papers) -> None:
    embedder = HashEmbedder(MINILM, refuses=frozenset({"poison"}))
    lines = ndjson({"index": {"_id": "1"}}, {"title": "poison"}, {"index": {"_id": "2"}}, {"title": "Cats"})
    async with serving(settings(papers.direct.url), embedder) as at, http(f"http://{at.address}") as (bridge,):
        written = await bridge("POST", f"/{papers.index}/_bulk?refresh=true", lines)

    assert written.ingested == (1, 1)
    assert state_of(await papers.stored("1")) == "pending"
    assert state_of(await papers.stored("2")) == "ok"


async def test_equal_texts_are_embedded_once(papers: Papers) -> None:
    embedder = HashEmbedder(MINILM)
    lines = ndjson(*(line for n in range(3) for line in ({"index": {"_id": str(n)}}, {"title": "Cats"})))
    async with serving(settings(papers.direct.url), embedder) as at, http(f"http://{at.address}") as (bridge,):
        await bridge("POST", f"/{papers.index}/_bulk", lines)

    assert embedder.asked == [("Cats",)]


async def test_an_unreachable_cluster_is_said_in_opensearchs_shape_in_time() -> None:
    embedder = HashEmbedder(MINILM)
    async with serving(settings("http://127.0.0.1:1"), embedder) as at, http(f"http://{at.address}") as (bridge,):
        for method, path, body in (
            ("GET", "/_cluster/health", None),
            ("POST", "/papers/_bulk", b'{"index":{}}\n{"title":"x"}\n'),
            ("POST", "/papers/_search", QUERY),
        ):
            started = time.monotonic()
            answer = await bridge(method, path, body)
            assert time.monotonic() - started < 5 * 3
            assert answer.status == answer.json["status"] == 503
            assert answer.json["error"]["type"] == "cluster_unreachable_exception"
            assert b"127.0.0.1" not in answer.body


async def test_a_body_beyond_the_limit_is_refused_and_nothing_is_written(papers: Papers) -> None:
    embedder = HashEmbedder(MINILM)
    small = settings(papers.direct.url, max_body_bytes=1_000)
    async with serving(small, embedder) as at, http(f"http://{at.address}") as (bridge,):
        answer = await bridge("PUT", f"/{papers.index}/_doc/1", {"title": "x" * 2_000})

    assert answer.status == answer.json["status"] == 413
    assert (await papers.direct("HEAD", f"/{papers.index}/_doc/1")).status == 404


class Flaky:
    """A cluster that reads a request whole and breaks off, before any answer or within it."""

    def __init__(self, answer: bytes = b"") -> None:
        self.requests: list[bytes] = []
        self._answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.split(b"\r\n")[0])
        writer.write(self._answer)
        writer.close()


@pytest.mark.parametrize(("method", "times"), [("PUT", 1), ("POST", 1), ("DELETE", 1), ("GET", 2)])
async def test_a_write_is_never_sent_twice(method: str, times: int) -> None:
    flaky = Flaky()
    server = await asyncio.start_server(flaky, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with (
        server,
        serving(settings(f"http://{host}:{port}"), HashEmbedder(MINILM)) as at,
    ):
        seen = await seen_by_client(
            f"http://{at.address}", method, "/_cluster/settings", None if method == "GET" else {}
        )

    assert seen == "lost"
    assert len(flaky.requests) == times


async def test_a_cut_answer_does_not_look_whole() -> None:
    flaky = Flaky(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}")
    server = await asyncio.start_server(flaky, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, serving(settings(f"http://{host}:{port}"), HashEmbedder(MINILM)) as at:
        bridge_host, bridge_port = at.address.split(":")
        reader, writer = await asyncio.open_connection(bridge_host, int(bridge_port))
        writer.write(b"GET /_cluster/health HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            received = await reader.read()
        except ConnectionResetError:
            received = b""
        writer.close()

    assert not received.endswith(b"\r\n0\r\n\r\n")
    assert b"Content-Length: 100" in received or not received
