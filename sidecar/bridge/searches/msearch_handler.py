"""Handles `_msearch`. Read this module from top to bottom.

The handler reads and renders the items and plans each of them. It embeds the texts of all items at once, rewrites the
items and sends them.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from sidecar.bridge.proxy.body import Body, BodyReader
from sidecar.bridge.proxy.errors import error_body, error_status
from sidecar.bridge.proxy.headers import CHANGED_BODY, READ_ANSWER, SEARCH, SEARCH_OPTIONS, Headers, to_client
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.presentation import PARAMETERS, present
from sidecar.bridge.proxy.query_string import join_target, parameters, without_parameters
from sidecar.bridge.proxy.upstream import Upstream, read_answer, relay
from sidecar.bridge.routes import MultiSearch
from sidecar.bridge.searches.fusion.search import FusedAnswer
from sidecar.bridge.searches.fusion.several import Fusing, at_once, fused_item
from sidecar.bridge.searches.msearch_body import SearchItem, parse_msearch, statuses_of_items, with_answers
from sidecar.bridge.searches.outcome import Mode
from sidecar.bridge.searches.planner import PlannedSearch, Planner, RequestedSearch, count_search
from sidecar.bridge.searches.request_options import RequestOptions, read_options
from sidecar.bridge.searches.rewrite.plan import TextSearch, Untouched
from sidecar.bridge.searches.search_template import render
from sidecar.bridge.splice import splice
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, Object, dumps, dumps_quick, loads

_TEMPLATE: Final = "/template"
_REPORTED: Final = (Mode.HYBRID, Mode.SEMANTIC, Mode.NEURAL, Mode.LEXICAL, Mode.REFUSED)
_CHANGED: Final = (*CHANGED_BODY, "accept-encoding")  # the answer is read too
_NO_ANSWERS: Final = b'{"took":0,"responses":[]}'


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to several searches."""

    status: int
    headers: Headers
    body: bytes


