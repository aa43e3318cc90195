"""The security cases of our list, by number: over raw sockets, before the real node or an upstream that writes down.

Each test is able to fail: it asserts what an attacker would gain, beside the status. Cases that other tests show:

| case | tests |
|---|---|
| 7, 8, 9 on a secured node | `tests/cluster/bridge/test_secured_cases.py`, `test_secured.py`, `test_rights.py` |
| 11, 12 heavy bodies and depth | `tests/cluster/bridge/writes/test_depth.py`, `proxy/test_nesting.py`, `benchmarks/` |
| 20 TLS | `tests/cluster/bridge/test_secured.py`, `tests/integration/rpc/test_connections.py` |
| 22 requests that are signed for AWS | `tests/integration/bridge/test_identity.py` |
| 23 searches never widen | `tests/soak/filters.py`, sampled by `test_secured.py` and `searches/test_soak.py` in `tests/cluster/bridge/` |
| 27 gRPC: sizes, tokens, deadlines, broken replies | `tests/integration/rpc/`, `tests/unit/rpc/test_replies.py`, `tests/cluster/bridge/writes/test_passages_faults.py`, `tests/integration/embedding/front/test_servicer_limits.py` |
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from sidecar.bridge.app import serving
from sidecar.config import split_address
from sidecar.models.catalogue import shipped_versions
from tests.cluster.conftest import (  # noqa: F401 - fixtures
    cluster,
    embedder,
    node_url,
    papers,
    system,
    unique,
)
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.recording import Recorder, recording
from tests.support.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Before:
    """A bridge before an upstream that writes down what reaches it."""

    address: str
    admin_address: str
    upstream: Recorder
    embedder: HashEmbedder

    async def send(self, *pieces: bytes, waits: bool = False) -> bytes:
        """See `send` below."""
        return await send(self.address, *pieces, waits=waits)


async def send(address: str, *pieces: bytes, waits: bool = False) -> bytes:
    """Send bytes as they are, and read up to the close by the server.

    `waits`: between the first piece and the second, for the server to ask for the body.
    """
    reader, writer = await asyncio.open_connection(*split_address(address))
    try:
        async with asyncio.timeout(PATIENCE_S):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    if waits:
                        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
                        waits = False
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.transport.abort()


class Start:
    """Starts a bridge with settings, before its own upstream."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def __call__(self, **options: object) -> Before:
        upstream = await self._stack.enter_async_context(recording())
        embedder = HashEmbedder(shipped_versions()["all-minilm-l6-v2@1"])
        at = await self._stack.enter_async_context(serving(bridge_settings(upstream.url, **options), embedder))
        return Before(at.address, at.admin_address, upstream, embedder)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:
        yield Start(stack)
