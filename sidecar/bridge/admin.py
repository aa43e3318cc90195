"""The admin listener. It says whether the process is alive and ready, and shows its metrics.

It has a port of its own, so clients cannot reach it through theirs.
"""

from collections.abc import Callable

from aiohttp import web

from sidecar.errors import ClusterUnreachable
from sidecar.listening import Readiness, probes
from sidecar.ports import Cluster


def admin_app(cluster: Cluster, is_draining: Callable[[], bool]) -> web.Application:
    """The probes of the bridge.

    The bridge is ready if it is not draining and the cluster answers. It stays ready if the embedder is down. Writes
    then become pending and searches lexical, and both still work.
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
