"""What the bridge says to the cluster to get one bulk request done, and what it makes of the answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from sidecar.bridge import headers as wire
from sidecar.bridge.answers import error_status
from sidecar.bridge.forward import Upstream, raw_headers, read_answer, relay
from sidecar.bridge.spool import Spool
from sidecar.bridge.writes.bulk import Item, Operation, Outbox, Place, SubBulk, load, parts
from sidecar.bridge.writes.bulk_answers import (
    BulkAnswer,
    answer_of_part,
    answered,
    failed,
    insert_failures,
    item_outcome,
    merge_answers,
)
from sidecar.bridge.writes.bulk_plan import Kind, Step, Targets, apply_plans, plan_items, waves
from sidecar.bridge.writes.passages import WEIGHT_OF_ANSWER, WEIGHT_OF_DOCUMENT, Passages, off_the_loop, report
from sidecar.bridge.writes.plan import Counts, DocumentPlan
from sidecar.bridge.writes.single import as_bulk_item, single_update
from sidecar.bridge.writes.stored import Read, read_stored
from sidecar.bridge.writes.updates import OUR_RETRIES, Key, Stored, UpdatePlan, fields_to_read, is_lost_race
from sidecar.errors import ClusterUnreachable, EmbedderOverloaded

MAX_SUB_BULK_BYTES: Final = 8 * 1024 * 1024  # vectors make a body several times larger than the cluster would take
_SCRIPTS_AT_A_TIME: Final = 32

_Operations: TypeAlias = Sequence[tuple[Place, Step]]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Operations whose texts have been embedded."""

    sub_bulks: Sequence[SubBulk]
    refused: Mapping[int, bytes]  # answers to operations that are not sent, by position
    guarded: frozenset[int]  # positions of updates that happen only to the document that was read
    counts: Counts
    changes: bool


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
        self._passages = passages
        self._request = request
        self._target = target
        self._targets = targets
        self._text = text
        self._deadline = passages.deadline(wire.parameters(target.partition("?")[2]))
        self._counts = Counts()
        self._answers: list[BulkAnswer] = []

    async def at_once(self, places: Sequence[Place]) -> web.StreamResponse | None:
        """Send a bulk in which nothing depends on what is stored; None if it may go as it came."""
        with Spool() as lines:
            prepared = await self._prepare(places, {}, lines)
            if not prepared.changes:
                return None
            self._count(prepared.counts)
            if len(prepared.sub_bulks) == 1 and not prepared.refused:
                headers = wire.to_upstream(raw_headers(self._request), self._request.remote, without=wire.CHANGED_BODY)
                async with self._upstream.send(self._request.method, self._target, headers, lines.read()) as response:
                    return await relay(self._request, response, self._ingest())
            try:
                self._answers.append(await self._send(prepared, lines))
            except _NothingWritten as refused:
                return refused.answer
        return self._merged()

    async def in_waves(self, places: Sequence[Place], steps: Sequence[Step]) -> web.StreamResponse:
        """Send a bulk with updates that depend on what is stored."""
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
        return self._merged()

    async def _write(self, operations: _Operations) -> None:
        """Send one wave; an update that lost a race is read, planned and sent again."""
        items: dict[int, bytes] = {}
        left, attempt, took = list(range(len(operations))), 0, []
        while left:
            answer, guarded = await self._attempt([operations[n] for n in left], attempt)
            took.append(answer)
            found = await off_the_loop(_weight(answer), answered, answer)
            items |= zip(left, found, strict=True)
            left = [
                n
                for position, n in enumerate(left)
                if position in guarded and is_lost_race(item_outcome(found[position])[0])
            ]
            attempt += 1
        whole = [items[n] for n in range(len(operations))]
        merged = merge_answers(took)
        errors = any(item_outcome(item)[1] for item in whole)
        self._answers.append(BulkAnswer(merged.took, merged.ingest_took, errors, b",".join(whole)))

    async def _attempt(self, operations: _Operations, attempt: int) -> tuple[BulkAnswer, frozenset[int]]:
        places = [place for place, _ in operations]
        is_first = not self._answers and not attempt
        tries_on = [pair for pair in operations if pair[1].reads and attempt < pair[1].retries + OUR_RETRIES]
        stored = await self._read(tries_on)
        with Spool() as lines:
            try:
                prepared = await self._prepare(places, stored, lines)
            except EmbedderOverloaded as error:
                if is_first:
                    raise
                return failed(places, *error_status(error), str(error)), frozenset()
            self._count(prepared.counts)
            return await self._send(prepared, lines, is_first=is_first, needs_all=True), prepared.guarded

    async def _read(self, operations: _Operations) -> dict[Key, Stored]:
        reads = []
        for place, step in operations:
            target = self._targets[place.index]
            if target.binding is not None and place.id is not None:
                reads.append(Read(target.index, place.id, step.routing, fields_to_read(target.binding)))
        return await read_stored(self._upstream, reads, wire.credentials(self._request.headers))

    async def _prepare(self, places: Sequence[Place], stored: Mapping[Key, Stored], lines: Spool) -> _Prepared:
        """Embed every text of these operations, some at a time, and write what is to be sent into `lines`.

        Raises EmbedderOverloaded if a binding would rather have the write refused.
        """
        outbox, refused, counts, changes, position = Outbox(lines.write, MAX_SUB_BULK_BYTES), {}, Counts(), False, 0
        guarded: set[int] = set()
        for part in parts(places, MAX_SUB_BULK_BYTES):
            size = part[-1].end - part[0].start + WEIGHT_OF_DOCUMENT * len(part)
            items, plans = await off_the_loop(size, _planned, part, self._text, self._targets, stored)
            vectors = await self._passages.embed(plans, self._deadline)
            send, refused_here, counted = await off_the_loop(size, apply_plans, items, plans, vectors)
            await off_the_loop(size, _put, outbox, send)
            refused.update({position + number: answer for number, answer in refused_here.items()})
            guarded.update(position + n for n, plan in enumerate(plans) if isinstance(plan, UpdatePlan) and plan.guard)
            position += len(items)
            counts += counted
            changes = changes or any(plan.changes for plan in plans)
        return _Prepared(outbox.sub_bulks(), refused, frozenset(guarded), counts, changes=changes)

    async def _send(
        self, prepared: _Prepared, lines: Spool, *, is_first: bool = True, needs_all: bool = False
    ) -> BulkAnswer:
        """Send sub-bulks one after the other.

        `is_first`: nothing of the request has been written yet; `needs_all`: the answer to each operation is needed.
        """
        path, _, query = self._target.partition("?")
        # Positions count only in a whole answer; who asks for less by filter_path does not mind more.
        for name in ("format", "pretty", *(["filter_path"] if prepared.refused or needs_all else [])):
            query = wire.without_parameter(query, name)
        headers = wire.to_upstream(raw_headers(self._request), self._request.remote, without=wire.READ_ANSWER)
        answers: list[BulkAnswer] = []
        for sub_bulk in prepared.sub_bulks:
            body = lines.read(sub_bulk.start, sub_bulk.end)
            try:
                async with self._upstream.send(self._request.method, f"{path}?{query}", headers, body) as response:
                    if is_first and not answers and response.status != 200:
                        raise _NothingWritten(await relay(self._request, response, self._ingest()))
                    answer = await read_answer(response)
                    weight = WEIGHT_OF_ANSWER * len(answer)
                    answers.append(
                        await off_the_loop(weight, answer_of_part, sub_bulk.operations, response.status, answer)
                    )
            except ClusterUnreachable as error:
                if is_first and not answers:
                    raise
                answers.append(_unknown(sub_bulk.operations, error))
        merged = merge_answers(answers) if answers else BulkAnswer(0, None, errors=True, items=b"")
        if not prepared.refused:
            return merged
        return await off_the_loop(_weight(merged), insert_failures, merged, prepared.refused)

    async def _run_scripts(self, operations: _Operations) -> None:
        """Send a wave of scripted updates, each as a request of its own."""
        started = asyncio.get_running_loop().time()
        places = [place for place, _ in operations]
        items = [item for part in parts(places, MAX_SUB_BULK_BYTES) for item in load(part, self._text.read)]
        stored = await self._read([pair for pair in operations if pair[1].reads])
        plans = plan_items(items, self._targets, stored)
        try:
            vectors = await self._passages.embed(plans, self._deadline)
        except EmbedderOverloaded as error:
            if not self._answers:
                raise
            self._answers.append(failed(places, *error_status(error), str(error)))
            return
        send, refused, counts = apply_plans(items, plans, vectors)
        self._count(counts)
        place_free = asyncio.Semaphore(_SCRIPTS_AT_A_TIME)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._run_script(item, place_free), name="scripted update") for item in send]
        took = round(1000 * (asyncio.get_running_loop().time() - started))
        done = insert_failures(BulkAnswer(took, None, None, b",".join(task.result() for task in tasks)), refused)
        errors = any(item_outcome(item)[1] for item in answered(done))
        self._answers.append(BulkAnswer(took, None, errors, done.items))

    async def _run_script(self, item: Item, place_free: asyncio.Semaphore) -> bytes:
        target, body = single_update(item, wire.parameters(self._target.partition("?")[2]))
        without = (*wire.READ_ANSWER, "content-type")
        headers = wire.to_upstream(raw_headers(self._request), self._request.remote, without=without)
        async with place_free:
            try:
                async with self._upstream.send(
                    "POST", target, [*headers, ("Content-Type", "application/json")], body
                ) as response:
                    return as_bulk_item(item, response.status, await read_answer(response))
            except ClusterUnreachable as error:
                return _unknown((item,), error).items or b""

    def _count(self, counts: Counts) -> None:
        self._counts += counts
        report(counts)

    def _ingest(self) -> list[tuple[str, str]]:
        return [(wire.INGEST, str(self._counts))]

    def _merged(self) -> web.Response:
        body = merge_answers(self._answers).render()
        return web.Response(body=body, content_type="application/json", charset="UTF-8", headers=dict(self._ingest()))


def _planned(
    part: Sequence[Place], text: Spool, targets: Targets, stored: Mapping[Key, Stored]
) -> tuple[tuple[Item, ...], tuple[DocumentPlan | UpdatePlan, ...]]:
    items = load(part, text.read)
    return items, plan_items(items, targets, stored)


def _put(outbox: Outbox, items: Sequence[Item]) -> None:
    for item in items:
        outbox.add(item)


def _weight(answer: BulkAnswer) -> int:
    return WEIGHT_OF_ANSWER * len(answer.items or b"")


def _unknown(operations: Sequence[Operation], error: ClusterUnreachable) -> BulkAnswer:
    """The answer to what was sent and never answered: the client must find out, or try again."""
    status, error_type = error_status(error)
    return failed(operations, status, error_type, "the cluster broke off; whether this was written is not known")
