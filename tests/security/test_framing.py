"""Cases 1 to 4: requests that two servers could read differently, and ways past the bridge."""

import pytest

from tests.security.conftest import Start

HEAD = b"POST /papers/_refresh HTTP/1.1\r\nHost: a\r\n"
BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(HEAD + b"Content-Length: 3\r\n" + CHUNKED + b"\r\n0\r\n\r\n", id="CL and TE"),
        pytest.param(HEAD + CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n", id="TE and CL"),
        pytest.param(HEAD + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", id="TE twice"),
        pytest.param(HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="TE of another name"),
        pytest.param(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="two codings"),
        pytest.param(HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="a blank before the colon"),
        pytest.param(HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", id="CL twice"),
        pytest.param(HEAD + b"Content-Length: 3, 3\r\n\r\nabc", id="CL as a list"),
        pytest.param(HEAD + b"Content-Length: +3\r\n\r\nabc", id="CL with a sign"),
        pytest.param(HEAD + b"Content-Length: 0x3\r\n\r\nabc", id="CL in hex"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n", id="CL below zero"),
        pytest.param(HEAD + b"X: a\r\n b\r\n\r\n", id="a folded line"),
        pytest.param(HEAD.replace(b"\r\n", b"\n") + b"\n", id="bare LF"),
        pytest.param(HEAD + b"X: a\rb\r\n\r\n", id="CR in a value"),
        pytest.param(HEAD + b"X: a\0b\r\n\r\n", id="NUL in a value"),
        pytest.param(HEAD + b"Host: b\r\n\r\n", id="Host twice"),
        pytest.param(HEAD + CHUNKED + b"\r\n0x2\r\nab\r\n0\r\n\r\n", id="a size of a chunk in hex with a prefix"),
        pytest.param(HEAD + CHUNKED + b"\r\n2;a\nb\r\nab\r\n0\r\n\r\n", id="LF in a chunk extension"),
        pytest.param(HEAD + CHUNKED + b"\r\n-2\r\nab\r\n0\r\n\r\n", id="a size of a chunk below zero"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="the preface of HTTP/2"),
    ],
)
async def test_case_1_what_two_servers_could_read_differently_reaches_nobody(start: Start, sent: bytes) -> None:
    at = await start()

    answer = await at.send(sent + BEHIND)

    assert answer.split(b" ", 2)[1] == b"400"
    assert answer.count(b"HTTP/1.") == 1
    assert at.upstream.heads == []


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"zz\r\nab\r\n0\r\n\r\n", id="garbage in place of a size"),
        pytest.param(b"2\r\nabc\r\n0\r\n\r\n", id="more bytes than a chunk has"),
    ],
)
async def test_case_1_a_body_that_goes_wrong_later_ends_the_connection(start: Start, rest: bytes) -> None:
    at = await start()
    for path in (b"/papers/_refresh", b"/papers/_bulk"):
        begin = b"POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" % path + CHUNKED + b"\r\n"

        answer = await at.send(begin, b"2\r\nab\r\n" + rest + BEHIND, waits=True)

        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not [head for head in at.upstream.heads if b"smuggled" in head]


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", id="a method that is not served"),
        pytest.param(b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", id="another host"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n", id="a value that is not UTF-8"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", id="an expectation of no kind"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", id="not valid HTTP"),
        pytest.param(HEAD.replace(b"_refresh", b"_bulk") + b"Content-Length: 999999999\r\n\r\n", id="a body too large"),
    ],
)
async def test_case_2_nothing_behind_a_refused_request_is_carried_out(start: Start, first: bytes) -> None:
    at = await start()

    answer = await at.send(first + BEHIND)

    assert answer.split(b" ", 2)[1][:1] == b"4"
    assert b"connection: close" in answer.lower() or answer.startswith(b"HTTP/1.0")
    assert answer.count(b"HTTP/1.") == 1
    assert at.upstream.heads == []


async def test_case_3_no_request_opens_a_tunnel(start: Start) -> None:
    at = await start()
    for protocol in (b"h2c", b"websocket"):
        upgrade = (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade, HTTP2-Settings\r\nUpgrade: " + protocol + b"\r\n"
            b"HTTP2-Settings: AAMAAABkAAQAAP__\r\nSec-WebSocket-Key: x\r\n\r\n"
        )

        answer = await at.send(upgrade)

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b" 101 " not in answer
        assert {"upgrade", "http2-settings", "connection"}.isdisjoint(at.upstream.headers(0))


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"CONNECT evil.example:80 HTTP/1.1\r\nHost: a\r\n\r\n", {b"400", b"405"}, id="CONNECT"),
        pytest.param(b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", {b"405"}, id="TRACE"),
        pytest.param(b"GET http://evil.example/x HTTP/1.1\r\nHost: evil.example\r\n\r\n", {b"400"}, id="absolute form"),
        pytest.param(
            b"GET //evil.example/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", {b"200"}, id="two slashes"
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", {b"200"}, id="Host"),
    ],
)
async def test_case_4_no_request_chooses_the_upstream(start: Start, sent: bytes, status: set[bytes]) -> None:
    at = await start()

    answer = await at.send(sent)

    assert answer.split(b" ", 2)[1] in status
    assert len(at.upstream.heads) == (1 if status == {b"200"} else 0)
