"""The write path, to be read from top to bottom: read, parse, bind, plan, embed, splice, send, merge."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeAlias, TypeVar

from aiohttp import web

from sidecar.bridge import headers as wire
from sidecar.bridge.answers import error_status
from sidecar.bridge.bindings import Bindings
from sidecar.bridge.body import Body, BodyReader
from sidecar.bridge.budget import write_budget_s
from sidecar.bridge.bulk import (
    BulkAnswer,
    Item,
    Operation,
    Outbox,
    Place,
    SubBulk,
    failed_item,
    insert_failures,
    load,
    merge_answers,
    parse_bulk,
    parts,
)
from sidecar.bridge.forward import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.plan import (
    Counts,
    DocumentPlan,
    Space,
    Vectors,
    apply_plan,
    apply_plans,
    plan_document,
    plan_items,
    texts_by_space,
)
from sidecar.bridge.routes import Bulk, Document
from sidecar.bridge.spool import Spool
from sidecar.errors import ClusterUnreachable, EmbedderOverloaded, InvalidInput, SidecarError
from sidecar.jsontext import loads
from sidecar.model import IndexBinding, Role
from sidecar.ports import Embedder, Lane
from sidecar.telemetry import BRIDGE_TEXTS, logger

_log = logger("bridge")

MAX_SUB_BULK_BYTES: Final = 8 * 1024 * 1024  # vectors make a body several times larger than the cluster would take
_OFF_THE_LOOP_BYTES: Final = 256 * 1024  # more than this is parsed and spliced in a thread

# A body that we have read and changed goes on as plain JSON of another length.
_CHANGED_BODY: Final = ("content-length", "content-encoding")
# An answer that we merge must come as plain JSON.
_MERGED_ANSWER: Final = (*_CHANGED_BODY, "accept", "accept-encoding")

P = ParamSpec("P")
T = TypeVar("T")


Bound: TypeAlias = Mapping[str, IndexBinding | None]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A bulk whose texts have been embedded."""

    sub_bulks: Sequence[SubBulk]
    refused: Mapping[int, bytes]  # answers to operations that are not sent, by position in the request
    counts: Counts
    changes: bool


