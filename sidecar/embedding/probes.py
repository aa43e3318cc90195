"""What an orchestrator and Prometheus ask over HTTP."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from sidecar.config import split_address
from sidecar.embedding.service import EmbeddingService, State
from sidecar.errors import ConfigurationError
from sidecar.telemetry import exposition


@asynccontextmanager
async def serve_probes(listen: str, service: EmbeddingService) -> AsyncIterator[str]:
    """Serve /livez, /readyz and /metrics; the value is the address with the real port.

    Raises ConfigurationError if the port cannot be bound.
    """

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(text=f"{service.state}\n", status=200 if service.state is State.SERVING else 503)

    async def metrics(_request: web.Request) -> web.Response:
        body, content_type = exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        yield await _start(runner, listen)
    finally:
        await runner.cleanup()


async def _start(runner: web.AppRunner, listen: str) -> str:
    host, port = split_address(listen)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise ConfigurationError(
            f"embedder.http_listen: cannot listen on {listen}: {os.strerror(error.errno or 0)}"
        ) from error
    return f"{listen.rpartition(':')[0]}:{runner.addresses[0][1]}"
