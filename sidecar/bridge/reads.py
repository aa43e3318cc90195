"""Forwards reads of documents, and asks the cluster to leave our fields out of the answer."""

from aiohttp import web

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_fields import hide_fields
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import join_target, with_source_excludes
from sidecar.bridge.proxy.upstream import Upstream
from sidecar.bridge.routes import Read


class Reads:
    """Handles `_doc`, `_source` and `_mget`."""

    def __init__(self, upstream: Upstream, bindings: Bindings) -> None:
        self._upstream = upstream
        self._bindings = bindings

    async def handle(self, request: IncomingRequest, route: Read) -> web.StreamResponse:
        """Forward the read with our fields excluded, unless the client asks for them. Raises ClusterUnreachable."""
        if request.shows_source:
            return await self._upstream.forward(request)
        indices = await self._bindings.of_search(route.index, {}, request.credentials)
        _, excludes = hide_fields(None, request.parameters, indices)
        query = with_source_excludes(request.query, excludes)
        return await self._upstream.forward(request, join_target(request.path, query))