class Writes:
    """Handles `_bulk`, `_doc` and `_create`."""

    def __init__(
        self, upstream: Upstream, bindings: Bindings, embedder: Embedder, bodies: BodyReader, *, embed_timeout_s: float
    ) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._embedder = embedder
        self._bodies = bodies
        self._embed_timeout_s = embed_timeout_s

    async def bulk(self, request: web.BaseRequest, route: Bulk, target: str) -> web.StreamResponse:
        """`_bulk`: every text is embedded before the first byte goes to the cluster."""
        async with self._bodies.read(request) as body:
            text = body.text
            places = await _off_the_loop(text.size, parse_bulk, text.lines(), route.index) if text else None
            if text is None or places is None:
                return await self._as_it_came(request, target, body)
            credentials = wire.credentials(request.headers)
            bound = {name: await self._bindings.of_write(name, credentials) for name in {one.index for one in places}}
            if not any(bound.values()):
                return await self._as_it_came(request, target, body)
            with Spool() as lines:
                prepared = await self._prepare(places, bound, text, lines, self._deadline(target))
                if not prepared.changes:
                    return await self._as_it_came(request, target, body)
                _count(prepared.counts)
                return await self._send_bulk(request, target, prepared, lines)

    async def _prepare(
        self, places: Sequence[Place], bound: Bound, text: Spool, lines: Spool, deadline: float
    ) -> _Prepared:
        """Embed every text of a bulk, some at a time, and write what is to be sent into `lines`.

        Raises EmbedderOverloaded if a binding would rather have the write refused.
        """
        outbox, refused, counts, changes, position = Outbox(lines.write, MAX_SUB_BULK_BYTES), {}, Counts(), False, 0
        for part in parts(places, MAX_SUB_BULK_BYTES):
            size = part[-1].end - part[0].start
            items, plans = await _off_the_loop(size, _planned, part, text, bound)
            vectors = await self._embed(plans, deadline)
            send, refused_here, counted = await _off_the_loop(size, apply_plans, items, plans, vectors)
            await _off_the_loop(size, _put, outbox, send)
            refused.update({position + number: answer for number, answer in refused_here.items()})
            position += len(items)
            counts += counted
            changes = changes or any(plan.changes for plan in plans)
        return _Prepared(outbox.sub_bulks(), refused, counts, changes=changes)

    async def document(self, request: web.BaseRequest, route: Document, target: str) -> web.StreamResponse:
        """`_doc` and `_create`."""
        async with self._bodies.read(request) as body:
            bound = await self._bindings.of_write(route.index, wire.credentials(request.headers))
            document = body.decoded
            plan = plan_document(document or b"", bound)
            if plan.refused is not None:
                raise InvalidInput("document", plan.refused)
            if document is None or not plan.changes:
                return await self._as_it_came(request, target, body)
            vectors = await self._embed((plan,), self._deadline(target))
            source, counts = apply_plan(document, plan, vectors)
            _count(counts)
            headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, source) as response:
                return await relay(request, response, [(wire.INGEST, str(counts))])

    def _deadline(self, target: str) -> float:
        """Until when the texts of a request must be embedded."""
        parameters = wire.parameters(target.partition("?")[2])
        return asyncio.get_running_loop().time() + write_budget_s(parameters, self._embed_timeout_s)

    async def _embed(self, plans: Sequence[DocumentPlan], deadline: float) -> Vectors:
        """All texts of these documents until the deadline; one that is missing then makes its document `pending`.

        Raises EmbedderOverloaded if a binding would rather have the write refused.
        """
        vectors = Vectors()
        for space, texts in texts_by_space(plans).items():
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                answer = await self._embedder.embed(
                    texts,
                    Role.PASSAGE,
                    model=space.model,
                    expect_space=space.fingerprint,
                    lane=Lane.BULK,
                    timeout_s=max(left_s, 0.001),
                )
            except SidecarError as error:
                _log.warning(
                    "texts are indexed without vectors", action="ingest_pending", texts=len(texts), error=str(error)
                )
                _refuse_if_bound_so(plans, space)
            else:
                vectors.add(space, texts, answer)
        return vectors

    async def _send_bulk(
        self, request: web.BaseRequest, target: str, prepared: _Prepared, lines: Spool
    ) -> web.StreamResponse:
        ingest = (wire.INGEST, str(prepared.counts))
        if len(prepared.sub_bulks) == 1 and not prepared.refused:
            headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, lines.read()) as response:
                return await relay(request, response, [ingest])
        path, _, query = target.partition("?")
        # Positions count only in a whole answer; who asks for less by filter_path does not mind more.
        for name in ("format", "pretty", *(["filter_path"] if prepared.refused else [])):
            query = wire.without_parameter(query, name)
        target = f"{path}?{query}"
        headers = wire.to_upstream(raw_headers(request), request.remote, without=_MERGED_ANSWER)
        answers: list[BulkAnswer] = []
        for sub_bulk in prepared.sub_bulks:
            body = lines.read(sub_bulk.start, sub_bulk.end)
            try:
                async with self._upstream.send(request.method, target, headers, body) as response:
                    if not answers and response.status != 200:  # nothing was written: this is the answer to all
                        return await relay(request, response, [ingest])
                    answers.append(_part_answer(sub_bulk.operations, response.status, await read_answer(response)))
            except ClusterUnreachable as error:
                if not answers:
                    raise
                answers.append(_unknown(sub_bulk.operations, error))
        merged = merge_answers(answers) if answers else BulkAnswer(0, None, errors=True, items=b"")
        if prepared.refused:
            merged = insert_failures(merged, prepared.refused)
        return web.Response(
            body=merged.render(), content_type="application/json", charset="UTF-8", headers=dict([ingest])
        )

    async def _as_it_came(self, request: web.BaseRequest, target: str, body: Body) -> web.StreamResponse:
        headers = wire.to_upstream(raw_headers(request), request.remote, without=("content-length",))
        async with self._upstream.send(request.method, target, headers, body.sent.payload()) as response:
            return await relay(request, response)


async def _off_the_loop(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a pure function here if it is quick, in a thread if the body is large: other requests must go on."""
    if size <= _OFF_THE_LOOP_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def _planned(part: Sequence[Place], text: Spool, bound: Bound) -> tuple[tuple[Item, ...], tuple[DocumentPlan, ...]]:
    items = load(part, text.read)
    return items, plan_items(items, bound)


def _put(outbox: Outbox, items: Sequence[Item]) -> None:
    for item in items:
        outbox.add(item)


def _part_answer(part: Sequence[Operation], status: int, body: bytes) -> BulkAnswer:
    """The answer to a later sub-bulk; one that was refused whole becomes an error of each of its items."""
    if status == 200:
        return BulkAnswer.parse(body)
    error_type, reason = _cause(body)
    items = b",".join(failed_item(item, status, error_type, reason) for item in part)
    return BulkAnswer(0, None, errors=True, items=items)


def _unknown(part: Sequence[Operation], error: ClusterUnreachable) -> BulkAnswer:
    """The answer to a sub-bulk whose own answer never came: the client must find out, or try again."""
    status, error_type = error_status(error)
    reason = "the cluster broke off; whether this was written is not known"
    return BulkAnswer(
        0, None, errors=True, items=b",".join(failed_item(item, status, error_type, reason) for item in part)
    )


def _cause(body: bytes) -> tuple[str, str]:
    try:
        answer = loads(body)
    except ValueError:
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        return str(error.get("type")), str(error.get("reason"))
    return "exception", "the cluster refused this part of the bulk request"


def _refuse_if_bound_so(plans: Sequence[DocumentPlan], space: Space) -> None:
    if any(w.space == space and w.binding.write.on_failure == "reject" for plan in plans for w in plan.wanted):
        raise EmbedderOverloaded(retry_after_s=1.0)


def _count(counts: Counts) -> None:
    BRIDGE_TEXTS.labels("embedded").inc(counts.embedded)
    BRIDGE_TEXTS.labels("cached").inc(counts.cached)
    BRIDGE_TEXTS.labels("pending").inc(counts.pending)
