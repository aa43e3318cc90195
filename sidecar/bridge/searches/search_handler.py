"""The search path, to be read from top to bottom: read, render, plan, embed, rewrite, send."""

from typing import Final

from aiohttp import ClientResponse, web

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_fields import hide_fields
from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy.body import Body, BodyReader
from sidecar.bridge.proxy.presentation import present
from sidecar.bridge.proxy.upstream import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.routes import Read, Search
from sidecar.bridge.searches.asking import shows_source, wants_explanation, wish_of
from sidecar.bridge.searches.explanation import explanation
from sidecar.bridge.searches.fusion.search import fusible, search_fused
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.planner import Asked, Planned, Planning, count_search
from sidecar.bridge.searches.rewrite.companion import WHOLE, with_companion
from sidecar.bridge.searches.rewrite.plan import SearchPlan, TextSearch, Untouched
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.searches.search_template import render
from sidecar.jsontext import dumps, dumps_quick
from sidecar.telemetry import logger

_log = logger("bridge")

_TEMPLATE: Final = "/template"
_OFF: Final = Untouched(Mode.OFF, Reason.REQUEST)


class Searches:
    """Handles `_search` and `_search/template`, and leaves our fields out of what reads answer."""

    def __init__(self, upstream: Upstream, bindings: Bindings, planning: Planning, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._planning = planning
        self._bodies = bodies

    async def search(self, request: web.BaseRequest, route: Search, target: str) -> web.StreamResponse:
        """`_search`. Raises InvalidInput, and errors of the embedder where the binding wants no lexical answer."""
        path, _, query = target.partition("?")
        wish = wish_of(request, wire.parameters(query))
        query = wire.without_parameter(query, *wire.WISHES)
        async with self._bodies.read(request) as body:
            if wish.mode is Mode.OFF:
                return await self._send(request, wire.join_target(path, query), _OFF, body.sent.read())
            parsed = parse_search(body.decoded)
            url = wire.parameters(query)
            if route.is_template:
                parsed = await render(self._upstream, request, parsed)
                if parsed is None or "q" in url:
                    plan = Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
                    return await self._send(request, wire.join_target(path, query), plan, body.sent.read())
                path = path.rstrip("/").removesuffix(_TEMPLATE)
            credentials = wire.credentials(request.headers)
            asked = Asked(parsed, route.expression, url, shows_source(request))
            (planned,) = await self._planning.embed([await self._planning.plan(asked, wish, credentials)])
            if not isinstance(planned.plan, Untouched):
                answer = await self._send_rewritten(request, path, query, planned)
                if answer is not None:
                    return answer
                planned = planned.as_lexical(Reason.REFUSED)
            return await self._send_untouched(request, path, query, planned, None if route.is_template else body)

    async def read(self, request: web.BaseRequest, route: Read, target: str) -> web.StreamResponse:
        """`_doc`, `_source` and `_mget`: forwarded, our fields excluded by the cluster itself."""
        path, _, query = target.partition("?")
        if not shows_source(request):
            indices = await self._bindings.of_search(route.index, {}, wire.credentials(request.headers))
            _, excludes = hide_fields(None, wire.parameters(query), indices)
            target = wire.join_target(path, wire.with_source_excludes(query, excludes))
        return await self._upstream.forward(request, target)

    async def _send_rewritten(
        self, request: web.BaseRequest, path: str, query: str, planned: Planned
    ) -> web.StreamResponse | None:
        """Send a rewritten search. None: the cluster refused it, though the client's own search may be right."""
        text = planned.plan if isinstance(planned.plan, TextSearch) else None
        if text and text.where == "bridge" and text.mode is Mode.HYBRID:
            return await self._fuse(request, path, planned, text)
        companion = text.companion if text else None
        query = wire.without_parameter(query, *(text.consumed if text else ()))
        body, excludes = planned.rewritten()
        sent_query = wire.with_source_excludes(query, excludes)
        if companion:
            sent_query = wire.with_parameters(wire.without_parameter(sent_query, *WHOLE), WHOLE)
        target = wire.join_target(with_companion(path, companion) if companion else path, sent_query)
        headers = wire.to_upstream(raw_headers(request), request.remote, without=wire.CHANGED_BODY)
        if not request.body_exists:
            headers.append(("Content-Type", "application/json"))
        async with self._upstream.send(request.method, target, headers, dumps_quick(body)) as response:
            if companion is None or not (response.status in (403, 404) or response.status >= 500):
                if response.status == 400 and text:
                    return await self._refused(request, path, query, planned, await read_answer(response))
                sent = explanation(target, body) if wants_explanation(request) else None
                return await _relay(request, response, planned.plan, sent)
        self._planning.refuse_companion(planned, wire.credentials(request.headers))
        return await self._send_rewritten(request, path, query, planned.without_companion())

    async def _refused(
        self, request: web.BaseRequest, path: str, query: str, planned: Planned, answer: bytes
    ) -> web.StreamResponse | None:
        """Fuse in the bridge if the cluster does not know `hybrid`. None: it refused something else."""
        moved = self._planning.refused_hybrid(planned, answer, wire.credentials(request.headers))
        if moved is not None:
            return await self._send_rewritten(request, path, query, moved)
        _log.warning("the cluster refused a rewritten search", action="search_refused")
        return None

    async def _fuse(
        self, request: web.BaseRequest, path: str, planned: Planned, plan: TextSearch
    ) -> web.StreamResponse | None:
        """Fuse both legs here. None: the cluster refused them, though the client's own search may be right."""
        search = fusible(planned, plan)
        headers = wire.to_upstream(raw_headers(request), request.remote)
        answered = await search_fused(self._upstream, path, headers, search, plan.search.fusion)
        if answered.status in (400, 403):  # 403: these credentials may search, but not several times in one request
            _log.warning("the cluster refused a search in two legs", action="search_refused")
            return None
        count_search(plan)
        added = [*answered.headers, (wire.SEARCH, plan.note)]
        if wants_explanation(request):
            added.append((wire.EXPLAIN, explanation(path, {"lexical": plan.query, "semantic": search.knn})))
        given = {"Content-Type": "application/json; charset=UTF-8", **dict(added)}
        text = present(dumps(answered.body), planned.asked.url)
        return web.Response(status=answered.status, headers=given, body=text)

    async def _send_untouched(
        self, request: web.BaseRequest, path: str, query: str, planned: Planned, body: Body | None
    ) -> web.StreamResponse:
        """Send the client's own search, with our fields excluded; `body` is None for one that was rendered."""
        changed, excludes = planned.rewritten()
        target = wire.join_target(path, wire.with_source_excludes(query, excludes))
        if changed is None and body is not None:
            return await self._send(request, target, planned.plan, body.sent.read())
        sent = planned.asked.body if changed is None else changed
        return await self._send(request, target, planned.plan, dumps(sent), without=wire.CHANGED_BODY)

    async def _send(
        self, request: web.BaseRequest, target: str, plan: SearchPlan, body: bytes, *, without: tuple[str, ...] = ()
    ) -> web.StreamResponse:
        headers = wire.to_upstream(raw_headers(request), request.remote, without=("content-length", *without))
        async with self._upstream.send(request.method, target, headers, body or None) as response:
            return await _relay(request, response, plan)


async def _relay(
    request: web.BaseRequest, response: ClientResponse, plan: SearchPlan, sent: str | None = None
) -> web.StreamResponse:
    count_search(plan)
    added = [(wire.SEARCH, plan.note), *([] if sent is None else [(wire.EXPLAIN, sent)])]
    return await relay(request, response, added)
