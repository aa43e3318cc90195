"""Single writes, to be read from top to bottom: read, bind, plan, embed, splice, send."""

from aiohttp import web

from sidecar.bridge.bindings.indices import WriteTarget, added_fields
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.upstream import Upstream, raw_headers, relay
from sidecar.bridge.routes import Document
from sidecar.bridge.routes import Update as UpdateRoute
from sidecar.bridge.searches.asking import shows_source
from sidecar.bridge.writes.document_plan import Plan, Vectors, apply_plan, plan_document, refusal
from sidecar.bridge.writes.passages import Passages, report
from sidecar.bridge.writes.stored_documents import Read, read_stored
from sidecar.bridge.writes.update_body import parse_update
from sidecar.bridge.writes.update_plan import (
    OUR_RETRIES,
    Stored,
    apply_update,
    fields_to_read,
    guarded_query,
    is_lost_race,
    needs_read,
    plan_update,
)
from sidecar.bridge.writes.update_source import hide_in_update
from sidecar.errors import InvalidInput
from sidecar.model import IndexBinding


class Writes:
    """Handles `_doc`, `_create` and `_update`."""

    def __init__(self, upstream: Upstream, bindings: Bindings, passages: Passages, bodies: BodyReader) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._passages = passages
        self._bodies = bodies

    async def document(self, request: web.BaseRequest, route: Document, target: str) -> web.StreamResponse:
        """`_doc` and `_create`."""
        async with self._bodies.read(request) as body:
            bound = (await self._bindings.of_write(route.index, wire.credentials(request.headers))).binding
            document = body.decoded
            plan = plan_document(document or b"", bound)
            if document is None or not plan.changes:
                return await self._upstream.pass_on(request, target, body)
            deadline = self._passages.deadline(wire.parameters(target.partition("?")[2]))
            vectors = await self._passages.embed((plan,), deadline)
            _refuse_if_bound_so(plan, vectors)
            source, counts = apply_plan(document, plan, vectors)
            report(counts)
            async with self._upstream.send(request.method, target, _headers(request), source) as response:
                return await relay(request, response, [(wire.INGEST, str(counts))])

    async def update(self, request: web.BaseRequest, route: UpdateRoute, target: str) -> web.StreamResponse:
        """`_update`: what the guard would mark is embedded here. A conflict that only we have caused is tried again."""
        async with self._bodies.read(request) as body:
            goal = await self._bindings.of_write(route.index, wire.credentials(request.headers))
            source, query = body.decoded, target.partition("?")[2]
            parameters = wire.parameters(query)
            update = parse_update(source or b"", dict(parameters)) if goal.binding is not None else None
            if goal.binding is None or source is None or update is None:
                return await self._upstream.pass_on(request, target, body)
            if not shows_source(request):
                source = hide_in_update(source, parameters, added_fields(goal.binding))
            if not needs_read(update, goal.binding):
                return await self._send(request, target, source)
            deadline = self._passages.deadline(parameters)
            for left in range(update.retries + OUR_RETRIES, -1, -1):
                stored = await self._read(request, route, goal, goal.binding, parameters) if left else None
                plan = plan_update(update, stored, goal.binding, goal.unseen)
                if not plan.changes:
                    break
                vectors = await self._passages.embed((plan,), deadline)
                _refuse_if_bound_so(plan, vectors)
                changed, counts = apply_update(source, plan, vectors)
                to = target if plan.guard is None else _guarded(target, guarded_query(plan.guard))
                async with self._upstream.send(request.method, to, _headers(request), changed) as response:
                    if plan.guard is None or not is_lost_race(response.status):
                        report(counts)
                        return await relay(request, response, [(wire.INGEST, str(counts))])
            return await self._send(request, target, source)

    async def _send(self, request: web.BaseRequest, target: str, body: bytes) -> web.StreamResponse:
        async with self._upstream.send(request.method, target, _headers(request), body) as response:
            return await relay(request, response)

    async def _read(
        self,
        request: web.BaseRequest,
        route: UpdateRoute,
        goal: WriteTarget,
        bound: IndexBinding,
        parameters: dict[str, str],
    ) -> Stored | None:
        read = Read(goal.index, route.id, parameters.get("routing", goal.routing), fields_to_read(bound))
        found = await read_stored(self._upstream, (read,), wire.credentials(request.headers))
        return found.get(read.key)


def _refuse_if_bound_so(plan: Plan, vectors: Vectors) -> None:
    """Raise InvalidInput if the binding does not allow what the document brings."""
    reason = refusal(plan, vectors)
    if reason is not None:
        raise InvalidInput("document", reason)


def _headers(request: web.BaseRequest) -> wire.Headers:
    return wire.to_upstream(raw_headers(request), request.remote, without=wire.CHANGED_BODY)


def _guarded(target: str, parameters: dict[str, int]) -> str:
    path, _, query = target.partition("?")
    return f"{path}?{wire.with_parameters(wire.without_parameter(query, 'retry_on_conflict'), parameters)}"
