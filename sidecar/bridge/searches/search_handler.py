"""Handles `_search`: read, render, plan, embed, rewrite, send. Read this module from top to bottom."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientResponse, web

from sidecar.bridge.hidden_hits import REFUSALS, replaced, with_excludes
from sidecar.bridge.proxy.body import Body, BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.budget import Share
from sidecar.bridge.proxy.headers import CHANGED_BODY, EXPLAIN, SEARCH, SEARCH_OPTIONS, Headers
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.presentation import asked_format, present
from sidecar.bridge.proxy.query_string import (
    body_in_query,
    join_target,
    parameters,
    with_parameters,
    with_source_excludes,
    without_parameters,
)
from sidecar.bridge.proxy.upstream import AnswerTooLarge, Upstream, answer_whole, read_answer, relay
from sidecar.bridge.routes import Search
from sidecar.bridge.searches.explanation import explanation
from sidecar.bridge.searches.fusion.search import fused_search, search_fused
from sidecar.bridge.searches.limits import MAX_BODY_BYTES, is_too_large
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.planner import PlannedSearch, Planner, RequestedSearch, count_search
from sidecar.bridge.searches.request_options import read_options
from sidecar.bridge.searches.rewrite.companion import WHOLE, with_companion
from sidecar.bridge.searches.rewrite.plan import SearchPlan, TextSearch, Untouched
from sidecar.bridge.searches.search_body import parse_search
from sidecar.bridge.searches.search_template import as_template, parameters_of_template, render
from sidecar.jsontext import Json, Object, dumps, dumps_quick, plain_json
from sidecar.threads import WEIGHT_OF_ANSWER, WEIGHT_OF_JSON, off_the_loop

_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_TEMPLATE: Final = "/template"
_OFF: Final = Untouched(Mode.OFF, Reason.REQUEST)
_NOT_UNDERSTOOD: Final = Untouched(Mode.LEXICAL, Reason.NOT_UNDERSTOOD)
_TOO_LARGE: Final = Untouched(Mode.LEXICAL, Reason.TOO_LARGE)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A search as a client has sent it."""

    request: IncomingRequest
    query: str
    sent: bytes
    share: Share
    is_template: bool


