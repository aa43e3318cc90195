"""Handles `_search`: read, render, plan, embed, rewrite, send. Read this module from top to bottom."""

from typing import Final

from aiohttp import ClientResponse, web

from sidecar.bridge.hidden_hits import REFUSALS, replaced, with_excludes
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.headers import CHANGED_BODY, EXPLAIN, SEARCH, SEARCH_OPTIONS, Headers
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.presentation import other_format, present
from sidecar.bridge.proxy.query_string import (
    body_in_query,
    join_target,
    parameters,
    with_parameters,
    with_source_excludes,
    without_parameters,
)
from sidecar.bridge.proxy.upstream import Upstream, answer_whole, read_answer, relay
from sidecar.bridge.routes import Search
from sidecar.bridge.searches.explanation import explanation
from sidecar.bridge.searches.fusion.search import fused_search, search_fused
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.planner import PlannedSearch, Planner, RequestedSearch, count_search
from sidecar.bridge.searches.request_options import read_options
from sidecar.bridge.searches.rewrite.companion import WHOLE, with_companion
from sidecar.bridge.searches.rewrite.plan import SearchPlan, TextSearch, Untouched
from sidecar.bridge.searches.search_body import parse_search, plain_json
from sidecar.bridge.searches.search_template import as_template, parameters_of_template, render
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
        query = without_parameters(request.query, *SEARCH_OPTIONS)
        async with self._bodies.read(request) as body:
            sent, text = body.sent.read(), body.decoded
            if options.mode is Mode.OFF:
                return await self._send(request, join_target(request.path, query), _OFF, sent)
            carried = None if sent else body_in_query(query)
            if carried is not None:
                (sent, query), text = carried, carried[0]
            text = None if text is None else plain_json(text)
            parsed, url = parse_search(text), parameters(query)
            wanted = other_format(request.header("Accept"))
            if wanted is not None:
                url = {"format": wanted, **url}
            if route.is_template:
                parsed, url = await render(self._upstream, request, parsed), parameters_of_template(url)
                if parsed is None:
                    plan = Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
                    return await self._send(request, join_target(request.path, query), plan, sent)
            asked = RequestedSearch(parsed, route.expression, url, request.shows_source, text or b"")
            planned = await self._planner.plan(asked, options, request.credentials)
            (search,) = await self._planner.embed([planned])
            answer: web.StreamResponse | PlannedSearch = search
            while isinstance(answer, PlannedSearch):
                if isinstance(answer.plan, Untouched):
                    answer = await self._send_untouched(request, query, answer, sent, is_template=route.is_template)
                elif isinstance(answer.plan, TextSearch) and answer.plan.is_fused_here:
                    answer = await self._fuse(request, answer, answer.plan, is_template=route.is_template)
                else:
                    answer = await self._send_rewritten(request, query, answer, is_template=route.is_template)
            return answer

    async def _send_rewritten(
        self, request: IncomingRequest, query: str, planned: PlannedSearch, *, is_template: bool
    ) -> web.StreamResponse | PlannedSearch:
        """Send a rewritten search. Gives the answer, or the search to try next."""
        text = planned.plan if isinstance(planned.plan, TextSearch) else None
        companion = text.companion if text else None
        body, excludes = planned.rewritten()
        if is_template:
            body, excludes = as_template(with_excludes(body, excludes)), ()
        query = with_source_excludes(without_parameters(query, *(text.consumed if text else ())), excludes)
        path = request.path
        if companion:
            path = with_companion(path, companion)
            query = with_parameters(without_parameters(query, *WHOLE), WHOLE)
        target, headers = join_target(path, query), _headers(request, CHANGED_BODY)
        async with self._upstream.send(request.method, target, headers, dumps_quick(body)) as response:
            if text and response.status >= 400:
                answer = await read_answer(response) if response.status == 400 else b""
                further = self._planner.after(planned, response.status, answer, request.credentials)
                if further is not None:
                    return further
            sent = explanation(target, body) if request.wants_explanation else None
            return await _relay(request, response, planned.plan, sent)

    async def _fuse(
        self, request: IncomingRequest, planned: PlannedSearch, plan: TextSearch, *, is_template: bool
    ) -> web.StreamResponse | PlannedSearch:
        """Fuse both legs here. Gives the answer, or the search to try next."""
        path = request.path.rstrip("/").removesuffix(_TEMPLATE)
        search = fused_search(planned, plan)
        answered = await search_fused(self._upstream, path, request.for_upstream(), search, plan.search.fusion)
        further = self._planner.after(planned, answered.status, b"", request.credentials)
        if further is not None:
            return further
        count_search(plan)
        added = [*answered.headers, (SEARCH, plan.note)]
        if request.wants_explanation:
            added.append((EXPLAIN, explanation(path, {"lexical": plan.query, "semantic": search.knn})))
        body = answered.body
        if is_template and answered.status == 200 and isinstance(body, dict):
            body = {**body, "status": answered.status}
        return await answer_whole(request, answered.status, added, present(dumps(body), planned.asked.url))

    async def _send_untouched(
        self, request: IncomingRequest, query: str, planned: PlannedSearch, sent: bytes, *, is_template: bool
    ) -> web.StreamResponse:
        """Send the client's own search, with our fields excluded.

        If the cluster refuses it, the client gets the answer to its own words: errors name lines and columns.
        """
        changed, excludes = planned.hiding()
        if changed or excludes:
            target, headers, body = request.path, request.for_upstream("content-length"), sent
            if is_template:
                search = with_excludes({**(planned.asked.body or {}), **changed}, excludes)
                target, body = join_target(target, query), dumps(as_template(search))
            else:
                target = join_target(target, with_source_excludes(query, excludes))
                body = replaced(planned.asked.text, changed) if changed else sent
            if body:
                headers = _headers(request, ("content-length",) if body is sent else CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, body or None) as response:
                if response.status not in REFUSALS:
                    return await _relay(request, response, planned.plan)
        return await self._send(request, join_target(request.path, query), planned.plan, sent)

    async def _send(self, request: IncomingRequest, target: str, plan: SearchPlan, body: bytes) -> web.StreamResponse:
        headers = _headers(request, ("content-length",)) if body else request.for_upstream("content-length")
        async with self._upstream.send(request.method, target, headers, body or None) as response:
            return await _relay(request, response, plan)


def _headers(request: IncomingRequest, without: tuple[str, ...]) -> Headers:
    """The headers for a body. A client whose body was in the URL has not said what it is."""
    if request.has_body:
        return request.for_upstream(*without)
    return [*request.for_upstream(*without, "content-type"), ("Content-Type", "application/json")]


async def _relay(
    request: IncomingRequest, response: ClientResponse, plan: SearchPlan, sent: str | None = None
) -> web.StreamResponse:
    count_search(plan)
    added = [(SEARCH, plan.note), *([] if sent is None else [(EXPLAIN, sent)])]
    return await relay(request, response, added)
