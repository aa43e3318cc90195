"""Cases 5 to 7: headers by which a client would be somebody else, and clients that nobody knows."""

import pytest

from tests.security.conftest import Start

NAMED = ("Authorization", "Cookie", "Content-Type", "Content-Encoding", "Host")
CLAIMS = {
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "1",
    "X-Forwarded-By": "6.6.6.6",
    "X-Real-IP": "6.6.6.6",
    "X-Client-IP": "6.6.6.6",
    "True-Client-IP": "6.6.6.6",
    "Forwarded": "for=6.6.6.6",
}
IDENTITY = {"x-proxy-user": "admin", "x-proxy-roles": "all_access", "X-Proxy-Ext-A": "b"}


def request(headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n".encode()


@pytest.mark.parametrize("name", NAMED)
async def test_case_5_no_client_takes_off_a_header_that_others_rely_on(start: Start, name: str) -> None:
    at = await start()

    answer = await at.send(f"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, {name}\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert at.upstream.heads == []


async def test_case_6_words_about_the_client_are_dropped(start: Start) -> None:
    at = await start()

    await at.send(request(CLAIMS | IDENTITY))

    came = at.upstream.headers()
    assert came["x-forwarded-for"] == "127.0.0.1"
    assert "6.6.6.6" not in str(came)
    assert (CLAIMS | IDENTITY).keys() & {name.title() for name in came} <= {"X-Forwarded-For"}
    assert not [name for name in came if name.startswith(("x-proxy", "x-forwarded-")) and name != "x-forwarded-for"]


async def test_case_6_a_trusted_proxy_is_believed_but_never_about_identity(start: Start) -> None:
    at = await start(trusted_proxies="127.0.0.0/8")

    await at.send(request(CLAIMS | IDENTITY))

    came = at.upstream.headers()
    assert came["x-forwarded-for"] == "6.6.6.6, 127.0.0.1"
    assert {name.lower() for name in CLAIMS} <= came.keys()
    assert not [name for name in came if name.startswith("x-proxy")]


async def test_case_7_who_asks_before_a_large_body_and_is_nobody_gets_401_and_sends_nothing(start: Start) -> None:
    at = await start()
    at.upstream.answer = (
        b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 12\r\n\r\nUnauthorized'
    )
    for path in (b"/papers/_bulk", b"/papers/_refresh"):
        answer = await at.send(
            b"POST %s HTTP/1.1\r\nHost: a\r\nAuthorization: Basic bm9ib2R5\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/x-ndjson\r\nContent-Length: 99999999\r\n\r\n" % path
        )

        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b'WWW-Authenticate: Basic realm="x"' in answer
        assert at.upstream.headers()["authorization"] == "Basic bm9ib2R5"
        assert at.upstream.heads[-1].startswith(b"GET / ")
    assert at.embedder.asked == []
