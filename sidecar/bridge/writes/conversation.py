"""What the bridge says to the cluster to get one bulk request done, and what it makes of the answers."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from sidecar.bridge.proxy import headers as wire
from sidecar.bridge.proxy import presentation
from sidecar.bridge.proxy.errors import error_status
from sidecar.bridge.proxy.spool import Spool, SpoolFull
from sidecar.bridge.proxy.upstream import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.searches.asking import shows_source
from sidecar.bridge.writes.bulk_answer import (
    BulkAnswer,
    answer_of_items,
    answer_of_part,
    answered,
    failed,
    insert_failures,
    item_outcome,
    merge_answers,
)
from sidecar.bridge.writes.bulk_body import Place
from sidecar.bridge.writes.bulk_plan import Kind, Step, Targets, apply_plans, waves
from sidecar.bridge.writes.bulk_preparation import Prepared, Preparing
from sidecar.bridge.writes.document_plan import Counts
from sidecar.bridge.writes.passages import Passages, report
from sidecar.bridge.writes.scripted_updates import Scripts, unanswered
from sidecar.bridge.writes.stored_documents import Read, read_stored
from sidecar.bridge.writes.update_plan import OUR_RETRIES, Key, Stored, fields_to_read, is_lost_race
from sidecar.errors import ClusterUnreachable, EmbedderOverloaded, InvalidInput
from sidecar.threads import WEIGHT_OF_ANSWER, off_the_loop

_Operations: TypeAlias = Sequence[tuple[Place, Step]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of sending operations once; all by position among them."""

    answer: BulkAnswer
    guarded: frozenset[int] = frozenset()
    counts: Mapping[int, Counts] = field(default_factory=dict)


class _NothingWritten(Exception):
    """The first request of all was refused whole: that is the answer."""

    def __init__(self, answer: web.StreamResponse) -> None:
        self.answer = answer


