"""Forwards reads of documents, and asks the cluster to leave our fields out of the answer."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_documents import hide_in_mget, indices_of
from sidecar.bridge.hidden_fields import Hidden, hidden_in
from sidecar.bridge.hidden_hits import REFUSALS, replaced
from sidecar.bridge.hidden_source import excludes_beside, excludes_of
from sidecar.bridge.proxy.body import Body, BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.headers import CHANGED_BODY
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import body_in_query, join_target, parameters, with_source_excludes
from sidecar.bridge.proxy.upstream import Upstream, relay
from sidecar.bridge.routes import MultiRead, Read
from sidecar.bridge.searches.limits import MAX_BODY_BYTES
from sidecar.bridge.searches.query_handler import Queries
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import loads_as_written, plain_json
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

_EVERY_INDEX: Final = "_all"
_MAX_INDICES: Final = 16  # of one `_mget`. For more, the bridge asks once about every index


class Reads:
    """Handles `_doc`, `_source`, `_explain` and `_mget`."""

    def __init__(self, upstream: Upstream, bindings: Bindings, bodies: BodyReader, queries: Queries) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._bodies = bodies
        self._queries = queries

    async def handle(self, request: IncomingRequest, route: Read | MultiRead) -> web.StreamResponse:
        """Forward the read with our fields excluded, unless the client asks for them.

        Raises ClusterUnreachable, NestedTooDeeply, and of `_explain` also what `Queries` raises.
        """
        if isinstance(route, Read) and not route.shows_source:
            target = request.target if request.shows_source else await self._without_ours(request, route)
            return await self._queries.handle(request, self._upstream, route.index, target)
        async with self._bodies.read(request) as body:
            await refuse_deep_nesting(request, body)
            if request.shows_source:
                return await self._upstream.forward_read(request, body)
            if isinstance(route, MultiRead):
                return await self._several(request, route, body)
            return await self._upstream.forward_read(request, body, await self._without_ours(request, route))

    async def _without_ours(self, request: IncomingRequest, route: Read) -> str:
        """The target of a request that excludes our fields."""
        hidden = await self._hidden(request, route.index)
        excludes = excludes_of(request.parameters, hidden, by_default=route.shows_source)
        return join_target(request.path, with_source_excludes(request.query, excludes))

    async def _several(self, request: IncomingRequest, route: MultiRead, body: Body) -> web.StreamResponse:
        """Forward `_mget`. Each document leaves out the fields of its own index."""
        text, query = body.decoded or b"", request.query
        carried = None if text else body_in_query(query)
        if carried is not None:
            text, query = carried
        parsed = None
        if 0 < len(text) <= MAX_BODY_BYTES:
            text = plain_json(text)
            # An id may be a number, and is the text that is written there.
            parsed = await off_the_loop(WEIGHT_OF_JSON * len(text), parse_search, text, loads_as_written)
        url = parameters(query)
        if parsed is None:
            hidden = await self._hidden(request, route.index or _EVERY_INDEX)
            target = join_target(request.path, with_source_excludes(request.query, excludes_beside(text, url, hidden)))
            return await self._upstream.forward_read(request, body, target)
        found = await self._by_index(request, indices_of(parsed, route.index))
        changed, excludes = hide_in_mget(parsed, url, route.index, found)
        if not changed:
            target = join_target(request.path, with_source_excludes(request.query, excludes))
            return await self._upstream.forward_read(request, body, target)
        target = join_target(request.path, with_source_excludes(query, excludes))
        headers = request.for_upstream(*CHANGED_BODY, *(() if carried is None else ("content-type",)))
        if carried is not None:
            headers.append(("Content-Type", "application/json"))
        data = replaced(text, changed)
        async with self._upstream.send(request.method, target, headers, data) as response:
            if response.status not in REFUSALS:
                return await relay(request, response)
        return await self._upstream.forward_read(request, body)

    async def _by_index(self, request: IncomingRequest, names: Sequence[str]) -> dict[str, Hidden]:
        if len(names) > _MAX_INDICES:
            return dict.fromkeys(names, await self._hidden(request, _EVERY_INDEX))
        return {name: await self._hidden(request, name) for name in names}

    async def _hidden(self, request: IncomingRequest, expression: str) -> Hidden:
        return hidden_in(await self._bindings.of_read(expression, {}, request.credentials))
