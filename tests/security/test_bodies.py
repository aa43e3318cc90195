"""Case 10: bodies that grow. Case 26: bodies and heads that never end, or come in crumbs."""

import gzip
import resource
import zlib

import pytest

from sidecar import connections
from tests.security.conftest import Start

MIB = 1 << 20


def bomb(mib: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b"\n" * MIB) for _ in range(mib)) + packer.flush()


def post(body: bytes, path: str = "/papers/_bulk", *, coding: str = "gzip") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n"
    return f"{head}Content-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param(bomb(1_024), b"413", id="a gibibyte of line ends"),
        pytest.param(bomb(30) * 3, b"413", id="in several members, each below the limit"),
        pytest.param(bomb(40), b"413", id="below the limit, with a ratio that no text has"),
    ],
)
@pytest.mark.parametrize("path", ["/papers/_bulk", "/papers/_search", "/_msearch"])
async def test_case_10_a_bomb_stops_early(start: Start, body: bytes, status: bytes, path: str) -> None:
    at = await start()
    before = resource.getrusage(resource.RUSAGE_SELF)

    answer = await at.send(post(body, path))

    after = resource.getrusage(resource.RUSAGE_SELF)
    assert answer.split(b" ", 2)[1] == status
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 2
    assert at.upstream.heads == []


async def test_case_10_a_bomb_in_a_bomb_is_unpacked_once(start: Start) -> None:
    at = await start()

    await at.send(post(gzip.compress(bomb(100))))

    assert all(len(body) < MIB for body in at.upstream.bodies)


async def test_case_26_crumbs_cost_no_more_than_their_number(start: Start) -> None:
    at = await start()

    async def cost(count: int) -> float:
        head = b"POST /papers/_bulk HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        await at.send(head, b"1\r\n\n\r\n" * count, b"0\r\n\r\n")
        return resource.getrusage(resource.RUSAGE_SELF).ru_utime - before

    await cost(1_000)
    few, many = await cost(20_000), await cost(200_000)
    assert many < max(few, 0.05) * 40  # ten times as many, with a wide margin for the machine


async def test_case_26_a_head_has_an_end(start: Start) -> None:
    at = await start()

    answer = await at.send(b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X: " + b"a" * 60_000 + b"\r\n"] * 200)

    assert not answer or answer.split(b" ", 2)[1] == b"400"
    assert at.upstream.heads == []


async def test_case_26_who_stops_is_told_so(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENCE_S", 0.3)
    at = await start()
    for path in ("/papers/_bulk", "/papers/_search", "/papers/_refresh", "/papers/_doc/1"):
        for sent in (
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{{",
            f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        ):
            answer = await at.send(sent.encode())

            assert answer.startswith(b"HTTP/1.1 408 ")
            assert b'"type":"timeout_exception"' in answer
    assert not at.upstream.bodies  # none of them came whole
