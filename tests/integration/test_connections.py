"""The deadlines of a connection, over real sockets. Deadlines are short here, and every test waits for an event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sidecar import connections
from sidecar.config import split_address
from sidecar.connections import Answer, SlowBody, arriving
from sidecar.listening import Limits, listening

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    try:
        return Answer(body=b"".join([piece async for piece in arriving(request.content)]))
    except SlowBody as error:
        answer = Answer(status=408, text=str(error))
        answer.force_close()
        return answer


def refuse(status: int, reason: str) -> web.Response:
    return Answer(status=status, text=f"our own {status}: {reason}")


@asynccontextmanager
async def caller(runner: web.BaseRunner) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with listening(runner, "127.0.0.1:0", "some.listen", limits=Limits(refuse=refuse)) as address:
        reader, writer = await asyncio.open_connection(*split_address(address))
        try:
            async with asyncio.timeout(60):
                yield reader, writer
        finally:
            writer.transport.abort()


def server(handler: object = echo) -> web.ServerRunner:
    return web.ServerRunner(web.Server(handler))


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENCE_S", 0.3)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        pytest.param(HEAD, b"408", b"our own 408: no byte of the request came for 0.3 s", id="half a head"),
        pytest.param(b"P", b"408", b"our own 408", id="one letter"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\n{", b"408", b"no byte of the request body", id="half a body"),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\n", b"408", b"no byte of the request body", id="no body"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", b"408", b"no byte", id="half a chunk"),
    ],
)
async def test_a_client_that_stops_is_told_so_and_loses_its_connection(
    sent: bytes, status: bytes, reason: bytes
) -> None:
    async with caller(server()) as (reader, writer):
        writer.write(sent)
        answer = await reader.read()  # up to the close

    assert answer.split(b" ", 2)[1] == status
    assert reason in answer


async def test_a_slow_client_that_goes_on_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENCE_S", 2.0)
    async with caller(server()) as (reader, writer):
        sent = HEAD + b"Content-Length: 40\r\nConnection: close\r\n\r\n" + b"x" * 40
        for start in range(0, len(sent), 10):
            writer.write(sent[start : start + 10])
            await asyncio.sleep(0.3)  # all together take longer than the deadline
        answer = await reader.read()

    assert answer.endswith(b"x" * 40)


@pytest.mark.usefixtures("short")
async def test_a_connection_between_two_requests_may_be_silent() -> None:
    async with caller(server()) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + b"Content-Length: 1\r\n\r\nx")
            assert (await reader.readuntil(b"\r\n\r\nx")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(1)


@pytest.mark.usefixtures("short")
async def test_a_handler_may_take_longer_than_the_client_may_be_silent() -> None:
    async def slow(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(1)
        return Answer(text="done")

    async with caller(server(slow)) as (reader, writer):
        writer.write(HEAD + b"Connection: close\r\n\r\n")
        assert (await reader.read()).endswith(b"done")


async def test_a_client_that_does_not_read_its_answer_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_UNREAD_S", 0.1)
    gone = asyncio.Event()

    async def large(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        try:
            while True:
                await answer.write(b"x" * 100_000)
        finally:
            gone.set()

    runner = web.ServerRunner(web.Server(large, handler_cancellation=True))
    async with caller(runner) as (_, writer):
        writer.write(HEAD + b"\r\n")
        await gone.wait()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(b"\x16\x03\x01\r\n\r\n", b"400", id="TLS on a plain port"),
        pytest.param(b"GET /evil HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400", id="two hosts"),
        pytest.param(b"GET /evil HTTP/1.1\r\nHost: a\r\nExpect: evil\r\n\r\n", b"417", id="an expectation of no kind"),
        pytest.param(b"GET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404", id="no such page"),
        pytest.param(b"GET /fails HTTP/1.1\r\nHost: a\r\n\r\n", b"500", id="a fault of ours"),
    ],
)
async def test_every_answer_is_our_own_and_shows_nothing_about_the_server(sent: bytes, status: bytes) -> None:
    async def fails(_: web.Request) -> web.StreamResponse:
        raise RuntimeError("secret")

    async def evil(_: web.Request) -> web.StreamResponse:
        return Answer(text="ok")

    app = web.Application()
    app.add_routes([web.get("/fails", fails), web.get("/evil", evil)])
    with capture_logs() as lines:
        async with caller(web.AppRunner(app, access_log=None)) as (reader, writer):
            writer.write(sent)
            answer = await reader.readuntil(b"\r\n\r\n") + await reader.read(100)

    assert answer.split(b" ", 2)[1] == status
    assert b"our own " + status in answer
    assert not {word for word in (b"aiohttp", b"Python", b"secret", b"\r\nServer", b"\r\nDate") if word in answer}
    assert len(lines) <= 1
