"""The admin listener: is the process alive, can it serve, and its metrics. Never on the clients' port."""

from collections.abc import Callable

from aiohttp import web

from sidecar.errors import ClusterUnreachable
from sidecar.listening import Readiness, probes
from sidecar.ports import Cluster


def admin_app(cluster: Cluster, is_draining: Callable[[], bool]) -> web.Application:
    """The probes of the bridge.

    Ready means: not draining, and the cluster answers. An embedder that is down makes writes pending and searches
    lexical, which is no reason to take the bridge out of service.
    """

    async def readiness() -> Readiness:
        if is_draining():
            return Readiness(is_ready=False, line="draining")
        try:
            await cluster.call("GET", "/")
        except ClusterUnreachable:
            return Readiness(is_ready=False, line="the cluster does not answer")
        return Readiness(is_ready=True, line="ok")

    app = web.Application()
    app.add_routes(probes(readiness))
    return app
