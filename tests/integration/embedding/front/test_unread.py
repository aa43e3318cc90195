"""A caller over gRPC that does not read its reply."""

import asyncio
import contextlib
from typing import Any

import grpc
import pytest

from sidecar.embedding.front.unread import CallerGone, gone_is_cancelled, write
from tests.support.http2 import Caller
from tests.support.waiting import PATIENCE_S

REPLY = b"x" * 1_000_000


class Service(grpc.GenericRpcHandler):
    """Answers each call with a large reply, which must be read at once."""

    def __init__(self) -> None:
        self.unread_s = 0.2
        self.ends: asyncio.Queue[BaseException | None] = asyncio.Queue()

    def service(self, _details: Any) -> Any:
        return grpc.unary_stream_rpc_method_handler(self.answer)

    async def answer(self, _request: bytes, context: Any) -> None:
        try:
            with gone_is_cancelled():
                try:
                    await write(context, REPLY, unread_s=self.unread_s)
                except BaseException as error:
                    self.ends.put_nowait(error)
                    raise
        finally:
            self.ends.put_nowait(None)


@pytest.mark.parametrize(("listen", "host"), [("127.0.0.1", "127.0.0.1"), ("[::]", "127.0.0.1"), ("[::]", "[::1]")])
async def test_its_connection_is_closed_and_no_other(listen: str, host: str) -> None:
    server, service = grpc.aio.server(), Service()
    server.add_generic_rpc_handlers((service,))
    address = f"{host}:{server.add_insecure_port(f'{listen}:0')}"
    await server.start()
    try:
        idle = await Caller.of(address, window=0)
        unread = await Caller.of(address, window=0)
        unread.call("/a/b", b"x")
        async with asyncio.timeout(PATIENCE_S):
            assert REPLY[:100] not in await unread.reader.read()  # to its end
            assert isinstance(await service.ends.get(), CallerGone)
            assert await service.ends.get() is None
            idle.call("/a/b", b"x")
            assert isinstance(await service.ends.get(), CallerGone)
            await idle.reader.read()
        for caller in (idle, unread):
            caller.writer.close()
            with contextlib.suppress(OSError):
                await caller.writer.wait_closed()
        service.unread_s = PATIENCE_S
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.unary_unary("/a/b", None, None)
            assert await call(b"x", timeout=PATIENCE_S) == REPLY
    finally:
        await server.stop(0)
