"""Case 8: what the cluster gives to one client never reaches another."""

import asyncio

from tests.security.conftest import Start


def get(path: str, cookie: str = "") -> bytes:
    line = f"Cookie: {cookie}\r\n" if cookie else ""
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n{line}Connection: close\r\n\r\n".encode()


async def test_case_8_a_cookie_of_the_cluster_goes_to_its_client_alone(start: Start) -> None:
    at = await start()
    at.upstream.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=of-one; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    for path in ("/", "/papers/_search", "/papers/_doc/1", "/_plugins/_security/authinfo"):
        assert b"Set-Cookie: session=of-one" in await at.send(get(path))
        at.upstream.heads.clear()

        await asyncio.gather(at.send(get(path)), at.send(get(path, "session=of-two")))

        came = sorted(one.get("cookie", "") for one in map(at.upstream.headers, range(len(at.upstream.heads))))
        assert set(came) == {"", "session=of-two"}
