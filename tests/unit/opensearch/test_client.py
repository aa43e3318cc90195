import asyncio
import base64

import pytest

from sidecar.opensearch.client import OpenSearchCluster, parse_body


@pytest.mark.parametrize(
    ("text", "content_type", "body"),
    [
        pytest.param('{"a":1}', "application/json; charset=UTF-8", {"a": 1}, id="JSON"),
        pytest.param("", "application/json", None, id="nothing, as after HEAD"),
        pytest.param("<html>", "text/html", "<html>", id="a proxy's page"),
        pytest.param("<html>", "application/json", "<html>", id="a proxy that lies"),
    ],
)
def test_body_is_parsed_if_it_is_json(text: str, content_type: str, body: object) -> None:
    assert parse_body(text, content_type) == body


async def heads_of(url: str, **options: object) -> tuple[str, dict[str, list[str]]]:
    """The request line and the headers that a server sees of one call."""
    seen = asyncio.Queue[bytes]()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        async with OpenSearchCluster(url.format(address), user="u", password="p") as cluster:
            assert (await cluster.call("GET", "/a%2Fb", **options)).status == 204
    request, *lines = (await seen.get()).decode().strip().split("\r\n")
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers.setdefault(name.lower(), []).append(value)
    return request, headers


async def test_own_credentials_and_prefix_are_sent() -> None:
    request, headers = await heads_of("http://{}/prefix/", params={"q": "a b"})
    assert request == "GET /prefix/a%2Fb?q=a+b HTTP/1.1"
    assert headers["authorization"] == ["Basic " + base64.b64encode(b"u:p").decode()]


async def test_credentials_of_the_caller_replace_ours() -> None:
    _, headers = await heads_of("http://{}", headers={"Authorization": "Bearer x", "Cookie": "a=b"})
    assert headers["authorization"] == ["Bearer x"]
    assert headers["cookie"] == ["a=b"]
