"""A cluster that answers bulk requests as a test wants or drops the connection, and is the real node in all else."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

import aiohttp
from aiohttp import web
from yarl import URL

from tests.support.http import http


class Dropped(Enum):
    """The connection ends without an answer."""

    BEFORE = auto()  # the node has not seen the request
    AFTER = auto()  # the node has carried it out


Given = tuple[int, bytes] | Dropped | None


@dataclass
class Scripted:
    """`answers`: status and body of the next bulk requests, None for the node's own; `bulks`: what was asked."""

    answers: deque[Given] = field(default_factory=deque)
    bulks: list[bytes] = field(default_factory=list)
    url: str = ""


@asynccontextmanager
async def scripted(node_url: str) -> AsyncIterator[Scripted]:
    """Start it in front of the real node."""
    script = Scripted()
    async with http(node_url) as (node,):

        async def answer(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            if request.path.endswith("/_bulk"):
                script.bulks.append(body)
                given = script.answers.popleft() if script.answers else None
                if isinstance(given, Dropped):
                    if given is Dropped.AFTER:
                        await _of_the_node(node.session, node_url, request, body)
                    assert request.transport is not None
                    request.transport.abort()
                elif given is not None:
                    return web.Response(status=given[0], body=given[1], content_type="application/json")
            return await _of_the_node(node.session, node_url, request, body)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        script.url = f"http://{host}:{port}"
        try:
            yield script
        finally:
            await runner.cleanup()


async def _of_the_node(
    session: aiohttp.ClientSession, node_url: str, request: web.BaseRequest, body: bytes
) -> web.Response:
    url = URL(node_url + request.raw_path, encoded=True)
    headers = {"Content-Type": request.headers["Content-Type"]} if body else {}
    async with session.request(request.method, url, data=body or None, headers=headers) as answer:
        return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")
