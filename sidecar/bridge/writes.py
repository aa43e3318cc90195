"""The write path, to be read from top to bottom: read, parse, bind, plan, embed, splice, send, merge."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, ParamSpec, TypeVar

from aiohttp import web

from sidecar.bridge import headers as wire
from sidecar.bridge.answers import error_status
from sidecar.bridge.bindings import Bindings
from sidecar.bridge.body import Body, BodyReader
from sidecar.bridge.bulk import (
    BulkAnswer,
    Item,
    failed_item,
    insert_failures,
    merge_answers,
    parse_bulk,
    split_bulk,
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
from sidecar.errors import ClusterUnreachable, EmbedderOverloaded, InvalidInput, SidecarError
from sidecar.jsontext import loads
from sidecar.model import Role
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
            size = len(body.decoded or b"")
            items = await _off_the_loop(size, parse_bulk, body.decoded or b"", route.index)
            if items is None:
                return await self._as_it_came(request, target, body)
            credentials = wire.credentials(request.headers)
            bound = {name: await self._bindings.of_write(name, credentials) for name in {item.index for item in items}}
            plans = await _off_the_loop(size, plan_items, items, bound)
            if not any(plan.changes for plan in plans):
                return await self._as_it_came(request, target, body)
            vectors = await self._embed(plans)
            send, refused, counts = await _off_the_loop(size, apply_plans, items, plans, vectors)
            _count(counts)
            return await self._send_bulk(request, target, send, refused, counts)

    async def document(self, request: web.BaseRequest, route: Document, target: str) -> web.StreamResponse:
        """`_doc` and `_create`."""
        async with self._bodies.read(request) as body:
            bound = await self._bindings.of_write(route.index, wire.credentials(request.headers))
            plan = plan_document(body.decoded or b"", bound)
            if plan.refused is not None:
                raise InvalidInput("document", plan.refused)
            if body.decoded is None or not plan.changes:
                return await self._as_it_came(request, target, body)
            vectors = await self._embed((plan,))
            source, counts = apply_plan(body.decoded, plan, vectors)
            _count(counts)
            headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, source) as response:
                return await relay(request, response, [(wire.INGEST, str(counts))])

    async def _embed(self, plans: Sequence[DocumentPlan]) -> Vectors:
        """All texts of a request, within its budget; a text that is missing afterwards makes its document `pending`.

        Raises EmbedderOverloaded if a binding would rather have the write refused.
        """
        vectors = Vectors()
        deadline = asyncio.get_running_loop().time() + self._embed_timeout_s
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
        self,
        request: web.BaseRequest,
        target: str,
        items: Sequence[Item],
        refused: Mapping[int, bytes],
        counts: Counts,
    ) -> web.StreamResponse:
        ingest = (wire.INGEST, str(counts))
        parts = list(split_bulk(items, MAX_SUB_BULK_BYTES))
        if len(parts) == 1 and not refused:
            headers = wire.to_upstream(raw_headers(request), request.remote, without=_CHANGED_BODY)
            async with self._upstream.send(request.method, target, headers, _render(parts[0])) as response:
                return await relay(request, response, [ingest])
        path, _, query = target.partition("?")
        # Positions count only in a whole answer; who asks for less by filter_path does not mind more.
        for name in ("format", "pretty", *(["filter_path"] if refused else [])):
            query = wire.without_parameter(query, name)
        target = f"{path}?{query}"
        headers = wire.to_upstream(raw_headers(request), request.remote, without=_MERGED_ANSWER)
        answers: list[BulkAnswer] = []
        for part in parts:
            try:
                async with self._upstream.send(request.method, target, headers, _render(part)) as response:
                    if not answers and response.status != 200:  # nothing was written: this is the answer to all
                        return await relay(request, response, [ingest])
                    answers.append(_part_answer(part, response.status, await read_answer(response)))
            except ClusterUnreachable as error:
                if not answers:
                    raise
                answers.append(_unknown(part, error))
        merged = merge_answers(answers) if answers else BulkAnswer(0, None, errors=True, items=b"")
        if refused:
            merged = insert_failures(merged, refused)
        return web.Response(
            body=merged.render(), content_type="application/json", charset="UTF-8", headers={wire.INGEST: str(counts)}
        )

    async def _as_it_came(self, request: web.BaseRequest, target: str, body: Body) -> web.StreamResponse:
        headers = wire.to_upstream(raw_headers(request), request.remote, without=("content-length",))
        async with self._upstream.send(request.method, target, headers, body.sent) as response:
            return await relay(request, response)


async def _off_the_loop(size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a pure function here if it is quick, in a thread if the body is large: other requests must go on."""
    if size <= _OFF_THE_LOOP_BYTES:
        return function(*args, **kwargs)
    return await asyncio.to_thread(function, *args, **kwargs)


def _render(items: Sequence[Item]) -> bytes:
    return b"".join(item.render() for item in items)


def _part_answer(part: Sequence[Item], status: int, body: bytes) -> BulkAnswer:
    """The answer to a later sub-bulk; one that was refused whole becomes an error of each of its items."""
    if status == 200:
        return BulkAnswer.parse(body)
    error_type, reason = _cause(body)
    items = b",".join(failed_item(item, status, error_type, reason) for item in part)
    return BulkAnswer(0, None, errors=True, items=items)


def _unknown(part: Sequence[Item], error: ClusterUnreachable) -> BulkAnswer:
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
