"""Handles writes of one document: read, bind, plan, embed, splice, send. Read this module from top to bottom."""

from contextlib import AbstractAsyncContextManager

from aiohttp import ClientResponse, web

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_fields import added_fields
from sidecar.bridge.proxy.body import BodyReader
from sidecar.bridge.proxy.headers import CHANGED_BODY, INGEST
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.query_string import join_target, with_parameters, without_parameters
from sidecar.bridge.proxy.upstream import Upstream, relay
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import Document
from sidecar.bridge.routes import Update as UpdateRoute
from sidecar.bridge.writes.document_plan import Plan, Vectors, apply_plan, plan_document, refusal
from sidecar.bridge.writes.passages import Passages, report
from sidecar.bridge.writes.stored_documents import DocumentRead, read_stored
from sidecar.bridge.writes.update_body import Position, parse_update
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


class Documents:
    """Handles `_doc`, `_create` and `_update`."""

    def __init__(
        self, upstream: Upstream, bindings: Bindings, rights: Rights, passages: Passages, bodies: BodyReader
    ) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._rights = rights
        self._passages = passages
        self._bodies = bodies

    async def write(self, request: IncomingRequest, route: Document) -> web.StreamResponse:
        """Answer `_doc` or `_create`.

        Raises InvalidInput if the binding refuses the document, and EmbedderOverloaded if its texts cannot be embedded
        and the binding wants such a write refused.
        """
        async with self._bodies.read(request) as body:
            target = await self._bindings.of_write(route.index, request.credentials)
            document = body.decoded
            plan = plan_document(document or b"", target.binding)
            if document is None or not plan.changes:
                return await self._upstream.forward_read(request, body)
            is_refused = await self._rights.refusal(target, request.credentials)
            deadline = self._passages.deadline(request.parameters)
            vectors = Vectors() if is_refused else await self._passages.embed((plan,), deadline)
            _raise_if_refused(plan, vectors)
            source, counts = apply_plan(document, plan, vectors)
            report(counts)
            async with self._send(request, source) as response:
                return await relay(request, response, [(INGEST, str(counts))])

    async def update(self, request: IncomingRequest, route: UpdateRoute) -> web.StreamResponse:
        """Answer `_update`. The text that the document will have is embedded. Raises as `write`.

        If only our guard has caused a conflict, the update is read, planned and sent again.
        """
        async with self._bodies.read(request) as body:
            target = await self._bindings.of_write(route.index, request.credentials)
            source = body.decoded
            update = parse_update(source or b"", dict(request.parameters)) if target.binding is not None else None
            if target.binding is None or source is None or update is None:
                return await self._upstream.forward_read(request, body)
            if not request.shows_source:
                source = hide_in_update(source, request.parameters, added_fields(target.binding))
            if needs_read(update, target.binding):
                is_refused = await self._rights.refusal(target, request.credentials, is_update=True)
                deadline = self._passages.deadline(request.parameters)
                for left in range(update.retries + OUR_RETRIES, -1, -1):
                    stored = await self._read(request, route, target, target.binding) if left else None
                    plan = plan_update(update, stored, target.binding, target.unseen)
                    if not plan.changes:
                        break
                    vectors = Vectors() if is_refused else await self._passages.embed((plan,), deadline)
                    _raise_if_refused(plan, vectors)
                    changed, counts = apply_update(source, plan, vectors)
                    async with self._send(request, changed, plan.guard) as response:
                        if plan.guard is None or not is_lost_race(response.status):
                            report(counts)
                            return await relay(request, response, [(INGEST, str(counts))])
            async with self._send(request, source) as response:
                return await relay(request, response)

    def _send(
        self, request: IncomingRequest, body: bytes, guard: Position | None = None
    ) -> AbstractAsyncContextManager[ClientResponse]:
        """Send the request with another body. With `guard` it changes only the document that was read."""
        query = request.query
        if guard is not None:
            query = with_parameters(without_parameters(query, "retry_on_conflict"), guarded_query(guard))
        headers = request.for_upstream(*CHANGED_BODY)
        return self._upstream.send(request.method, join_target(request.path, query), headers, body)

    async def _read(
        self, request: IncomingRequest, route: UpdateRoute, target: WriteTarget, bound: IndexBinding
    ) -> Stored | None:
        routing = request.parameters.get("routing", target.routing)
        wanted = DocumentRead(target.index, route.id, routing, fields_to_read(bound))
        return (await read_stored(self._upstream, (wanted,), request.credentials)).get(wanted.key)


def _raise_if_refused(plan: Plan, vectors: Vectors) -> None:
    """Raise InvalidInput if the binding refuses the document."""
    reason = refusal(plan, vectors)
    if reason is not None:
        raise InvalidInput("document", reason)
