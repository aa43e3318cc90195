"""The search path, to be read from top to bottom: read, bind, plan, embed, rewrite, send."""

from collections.abc import Mapping
from typing import Final

import orjson
from aiohttp import ClientResponse, web

from sidecar.bridge import headers as wire
from sidecar.bridge.bindings import Bindings
from sidecar.bridge.body import Body, BodyReader
from sidecar.bridge.forward import Upstream, raw_headers, relay
from sidecar.bridge.intent import Mode, Object, Reason
from sidecar.bridge.query import (
    NeuralSearch,
    SearchPlan,
    TextSearch,
    Untouched,
    Vector,
    hide_fields,
    plan_search,
    rewrite,
)
from sidecar.bridge.routes import Read, Search
from sidecar.errors import EmbedderMisbehaved, ErrorKind, InvalidInput, SidecarError
from sidecar.jsontext import Json, dumps, loads_exact
from sidecar.model import Binding, Role
from sidecar.ports import Embedder, Lane
from sidecar.provenance import well_formed
from sidecar.telemetry import BRIDGE_SEARCHES, logger

_log = logger("bridge")

_CHANGED_BODY: Final = ("content-length", "content-encoding")
_MAX_DEPTH: Final = 200  # the query tree is walked by recursion; a deeper one is left to the cluster
_WISHES: Final = (Mode.OFF, Mode.LEXICAL, Mode.SEMANTIC, Mode.HYBRID)

_FAILURES: Final = {
    ErrorKind.OVERLOADED: Reason.EMBEDDER_BUSY,
    ErrorKind.DEADLINE: Reason.EMBEDDER_DEADLINE,
    ErrorKind.CONFLICT: Reason.SPACE,
    ErrorKind.NOT_FOUND: Reason.SPACE,
}


