"""The path of `_msearch`, to be read from top to bottom: read, render, plan each, embed all at once, rewrite, send."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from sidecar.bridge import headers as wire
from sidecar.bridge.body import Body, BodyReader
from sidecar.bridge.forward import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.routes import MultiSearch
from sidecar.bridge.searches.asking import shows_source, wish_of
from sidecar.bridge.searches.msearch import Item, parse_msearch, statuses_of_items
from sidecar.bridge.searches.planning import Asked, Planned, Planning
from sidecar.bridge.searches.query import TextSearch, Untouched
from sidecar.bridge.searches.reasons import Mode, Reason
from sidecar.bridge.searches.rendering import render
from sidecar.bridge.splice import splice
from sidecar.jsontext import Json, dumps, loads
from sidecar.telemetry import BRIDGE_SEARCHES, logger

_log = logger("bridge")

_TEMPLATE: Final = "/template"
_REPORTED: Final = (Mode.HYBRID, Mode.SEMANTIC, Mode.NEURAL, Mode.LEXICAL)
_CHANGED: Final = (*wire.CHANGED_BODY, "accept-encoding")  # the answer is read, too


class MultiSearches:
    """Handles `_msearch` and `_msearch/template`."""

    def __init__(self, upstream: Upstream, planning: Planning, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._planning = planning
        self._bodies = bodies

    async def handle(self, request: web.BaseRequest, route: MultiSearch, target: str) -> web.StreamResponse:
        """`_msearch`. Raises InvalidInput, and errors of the embedder where an item allows no lexical answer."""
        path, _, query = target.partition("?")
        wish = wish_of(request, wire.parameters(query))
        query = wire.without_parameter(query, wire.MODE_PARAMETER)
        async with self._bodies.read(request) as body:
            items = await self._items(request, route, body) if wish is not Mode.OFF else None
            if items is None:
                return await self._upstream.pass_on(request, wire.join_target(path, query), body)
            planned = await self._plan(request, route, items, wish, wire.parameters(query))
            if route.is_template:
                path = path.rstrip("/").removesuffix(_TEMPLATE)
            return await self._send(request, wire.join_target(path, query), route, items, planned)

    async def _items(self, request: web.BaseRequest, route: MultiSearch, body: Body) -> tuple[Item, ...] | None:
        items = None if body.decoded is None else parse_msearch(body.decoded)
        if items is None or not route.is_template:
            return items
        rendered = [await render(self._upstream, request, item.body) for item in items]
        if any(search is None for search in rendered):
            return None
        return tuple(item.with_body(search) for item, search in zip(items, rendered, strict=True) if search is not None)

    async def _plan(
        self,
        request: web.BaseRequest,
        route: MultiSearch,
        items: Sequence[Item],
        wish: Mode | None,
        url: Mapping[str, str],
    ) -> tuple[Planned, ...]:
        credentials = wire.credentials(request.headers)
        asked = [
            Asked(item.body, item.expression or route.expression, item.parameters(url), shows_source(request))
            for item in items
        ]
        planned = [await self._planning.plan(search, wish, credentials) for search in asked]
        return await self._planning.embed([_without_fusion(search) for search in planned])

    async def _send(
        self,
        request: web.BaseRequest,
        target: str,
        route: MultiSearch,
        items: Sequence[Item],
        planned: Sequence[Planned],
    ) -> web.StreamResponse:
        """Send the items; if the cluster refuses rewritten texts, once more with those as they came."""
        body = b"".join(_lines(item, search, route) for item, search in zip(items, planned, strict=True))
        headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED)
        async with self._upstream.send(request.method, target, headers, body) as response:
            if not any(isinstance(search.plan, TextSearch) for search in planned):
                return await relay(request, response, [(wire.SEARCH, _report(planned))])
            answer = await read_answer(response)
        # One search that does not parse makes the cluster refuse all of them.
        statuses = (
            statuses_of_items(_parse(answer)) if response.status != 400 else dict.fromkeys(range(len(items)), 400)
        )
        settled = tuple(
            self._settled(search, statuses.get(position), request) for position, search in enumerate(planned)
        )
        if settled != tuple(planned):
            return await self._send(request, target, route, items, settled)
        given = CIMultiDict(wire.to_client(list(response.headers.items())))
        given[wire.SEARCH] = _report(planned)
        return web.Response(status=response.status, headers=given, body=answer)

    def _settled(self, planned: Planned, status: int | None, request: web.BaseRequest) -> Planned:
        """What becomes of an item that was answered with an error: each text has another chance, without our part."""
        if not isinstance(planned.plan, TextSearch) or status not in (400, 403, 404):
            return planned
        if planned.plan.companion is not None and status != 400:
            self._planning.refuse_companion(planned, wire.credentials(request.headers))
            return planned.without_companion()
        if status != 400:
            return planned
        _log.warning("the cluster refused a rewritten search", action="search_refused")
        return planned.as_lexical(Reason.REFUSED)


def _without_fusion(planned: Planned) -> Planned:
    """Lexical, what only the bridge could fuse: its two phases do not fit into the client's one request."""
    bridged = isinstance(planned.plan, TextSearch) and planned.plan.where == "bridge"
    return planned.as_lexical(Reason.FUSION) if bridged else planned


def _lines(item: Item, planned: Planned, route: MultiSearch) -> bytes:
    changed, excludes = planned.rewritten()
    if excludes and planned.asked.body is not None:  # no URL of its own to exclude them by
        shown = planned.asked.body if changed is None else changed
        changed = {**shown, "_source": {"excludes": list(excludes)}}
    body = None if changed is None else dumps(changed)
    if changed is not None and isinstance(planned.plan, Untouched):
        # The rest as it came: the cluster's errors name columns.
        body = splice(item.body_line, {"_source": dumps(changed["_source"])}, drop=("_source",))
    companion = planned.plan.companion if isinstance(planned.plan, TextSearch) else None
    expression = item.expression or route.expression
    return item.lines(body, (expression, companion) if expression is not None and companion is not None else None)


def _report(planned: Sequence[Planned]) -> str:
    """For `X-Sidecar-Search`; counts each search, too."""
    for search in planned:
        BRIDGE_SEARCHES.labels(search.plan.mode, search.plan.reason if isinstance(search.plan, Untouched) else "").inc()
    counts = Counter(search.plan.mode for search in planned)
    return "; ".join(["msearch", *(f"{mode}={counts[mode]}" for mode in _REPORTED if counts[mode])])


def _parse(answer: bytes) -> Json:
    try:
        return loads(answer)
    except ValueError:  # YAML, say
        return None
