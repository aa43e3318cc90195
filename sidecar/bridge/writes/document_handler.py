"""Handles writes of one document: read, bind, plan, embed, splice, send. Read this module from top to bottom."""

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

from aiohttp import ClientResponse, web

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.hidden_fields import Hidden, added_fields
from sidecar.bridge.hidden_source import excludes_of
from sidecar.bridge.proxy.body import Body, BodyReader, refuse_deep_nesting
from sidecar.bridge.proxy.errors import error_body, json_answer
from sidecar.bridge.proxy.headers import CHANGED_BODY, INGEST
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.nesting import IN_DOCUMENT, IN_UPDATE
from sidecar.bridge.proxy.presentation import JSON, body_format
from sidecar.bridge.proxy.query_string import (
    join_target,
    with_parameters,
    with_source_excludes,
    without_parameters,
)
from sidecar.bridge.proxy.upstream import Upstream, relay
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import Document
from sidecar.bridge.routes import Update as UpdateRoute
from sidecar.bridge.writes.document_faults import REFUSAL, Fault, fault_at_start
from sidecar.bridge.writes.document_plan import (
    RETRY_AFTER_S,
    Counts,
    Plan,
    Vectors,
    apply_plan,
    must_wait,
    plan_piped,
    refusal,
)
from sidecar.bridge.writes.ingest_pipelines import effect_on
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
from sidecar.errors import EmbedderOverloaded, InvalidInput
from sidecar.jsontext import plain_document, plain_json
from sidecar.model import IndexBinding
from sidecar.threads import WEIGHT_OF_JSON, off_the_loop

