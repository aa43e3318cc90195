"""Texts that clients have embedded over HTTP wait behind searches, and only so many at the same time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sidecar.bridge.app import serving
from sidecar.bridge.embed_limits import PER_CLIENT
from sidecar.model import Role
from sidecar.ports import Embeddings, Lane
from tests.soak.filters import MINILM
from tests.support.between import bridge_settings
from tests.support.embedders import HashEmbedder
from tests.support.http import Http, http

EMBED = "/_plugins/_sidecar/embed"


@dataclass
class Held(HashEmbedder):
    """An embedder that answers when it may."""

    lanes: list[Lane] = field(default_factory=list)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(
        self, texts: Sequence[str], role: Role, *, model: str, expect_space: str = "", lane: Lane, timeout_s: float
    ) -> Embeddings:
        self.lanes.append(lane)
        self.was_asked.set()
        await self.may_answer.wait()
        return await super().embed(texts, role, model=model, expect_space=expect_space, lane=lane, timeout_s=timeout_s)


@pytest.fixture
async def held() -> AsyncIterator[tuple[Http, Held]]:
    async def without_security(request: web.BaseRequest) -> web.Response:
        if request.path == "/":
            return web.json_response({})
        return web.json_response({"error": f"no handler found for uri [{request.path}]", "status": 400}, status=400)

    cluster = web.ServerRunner(web.Server(without_security))
    await cluster.setup()
    site = web.TCPSite(cluster, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    embedder = Held(MINILM)
    async with (
        serving(bridge_settings(f"http://127.0.0.1:{port}"), embedder) as at,
        http(f"http://{at.address}") as (bridge,),
    ):
        yield bridge, embedder
    await cluster.cleanup()


async def test_a_client_that_has_many_texts_in_work_is_told_to_wait(held: tuple[Http, Held]) -> None:
    bridge, embedder = held
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        first = group.create_task(bridge("POST", EMBED, {"texts": ["a"] * PER_CLIENT.texts}))
        await embedder.was_asked.wait()
        # Other credentials make no other client: without the security plugin they are only words.
        refused = await bridge("POST", EMBED, {"texts": ["b"]}, Authorization="Basic x")
        embedder.may_answer.set()
    later = await bridge("POST", EMBED, {"texts": ["b"]})

    assert (refused.status, refused.json["error"]["type"]) == (429, "rejected_execution_exception")
    assert (first.result().status, later.status) == (200, 200)
    assert embedder.lanes == [Lane.BULK, Lane.BULK]
