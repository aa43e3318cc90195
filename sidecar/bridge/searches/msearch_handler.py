"""Handles `_msearch`. Read this module from top to bottom.

The handler reads and renders the items and plans each of them. It embeds the texts of all items at once, rewrites the
items and sends them.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from sidecar.bridge.hidden_hits import REFUSALS, is_object, replaced, with_excludes
from sidecar.bridge.proxy.body import Body, BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.budget import Share
from sidecar.bridge.proxy.errors import error_body, error_status
from sidecar.bridge.proxy.headers import CHANGED_BODY, READ_ANSWER, SEARCH, SEARCH_OPTIONS, Headers, to_client
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.presentation import PARAMETERS, asked_format, present
from sidecar.bridge.proxy.query_string import join_target, parameters, without_parameters
from sidecar.bridge.proxy.upstream import AnswerTooLarge, Upstream, answer_whole, read_held_answer, relay
from sidecar.bridge.routes import MultiSearch
from sidecar.bridge.searches.fusion.request import FusedSearch
from sidecar.bridge.searches.fusion.search import FusedAnswer
from sidecar.bridge.searches.fusion.several import Fusing, at_once, fused_item
from sidecar.bridge.searches.limits import MAX_ANSWER_BYTES, MAX_BODY_BYTES, has_too_many_items
from sidecar.bridge.searches.msearch_body import (
    SearchItem,
    errors_of_items,
    holds_errors,
    parse_msearch,
    with_answers,
)
from sidecar.bridge.searches.outcome import Mode, Reason
from sidecar.bridge.searches.planner import PlannedSearch, Planner, RequestedSearch, count_search
from sidecar.bridge.searches.request_options import RequestOptions, read_options
from sidecar.bridge.searches.rewrite.plan import TextSearch, Untouched
from sidecar.bridge.searches.search_template import render
from sidecar.errors import InvalidInput
from sidecar.jsontext import Object, dumps, dumps_quick, loads
from sidecar.model import Fusion
from sidecar.threads import WEIGHT_OF_ANSWER, WEIGHT_OF_JSON, off_the_loop

_TEMPLATE: Final = "/template"
_REPORTED: Final = (Mode.HYBRID, Mode.SEMANTIC, Mode.NEURAL, Mode.LEXICAL, Mode.REFUSED)
_READ: Final = (*CHANGED_BODY, "accept-encoding")  # the answer is read too
_TOO_LARGE: Final = ((SEARCH, Untouched(Mode.LEXICAL, Reason.TOO_LARGE).note),)
_NO_ANSWERS: Final = b'{"took":0,"responses":[]}'


@dataclass(frozen=True, slots=True)
class _Answer:
    """The answer to several searches."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class _Asked:
    """The searches that a client asks for, and the way to send them."""

    request: IncomingRequest
    route: MultiSearch
    target: str
    items: Sequence[SearchItem]
    share: Share