class Searches:
    """Handles `_search`, and leaves our fields out of what reads answer."""

    def __init__(
        self, upstream: Upstream, bindings: Bindings, embedder: Embedder, bodies: BodyReader, *, embed_timeout_s: float
    ) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._embedder = embedder
        self._bodies = bodies
        self._embed_timeout_s = embed_timeout_s

    async def search(self, request: web.BaseRequest, route: Search, target: str) -> web.StreamResponse:
        """`_search`. Raises InvalidInput, and errors of the embedder where the binding wants no lexical answer."""
        path, _, query = target.partition("?")
        wish = _wish(request, wire.parameters(query))
        query = wire.without_parameter(query, wire.MODE_PARAMETER)
        async with self._bodies.read(request) as body:
            if wish is Mode.OFF:
                plan: SearchPlan = Untouched(Mode.OFF, Reason.REQUEST)
                return await self._send(request, _join(path, query), plan, body.sent.read())
            url = wire.parameters(query)
            indices = await self._bindings.of_search(route.expression, url, wire.credentials(request.headers))
            parsed = _parse(body)
            plan = plan_search(parsed, indices, wish, url)
            vectors: tuple[Vector, ...] = ()
            if not isinstance(plan, Untouched):
                plan, vectors = await self._embed(plan)
            changed, excludes = (None, ()) if _shows_source(request) else hide_fields(parsed, url, indices)
            target = _join(path, wire.with_source_excludes(query, excludes))
            if parsed is not None and not isinstance(plan, Untouched):
                answer = await self._send_rewritten(
                    request, target, plan, rewrite(changed or parsed, plan, vectors, indices)
                )
                if answer is not None:
                    return answer
                plan = Untouched(Mode.LEXICAL, Reason.REFUSED)
            if changed is not None:
                return await self._send(request, target, plan, dumps(changed), without=_CHANGED_BODY)
            return await self._send(request, target, plan, body.sent.read())

    async def read(self, request: web.BaseRequest, route: Read, target: str) -> web.StreamResponse:
        """`_doc`, `_source` and `_mget`: forwarded, our fields excluded by the cluster itself."""
        path, _, query = target.partition("?")
        if not _shows_source(request):
            indices = await self._bindings.of_search(route.index, {}, wire.credentials(request.headers))
            _, excludes = hide_fields(None, wire.parameters(query), indices)
            target = _join(path, wire.with_source_excludes(query, excludes))
        return await self._upstream.forward(request, target)

    async def _embed(self, plan: TextSearch | NeuralSearch) -> tuple[SearchPlan, tuple[Vector, ...]]:
        """The plan with its vectors; lexical instead, and said so, if they cannot be had."""
        try:
            return plan, await self._vectors(plan.texts)
        except SidecarError as error:
            if isinstance(plan, NeuralSearch) or plan.search.on_failure == "error":
                raise
            _log.warning("a search is lexical only", action="search_lexical", error=str(error))
            reason = _FAILURES.get(error.kind, Reason.EMBEDDER_UNAVAILABLE)
            return Untouched(Mode.LEXICAL, reason), ()

    async def _vectors(self, texts: tuple[tuple[Binding, str], ...]) -> tuple[Vector, ...]:
        """One vector for each text; equal texts of one model are sent once."""
        found: dict[tuple[str, str], Vector] = {}
        for model, space in dict.fromkeys((binding.model, binding.space) for binding, _ in texts):
            distinct = tuple(dict.fromkeys(well_formed(text) for binding, text in texts if binding.model == model))
            answer = await self._embedder.embed(
                distinct,
                Role.QUERY,
                model=model,
                expect_space=space,
                lane=Lane.INTERACTIVE,
                timeout_s=self._embed_timeout_s,
            )
            for position, text in enumerate(distinct):
                vector = answer.vector(position)
                if vector is None:
                    raise EmbedderMisbehaved(answer.items[position].error or "a query has no vector")
                # Through orjson: the shortest decimals of a float32, half as long as those of the same double.
                found[model, text] = orjson.loads(orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY))
        return tuple(found[binding.model, well_formed(text)] for binding, text in texts)

    async def _send_rewritten(
        self, request: web.BaseRequest, target: str, plan: TextSearch | NeuralSearch, body: Object
    ) -> web.StreamResponse | None:
        """Send a rewritten search. None: the cluster refused it, though the client's own search may be right."""
        headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED_BODY)
        if not request.body_exists:
            headers.append(("Content-Type", "application/json"))
        async with self._upstream.send(request.method, target, headers, dumps(body)) as response:
            if response.status == 400 and isinstance(plan, TextSearch):
                _log.warning("the cluster refused a rewritten search", action="search_refused")
                return None
            return await _relay(request, response, plan)

    async def _send(
        self, request: web.BaseRequest, target: str, plan: SearchPlan, body: bytes, *, without: tuple[str, ...] = ()
    ) -> web.StreamResponse:
        headers = wire.to_upstream(raw_headers(request), request.remote, without=("content-length", *without))
        async with self._upstream.send(request.method, target, headers, body or None) as response:
            return await _relay(request, response, plan)


async def _relay(request: web.BaseRequest, response: ClientResponse, plan: SearchPlan) -> web.StreamResponse:
    mode = plan.mode if not isinstance(plan, NeuralSearch) else Mode.NEURAL
    BRIDGE_SEARCHES.labels(mode, plan.reason if isinstance(plan, Untouched) else "").inc()
    return await relay(request, response, [(wire.SEARCH, plan.note)])


def _wish(request: web.BaseRequest, url: Mapping[str, str]) -> Mode | None:
    """The mode that the client asks for, by parameter or header. Raises InvalidInput."""
    value = url.get(wire.MODE_PARAMETER, request.headers.get(wire.MODE))
    if value is None:
        return None
    if value not in _WISHES:
        raise InvalidInput(wire.MODE, f"must be one of {', '.join(_WISHES)}, not [{value}]")
    return Mode(value)


def _shows_source(request: web.BaseRequest) -> bool:
    return request.headers.get(wire.SOURCE) == "1"


def _parse(body: Body) -> Object | None:
    """The body as an object ({} if there is none); None if it is not one, or not JSON that we read exactly."""
    if body.decoded is None:
        return None
    if not body.decoded.strip():
        return {}
    try:
        parsed = loads_exact(body.decoded)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and not _is_deeper(parsed, _MAX_DEPTH) else None


def _is_deeper(node: Json, levels: int) -> bool:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in inner)


def _join(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path
