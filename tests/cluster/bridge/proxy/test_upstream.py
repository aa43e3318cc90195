"""Whatever is neither a write nor a search of a bound index goes through byte for byte."""

import asyncio
import gzip
import zlib

import aiohttp
import pytest

from sidecar.bridge.app import serving
from sidecar.config import split_address
from sidecar.models.catalogue import shipped_versions
from tests.cluster.bridges import Papers
from tests.support.between import between, bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import http, ndjson
from tests.support.recording import recording
from tests.support.waiting import until

MINILM = shipped_versions()["all-minilm-l6-v2@1"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param("GET", "/", None, id="root"),
        pytest.param("HEAD", "/", None, id="head"),
        pytest.param("GET", "/_cluster/settings?flat_settings", None, id="settings"),
        pytest.param("GET", "/_cat/plugins?v&format=yaml", None, id="yaml"),
        pytest.param("GET", "/{index}", None, id="index"),
        pytest.param("GET", "/{index}-none/_doc/1", None, id="404"),
        pytest.param("GET", "/{index}/_doc/none", None, id="no such document"),
        pytest.param("POST", "/{index}/_count?pretty", b'{"query":{"match_all":{}}}', id="count"),
        pytest.param("POST", "/_analyze", b'{"text":"caf\\u00e9 \xc3\xa9","analyzer":"standard"}', id="analyze"),
        pytest.param("GET", "/a/../_cat", None, id="dots in the path"),
        pytest.param("GET", "/%7E/_stats?x=a;b&c=[1]|{x}", None, id="odd bytes in the target"),
        pytest.param("GET", "//x//y/", None, id="empty path parts"),
        pytest.param("DELETE", "/_search/scroll", b'{"scroll_id":"none"}', id="delete with a body"),
        pytest.param("GET", "/_cat/indices?unknown=1", None, id="unknown parameter"),
        pytest.param("PATCH", "/{index}", None, id="a method that nobody serves"),
        pytest.param("POST", "/_mget", b"{bad", id="bad JSON"),
    ],
)
async def test_answers_are_the_clusters_own(papers: Papers, method: str, path: str, body: bytes | None) -> None:
    target = path.format(index=papers.index) if "{index}" in path else path

    through = await papers.bridge(method, target, body)
    direct = await papers.direct(method, target, body)

    assert (through.status, through.body) == (direct.status, direct.body)
    assert dict(through.headers) == dict(direct.headers)


async def test_a_compressed_answer_stays_compressed(papers: Papers) -> None:
    through = await papers.bridge("GET", "/_cluster/state", Accept_Encoding="gzip")

    assert through.headers["Content-Encoding"] == "gzip"
    assert through.body[:2] == b"\x1f\x8b"


async def test_the_clients_marks_reach_the_cluster_and_come_back(papers: Papers) -> None:
    through = await papers.bridge("GET", "/", X_Opaque_Id="me-7")

    assert through.headers["X-Opaque-Id"] == "me-7"


async def test_a_small_answer_comes_in_one_piece(papers: Papers) -> None:
    reader, writer = await asyncio.open_connection(*split_address(papers.bridge.url.removeprefix("http://")))
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(60):
        first = await reader.read(65_536)
    writer.close()

    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"}\n")


async def test_a_large_document_streams_through_an_unbound_index(papers: Papers, unique: str) -> None:
    text = "x" * 3_000_000

    answer = await papers.bridge(
        "POST", f"/{unique}-plain/_bulk?refresh=true", ndjson({"index": {"_id": "1"}}, {"t": text})
    )

    assert answer.status == 200
    assert (await papers.stored("1", f"{unique}-plain"))["t"] == text