# A larger document would keep the interpreter from all other requests while it is parsed. A model reads only the
# beginning of such a text anyway.
_START_BYTES: Final = 64 * 1024  # of a document. They show whether it is one, if they are not all blank
MAX_DOCUMENT_BYTES: Final = 8 * 1024 * 1024


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

        Raises NestedTooDeeply, InvalidInput if the binding refuses the document, and EmbedderOverloaded if its texts
        cannot be embedded and the binding wants such a write refused.
        """
        async with self._bodies.read(request, parsed_up_to=MAX_DOCUMENT_BYTES) as body:
            await refuse_deep_nesting(request, body, IN_DOCUMENT)
            target = await self._bindings.of_write(route.index, request.credentials)
            if body.text is None or target.binding is None or not body.text.size:
                return await self._upstream.forward_read(request, body)
            form = body_format(request.header("Content-Type"))
            start = body.text.read(0, min(_START_BYTES, body.text.size))
            is_seen = len(start) < _START_BYTES or not start.isspace()
            if is_seen and (fault := fault_at_start(start, form)) is not None:
                return await self._refuse(request, body, target, fault)
            if body.text.size > MAX_DOCUMENT_BYTES:
                return await self._send_large(request, body, target.binding)
            if form != JSON:  # the guard makes it `pending`
                return await self._upstream.forward_read(request, body)
            document, weight = plain_document(body.text.read()), WEIGHT_OF_JSON * body.text.size
            effect = await effect_on(target, request.parameters.get("pipeline"), self._bindings, request.credentials)
            plan = await off_the_loop(weight, plan_piped, document, target.binding, target.unfit, effect)
            if plan.fault is not None:
                return await self._refuse(request, body, target, plan.fault)
            if not plan.changes:
                doubt = [] if plan.is_certain else [(INGEST, str(Counts(is_certain=False)))]
                return await self._upstream.forward_read(request, body, added=doubt)
            is_refused = await self._rights.refusal(target, request.credentials)
            deadline = self._passages.deadline(request.parameters)
            vectors = Vectors() if is_refused else await self._passages.embed((plan,), deadline)
            _raise_if_refused(plan, vectors)
            source, counts = await off_the_loop(weight, apply_plan, document, plan, vectors)
            async with self._send(request, source) as response:
                return await relay(request, response, _ingest(response, counts))

    async def update(self, request: IncomingRequest, route: UpdateRoute) -> web.StreamResponse:
        """Answer `_update`. The text that the document will have is embedded. Raises as `write`.

        If only our guard has caused a conflict, the update is read, planned and sent again.
        """
        async with self._bodies.read(request, parsed_up_to=MAX_DOCUMENT_BYTES) as body:
            await refuse_deep_nesting(request, body, IN_UPDATE)
            target = await self._bindings.of_write(route.index, request.credentials)
            if body.text is None or target.binding is None:
                return await self._upstream.forward_read(request, body)
            if body.text.size > MAX_DOCUMENT_BYTES:
                return await self._send_large(request, body, target.binding)
            if body_format(request.header("Content-Type")) != JSON:  # the guard sees what becomes of it
                return await self._upstream.forward_read(request, body, _without_ours(request, target.binding))
            source, weight = plain_json(body.text.read()), WEIGHT_OF_JSON * body.text.size
            update = await off_the_loop(weight, parse_update, source, dict(request.parameters))
            if update is None:
                return await self._upstream.forward_read(request, body)
            if not request.shows_source:
                hidden = added_fields(target.binding)
                source = await off_the_loop(weight, hide_in_update, source, request.parameters, hidden)
            if needs_read(update, target.binding, target.forgotten):
                planned = partial(plan_update, unfit=target.unfit, forgotten=target.forgotten)
                is_refused = await self._rights.refusal(target, request.credentials, is_update=True)
                deadline = self._passages.deadline(request.parameters)
                for left in range(update.retries + OUR_RETRIES, -1, -1):
                    stored = await self._read(request, route, target, target.binding) if left else None
                    plan = await off_the_loop(weight, planned, update, stored, target.binding, target.unseen)
                    if not plan.changes:
                        break
                    vectors = Vectors() if is_refused else await self._passages.embed((plan,), deadline)
                    _raise_if_refused(plan, vectors)
                    changed, counts = await off_the_loop(weight, apply_update, source, plan, vectors)
                    async with self._send(request, changed, plan.guard) as response:
                        if plan.guard is None or not is_lost_race(response.status):
                            return await relay(request, response, _ingest(response, counts))
            async with self._send(request, source) as response:
                return await relay(request, response)

    async def _send_large(self, request: IncomingRequest, body: Body, bound: IndexBinding) -> web.StreamResponse:
        """Send a document or update that is too large to be read here. The guard of the index makes it `pending`.

        Raises InvalidInput if a binding wants no document without a vector.
        """
        if any(binding.write.on_failure == "reject" for binding in bound.fields.values()):
            size = body.text.size if body.text else 0
            problem = f"[{size}] bytes are more than the [{MAX_DOCUMENT_BYTES}] that the bridge embeds"
            raise InvalidInput("document", f"{problem}, and the index takes no document without a vector")
        counts = Counts(pending=len(bound.fields))
        report(counts)
        return await self._upstream.forward_read(request, body, added=[(INGEST, str(counts))])

    async def _refuse(
        self, request: IncomingRequest, body: Body, target: WriteTarget, fault: Fault
    ) -> web.StreamResponse:
        """Refuse a document as an index without a pipeline does. Who may not write gets the cluster's own refusal."""
        if await self._rights.refusal(target, request.credentials):
            return await self._upstream.forward_read(request, body)
        answer = error_body(400, *REFUSAL, caused_by=fault.cause)
        return json_answer(answer, status=400, parameters=request.parameters)

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


def _ingest(response: ClientResponse, counts: Counts) -> list[tuple[str, str]]:
    """The header that says what was written, for an answer of the cluster. It is counted as well."""
    done = counts if response.status < 300 else Counts()
    report(done)
    return [(INGEST, str(done))]


def _without_ours(request: IncomingRequest, bound: IndexBinding) -> str:
    """The target of an update that we cannot read. Our fields are excluded, unless its body has the only `_source`."""
    if request.shows_source:
        return request.target
    excludes = excludes_of(request.parameters, Hidden(added_fields(bound)), by_default=False)
    return join_target(request.path, with_source_excludes(request.query, excludes))


def _raise_if_refused(plan: Plan, vectors: Vectors) -> None:
    """Raise InvalidInput if the binding refuses the document, EmbedderOverloaded if it does so for now."""
    reason = refusal(plan, vectors)
    if reason is not None:
        raise InvalidInput("document", reason)
    if must_wait(plan, vectors):
        raise EmbedderOverloaded(RETRY_AFTER_S)