class MultiSearches:
    """Handles `_msearch` and `_msearch/template`."""

    def __init__(self, upstream: Upstream, planner: Planner, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._planner = planner
        self._bodies = bodies

    async def handle(self, request: IncomingRequest, route: MultiSearch) -> web.StreamResponse:
        """Answer several searches.

        Raises InvalidInput, and an error of the embedder if an item allows no lexical answer.
        """
        options = read_options(request.parameters, request.raw.headers)
        path, query = request.path, without_parameters(request.query, *SEARCH_OPTIONS)
        async with self._bodies.read(request) as body:
            items = await self._items(request, route, body) if options.mode is not Mode.OFF else None
            if items is None:
                return await self._upstream.forward_read(request, body, join_target(path, query))
            planned = await self._plan(request, route, items, options, request.identity.without(parameters(query)))
            if route.is_template:
                path = path.rstrip("/").removesuffix(_TEMPLATE)
            return await self._send(request, join_target(path, query), route, items, planned)

    async def _items(self, request: IncomingRequest, route: MultiSearch, body: Body) -> tuple[SearchItem, ...] | None:
        items = None if body.decoded is None else parse_msearch(body.decoded)
        if items is None or not route.is_template:
            return items
        rendered = [await render(self._upstream, request, item.body) for item in items]
        if any(search is None for search in rendered):
            return None
        return tuple(item.with_body(search) for item, search in zip(items, rendered, strict=True) if search is not None)

    async def _plan(
        self,
        request: IncomingRequest,
        route: MultiSearch,
        items: Sequence[SearchItem],
        options: RequestOptions,
        url: Mapping[str, str],
    ) -> tuple[PlannedSearch, ...]:
        asked = [
            RequestedSearch(
                item.body,
                item.expression or route.expression,
                item.parameters(url),
                request.shows_source,
                request.credentials,
            )
            for item in items
        ]
        planned = [await self._planner.plan_item(search, options) for search in asked]
        return await self._planner.embed(planned)

    async def _send(
        self,
        request: IncomingRequest,
        target: str,
        route: MultiSearch,
        items: Sequence[SearchItem],
        planned: Sequence[PlannedSearch],
    ) -> web.StreamResponse:
        """Send the items. Those that the cluster refuses are sent again, each with fewer of our changes."""
        if not any(isinstance(search.plan, TextSearch) or search.refusal for search in planned):
            headers = request.for_upstream(*_CHANGED)
            body = b"".join(_lines(item, search, route) for item, search in zip(items, planned, strict=True))
            async with self._upstream.send(request.method, target, headers, body) as response:
                return await relay(request, response, [(SEARCH, _report(planned))])
        answered = await self._answer(request, target, route, items, planned)
        # If one search does not parse, the cluster refuses all of them.
        statuses = (
            statuses_of_items(_parse(answered.body))
            if answered.status != 400
            else dict.fromkeys(range(len(items)), 400)
        )
        settled = list(planned)
        for position, status in statuses.items():
            settled[position] = await self._planner.after(planned[position], status, answered.body) or planned[position]
        if settled != list(planned):
            return await self._send(request, target, route, items, settled)
        given = CIMultiDict(answered.headers)
        given[SEARCH] = _report(planned)
        body = answered.body
        if answered.status == 200 and any(map(_is_answered_here, planned)):
            body = present(body, parameters(target.partition("?")[2]))
        return web.Response(status=answered.status, headers=given, body=body)

    async def _answer(
        self,
        request: IncomingRequest,
        target: str,
        route: MultiSearch,
        items: Sequence[SearchItem],
        planned: Sequence[PlannedSearch],
    ) -> _Answer:
        """The cluster's answer, with the answers to the searches that are fused or refused here in their places."""
        started = time.perf_counter()
        path, _, query = target.partition("?")
        url = parameters(query)
        bridged = {
            position: (fused_item(search, search.plan, item.expression, url), search.plan.search.fusion)
            for position, (item, search) in enumerate(zip(items, planned, strict=True))
            if isinstance(search.plan, TextSearch) and search.plan.is_fused_here
        }
        lines = [
            _lines(item, search, route)
            for item, search in zip(items, planned, strict=True)
            if not _is_answered_here(search)
        ]
        added = {number: dumps(_refusal(search.refusal)) for number, search in enumerate(planned) if search.refusal}
        if not bridged and not added:
            return await self._ask(request, target, lines)
        # Answers with missing parts could not be merged. So the cluster answers in full, and the bridge applies
        # `filter_path`.
        bare = join_target(path, without_parameters(query, *PARAMETERS))
        fusing = Fusing(self._upstream, path, request.for_upstream(), at_once(url))
        fused, answer = await fusing.beside(bridged, self._ask(request, bare, lines, without=READ_ANSWER))
        if answer.status != 200:
            return answer
        took = round((time.perf_counter() - started) * 1_000)
        added |= {position: dumps(_as_item(search)) for position, search in fused.items()}
        given = [*answer.headers, *_warnings(fused.values())]
        return replace(answer, body=with_answers(answer.body, added, took), headers=given)

    async def _ask(
        self, request: IncomingRequest, target: str, lines: Sequence[bytes], *, without: tuple[str, ...] = _CHANGED
    ) -> _Answer:
        if not lines:
            return _Answer(200, [("Content-Type", "application/json; charset=UTF-8")], _NO_ANSWERS)
        headers = request.for_upstream(*without)
        async with self._upstream.send(request.method, target, headers, b"".join(lines)) as response:
            body = await read_answer(response)
        kept = [(n, v) for n, v in to_client(list(response.headers.items())) if n.lower() != "content-length"]
        return _Answer(response.status, kept, body)


def _is_answered_here(planned: PlannedSearch) -> bool:
    return planned.plan.is_fused_here or planned.refusal is not None


def _refusal(error: InvalidInput) -> dict[str, object]:
    return error_body(*error_status(error), str(error))


def _as_item(answered: FusedAnswer) -> Object:
    body = answered.body if isinstance(answered.body, dict) else {}
    return {**body, "status": answered.status}


def _warnings(fused: Iterable[FusedAnswer]) -> Headers:
    return [(name, value) for answered in fused for name, value in answered.headers if name.lower() == "warning"]


def _lines(item: SearchItem, planned: PlannedSearch, route: MultiSearch) -> bytes:
    changed, excludes = planned.rewritten()
    if excludes and planned.asked.body is not None:  # an item has no URL of its own to exclude fields with
        shown = planned.asked.body if changed is None else changed
        changed = {**shown, "_source": {"excludes": list(excludes)}}
    body = None if changed is None else dumps_quick(changed)
    if changed is not None and isinstance(planned.plan, Untouched):
        # The rest keeps its bytes, because the cluster's errors name columns.
        body = splice(item.body_line, {"_source": dumps(changed["_source"])}, drop=("_source",))
    companion = planned.plan.companion if isinstance(planned.plan, TextSearch) else None
    expression = item.expression or route.expression
    return item.lines(body, (expression, companion) if expression is not None and companion is not None else None)


def _report(planned: Sequence[PlannedSearch]) -> str:
    """Count each search in the metrics, and write `X-Sidecar-Search`."""
    for search in planned:
        count_search(search.plan)
    counts = Counter(search.plan.mode for search in planned)
    return "; ".join(["msearch", *(f"{mode}={counts[mode]}" for mode in _REPORTED if counts[mode])])


def _parse(answer: bytes) -> Json:
    try:
        return loads(answer)
    except ValueError:  # YAML, for example
        return None