async def raw(papers: Papers, sent: bytes, *, until: bytes = b"") -> bytes:
    """Send bytes as they are and read until the server closes, or has said `until`."""
    host, port = split_address(papers.bridge.url.removeprefix("http://"))
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(sent)
    await writer.drain()
    async with asyncio.timeout(60):
        answer = await (reader.readuntil(until) if until else reader.read())
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400, id="CL+TE"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400, id="NUL in a value"),
        pytest.param(b"\x16\x03\x01\r\n\r\n", 400, id="TLS on a plain port"),
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405, id="TRACE"),
        pytest.param(b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 400,
                     id="another host in the target"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Authorization\r\nAuthorization: x\r\n\r\n", 400,
                     id="stripping credentials"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\nConnection: close\r\n\r\n", 400, id="Latin-1 value"),
    ],
)  # fmt: skip
async def test_requests_that_cannot_be_forwarded_truthfully_are_refused(
    papers: Papers, sent: bytes, status: int
) -> None:
    answer = await raw(papers, sent)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 %d" % status, b"HTTP/1.0 %d" % status))
    assert b'"error":{"root_cause":[' in body
    assert b"evil" not in body


async def test_100_continue_is_said_only_when_the_body_is_wanted(papers: Papers) -> None:
    body = ndjson({"index": {"_id": "1"}}, {"title": "Cats"})
    head = f"POST /{papers.index}/_bulk HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"

    wanted = await raw(papers, f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    refused = await raw(
        papers, f"{head}Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n".encode(), until=b"\r\n"
    )

    assert wanted.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/", {"X-A": "a" * 9_000}, id="headers that are longer than the node reads"),
        pytest.param("/{index}/_search", {"X-A": "a" * 9_000}, id="such headers of a search"),
        pytest.param("/{index}/_doc/1", {"X-A": "a" * 9_000}, id="such headers of a read"),
        pytest.param(f"/{'a' * 5_000}", {}, id="a path that is longer than the node reads"),
    ],
)
async def test_a_request_that_the_node_does_not_read_leaves_no_connection_for_others(
    node_url: str, path: str, headers: dict[str, str]
) -> None:
    """The node answers 400, keeps the connection open, and never reads from it again."""
    version = shipped_versions()["all-minilm-l6-v2@1"]
    async with between(node_url, version) as at:
        await at.bridge("GET", "/")
        for _ in range(3):
            refused = await at.bridge("GET", path.format(index="none"), **headers)
            before = at.to_node.connections
            async with asyncio.timeout(60):
                others = [await at.bridge("GET", "/") for _ in range(3)]

            assert refused.status == 400
            assert [answer.status for answer in others] == [200, 200, 200]
            assert at.to_node.connections == before + 1


