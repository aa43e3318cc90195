"""An HTTP listener with limits, and the probes that each server of ours answers: `/livez`, `/readyz` and `/metrics`."""

import asyncio
import os
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp.http_parser
from aiohttp import web

from sidecar.config import split_address
from sidecar.connections import SILENCE_S, Answer, Connection, Refuse
from sidecar.errors import ConfigurationError
from sidecar.places import Places, plain_address
from sidecar.telemetry import exposition, logger

_BACKLOG: Final = 1_024
_ACCEPTED_AT_ONCE: Final = 64  # then requests in work have their turn
_PAUSE_S: Final = 1.0  # without a free descriptor
_SECONDS_BETWEEN_LINES: Final = 60.0
_DESCRIPTORS: Final = 65_536  # as many as a server of ours ever wants
_DESCRIPTORS_KEPT: Final = 64  # for files, libraries, and the admin listener

_log = logger("http")


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer to `/readyz`: whether requests are served now, and one line that says why."""

    is_ready: bool
    line: str


def _plain(status: int, reason: str) -> web.Response:
    return Answer(status=status, text=f"{reason}\n")


def _nobody(_: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections a listener keeps open, and how it refuses a request."""

    connections: int = 1_024
    per_peer: int = 1_024
    is_proxy: Callable[[str], bool] = (
        _nobody  # many clients come from the address of a proxy: it has no limit of its own
    )
    refuse: Refuse = _plain


@asynccontextmanager
async def listening(
    runner: web.BaseRunner,
    address: str,
    setting: str,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits = Limits(),
) -> AsyncIterator[str]:
    """Serve on `address` until the context ends. The value is the IP address and port in use, as `host:port`.

    Raises ConfigurationError, which names the setting, if the address cannot be listened on.
    """
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        # The two read some bad requests differently, and only one of them has been tried against smuggling.
        raise ConfigurationError("aiohttp has no C parser here: install a build of it that has one")
    raise_descriptor_limit()
    await runner.setup()
    try:
        try:
            sockets = await _bound(address)
        except OSError as error:
            os_error = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)
            problem = await unknown_host(address) or os_error
            raise ConfigurationError(f"{setting}: cannot listen on {address}: {problem}") from error
        assert runner.server is not None  # since `setup`
        places = Places(min(limits.connections, _room_for_connections()), limits.per_peer, limits.is_proxy)
        connection = partial(Connection, runner.server, refuse=limits.refuse)
        doors = [_Door(one, connection, places, tls) for one in sockets]
        try:
            host, port = sockets[0].getsockname()[:2]
            yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        finally:
            for door in doors:
                await door.close()
    finally:
        await runner.cleanup()


def raise_descriptor_limit() -> None:
    """Let this process open as many files and sockets as it may, within reason."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _room_for_connections() -> int:
    """How many connections the descriptors allow. A connection in work may need a second one, to the cluster."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _DESCRIPTORS if soft == resource.RLIM_INFINITY else max(1, (soft - _DESCRIPTORS_KEPT) // 2)


async def _bound(address: str) -> list[socket.socket]:
    """The sockets of every IP address that the host of this address has."""
    host, port = split_address(address)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, at in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")  # [::] is every address
            one.setblocking(False)
            one.bind(at)
            one.listen(_BACKLOG)
    except BaseException:
        for one in sockets:
            one.close()
        raise
    return sockets


class _Door:
    """One listening socket. It accepts by itself, because asyncio logs without end if no descriptor is free."""

    def __init__(
        self,
        listener: socket.socket,
        connection: Callable[..., Connection],
        places: Places,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listener = listener
        self._connection = connection
        self._places = places
        self._tls = tls
        self._handshakes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._said: dict[str, float] = {}
        self._accept_again()

    async def close(self) -> None:
        """Accept nothing more. The open connections stay."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def _accept_again(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no free descriptor, or no memory
                self._say("no connection can be accepted", "accept_paused", error=os.strerror(error.errno or 0))
                self._loop.remove_reader(self._listener)
                self._pause = self._loop.call_later(_PAUSE_S, self._accept_again)
                return
            self._admit(accepted, plain_address(peer[0]))

    def _admit(self, accepted: socket.socket, peer: str) -> None:
        surplus = self._places.refusal(peer)
        if surplus is not None:
            self._say("there are too many connections", "too_many_connections", status=surplus[0], peer=peer)
            if self._places.are_worn_out(peer):
                accepted.close()
                return
        accepted.setblocking(False)
        handshake = self._connect(accepted, surplus, self._places.take(peer))
        task = self._loop.create_task(handshake, name="handshake")
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _connect(
        self, accepted: socket.socket, surplus: tuple[int, str] | None, closed: Callable[[], None]
    ) -> None:
        try:
            await self._loop.connect_accepted_socket(
                partial(self._connection, surplus=surplus, closed=closed),
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=SILENCE_S if self._tls else None,
            )
        except BaseException as error:
            closed()
            accepted.close()
            if not isinstance(error, OSError):  # the client has gone, or speaks no TLS
                raise

    def _say(self, event: str, action: str, **about: object) -> None:
        """Log one line a minute at most, however often it happens."""
        now = time.monotonic()
        if now - self._said.get(action, -_SECONDS_BETWEEN_LINES) >= _SECONDS_BETWEEN_LINES:
            self._said[action] = now
            _log.warning(event, action=action, **about)


async def unknown_host(address: str) -> str | None:
    """Why the host of an address is not known, or None if it is."""
    host, port = split_address(address)
    try:
        await asyncio.get_running_loop().getaddrinfo(host, port)
    except OSError as error:
        return f"the host [{host}] is not known: {error.strerror}"
    return None


def probes(readiness: Callable[[], Awaitable[Readiness]]) -> list[web.RouteDef]:
    """The routes that an orchestrator and Prometheus ask. None of them needs a token."""

    async def livez(_: web.Request) -> web.Response:
        return Answer(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        found = await readiness()
        return Answer(status=200 if found.is_ready else 503, text=f"{found.line}\n")

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = exposition()
        return Answer(body=body, headers={"Content-Type": content_type})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
