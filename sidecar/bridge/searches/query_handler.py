"""Handles requests with a query that are no searches: `_count`, `_delete_by_query` and the like.

Only the client's own `neural` clauses are answered. A text query stays as it is, because a document that was found by
meaning must never be counted as a match, nor deleted.
"""

from typing import Final

from aiohttp import web

from sidecar.bridge.proxy.body import Body, BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.headers import CHANGED_BODY, SEARCH
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.upstream import Upstream, relay
from sidecar.bridge.searches.limits import MAX_BODY_BYTES, is_too_large
from sidecar.bridge.searches.planner import Planner, RequestedSearch
from sidecar.bridge.searches.rewrite.neural import may_hold_neural, refuse_unbound
from sidecar.bridge.searches.rewrite.plan import NeuralSearch
from sidecar.bridge.searches.search_body import parse_search
from sidecar.jsontext import Object, at, dumps_quick, plain_json
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

_FAILURES: Final = (500,)
_BAD_REQUEST: Final = 400  # of `_explain`, which can never wait for a model


class Queries:
    """Forwards requests with a query, with their `neural` clauses answered."""

    def __init__(self, planner: Planner, bodies: BodyReader) -> None:
        self._planner = planner
        self._bodies = bodies

    async def handle(
        self, request: IncomingRequest, upstream: Upstream, expression: str | None, target: str | None = None
    ) -> web.StreamResponse:
        """Forward a request to `target`, by default its own. An `_explain` has another one.

        Raises InvalidInput for a clause that cannot be answered, NestedTooDeeply, ClusterUnreachable, and an error of
        the embedder.
        """
        failures = _FAILURES if target is None else (*_FAILURES, _BAD_REQUEST)
        target = target or request.target
        async with self._bodies.read(request, parsed_up_to=MAX_BODY_BYTES) as body:
            await refuse_deep_nesting(request, body)
            parsed = await self._read(body)
            if parsed is None:
                return await upstream.forward_read(request, body, target)
            asked = RequestedSearch(
                parsed,
                expression or _source_of(parsed),
                request.identity.without(request.parameters),
                shows_source=True,
                credentials=request.credentials,
                size=body.text.size if body.text else 0,
            )
            (planned,) = await self._planner.embed([await self._planner.plan_neural(asked)])
            data, headers = body.sent.payload(), request.for_upstream("content-length")
            if isinstance(planned.plan, NeuralSearch):
                rewritten, _ = await off_the_loop(planned.weight, planned.rewritten)
                data = await off_the_loop(planned.weight, dumps_quick, rewritten)
                headers = request.for_upstream(*CHANGED_BODY)
            async with upstream.send(request.method, target, headers, data or None) as response:
                if response.status in failures:
                    refuse_unbound(parsed, planned.indices)
                added = [(SEARCH, planned.plan.note)] if isinstance(planned.plan, NeuralSearch) else []
                return await relay(request, response, added)

    async def _read(self, body: Body) -> Object | None:
        """The body, if it may hold a `neural` clause. None: it is forwarded unchanged."""
        if body.text is None or is_too_large(body.text) or not may_hold_neural(text := body.text.read()):
            return None
        return await off_the_loop(WEIGHT_OF_JSON * len(text), _parsed, text)


def _parsed(text: bytes) -> Object | None:
    return parse_search(plain_json(text))


def _source_of(body: Object) -> str | None:
    """The indices that a `_reindex` reads."""
    named = at(body, "source", "index")
    listed = named if isinstance(named, list) else [named]
    return ",".join(name for name in listed if isinstance(name, str)) or None