async def test_a_connection_is_used_again_after_an_answer_that_was_read_to_its_end(node_url: str) -> None:
    version = shipped_versions()["all-minilm-l6-v2@1"]
    async with between(node_url, version) as at:
        statuses = [(await at.bridge("GET", path)).status for path in ("/", "/none/_doc/1", "/_cat/plugins", "/")]

    assert statuses == [200, 404, 200, 200]
    assert at.to_node.connections == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/papers/_search"),
        ("POST", "/papers/_search?sidecar=off"),
        ("POST", "/papers/_msearch"),
        ("GET", "/papers/_doc/1"),
        ("GET", "/"),
        ("POST", "/papers/_count"),
    ],
)
async def test_a_search_or_a_read_is_given_up_when_the_cluster_is_silent(method: str, path: str) -> None:
    async with (
        recording() as upstream,
        serving(bridge_settings(upstream.url, read_answer_timeout_s=0.2), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        upstream.silent = f"{method} {path.partition('?')[0]}".encode()
        answer = await bridge(method, path, b'{}\n{"query":{"match_all":{}}}\n' if method == "POST" else None)
        async with asyncio.timeout(60):
            await upstream.hung_up.wait()

    assert answer.status == answer.json["status"] == 504
    assert answer.json["error"]["type"] == "cluster_timeout_exception"


async def test_a_request_that_may_wait_waits() -> None:
    waiting = ("POST /_reindex", "GET /_tasks/a:1", "GET /_cluster/health", "POST /papers/_forcemerge")
    async with (
        recording() as upstream,
        serving(bridge_settings(upstream.url, read_answer_timeout_s=0.05), HashEmbedder(MINILM)) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        upstream.silent = b" /"
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(bridge(*request.split(" "))) for request in waiting]
            await until(lambda: len(upstream.heads) >= len(waiting))
            for _ in range(3):  # meanwhile reads are given up
                assert (await bridge("GET", "/")).status == 504
            assert not [task for task in started if task.done()]
            for task in started:
                task.cancel()


@pytest.mark.parametrize("header_bytes", [8_000, 9_000, 60_000])
async def test_headers_are_as_long_as_the_cluster_takes_them(papers: Papers, header_bytes: int) -> None:
    head = {"X-Long": "a" * header_bytes}
    through = await papers.bridge.request("GET", "/", None, head)
    async with http(papers.direct.url) as (direct,):  # the node reads nothing more from such a connection
        answer = await direct.request("GET", "/", None, head)

    assert (through.status, through.body) == (answer.status, answer.body)


async def test_headers_are_as_many_as_the_cluster_takes_them(papers: Papers) -> None:
    many = {f"x-{number}": "a" for number in range(500)}

    assert (await papers.bridge.request("GET", "/", None, many)).status == 200


def raw_deflate(text: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


def signed_deflate(text: bytes) -> bytes:
    """A stored block. Its first two bytes, read as a number without a sign, are those of a stream with the head of zlib."""
    text += b"\n" * next(n for n in range(31) if int.from_bytes((0xF9, (len(text) + n) & 0xFF)) % 31 == 0)
    return b"\xf9" + len(text).to_bytes(2, "little") + (len(text) ^ 0xFFFF).to_bytes(2, "little") + text


_LINES = b'{"index":{"_id":"1"}}\n{"title":"Cats"}\n'
_GZIP = gzip.compress(_LINES)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("gzip", _GZIP, id="gzip"),
        pytest.param("X-GZip", _GZIP, id="its other name"),
        pytest.param("gzip", gzip.compress(_LINES[:9]) + gzip.compress(_LINES[9:]), id="members"),
        pytest.param("gzip", _GZIP + bytes(9), id="padding"),
        pytest.param("gzip", _GZIP + bytes(40), id="much padding"),
        pytest.param("gzip", _GZIP[:-4], id="no end"),
        pytest.param("gzip", _GZIP[:-8] + b"\1" * 8, id="wrong checksum"),
        pytest.param("gzip", zlib.compress(_LINES), id="zlib as gzip"),
        pytest.param("gzip", _LINES, id="plain as gzip"),
        pytest.param("deflate", zlib.compress(_LINES), id="deflate"),
        pytest.param("deflate", raw_deflate(_LINES), id="raw deflate"),
        pytest.param("deflate", signed_deflate(_LINES), id="raw deflate that would be zlib without a sign"),
        pytest.param("x-deflate", raw_deflate(_LINES), id="its other name for deflate"),
        pytest.param("deflate", zlib.compress(_LINES) + b"garbage", id="garbage after deflate"),
        pytest.param("deflate", zlib.compress(_LINES)[:-2], id="deflate without its end"),
        pytest.param("deflate", _GZIP, id="gzip as deflate"),
        pytest.param("gzip, gzip", gzip.compress(_GZIP), id="gzip twice"),
        pytest.param("unknown", _LINES, id="a coding that nobody knows"),
        pytest.param("br", _LINES, id="plain as brotli"),
    ],
)
async def test_a_content_coding_means_the_same_as_to_the_cluster(papers: Papers, coding: str, body: bytes) -> None:
    """The cluster closes the connection without an answer where we say that the body is not valid."""
    headers = {"Content-Encoding": coding, "Content-Type": "application/x-ndjson"}
    unbound = papers.index.replace("papers", "plain")

    try:
        direct = (await papers.direct.request("POST", f"/{unbound}/_bulk", body, headers)).status
    except aiohttp.ClientError:
        direct = 400
    through = await papers.bridge.request("POST", f"/{papers.index}/_bulk", body, headers)

    assert through.status == direct
    if direct == 200:
        stored = await papers.stored("1")
        assert stored["title"] == "Cats"
        assert "embedding_meta" in stored
