"""The admin listener: is the process alive, can it serve, and its metrics. Never on the clients' port."""

from collections.abc import Callable

from aiohttp import web

from sidecar.errors import ClusterUnreachable
from sidecar.ports import Cluster
from sidecar.telemetry import exposition


def admin_app(cluster: Cluster, is_draining: Callable[[], bool]) -> web.Application:
    """`/livez`, `/readyz` and `/metrics`.

    Ready means: not draining, and the cluster answers. An embedder that is down makes writes pending and searches
    lexical, which is no reason to take the bridge out of service.
    """

    async def livez(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if is_draining():
            return web.Response(status=503, text="draining\n")
        try:
            await cluster.call("GET", "/")
        except ClusterUnreachable:
            return web.Response(status=503, text="the cluster does not answer\n")
        return web.Response(text="ok\n")

    async def metrics(_: web.Request) -> web.Response:
        body, content_type = exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app
