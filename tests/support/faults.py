"""A TCP proxy that harms what passes through it, HTTP and gRPC alike; its faults may be changed while it runs.

The names are toxiproxy's, a program of its own that no package index of ours carries.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing the socket sends RST


class Way(Enum):
    """A direction through the proxy."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


@dataclass(frozen=True, eq=False, slots=True)
class Faults:
    """What happens to the bytes of one direction. Counts begin anew, on each connection, when faults are set."""

    latency_s: float = 0.0  # of each piece
    bytes_per_s: float = 0.0  # bandwidth; 0: no limit
    slice_bytes: int = _CHUNK_BYTES  # slicer: a piece is never larger
    stall_after: int | None = None  # hold what comes after so many bytes, until other faults are set; 0: timeout
    limit_data: int | None = None  # close after so many bytes
    reset_peer: int | None = None  # reset after so many bytes
    slow_close_s: float = 0.0  # how much later the end of the stream is passed on

    @property
    def limit(self) -> int | None:
        """How many bytes pass unharmed."""
        given = [n for n in (self.stall_after, self.limit_data, self.reset_peer) if n is not None]
        return min(given, default=None)


NONE = Faults()


class FaultProxy:
    """Stands in front of one server; see `faulty`."""

    def __init__(self, host: str, port: int) -> None:
        self.connections = 0  # ever accepted
        self.struck = asyncio.Event()  # a connection was stalled, closed or reset
        self._server_at = (host, port)
        self._faults = dict.fromkeys(Way, NONE)
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def is_idle(self) -> bool:
        """Whether no connection is open."""
        return not self._open

    def set(self, *, to_server: Faults = NONE, to_client: Faults = NONE) -> None:
        """Replace the faults of both directions, also on connections that are open."""
        self._faults = {Way.TO_SERVER: to_server, Way.TO_CLIENT: to_client}
        self.struck.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    async def listen(self) -> None:
        """Accept connections, always at the same address."""
        if self._listener is None:
            self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._listener.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse connections until `listen`, and reset those that are open: the server seems killed."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for writer in tuple(self._open):
            _reset(writer)

    async def close(self) -> None:
        self.refuse()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            self._open.add(writer)
            server_writer: asyncio.StreamWriter | None = None
            try:
                server_reader, server_writer = await asyncio.open_connection(*self._server_at)
                self._open.add(server_writer)
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._pump(reader, server_writer, writer, Way.TO_SERVER))
                    tasks.create_task(self._pump(server_reader, writer, server_writer, Way.TO_CLIENT))
            except* (OSError, _Ended):
                pass
            finally:
                for one in (writer, server_writer):
                    if one is not None:
                        one.transport.abort()
                        self._open.discard(one)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter, way: Way
    ) -> None:
        faults, passed = self._faults[way], 0
        while data := await reader.read(_CHUNK_BYTES):
            while data:
                if faults is not self._faults[way]:
                    faults, passed = self._faults[way], 0
                left = len(data) if faults.limit is None else faults.limit - passed
                if left <= 0:
                    await self._strike(faults, writer, other)
                    continue
                piece = data[: min(faults.slice_bytes, left)]
                await asyncio.sleep(faults.latency_s + (len(piece) / faults.bytes_per_s if faults.bytes_per_s else 0))
                writer.write(piece)
                await writer.drain()
                data, passed = data[len(piece) :], passed + len(piece)
        await asyncio.sleep(self._faults[way].slow_close_s)
        if writer.can_write_eof():
            writer.write_eof()

    async def _strike(self, faults: Faults, *writers: asyncio.StreamWriter) -> None:
        self.struck.set()
        if faults.stall_after is not None:
            await self._changed.wait()
            return
        for writer in writers:
            if faults.reset_peer is not None:
                _reset(writer)
            else:
                writer.close()
                await writer.wait_closed()  # what was let through arrives
        raise _Ended


class _Ended(Exception):
    """A fault has ended the connection."""


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@asynccontextmanager
async def faulty(server: str) -> AsyncIterator[FaultProxy]:
    """A proxy without faults in front of a server, given as `host:port` or URL."""
    host, _, port = server.removeprefix("http://").rpartition(":")
    proxy = FaultProxy(host, int(port))
    await proxy.listen()
    try:
        yield proxy
    finally:
        await proxy.close()
