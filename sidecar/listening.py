"""An HTTP listener, and the probes that each server of ours answers: `/livez`, `/readyz` and `/metrics`."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from sidecar.config import split_address
from sidecar.errors import ConfigurationError
from sidecar.telemetry import exposition


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer to `/readyz`: whether requests are served now, and one line that says why."""

    is_ready: bool
    line: str


@asynccontextmanager
async def listening(
    runner: web.BaseRunner, address: str, setting: str, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on `address` until the context ends. The value is the IP address and port in use, as `host:port`.

    Raises ConfigurationError, which names the setting, if the address cannot be listened on.
    """
    host, port = split_address(address)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            problem = await unknown_host(address) or os.strerror(error.errno or 0)
            raise ConfigurationError(f"{setting}: cannot listen on {address}: {problem}") from error
        host, port = runner.addresses[0][:2]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        await runner.cleanup()


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
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        found = await readiness()
        return web.Response(status=200 if found.is_ready else 503, text=f"{found.line}\n")

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    return [web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)]
