"""Handles `_bulk`. Read this module from top to bottom.

The handler reads and parses the body, looks up the bindings, and cuts the bulk into waves. It plans, embeds, splices
and sends each wave. Most bulks are one wave.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from sidecar.bridge.bindings.lookup import Bindings
from sidecar.bridge.proxy import presentation
from sidecar.bridge.proxy.body import Body, BodyReader
from sidecar.bridge.proxy.errors import error_status, json_answer
from sidecar.bridge.proxy.headers import CHANGED_BODY, INGEST, READ_ANSWER, to_client
from sidecar.bridge.proxy.identity import Credentials
from sidecar.bridge.proxy.incoming import IncomingRequest
from sidecar.bridge.proxy.nesting import IN_DOCUMENT, IN_UPDATE, NestedTooDeeply, is_too_deep
from sidecar.bridge.proxy.query_string import join_target, without_parameters
from sidecar.bridge.proxy.spool import Spool, SpoolFull
from sidecar.bridge.proxy.upstream import Upstream, answer_whole, read_answer, relay
from sidecar.bridge.rights import Rights
from sidecar.bridge.routes import Bulk
from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_answer import (
    BulkAnswer,
    answer_of_items,
    answer_of_part,
    failed,
    insert_failures,
    item_outcome,
    merge_answers,
    refused_item,
)
from sidecar.bridge.writes.bulk_body import Place, load, may_update, parse_bulk, parts
from sidecar.bridge.writes.bulk_check import BulkCheck
from sidecar.bridge.writes.bulk_plan import Refusals, Step, StepKind, Targets, plan_step, refusal_of, waves
from sidecar.bridge.writes.bulk_preparation import MAX_SUB_BULK_BYTES, BulkPreparation, Prepared
from sidecar.bridge.writes.document_plan import Counts
from sidecar.bridge.writes.ingest_pipelines import ItemEffects, effects_on_items, pipelines_of_items
from sidecar.bridge.writes.passages import Passages, report
from sidecar.bridge.writes.scripted_updates import ScriptedUpdates, unanswered
from sidecar.bridge.writes.smile_bulk import updated_indices
from sidecar.bridge.writes.stored_documents import DocumentRead, read_stored
from sidecar.bridge.writes.update_plan import OUR_RETRIES, DocumentKey, Stored, fields_to_read, is_lost_race
from sidecar.errors import ClusterUnreachable, InvalidInput
from sidecar.threads import WEIGHT_OF_ANSWER, WEIGHT_OF_DOCUMENT, off_the_loop

_Operations: TypeAlias = Sequence[tuple[Place, Step]]


class Bulks:
    """Handles `_bulk`."""

    def __init__(
        self, upstream: Upstream, bindings: Bindings, rights: Rights, passages: Passages, bodies: BodyReader
    ) -> None:
        self._upstream = upstream
        self._bindings = bindings
        self._rights = rights
        self._passages = passages
        self._bodies = bodies

    async def handle(self, request: IncomingRequest, route: Bulk) -> web.StreamResponse:
        """Answer a bulk request.

        All texts are embedded before the first byte goes to the cluster. Only an update that depends on an earlier
        operation of the same bulk waits for that operation. Raises InvalidInput if the client could not read the
        answer, and NestedTooDeeply.
        """
        async with self._bodies.read(request) as body:
            text = body.text
            if text is None or not text.size:
                return await self._upstream.forward_read(request, body)
            if presentation.body_format(request.header("Content-Type")) != presentation.JSON:
                return await self._other_format(request, route, body, text)
            places = await off_the_loop(4 * text.size, parse_bulk, text.lines(), route.index)
            if places is None:
                return await self._not_understood(request, body, text)
            is_deep = {place.action for place in places if place.is_too_deep}
            if Action.UPDATE in is_deep:
                raise NestedTooDeeply(IN_UPDATE)
            names = {place.index for place in places}
            targets = {name: await self._bindings.of_write(name, request.credentials) for name in names}
            if not is_deep and not any(target.binding for target in targets.values()):
                return await self._upstream.forward_read(request, body)
            weight = text.size + WEIGHT_OF_DOCUMENT * len(places)
            steps = await off_the_loop(weight, _steps, places, text, targets, request.parameters.get("routing"))
            check = BulkCheck(self._upstream, request, body, text, places[-1].end)
            refusals = await self._refusals(places, targets, request.credentials)
            effects = await effects_on_items(
                targets,
                request.parameters.get("pipeline"),
                await off_the_loop(weight, pipelines_of_items, places, text),
                bindings=self._bindings,
                credentials=request.credentials,
            )
            conversation = _Conversation(
                self._upstream,
                self._passages,
                request,
                check=check,
                targets=targets,
                refusals=refusals,
                text=text,
                effects=effects,
            )
            if any(step.kind is not StepKind.PLAIN for step in steps):
                return await conversation.in_waves(places, steps)
            answer = await conversation.at_once(places)
            return answer or await self._upstream.forward_read(request, body, added=conversation.doubt)

    async def _refusals(self, places: Sequence[Place], targets: Targets, credentials: Credentials) -> Refusals:
        """Ask for the rights to write that the operations on bound indices need."""
        asked = {(place.index, place.action is Action.UPDATE) for place in places if place.action is not Action.DELETE}
        found = {
            (name, is_update): await self._rights.refusal(targets[name], credentials, is_update=is_update, in_bulk=True)
            for name, is_update in asked
            if targets[name].binding is not None
        }
        return {key: reply for key, reply in found.items() if reply is not None}

    async def _other_format(self, request: IncomingRequest, route: Bulk, body: Body, text: Spool) -> web.StreamResponse:
        """Answer a bulk in Smile, or in a format that the cluster refuses. The guard marks its documents.

        Raises InvalidInput for an update of a bound index: the guard would not see it.
        """
        for name in await off_the_loop(text.size, updated_indices, text.read(), route.index):
            if name is None or (await self._bindings.of_write(name, request.credentials)).binding is not None:
                raise InvalidInput(
                    "bulk request", "holds an update of a bound index, which the bridge reads in JSON only"
                )
        return await self._upstream.forward_read(request, body)

    async def _not_understood(self, request: IncomingRequest, body: Body, text: Spool) -> web.StreamResponse:
        """Answer a bulk that we cannot read. The cluster refuses it, or the guard marks its documents.

        An update would keep its old vector, so no bulk with one is sent unless the cluster refuses it. Raises
        InvalidInput, and NestedTooDeeply.
        """
        if await off_the_loop(4 * text.size, _has_deep_line, text):
            raise NestedTooDeeply(IN_DOCUMENT)
        if text.read(text.size - 1) != b"\n" or not await off_the_loop(4 * text.size, may_update, text.lines()):
            return await self._upstream.forward_read(request, body)
        refused = await BulkCheck(self._upstream, request, body, text).refusal()
        if refused is None:
            raise InvalidInput(
                "bulk request", "the bridge cannot read an action line of it, so it sends no update of it"
            )
        return refused


def _has_deep_line(text: Spool) -> bool:
    return any(map(is_too_deep, text.lines()))


def _steps(places: Sequence[Place], text: Spool, targets: Targets, routing: str | None) -> list[Step]:
    """Decide how to send each operation."""
    steps: list[Step] = []
    for part in parts(places, MAX_SUB_BULK_BYTES):
        if any(place.action is Action.UPDATE and targets[place.index].binding for place in part):
            steps += (plan_step(item, targets[item.index], routing) for item in load(part, text.read))
        else:
            steps += (Step(StepKind.PLAIN, (targets[place.index].index, place.id)) for place in part)
    return steps


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The result of sending some operations once. All positions are those among these operations."""

    answer: BulkAnswer
    guarded: frozenset[int] = frozenset()
    counts: Mapping[int, Counts] = field(default_factory=dict)


