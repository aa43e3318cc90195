"""A listener and its probes, over a real socket."""

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sidecar import listening as module
from sidecar.config import split_address
from sidecar.errors import ConfigurationError
from sidecar.listening import Limits, Readiness, listening, probes, raise_descriptor_limit
from sidecar.places import SURPLUS

SETTING = "some.listen"


def runner(*states: Readiness) -> web.AppRunner:
    found = iter(states)

    async def readiness() -> Readiness:
        return next(found)

    app = web.Application()
    app.add_routes(probes(readiness))
    return web.AppRunner(app, access_log=None)


async def test_the_probes() -> None:
    serving = runner(Readiness(is_ready=True, line="serving"), Readiness(is_ready=False, line="draining"))
    async with listening(serving, "127.0.0.1:0", SETTING) as address, aiohttp.ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://{address}{path}") as answer:
                return answer.status, await answer.text()

        assert await get("/livez") == (200, "ok\n")
        assert await get("/readyz") == (200, "serving\n")
        assert await get("/readyz") == (503, "draining\n")
        status, metrics = await get("/metrics")
        assert (status, "# TYPE" in metrics) == (200, True)


async def test_an_address_that_is_taken_is_named_with_its_setting() -> None:
    async with listening(runner(), "127.0.0.1:0", SETTING) as address:
        with pytest.raises(ConfigurationError) as refused:
            async with listening(runner(), address, SETTING):
                pytest.fail("listens twice")
    assert str(refused.value) == f"{SETTING}: cannot listen on {address}: Address already in use"


async def test_a_host_that_is_not_known_is_named_with_its_setting() -> None:
    with pytest.raises(ConfigurationError) as refused:
        async with listening(runner(), "nosuchhost.invalid:0", SETTING):
            pytest.fail("listens nowhere")
    assert str(refused.value).startswith(
        f"{SETTING}: cannot listen on nosuchhost.invalid:0: the host [nosuchhost.invalid] is not known: "
    )


async def test_every_address_of_ipv6_is_every_address() -> None:
    async with listening(runner(), "[::]:0", SETTING) as address, aiohttp.ClientSession() as session:
        for host in ("127.0.0.1", "[::1]"):
            async with session.get(f"http://{host}:{address.rpartition(':')[2]}/livez") as answer:
                assert answer.status == 200


async def test_without_the_c_parser_nothing_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    parsers = aiohttp.http_parser
    monkeypatch.setattr(parsers, "HttpRequestParser", parsers.HttpRequestParserPy)
    with pytest.raises(ConfigurationError, match="no C parser"):
        async with listening(runner(), "127.0.0.1:0", SETTING):
            pytest.fail("listens")


@asynccontextmanager
async def callers(address: str) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """A list of connections, to be added to. All are closed at the end."""
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        async with asyncio.timeout(60):
            yield opened
    finally:
        for _, writer in opened:
            writer.transport.abort()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The status line and a part of the answer to one request."""
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    return await reader.readuntil(b"\n") + await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("limits", "status"),
    [
        pytest.param(Limits(connections=2), b"503", id="of all clients"),
        pytest.param(Limits(per_peer=2), b"429", id="of one client"),
    ],
)
async def test_a_connection_beyond_the_limit_is_told_so_until_another_is_closed(limits: Limits, status: bytes) -> None:
    async with (
        listening(runner(), "127.0.0.1:0", SETTING, limits=limits) as address,
        callers(address) as opened,
    ):
        for _ in range(2):
            opened.append(await asyncio.open_connection(*split_address(address)))
            assert b" 200 " in await asked(*opened[-1])
        opened.append(await asyncio.open_connection(*split_address(address)))
        refused = await asked(*opened[-1])

        assert refused.split(b" ")[1] == status
        assert b"\r\nConnection: close\r\n" in refused
        assert await opened[-1][0].readuntil(b"open\n")
        assert await opened[-1][0].read() == b""
        opened[0][1].close()
        await opened[0][1].wait_closed()
        answer = refused
        while b" 200 " not in answer:  # the server learns of the close in its own time
            opened.append(await asyncio.open_connection(*split_address(address)))
            answer = await asked(*opened[-1])


async def test_a_flood_of_connections_is_cut_off_with_one_line_in_the_log() -> None:
    async with AsyncExitStack() as stack:
        lines = stack.enter_context(capture_logs())
        address = await stack.enter_async_context(
            listening(runner(), "127.0.0.1:0", SETTING, limits=Limits(connections=1))
        )
        opened = await stack.enter_async_context(callers(address))
        for _ in range(SURPLUS + 2):
            opened.append(await asyncio.open_connection(*split_address(address)))

        assert await opened[-1][0].read() == b""
        assert [line["action"] for line in lines] == ["too_many_connections"]


async def test_no_free_descriptor_pauses_the_listener_and_it_recovers_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, failures = socket.socket.accept, iter(range(20))

    def accept(listener: socket.socket) -> object:
        if next(failures, None) is not None:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(listener)

    monkeypatch.setattr(module, "_PAUSE_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", accept)
    with capture_logs() as lines:
        async with listening(runner(), "127.0.0.1:0", SETTING) as address, callers(address) as opened:
            opened.append(await asyncio.open_connection(*split_address(address)))
            assert b" 200 " in await asked(*opened[0])

    assert [(line["action"], line["error"]) for line in lines] == [("accept_paused", "Too many open files")]


def test_the_process_may_open_as_many_files_as_the_machine_allows() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 256), before[1]))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= min(before[1], 65_536)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