class Searches:
    """Handles `_search` and `_search/template`."""

    def __init__(self, upstream: Upstream, planner: Planner, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._planner = planner
        self._bodies = bodies

    async def handle(self, request: IncomingRequest, route: Search) -> web.StreamResponse:
        """Answer a search.

        Raises InvalidInput, NestedTooDeeply, and an error of the embedder if the binding allows no lexical answer.
        """
        options = read_options(request.parameters, request.raw.headers)
        query = without_parameters(request.query, *SEARCH_OPTIONS)
        async with self._bodies.read(request, parsed_up_to=MAX_BODY_BYTES) as body:
            await refuse_deep_nesting(request, body)
            as_came = join_target(request.path, query)
            if options.mode is Mode.OFF:
                return await self._send_as_came(request, as_came, _OFF, body)
            if is_too_large(body.text):
                return await self._send_large(request, query, route, body)
            sent, text = body.sent.read(), body.decoded
            carried = None if sent else body_in_query(query)
            if carried is not None:
                (sent, query), text = carried, carried[0]
            size, url = len(text or b""), request.identity.without(parameters(query))
            text, parsed = await off_the_loop(WEIGHT_OF_JSON * size, _read, text)
            url = {**asked_format(request.header("Accept")), **url}
            if route.is_template:
                try:
                    rendered = await render(self._upstream, request, parsed, size, body.share)
                except AnswerTooLarge:
                    return await self._send_as_came(request, as_came, _TOO_LARGE, body)
                if rendered is None:
                    return await self._send_as_came(request, as_came, _NOT_UNDERSTOOD, body)
                (parsed, size), url = rendered, parameters_of_template(url)
            asked = RequestedSearch(
                parsed,
                route.expression,
                url,
                request.shows_source,
                request.credentials,
                size=size,
                text=text or b"",
            )
            planned = await self._planner.plan(asked, options)
            (search,) = await self._planner.embed([planned])
            return await self._answer(_Asked(request, query, sent, body.share, route.is_template), search)

    async def _answer(self, asked: _Asked, search: PlannedSearch) -> web.StreamResponse:
        """Send a search until the cluster takes it, each time with fewer of our changes."""
        answer: web.StreamResponse | PlannedSearch = search
        while isinstance(answer, PlannedSearch):
            if isinstance(answer.plan, Untouched):
                answer = await self._send_untouched(asked, answer)
            elif isinstance(answer.plan, TextSearch) and answer.plan.is_fused_here:
                answer = await self._fuse(asked, answer, answer.plan)
            else:
                answer = await self._send_rewritten(asked, answer)
        return answer

    async def _send_rewritten(self, asked: _Asked, planned: PlannedSearch) -> web.StreamResponse | PlannedSearch:
        """Send a rewritten search. Gives the answer, or the search to try next."""
        request, query = asked.request, asked.query
        text = planned.plan if isinstance(planned.plan, TextSearch) else None
        companion = text.companion if text else None
        body, excludes = await off_the_loop(planned.weight, planned.rewritten)
        if asked.is_template:
            body, excludes = as_template(with_excludes(body, excludes)), ()
        query = with_source_excludes(without_parameters(query, *(text.consumed if text else ())), excludes)
        path = request.path
        if companion:
            path = with_companion(path, companion)
            query = with_parameters(without_parameters(query, *WHOLE), WHOLE)
        target, headers = join_target(path, query), _headers(request, CHANGED_BODY)
        written = await off_the_loop(planned.weight, dumps_quick, body)
        async with self._upstream.send(request.method, target, headers, written) as response:
            await self._refuse_unbound(planned, response.status)
            if text and response.status >= 400:
                answer = await read_answer(response) if response.status == 400 else b""
                further = await self._planner.after(planned, response.status, answer)
                if further is not None:
                    return further
            sent = None
            if request.wants_explanation:
                sent = await off_the_loop(planned.weight, explanation, target, body)
            return await _relay(request, response, planned.plan, sent)

    async def _fuse(
        self, asked: _Asked, planned: PlannedSearch, plan: TextSearch
    ) -> web.StreamResponse | PlannedSearch:
        """Fuse both legs here. Gives the answer, or the search to try next."""
        request = asked.request
        path = request.path.rstrip("/").removesuffix(_TEMPLATE)
        search = await off_the_loop(planned.weight, fused_search, planned, plan)
        try:
            answered = await search_fused(
                self._upstream, path, request.for_upstream(), search, plan.search.fusion, share=asked.share
            )
        except AnswerTooLarge:
            return planned.as_lexical(Reason.TOO_LARGE)
        error = dumps(answered.body) if answered.status == _BAD_REQUEST else b""
        further = await self._planner.after(planned, answered.status, error)
        if further is not None:
            return further
        count_search(plan)
        added = [*answered.headers, (SEARCH, plan.note)]
        if request.wants_explanation:
            legs: Object = {"lexical": plan.query, "semantic": search.knn}
            added.append((EXPLAIN, await off_the_loop(planned.weight, explanation, path, legs)))
        body = answered.body
        if asked.is_template and answered.status == 200 and isinstance(body, dict):
            body = {**body, "status": answered.status}
        text = await off_the_loop(WEIGHT_OF_ANSWER * answered.size, _presented, body, planned.asked.url)
        return await answer_whole(request, answered.status, added, text)

    async def _send_untouched(self, asked: _Asked, planned: PlannedSearch) -> web.StreamResponse:
        """Send the client's own search, with our fields excluded.

        If the cluster refuses it, the client gets the answer to its own words: errors name lines and columns.
        """
        request, query, sent = asked.request, asked.query, asked.sent
        changed, excludes = await off_the_loop(planned.weight, planned.hiding)
        if changed or excludes:
            target, headers, body = request.path, request.for_upstream("content-length"), sent
            if asked.is_template:
                search = with_excludes({**(planned.asked.body or {}), **changed}, excludes)
                body = await off_the_loop(planned.weight, dumps, as_template(search))
                target = join_target(target, query)
            else:
                target = join_target(target, with_source_excludes(query, excludes))
                if changed:
                    body = await off_the_loop(planned.weight, replaced, planned.asked.text, changed)
            if body:
                headers = _headers(request, ("content-length",) if body is sent else CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, body or None) as response:
                if response.status not in REFUSALS:
                    return await _relay(request, response, planned.plan)
                await self._refuse_unbound(planned, response.status)
        headers = _headers(request, ("content-length",)) if sent else request.for_upstream("content-length")
        target = join_target(request.path, query)
        async with self._upstream.send(request.method, target, headers, sent or None) as response:
            await self._refuse_unbound(planned, response.status)
            return await _relay(request, response, planned.plan)

    async def _refuse_unbound(self, planned: PlannedSearch, status: int) -> None:
        """Raise InvalidInput if the cluster failed at a `neural` clause on a field that is not bound."""
        refused = await self._planner.after(planned, status, b"") if status == _SERVER_ERROR else None
        if refused is not None and refused.refusal is not None:
            raise refused.refusal

    async def _send_large(self, request: IncomingRequest, query: str, route: Search, body: Body) -> web.StreamResponse:
        """Send a search that is too large to be planned. Our fields are excluded by URL, where that is right."""
        text = b"" if body.text is None else body.text.read()
        asked = RequestedSearch(
            None,
            route.expression,
            request.identity.without(parameters(query)),
            request.shows_source,
            request.credentials,
            size=len(text),
            text=text,
        )
        excludes = () if route.is_template else await self._planner.excludes(asked)
        target = join_target(request.path, with_source_excludes(query, excludes))
        return await self._send_as_came(request, target, _TOO_LARGE, body)

    async def _send_as_came(
        self, request: IncomingRequest, target: str, plan: SearchPlan, body: Body
    ) -> web.StreamResponse:
        count_search(plan)
        return await self._upstream.forward_read(request, body, target, [(SEARCH, plan.note)])


def _read(text: bytes | None) -> tuple[bytes | None, Object | None]:
    plain = None if text is None else plain_json(text)
    return plain, parse_search(plain)


def _presented(body: Json, url: Mapping[str, str]) -> bytes:
    return present(dumps(body), url)


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
