"""Handles `_search`: read, render, plan, embed, rewrite, send. Read this module from top to bottom."""

from typing import Final

from aiohttp import ClientResponse, web

from sidecar.bridge.proxy.body import Body, BodyReader
from sidecar.bridge.proxy.headers import CHANGED_BODY, EXPLAIN, SEARCH, SEARCH_OPTIONS
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.presentation import present
from sidecar.bridge.proxy.query_string import (
    join_target,
    parameters,
    with_parameters,
    with_source_excludes,
    without_parameters,
)
from sidecar.bridge.proxy.upstream import Upstream, read_answer, relay
from sidecar.bridge.routes import Search
from sidecar.bridge.searches.explanation import explanation
from sidecar.bridge.searches.fusion.search import fused_search, search_fused
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.planner import PlannedSearch, Planner, RequestedSearch, count_search
from sidecar.bridge.searches.request_options import read_options
from sidecar.bridge.searches.rewrite.companion import WHOLE, with_companion
from sidecar.bridge.searches.rewrite.plan import SearchPlan, TextSearch, Untouched
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.searches.search_template import render
from sidecar.jsontext import dumps, dumps_quick

_TEMPLATE: Final = "/template"
_OFF: Final = Untouched(Mode.OFF, Reason.REQUEST)


class Searches:
    """Handles `_search` and `_search/template`."""

    def __init__(self, upstream: Upstream, planner: Planner, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._planner = planner
        self._bodies = bodies

    async def handle(self, request: IncomingRequest, route: Search) -> web.StreamResponse:
        """Answer a search.

        Raises InvalidInput, and an error of the embedder if the binding allows no lexical answer.
        """
        options = read_options(request.parameters, request.raw.headers)
        path, query = request.path, without_parameters(request.query, *SEARCH_OPTIONS)
        async with self._bodies.read(request) as body:
            if options.mode is Mode.OFF:
                return await self._send(request, join_target(path, query), _OFF, body.sent.read())
            parsed, url = parse_search(body.decoded), request.identity.without(parameters(query))
            if route.is_template:
                parsed = await render(self._upstream, request, parsed)
                if parsed is None or "q" in url:
                    plan = Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
                    return await self._send(request, join_target(path, query), plan, body.sent.read())
                path = path.rstrip("/").removesuffix(_TEMPLATE)
            asked = RequestedSearch(parsed, route.expression, url, request.shows_source, request.credentials)
            planned = await self._planner.plan(asked, options)
            (search,) = await self._planner.embed([planned])
            answer: web.StreamResponse | PlannedSearch = search
            while isinstance(answer, PlannedSearch):
                if isinstance(answer.plan, Untouched):
                    as_sent = None if route.is_template else body
                    answer = await self._send_untouched(request, path, query, answer, as_sent)
                elif isinstance(answer.plan, TextSearch) and answer.plan.is_fused_here:
                    answer = await self._fuse(request, path, answer, answer.plan)
                else:
                    answer = await self._send_rewritten(request, path, query, answer)
            return answer

    async def _send_rewritten(
        self, request: IncomingRequest, path: str, query: str, planned: PlannedSearch
    ) -> web.StreamResponse | PlannedSearch:
        """Send a rewritten search. Gives the answer, or the search to try next."""
        text = planned.plan if isinstance(planned.plan, TextSearch) else None
        companion = text.companion if text else None
        body, excludes = planned.rewritten()
        query = with_source_excludes(without_parameters(query, *(text.consumed if text else ())), excludes)
        if companion:
            path = with_companion(path, companion)
            query = with_parameters(without_parameters(query, *WHOLE), WHOLE)
        target, headers = join_target(path, query), request.for_upstream(*CHANGED_BODY)
        if not request.has_body:
            headers.append(("Content-Type", "application/json"))
        async with self._upstream.send(request.method, target, headers, dumps_quick(body)) as response:
            if text and response.status >= 400:
                answer = await read_answer(response) if response.status == 400 else b""
                further = await self._planner.after(planned, response.status, answer)
                if further is not None:
                    return further
            sent = explanation(target, body) if request.wants_explanation else None
            return await _relay(request, response, planned.plan, sent)

    async def _fuse(
        self, request: IncomingRequest, path: str, planned: PlannedSearch, plan: TextSearch
    ) -> web.StreamResponse | PlannedSearch:
        """Fuse both legs here. Gives the answer, or the search to try next."""
        search = fused_search(planned, plan)
        answered = await search_fused(self._upstream, path, request.for_upstream(), search, plan.search.fusion)
        further = await self._planner.after(planned, answered.status, b"")
        if further is not None:
            return further
        count_search(plan)
        added = [*answered.headers, (SEARCH, plan.note)]
        if request.wants_explanation:
            added.append((EXPLAIN, explanation(path, {"lexical": plan.query, "semantic": search.knn})))
        given = {"Content-Type": "application/json; charset=UTF-8", **dict(added)}
        text = present(dumps(answered.body), planned.asked.url)
        return web.Response(status=answered.status, headers=given, body=text)

    async def _send_untouched(
        self, request: IncomingRequest, path: str, query: str, planned: PlannedSearch, body: Body | None
    ) -> web.StreamResponse:
        """Send the client's own search, with our fields excluded. `body` is None if the search was rendered."""
        changed, excludes = planned.rewritten()
        target = join_target(path, with_source_excludes(query, excludes))
        if changed is None and body is not None:
            return await self._send(request, target, planned.plan, body.sent.read())
        sent = planned.asked.body if changed is None else changed
        return await self._send(request, target, planned.plan, dumps(sent), without=CHANGED_BODY)

    async def _send(
        self, request: IncomingRequest, target: str, plan: SearchPlan, body: bytes, *, without: tuple[str, ...] = ()
    ) -> web.StreamResponse:
        headers = request.for_upstream("content-length", *without)
        async with self._upstream.send(request.method, target, headers, body or None) as response:
            return await _relay(request, response, plan)


async def _relay(
    request: IncomingRequest, response: ClientResponse, plan: SearchPlan, sent: str | None = None
) -> web.StreamResponse:
    count_search(plan)
    added = [(SEARCH, plan.note), *([] if sent is None else [(EXPLAIN, sent)])]
    return await relay(request, response, added)
