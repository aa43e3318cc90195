"""Plans the items of a bulk request, decides the order in which they can be sent, and applies the plans.

Pure. A bulk is cut into waves for two reasons. The document of an update can be read only after all earlier operations
of the same request on that document. And an update that is tried again must not overtake later operations on its
document.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, TypeAlias

from sidecar.bridge.bindings.indices import WriteTarget
from sidecar.bridge.proxy import nesting
from sidecar.bridge.proxy.nesting import NestedTooDeeply
from sidecar.bridge.splice import splice_member
from sidecar.bridge.writes.bulk_action import Action, Operation
from sidecar.bridge.writes.bulk_answer import failed_item
from sidecar.bridge.writes.bulk_body import BulkItem, action_parameters
from sidecar.bridge.writes.document_faults import REFUSAL
from sidecar.bridge.writes.document_plan import (
    RETRY_AFTER_S,
    UNTOUCHED,
    Counts,
    DocumentPlan,
    Vectors,
    apply_plan,
    must_wait,
    plan_piped,
    refusal,
)
from sidecar.bridge.writes.pipeline_effects import Effect
from sidecar.bridge.writes.update_body import parse_update
from sidecar.bridge.writes.update_plan import (
    DocumentKey,
    Stored,
    UpdatePlan,
    apply_update,
    guard_action,
    needs_read,
    plan_update,
)
from sidecar.errors import EmbedderOverloaded
from sidecar.jsontext import as_text
from sidecar.ports import Reply

Targets: TypeAlias = Mapping[str, WriteTarget]  # by the name that the client writes to
Refusals: TypeAlias = Mapping[tuple[str, bool], Reply]  # by that name and whether it is an update

_MAX_READS: Final = 500  # in one wave, because each document that is read has a vector


def refusal_of(operation: Operation, refusals: Refusals) -> Reply | None:
    """Why the cluster is going to refuse an operation to this client. None if it is not."""
    return refusals.get((operation.index, operation.action is Action.UPDATE))


class StepKind(Enum):
    """The way to send an operation."""

    PLAIN = auto()
    GUARDED = auto()  # an update that depends on a stored document
    SCRIPTED = auto()  # a script: the guard sees its result only if it is a single update


@dataclass(frozen=True, slots=True)
class Step:
    """The properties of an operation of a bulk that decide when it can be sent and what is read for it."""

    kind: StepKind
    key: DocumentKey
    reads: bool = False  # whether its document is read before
    routing: str | None = None
    retries: int = 0


def plan_step(item: BulkItem, target: WriteTarget, default_routing: str | None) -> Step:
    """Decide how to send one item."""
    key = (target.index, item.id)
    if item.action is not Action.UPDATE or item.source_line is None or target.binding is None:
        return Step(StepKind.PLAIN, key)
    parameters = action_parameters(item)
    update = parse_update(item.source_line, parameters)
    if update is None:  # the cluster refuses the request, or it reads what we cannot and the guard has to check it
        return Step(StepKind.SCRIPTED, key)
    routing = parameters.get("routing", default_routing or target.routing)
    reads = needs_read(update, target.binding, target.forgotten)
    kind = StepKind.SCRIPTED if update.is_scripted else StepKind.GUARDED if reads else StepKind.PLAIN
    return Step(kind, key, reads, as_text(routing), update.retries)


def waves(steps: Sequence[Step]) -> Iterator[range]:
    """Cut operations into waves: runs of operations that can be sent together."""
    start, reads = 0, 0
    touched: dict[DocumentKey, bool] = {}  # True: by an update that depends on the stored document
    for position, step in enumerate(steps):
        depends = step.kind is not StepKind.PLAIN
        changes_way = position > start and (step.kind is StepKind.SCRIPTED) != (steps[start].kind is StepKind.SCRIPTED)
        collides = step.key in touched and (depends or touched[step.key])
        if changes_way or collides or (depends and reads == _MAX_READS):
            yield range(start, position)
            start, reads, touched = position, 0, {}
        touched[step.key] = depends or touched.get(step.key, False)
        reads += depends
    if start < len(steps):
        yield range(start, len(steps))


def plan_items(
    items: Sequence[BulkItem],
    targets: Targets,
    stored: Mapping[DocumentKey, Stored],
    effect: Callable[[BulkItem], Effect] = lambda _: Effect.NONE,
) -> tuple[DocumentPlan | UpdatePlan, ...]:
    """Plan bulk items, in order.

    `stored` has the documents that updates depend on, and `effect` tells that of the ingest pipeline of an item.
    """

    def plan(item: BulkItem) -> DocumentPlan | UpdatePlan:
        target = targets[item.index]
        if item.source_line is None or target.binding is None or item.is_too_deep:
            return UNTOUCHED
        if item.action is not Action.UPDATE:
            return plan_piped(item.source_line, target.binding, target.unfit, effect(item))
        update = parse_update(item.source_line, action_parameters(item))
        if update is None or not needs_read(update, target.binding, target.forgotten):
            return UNTOUCHED
        return plan_update(
            update,
            stored.get((target.index, item.id)),
            target.binding,
            target.unseen,
            unfit=target.unfit,
            forgotten=target.forgotten,
        )

    return tuple(plan(item) for item in items)


def put_off(
    items: Sequence[BulkItem],
    plans: Sequence[DocumentPlan | UpdatePlan],
    vectors: Vectors,
    targets: Targets,
    documents: set[DocumentKey],
) -> frozenset[int]:
    """The positions of operations that must wait for their vectors. Their documents are added to `documents`.

    A later operation on one of these documents waits as well. Else it would be overtaken when the client tries again.
    """
    waiting = set[int]()
    for position, (item, plan) in enumerate(zip(items, plans, strict=True)):
        key = (targets[item.index].index, item.id)
        if key in documents or must_wait(plan, vectors):
            waiting.add(position)
            if item.id is not None:
                documents.add(key)
    return frozenset(waiting)


def apply_plans(
    items: Sequence[BulkItem],
    plans: Sequence[DocumentPlan | UpdatePlan],
    vectors: Vectors,
    pipeline: str | None = None,
    waiting: Collection[int] = (),
) -> tuple[tuple[BulkItem, ...], dict[int, bytes], dict[int, Counts]]:
    """Apply the plans to their items.

    Gives the items to send, and two maps by position: the answers to items that are refused here, and the counts of
    the items that were changed. `pipeline` is the one that the URL names, `waiting` are the positions from `put_off`.
    """
    send: list[BulkItem] = []
    refused: dict[int, bytes] = {}
    counts: dict[int, Counts] = {}
    for position, (item, plan) in enumerate(zip(items, plans, strict=True)):
        reason = refusal(plan, vectors)
        if item.is_too_deep:
            cause = {"type": nesting.TYPE, "reason": str(NestedTooDeeply())}
            refused[position] = failed_item(item, 400, *nesting.IN_DOCUMENT, caused_by=cause)
        elif reason is not None:
            refused[position] = failed_item(item, 400, "illegal_argument_exception", reason)
        elif position in waiting:  # as one item of a cluster whose queue is full
            busy = str(EmbedderOverloaded(RETRY_AFTER_S))
            refused[position] = failed_item(item, 429, "rejected_execution_exception", busy)
        elif isinstance(plan, DocumentPlan) and plan.fault is not None:
            refused[position] = failed_item(item, 400, *REFUSAL, caused_by=plan.fault.cause)
        elif isinstance(plan, DocumentPlan) and plan.is_malformed:
            send.append(replace(item, is_malformed=True))
        elif item.source_line is not None and plan.changes:
            done, counts[position] = _apply(item, item.source_line, plan, vectors, pipeline)
            send.append(done)
        else:
            if isinstance(plan, DocumentPlan) and not plan.is_certain:
                counts[position] = Counts(is_certain=False)
            send.append(item)
    return tuple(send), refused, counts


def _apply(
    item: BulkItem, source: bytes, plan: DocumentPlan | UpdatePlan, vectors: Vectors, pipeline: str | None
) -> tuple[BulkItem, Counts]:
    if isinstance(plan, DocumentPlan):
        line, counts = apply_plan(source, plan, vectors)
        return item.with_lines(item.action_line, line), counts
    line, counts = apply_update(source, plan, vectors)
    action = item.action_line if plan.guard is None else guard_action(item.action_line, plan.guard)
    if plan.copies_doc:  # the cluster runs a named pipeline on an `upsert`, but not on `doc_as_upsert`
        action = splice_member(action, "update", {"pipeline": b'"_none"'} if pipeline else {}, {"pipeline"})
    return item.with_lines(action, line), counts
