"""The path of `_msearch`, to be read from top to bottom: read, render, plan each, embed all at once, rewrite, send."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy.body import Body, BodyReader
from sidecar.bridge.proxy.errors import error_body, error_status
from sidecar.bridge.proxy.presentation import PARAMETERS, present
from sidecar.bridge.proxy.upstream import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.routes import MultiSearch
from sidecar.bridge.searches.asking import shows_source, wish_of
from sidecar.bridge.searches.fusion.search import Answered
from sidecar.bridge.searches.fusion.several import Fusing, at_once, fusible_item
from sidecar.bridge.searches.msearch_body import Item, parse_msearch, statuses_of_items, with_answers
from sidecar.bridge.searches.outcome import Mode, Object, Reason
from sidecar.bridge.searches.planner import Asked, Planned, Planning, count_search
from sidecar.bridge.searches.request_options import Wish
from sidecar.bridge.searches.rewrite.plan import TextSearch, Untouched
from sidecar.bridge.searches.search_template import render
from sidecar.bridge.splice import splice
from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, dumps, dumps_quick, loads
from sidecar.telemetry import logger

_log = logger("bridge")

_TEMPLATE: Final = "/template"
_REPORTED: Final = (Mode.HYBRID, Mode.SEMANTIC, Mode.NEURAL, Mode.LEXICAL, Mode.REFUSED)
_CHANGED: Final = (*wire.CHANGED_BODY, "accept-encoding")  # the answer is read, too
_NO_ANSWERS: Final = b'{"took":0,"responses":[]}'


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer to several searches."""

    status: int
    headers: wire.Headers
    body: bytes


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
        query = wire.without_parameter(query, *wire.WISHES)
        async with self._bodies.read(request) as body:
            items = await self._items(request, route, body) if wish.mode is not Mode.OFF else None
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
        wish: Wish,
        url: Mapping[str, str],
    ) -> tuple[Planned, ...]:
        credentials = wire.credentials(request.headers)
        asked = [
            Asked(item.body, item.expression or route.expression, item.parameters(url), shows_source(request))
            for item in items
        ]
        planned = [await self._planning.plan_item(search, wish, credentials) for search in asked]
        return await self._planning.embed(planned)

    async def _send(
        self,
        request: web.BaseRequest,
        target: str,
        route: MultiSearch,
        items: Sequence[Item],
        planned: Sequence[Planned],
    ) -> web.StreamResponse:
        """Send the items; if the cluster refuses rewritten texts, once more with those as they came."""
        if not any(isinstance(search.plan, TextSearch) or search.refusal for search in planned):
            headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED)
            body = b"".join(_lines(item, search, route) for item, search in zip(items, planned, strict=True))
            async with self._upstream.send(request.method, target, headers, body) as response:
                return await relay(request, response, [(wire.SEARCH, _report(planned))])
        answered = await self._answer(request, target, route, items, planned)
        # One search that does not parse makes the cluster refuse all of them.
        statuses = (
            statuses_of_items(_parse(answered.body))
            if answered.status != 400
            else dict.fromkeys(range(len(items)), 400)
        )
        settled = tuple(
            self._settled(search, statuses.get(position), answered.body, request)
            for position, search in enumerate(planned)
        )
        if settled != tuple(planned):
            return await self._send(request, target, route, items, settled)
        given = CIMultiDict(answered.headers)
        given[wire.SEARCH] = _report(planned)
        body = answered.body
        if answered.status == 200 and any(map(_is_answered_here, planned)):
            body = present(body, wire.parameters(target.partition("?")[2]))
        return web.Response(status=answered.status, headers=given, body=body)

    async def _answer(
        self,
        request: web.BaseRequest,
        target: str,
        route: MultiSearch,
        items: Sequence[Item],
        planned: Sequence[Planned],
    ) -> _Answer:
        """The cluster's answer, and in their places those to the searches that are fused or refused here."""
        started = time.perf_counter()
        path, _, query = target.partition("?")
        url = wire.parameters(query)
        bridged = {
            position: (fusible_item(search, search.plan, item.expression, url), search.plan.search.fusion)
            for position, (item, search) in enumerate(zip(items, planned, strict=True))
            if isinstance(search.plan, TextSearch) and _is_bridged(search)
        }
        lines = [
            _lines(item, search, route)
            for item, search in zip(items, planned, strict=True)
            if not _is_answered_here(search)
        ]
        added = {number: dumps(_refusal(search.refusal)) for number, search in enumerate(planned) if search.refusal}
        if not bridged and not added:
            return await self._ask(request, target, lines)
        # An answer with gaps could not be put together: the whole is presented here.
        bare = wire.join_target(path, wire.without_parameter(query, *PARAMETERS))
        headers = wire.to_upstream(raw_headers(request), request.remote)
        fusing = Fusing(self._upstream, path, headers, at_once(url))
        fused, answer = await fusing.beside(bridged, self._ask(request, bare, lines, without=wire.READ_ANSWER))
        if answer.status != 200:
            return answer
        took = round((time.perf_counter() - started) * 1_000)
        added |= {position: dumps(_as_item(search)) for position, search in fused.items()}
        given = [*answer.headers, *_warnings(fused.values())]
        return replace(answer, body=with_answers(answer.body, added, took), headers=given)

    async def _ask(
        self, request: web.BaseRequest, target: str, lines: Sequence[bytes], *, without: tuple[str, ...] = _CHANGED
    ) -> _Answer:
        if not lines:
            return _Answer(200, [("Content-Type", "application/json; charset=UTF-8")], _NO_ANSWERS)
        headers = wire.to_upstream(raw_headers(request), request.remote, without=without)
        async with self._upstream.send(request.method, target, headers, b"".join(lines)) as response:
            body = await read_answer(response)
        kept = [(n, v) for n, v in wire.to_client(list(response.headers.items())) if n.lower() != "content-length"]
        return _Answer(response.status, kept, body)

    def _settled(self, planned: Planned, status: int | None, answer: bytes, request: web.BaseRequest) -> Planned:
        """What becomes of an item that was answered with an error: each text has another chance, without our part."""
        if not isinstance(planned.plan, TextSearch) or status is None:
            return planned
        if planned.plan.companion is not None and (status in (403, 404) or status >= 500):
            self._planning.refuse_companion(planned, wire.credentials(request.headers))
            return planned.without_companion()
        # 403 for one fused here: these credentials may search, but not several times in one request.
        if status != 400 and not (status == 403 and _is_bridged(planned)):
            return planned
        if not _is_bridged(planned):
            moved = self._planning.refused_hybrid(planned, answer, wire.credentials(request.headers))
            if moved is not None:
                return moved
        _log.warning("the cluster refused a rewritten search", action="search_refused")
        return planned.as_lexical(Reason.REFUSED)