class MultiSearches:
    """Handles `_msearch` and `_msearch/template`."""

    def __init__(self, upstream: Upstream, planner: Planner, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._planner = planner
        self._bodies = bodies

    async def handle(self, request: IncomingRequest, route: MultiSearch) -> web.StreamResponse:
        """Answer several searches.

        Raises InvalidInput, NestedTooDeeply, and an error of the embedder if an item allows no lexical answer.
        """
        options = read_options(request.parameters, request.raw.headers)
        path, query = request.path, without_parameters(request.query, *SEARCH_OPTIONS)
        async with self._bodies.read(request, parsed_up_to=MAX_BODY_BYTES) as body:
            await refuse_deep_nesting(request, body)
            as_sent = join_target(path, query)
            if options.mode is not Mode.OFF and has_too_many_items(body.text):
                return await self._upstream.forward_read(request, body, as_sent, _TOO_LARGE)
            try:
                items = await self._items(request, route, body) if options.mode is not Mode.OFF else None
                if items is None:
                    return await self._upstream.forward_read(request, body, as_sent)
                url = {**asked_format(request.header("Accept")), **request.identity.without(parameters(query))}
                planned = await self._plan(request, route, items, options, url)
                if route.is_template:
                    path = path.rstrip("/").removesuffix(_TEMPLATE)
                return await self._send(_Asked(request, route, join_target(path, query), items, body.share), planned)
            except AnswerTooLarge:
                return await self._upstream.forward_read(request, body, as_sent, _TOO_LARGE)

    async def _items(self, request: IncomingRequest, route: MultiSearch, body: Body) -> tuple[SearchItem, ...] | None:
        if body.text is None:
            return None
        items = await off_the_loop(WEIGHT_OF_JSON * body.text.size, parse_msearch, body.text.read())
        if items is None or not route.is_template:
            return items
        rendered = []
        for item in items:
            search = await render(self._upstream, request, item.body, len(item.body_line), body.share)
            if search is None:
                return None
            rendered.append(await off_the_loop(WEIGHT_OF_JSON * search[1], item.with_body, search[0]))
        return tuple(rendered)

    async def _plan(
        self,
        request: IncomingRequest,
        route: MultiSearch,
        items: Sequence[SearchItem],
        options: RequestOptions,
        url: Mapping[str, str],
    ) -> tuple[PlannedSearch, ...]:
        planned = []
        for item in items:
            expression, line = item.expression or route.expression, item.body_line
            asked = RequestedSearch(
                item.body,
                expression,
                item.parameters(url),
                request.shows_source,
                request.credentials,
                size=len(line),
                text=line,
            )
            planned.append(await self._planner.plan_item(asked, options))
            await asyncio.sleep(0)  # other requests have their turn
        return await self._planner.embed(planned)

    async def _send(self, asked: _Asked, planned: Sequence[PlannedSearch]) -> web.StreamResponse:
        """Send the items. Those that the cluster refuses are sent again, each with fewer of our changes."""
        if not any(_needs_reading(search) for search in planned):
            request, headers = asked.request, asked.request.for_upstream(*CHANGED_BODY)
            body = b"".join(await off_the_loop(_weight(planned), _all_lines, asked, planned))
            async with self._upstream.send(request.method, asked.target, headers, body) as response:
                if response.status not in REFUSALS:
                    return await relay(request, response, [(SEARCH, _report(planned))])
            own = b"".join(item.lines() for item in asked.items)  # errors name lines and columns of the client's words
            async with self._upstream.send(request.method, asked.target, headers, own) as response:
                return await relay(request, response, [(SEARCH, _report(planned))])
        answered = await self._answer(asked, planned)
        if answered.status == 400:  # if one search does not parse, the cluster refuses all of them
            errors = dict.fromkeys(range(len(planned)), (400, answered.body))
        else:
            errors = await off_the_loop(WEIGHT_OF_JSON * len(answered.body), _errors, answered.body)
        settled = list(planned)
        for position, (status, error) in errors.items():
            further = await self._planner.after(planned[position], status, error)
            settled[position] = further or planned[position]
            await asyncio.sleep(0)  # other requests have their turn
        if settled != list(planned):
            return await self._send(asked, settled)
        given = [*answered.headers, (SEARCH, _report(planned))]
        body = answered.body
        if answered.status == 200 and any(map(_is_answered_here, planned)):
            url = parameters(asked.target.partition("?")[2])
            body = await off_the_loop(WEIGHT_OF_ANSWER * len(body), present, body, url)
        return await answer_whole(asked.request, answered.status, given, body)

    async def _answer(self, asked: _Asked, planned: Sequence[PlannedSearch]) -> _Answer:
        """The cluster's answer, with the answers to the searches that are fused or refused here in their places."""
        started = time.perf_counter()
        path, _, query = asked.target.partition("?")
        url = parameters(query)
        bridged = await off_the_loop(_weight(planned), _fused_items, asked.items, planned, url)
        lines = await off_the_loop(_weight(planned), _all_lines, asked, planned)
        added = {number: dumps(_refusal(search.refusal)) for number, search in enumerate(planned) if search.refusal}
        if not bridged and not added:
            return await self._ask(asked, asked.target, lines)
        # Answers with missing parts could not be merged. So the cluster answers in full, and the bridge applies
        # `filter_path`.
        bare = join_target(path, without_parameters(query, *PARAMETERS))
        fusing = Fusing(self._upstream, path, asked.request.for_upstream(), at_once(url), asked.share)
        fused, answer = await fusing.beside(bridged, self._ask(asked, bare, lines, without=READ_ANSWER))
        if answer.status != 200:
            return answer
        took = round((time.perf_counter() - started) * 1_000)
        size = len(answer.body) + sum(search.size for search in fused.values())
        given = [*answer.headers, *_warnings(fused.values())]
        body = await off_the_loop(WEIGHT_OF_ANSWER * size, _merged, answer.body, added, fused, took)
        return replace(answer, body=body, headers=given)

    async def _ask(
        self, asked: _Asked, target: str, lines: Sequence[bytes], *, without: tuple[str, ...] = _READ
    ) -> _Answer:
        if not lines:
            return _Answer(200, [("Content-Type", "application/json; charset=UTF-8")], _NO_ANSWERS)
        headers = asked.request.for_upstream(*without)
        async with self._upstream.send(asked.request.method, target, headers, b"".join(lines)) as response:
            body = await read_held_answer(response, asked.share, MAX_ANSWER_BYTES)
        kept = [(n, v) for n, v in to_client(list(response.headers.items())) if n.lower() != "content-length"]
        return _Answer(response.status, kept, body)


def _is_answered_here(planned: PlannedSearch) -> bool:
    return planned.plan.is_fused_here or planned.refusal is not None


def _needs_reading(planned: PlannedSearch) -> bool:
    """Whether the answer is not simply passed on."""
    return isinstance(planned.plan, TextSearch) or planned.refusal is not None or planned.may_be_unbound


def _weight(planned: Iterable[PlannedSearch]) -> int:
    return sum(search.weight for search in planned)


def _fused_items(
    items: Sequence[SearchItem], planned: Sequence[PlannedSearch], url: Mapping[str, str]
) -> dict[int, tuple[FusedSearch, Fusion]]:
    return {
        position: (fused_item(search, search.plan, item.expression, url), search.plan.search.fusion)
        for position, (item, search) in enumerate(zip(items, planned, strict=True))
        if isinstance(search.plan, TextSearch) and search.plan.is_fused_here
    }


def _merged(answer: bytes, added: Mapping[int, bytes], fused: Mapping[int, FusedAnswer], took: int) -> bytes:
    written = {position: dumps(_as_item(search)) for position, search in fused.items()}
    return with_answers(answer, {**added, **written}, took)


def _refusal(error: InvalidInput) -> dict[str, object]:
    return error_body(*error_status(error), str(error))


def _as_item(answered: FusedAnswer) -> Object:
    body = answered.body if isinstance(answered.body, dict) else {}
    return {**body, "status": answered.status}


def _warnings(fused: Iterable[FusedAnswer]) -> Headers:
    return [(name, value) for answered in fused for name, value in answered.headers if name.lower() == "warning"]


def _all_lines(asked: _Asked, planned: Sequence[PlannedSearch]) -> list[bytes]:
    """The lines of the items that the cluster answers."""
    return [
        _lines(item, search, asked.route)
        for item, search in zip(asked.items, planned, strict=True)
        if not _is_answered_here(search)
    ]


def _lines(item: SearchItem, planned: PlannedSearch, route: MultiSearch) -> bytes:
    if isinstance(planned.plan, Untouched):
        changed, excludes = planned.hiding()
        is_readable = planned.asked.body is not None or is_object(item.body_line)
        changed = with_excludes(changed, excludes if is_readable else ())
        body = replaced(item.body_line, changed) if changed else None
    else:
        body = dumps_quick(with_excludes(*planned.rewritten()))
    companion = planned.plan.companion if isinstance(planned.plan, TextSearch) else None
    expression = item.expression or route.expression
    return item.lines(body, (expression, companion) if expression is not None and companion is not None else None)


def _report(planned: Sequence[PlannedSearch]) -> str:
    """Count each search in the metrics, and write `X-Sidecar-Search`."""
    for search in planned:
        count_search(search.plan)
    counts = Counter(search.plan.mode for search in planned)
    return "; ".join(["msearch", *(f"{mode}={counts[mode]}" for mode in _REPORTED if counts[mode])])


def _errors(answer: bytes) -> dict[int, tuple[int, bytes]]:
    """The statuses and errors of the items that failed, by position. Most answers hold none and are not parsed."""
    try:
        return errors_of_items(loads(answer)) if holds_errors(answer) else {}
    except ValueError:  # YAML, for example
        return {}
