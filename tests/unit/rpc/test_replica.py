"""When one replica is asked, and when it is left alone."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from sidecar.errors import (
    EmbedderUnavailable,
)
from sidecar.rpc import EmbedderClient
from tests.unit.rpc.test_rotation import DRAINS, HANGS, Scripted, client_of, comes_back, listening


async def test_a_replica_that_is_gone_is_left_alone_until_it_is_back() -> None:
    one, other = Scripted(), Scripted()

    def is_open() -> float | None:
        return REGISTRY.get_sample_value("sidecar_embedder_replica_open", {"replica": one.address})

    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(listening(other))
            async with listening(one):
                client = await stack.enter_async_context(EmbedderClient(f"{one.address},{other.address}"))
                await client.models()
            for _ in range(3):
                await client.models()
            assert (one.asked, other.asked, is_open()) == (1, 3, 1)
            async with listening(one, one.address), asyncio.timeout(5):
                while is_open():  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.02)
                await client.models()
                await client.models()
                assert (one.asked, other.asked) == (2, 4)
    assert [(line["action"], line["replica"]) for line in logs] == [
        ("replica_lost", one.address),
        ("replica_found", one.address),
    ]


async def test_many_calls_that_wait_share_a_probe() -> None:
    server = Scripted(HANGS)
    async with client_of([server]) as client, asyncio.TaskGroup() as group:
        calls = [group.create_task(client.models()) for _ in range(20)]
        async with asyncio.timeout(5):
            while server.probes < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        server.may_answer.set()
        await asyncio.gather(*calls)
    assert (server.asked, server.probes) == (20, 2)


async def test_a_server_that_does_not_serve_is_not_asked() -> None:
    server = Scripted(DRAINS, serves=False)
    async with client_of([server]) as client:
        with pytest.raises(EmbedderUnavailable, match="the embedder is draining"):
            await client.models()
        assert not await client.healthy()
        async with asyncio.timeout(5):
            while server.probes < 3:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        with pytest.raises(EmbedderUnavailable, match="the embedder is draining"):
            await client.models()
        assert server.asked == 1
        server.says, server.serves = None, True
        await comes_back(client)
        assert await client.models() == ()