def _is_bridged(planned: Planned) -> bool:
    plan = planned.plan
    return isinstance(plan, TextSearch) and plan.mode is Mode.HYBRID and plan.where == "bridge"


def _is_answered_here(planned: Planned) -> bool:
    return _is_bridged(planned) or planned.refusal is not None


def _refusal(error: InvalidInput) -> dict[str, object]:
    return error_body(*error_status(error), str(error))


def _as_item(answered: Answered) -> Object:
    body = answered.body if isinstance(answered.body, dict) else {}
    return {**body, "status": answered.status}


def _warnings(fused: Iterable[Answered]) -> wire.Headers:
    return [(name, value) for answered in fused for name, value in answered.headers if name.lower() == "warning"]


def _lines(item: Item, planned: Planned, route: MultiSearch) -> bytes:
    changed, excludes = planned.rewritten()
    if excludes and planned.asked.body is not None:  # no URL of its own to exclude them by
        shown = planned.asked.body if changed is None else changed
        changed = {**shown, "_source": {"excludes": list(excludes)}}
    body = None if changed is None else dumps_quick(changed)
    if changed is not None and isinstance(planned.plan, Untouched):
        # The rest as it came: the cluster's errors name columns.
        body = splice(item.body_line, {"_source": dumps(changed["_source"])}, drop=("_source",))
    companion = planned.plan.companion if isinstance(planned.plan, TextSearch) else None
    expression = item.expression or route.expression
    return item.lines(body, (expression, companion) if expression is not None and companion is not None else None)


def _report(planned: Sequence[Planned]) -> str:
    """For `X-Sidecar-Search`; counts each search, too."""
    for search in planned:
        count_search(search.plan)
    counts = Counter(search.plan.mode for search in planned)
    return "; ".join(["msearch", *(f"{mode}={counts[mode]}" for mode in _REPORTED if counts[mode])])


def _parse(answer: bytes) -> Json:
    try:
        return loads(answer)
    except ValueError:  # YAML, say
        return None