class Conversation:
    """One bulk request on its way to the cluster."""

    def __init__(
        self,
        upstream: Upstream,
        passages: Passages,
        request: web.BaseRequest,
        target: str,
        *,
        targets: Targets,
        text: Spool,
    ) -> None:
        self._upstream = upstream
        self._request = request
        self._target = target
        self._scripts = Scripts(upstream, request, target)
        self._targets = targets
        self._path, _, self._query = target.partition("?")
        self._parameters = wire.parameters(self._query)
        self._preparing = Preparing(
            passages, targets=targets, text=text, parameters=self._parameters, shows_source=shows_source(request)
        )
        self._counts = Counts()
        self._answers: list[BulkAnswer] = []

    async def at_once(self, places: Sequence[Place]) -> web.StreamResponse | None:
        """Send a bulk in which nothing depends on what is stored; None if it may go as it came."""
        with Spool() as lines:
            prepared = await self._preparing.prepare(places, {}, lines)
            if not prepared.changes:
                return None
            self._count(prepared.counts.values())
            if len(prepared.sub_bulks) == 1 and not prepared.refused:
                headers = wire.to_upstream(raw_headers(self._request), self._request.remote, without=wire.CHANGED_BODY)
                async with self._upstream.send(self._request.method, self._target, headers, lines.read()) as response:
                    return await relay(self._request, response, self._ingest())
            try:
                self._refuse_binary()
                self._answers.append(await self._send(prepared, lines))
            except _NothingWritten as refused:
                return refused.answer
        return await self._merged()

    async def in_waves(self, places: Sequence[Place], steps: Sequence[Step]) -> web.StreamResponse:
        """Send a bulk with updates that depend on what is stored."""
        self._refuse_binary()
        operations = list(zip(places, steps, strict=True))
        try:
            for wave in waves(steps):
                here = operations[wave.start : wave.stop]
                if here[0][1].kind is Kind.SCRIPTED:
                    await self._run_scripts(here)
                else:
                    await self._write(here)
        except _NothingWritten as refused:
            return refused.answer
        return await self._merged()

    async def _write(self, operations: _Operations) -> None:
        """Send one wave; an update that lost a race is read, planned and sent again."""
        items: dict[int, bytes] = {}
        counts: dict[int, Counts] = {}
        left, attempts = list(range(len(operations))), list[BulkAnswer]()
        while left:
            done = await self._attempt([operations[n] for n in left], len(attempts))
            attempts.append(done.answer)
            found = await off_the_loop(_weight(done.answer), answered, done.answer)
            items |= zip(left, found, strict=True)
            counts |= {n: done.counts.get(position, Counts()) for position, n in enumerate(left)}
            left = [
                n
                for position, n in enumerate(left)
                if position in done.guarded and is_lost_race(item_outcome(found[position])[0])
            ]
        self._count(counts.values())
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
                prepared = await self._preparing.prepare(places, stored, lines)
            except (EmbedderOverloaded, SpoolFull) as error:
                if is_first:
                    raise
                return _Attempt(failed(places, *error_status(error), str(error)))
            answer = await self._send(prepared, lines, is_first=is_first)
            return _Attempt(answer, prepared.guarded, prepared.counts)

    async def _read(self, operations: _Operations) -> dict[Key, Stored]:
        reads = []
        for place, step in operations:
            target = self._targets[place.index]
            if target.binding is not None and place.id is not None:
                reads.append(Read(target.index, place.id, step.routing, fields_to_read(target.binding)))
        return await read_stored(self._upstream, reads, wire.credentials(self._request.headers))

    async def _send(self, prepared: Prepared, lines: Spool, *, is_first: bool = True) -> BulkAnswer:
        """Send sub-bulks one after the other; `is_first`: nothing of the request has been written yet."""
        target = wire.join_target(self._path, wire.without_parameter(self._query, *presentation.PARAMETERS))
        headers = wire.to_upstream(raw_headers(self._request), self._request.remote, without=wire.READ_ANSWER)
        answers: list[BulkAnswer] = []
        for sub_bulk in prepared.sub_bulks:
            body = lines.read(sub_bulk.start, sub_bulk.end)
            try:
                async with self._upstream.send(self._request.method, target, headers, body) as response:
                    if is_first and not answers and response.status != 200:
                        raise _NothingWritten(await relay(self._request, response))
                    answer = await read_answer(response)
                    weight = WEIGHT_OF_ANSWER * len(answer)
                    answers.append(
                        await off_the_loop(weight, answer_of_part, sub_bulk.operations, response.status, answer)
                    )
            except ClusterUnreachable as error:
                if is_first and not answers:
                    raise
                answers.append(unanswered(sub_bulk.operations, error))
        merged = merge_answers(answers) if answers else BulkAnswer(0, None, errors=True, items=b"")
        if not prepared.refused:
            return merged
        return await off_the_loop(_weight(merged), insert_failures, merged, prepared.refused)

    async def _run_scripts(self, operations: _Operations) -> None:
        """Send a wave of scripted updates, each as a request of its own."""
        started = asyncio.get_running_loop().time()
        places = [place for place, _ in operations]
        stored = await self._read([pair for pair in operations if pair[1].reads])
        items, plans, _ = self._preparing.plan(places, stored)
        try:
            vectors = await self._preparing.embed(plans)
        except EmbedderOverloaded as error:
            if not self._answers:
                raise
            self._answers.append(failed(places, *error_status(error), str(error)))
            return
        send, refused, counts = apply_plans(items, plans, vectors)
        self._count(counts.values())
        found = iter(await self._scripts.send(send))
        answers = [refused[n] if n in refused else next(found) for n in range(len(items))]
        took = round(1000 * (asyncio.get_running_loop().time() - started))
        self._answers.append(answer_of_items(answers, took, None))

    def _refuse_binary(self) -> None:
        """Refuse what the client could not read, before anything is written. Raises InvalidInput."""
        if presentation.is_binary(self._parameters, self._request.headers.get("Accept", "")):
            raise InvalidInput("format", "this bulk request takes an answer that the bridge composes, which is JSON")

    def _count(self, counts: Iterable[Counts]) -> None:
        done = sum(counts, start=Counts())
        self._counts += done
        report(done)

    def _ingest(self) -> list[tuple[str, str]]:
        return [(wire.INGEST, str(self._counts))]

    async def _merged(self) -> web.Response:
        merged = merge_answers(self._answers)
        body = await off_the_loop(_weight(merged), presentation.present, merged.render(), self._parameters)
        return web.Response(body=body, content_type="application/json", charset="UTF-8", headers=dict(self._ingest()))


def _weight(answer: BulkAnswer) -> int:
    return WEIGHT_OF_ANSWER * len(answer.items)