class _NothingWritten(Exception):
    """The cluster refused the very first request whole. Its refusal is the answer."""

    def __init__(self, answer: web.StreamResponse) -> None:
        self.answer = answer


class _Conversation:
    """All requests to the cluster that carry out one bulk request, and their answers."""

    def __init__(
        self,
        upstream: Upstream,
        passages: Passages,
        request: IncomingRequest,
        *,
        check: BulkCheck,
        targets: Targets,
        refusals: Refusals,
        text: Spool,
        effects: ItemEffects,
    ) -> None:
        self._upstream = upstream
        self._request = request
        self._check = check
        self._targets = targets
        self._refusals = refusals
        self._preparation = BulkPreparation(
            passages,
            targets=targets,
            refusals=refusals,
            text=text,
            parameters=request.parameters,
            shows_source=request.shows_source,
            effect=effects.of,
        )
        self._counts = Counts()
        self._answers: list[BulkAnswer] = []

    async def at_once(self, places: Sequence[Place]) -> web.StreamResponse | None:
        """Send a bulk in which nothing depends on stored documents. Gives None if nothing in it has to change."""
        with Spool() as lines:
            prepared = await self._preparation.prepare(places, {}, lines)
            if not prepared.changes:
                self._counts = sum(prepared.counts.values(), start=Counts())
                return None
            is_cut = len(prepared.sub_bulks) != 1 or bool(prepared.refused)
            if is_cut:
                self._refuse_binary()
            if is_cut or prepared.changes_updates:
                refused = await self._check.refusal()
                if refused is not None:
                    return refused
            if not is_cut:
                return await self._send_whole(prepared, lines)
            try:
                answer = await self._send(prepared, lines)
            except _NothingWritten as nothing:
                return nothing.answer
            self._count(prepared.counts, answer.items)
            self._answers.append(answer)
        return await self._merged()

    async def _send_whole(self, prepared: Prepared, lines: Spool) -> web.StreamResponse:
        """Send a bulk in one piece, and pass the answer on unchanged. It is read, because it says what was written."""
        headers = self._request.for_upstream(*CHANGED_BODY, "accept-encoding")
        async with self._upstream.send(self._request.method, self._request.target, headers, lines.read()) as response:
            if response.status != 200:
                return await relay(self._request, response, self._ingest())
            body, given = await read_answer(response), to_client(list(response.headers.items()))
        added = [(name, value) for name, value in given if name.lower() != "content-length"]
        try:
            answer = await off_the_loop(WEIGHT_OF_ANSWER * len(body), BulkAnswer.parse, body)
        except ValueError:  # the client wants a part of the answer, or another format. We cannot tell what was written
            report(sum(prepared.counts.values(), start=Counts()))
        else:
            self._count(prepared.counts, answer.items)
            added += self._ingest()
        return await answer_whole(self._request, response.status, added, body)

    async def in_waves(self, places: Sequence[Place], steps: Sequence[Step]) -> web.StreamResponse:
        """Send a bulk with updates that depend on stored documents."""
        self._refuse_binary()
        refused = await self._check.refusal()
        if refused is not None:
            return refused
        whole = next((reply for reply in self._refusals.values() if not reply.ok), None)
        if whole is not None:  # the cluster would refuse the whole request. So no part of it may be sent
            return json_answer(whole.body, status=whole.status, parameters=self._request.parameters)
        operations = list(zip(places, steps, strict=True))
        try:
            for wave in waves(steps):
                here = operations[wave.start : wave.stop]
                if here[0][1].kind is StepKind.SCRIPTED:
                    await self._run_scripts(here)
                else:
                    await self._write(here)
        except _NothingWritten as nothing:
            return nothing.answer
        return await self._merged()

    async def _write(self, operations: _Operations) -> None:
        """Send one wave. An update whose document has changed meanwhile is read, planned and sent again."""
        items: dict[int, bytes] = {}
        counts: dict[int, Counts] = {}
        left, attempts = list(range(len(operations))), list[BulkAnswer]()
        while left:
            done = await self._attempt([operations[n] for n in left], len(attempts))
            attempts.append(done.answer)
            found = done.answer.items
            items |= zip(left, found, strict=True)
            counts |= {n: done.counts.get(position, Counts()) for position, n in enumerate(left)}
            left = [
                n
                for position, n in enumerate(left)
                if position in done.guarded and is_lost_race(item_outcome(found[position])[0])
            ]
        self._count(counts, items)
        merged = merge_answers(attempts)
        whole = [items[n] for n in range(len(operations))]
        self._answers.append(answer_of_items(whole, merged.took, merged.ingest_took))

    async def _attempt(self, operations: _Operations, attempt: int) -> _Attempt:
        places = [place for place, _ in operations]
        is_first = not self._answers and not attempt
        tries_on = [pair for pair in operations if pair[1].reads and attempt < pair[1].retries + OUR_RETRIES]
        stored = await self._read(tries_on)
        with Spool() as lines:
            try:
                prepared = await self._preparation.prepare(places, stored, lines)
            except SpoolFull as error:
                if is_first:
                    raise
                return _Attempt(failed(places, *error_status(error), str(error)))
            answer = await self._send(prepared, lines, is_first=is_first)
            return _Attempt(answer, prepared.guarded, prepared.counts)

    async def _read(self, operations: _Operations) -> dict[DocumentKey, Stored]:
        reads = []
        for place, step in operations:
            target = self._targets[place.index]
            if target.binding is not None and place.id is not None:
                reads.append(DocumentRead(target.index, place.id, step.routing, fields_to_read(target.binding)))
        return await read_stored(self._upstream, reads, self._request.credentials)

    async def _send(self, prepared: Prepared, lines: Spool, *, is_first: bool = True) -> BulkAnswer:
        """Send sub-bulks one after the other. `is_first` says that nothing of the request has been written yet."""
        query = without_parameters(self._request.query, *presentation.PARAMETERS)
        target, headers = join_target(self._request.path, query), self._request.for_upstream(*READ_ANSWER)
        answers: list[BulkAnswer] = []
        for sub_bulk in prepared.sub_bulks:
            body = lines.read(sub_bulk.start, sub_bulk.end)
            try:
                async with self._upstream.send(self._request.method, target, headers, body) as response:
                    if is_first and not answers and response.status != 200:
                        raise _NothingWritten(await relay(self._request, response))
                    answer = await read_answer(response)
                    answers.append(answer_of_part(sub_bulk.operations, response.status, answer))
            except ClusterUnreachable as error:
                if is_first and not answers:
                    raise
                answers.append(unanswered(sub_bulk.operations, error))
        merged = merge_answers(answers)
        return insert_failures(merged, prepared.refused) if prepared.refused else merged

    async def _run_scripts(self, operations: _Operations) -> None:
        """Send a wave of scripted updates, each as a request of its own."""
        started = asyncio.get_running_loop().time()
        places = [place for place, _ in operations]
        stored = await self._read([pair for pair in operations if pair[1].reads])
        items, plans, _ = self._preparation.plan(places, stored)
        vectors = await self._preparation.embed(items, plans)
        send, refused, counts = self._preparation.apply(items, plans, vectors)
        # A single update may need other rights than one in a bulk, so the cluster would not refuse it.
        denied = {n: reply for n, item in enumerate(items) if (reply := refusal_of(item, self._refusals)) is not None}
        refused |= {n: refused_item(items[n], reply.body) for n, reply in denied.items()}
        is_first = not self._answers
        allowed = [item for item in send if refusal_of(item, self._refusals) is None]
        found = iter(await ScriptedUpdates(self._upstream, self._request).send(allowed, is_first=is_first))
        answers = [refused[n] if n in refused else next(found) for n in range(len(items))]
        self._count(counts, answers)
        took = round(1000 * (asyncio.get_running_loop().time() - started))
        self._answers.append(answer_of_items(answers, took, None))

    def _refuse_binary(self) -> None:
        """Refuse a request before anything is written, if the client could not read its answer. Raises InvalidInput."""
        if presentation.is_binary(self._request.parameters, self._request.header("Accept")):
            raise InvalidInput("format", "the bridge composes the answer to this bulk request, and can only write JSON")

    def _count(self, counts: Mapping[int, Counts], items: Sequence[bytes] | Mapping[int, bytes]) -> None:
        """Count the operations that were carried out, as the items of their answers say."""
        done = sum((count for n, count in counts.items() if not item_outcome(items[n])[1]), start=Counts())
        self._counts += done
        report(done)

    @property
    def doubt(self) -> list[tuple[str, str]]:
        """The header for a bulk that does not change, if a pipeline may have made texts."""
        return [] if self._counts.is_certain else self._ingest()

    def _ingest(self) -> list[tuple[str, str]]:
        return [(INGEST, str(self._counts))]

    async def _merged(self) -> web.Response:
        body = merge_answers(self._answers).render()
        weight = WEIGHT_OF_ANSWER * len(body)
        body = await off_the_loop(weight, presentation.present, body, self._request.parameters)
        return web.Response(body=body, content_type="application/json", charset="UTF-8", headers=dict(self._ingest()))
