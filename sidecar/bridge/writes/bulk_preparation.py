"""Prepares a bulk request: plans its operations, embeds their texts, and splices the vectors into their bytes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.bridge.hidden_fields import added_fields
from sidecar.bridge.proxy.spool import Spool
from sidecar.bridge.writes.bulk_action import Action
from sidecar.bridge.writes.bulk_body import BulkItem, Outbox, Place, SubBulk, load, parts
from sidecar.bridge.writes.bulk_plan import Refusals, Targets, apply_plans, plan_items, put_off, refusal_of
from sidecar.bridge.writes.document_plan import Counts, DocumentPlan, Plan, Vectors
from sidecar.bridge.writes.passages import Passages
from sidecar.bridge.writes.pipeline_effects import Effect
from sidecar.bridge.writes.update_plan import DocumentKey, Stored, UpdatePlan
from sidecar.bridge.writes.update_source import hide_in_item
from sidecar.threads import WEIGHT_OF_DOCUMENT, off_the_loop

MAX_SUB_BULK_BYTES: Final = 8 * 1024 * 1024  # with vectors a body can be several times larger than the cluster accepts


@dataclass(frozen=True, slots=True)
class Prepared:
    """Operations whose texts have been embedded."""

    sub_bulks: Sequence[SubBulk]
    refused: Mapping[int, bytes]  # answers to operations that are not sent, by position
    guarded: frozenset[int]  # positions of updates that happen only to the document that was read
    counts: Mapping[int, Counts]  # by position
    changes: bool
    changes_updates: bool  # the action line of an update was written anew, and may have lost a fault of the client


class BulkPreparation:
    """Prepares the operations of one bulk request, within the budget of the write. `text` is the body.

    `effect` tells that of the ingest pipeline of an item.
    """

    def __init__(
        self,
        passages: Passages,
        *,
        targets: Targets,
        refusals: Refusals,
        text: Spool,
        parameters: Mapping[str, str],
        shows_source: bool,
        effect: Callable[[BulkItem], Effect],
    ) -> None:
        self._passages = passages
        self._targets = targets
        self._refusals = refusals
        self._text = text
        self._parameters = parameters
        self._shows_source = shows_source
        self._effect = effect
        self._deadline = passages.deadline(parameters)
        self._put_off = set[DocumentKey]()

    async def prepare(self, places: Sequence[Place], stored: Mapping[DocumentKey, Stored], lines: Spool) -> Prepared:
        """Embed every text of these operations, part by part, and write the lines to send into `lines`.

        Raises SpoolFull.
        """
        outbox, refused, position = Outbox(lines.write, MAX_SUB_BULK_BYTES), dict[int, bytes](), 0
        changes = changes_updates = False
        guarded, counts = set[int](), dict[int, Counts]()
        for part in parts(places, MAX_SUB_BULK_BYTES):
            size = part[-1].end - part[0].start + WEIGHT_OF_DOCUMENT * len(part)
            items, plans, hides = await off_the_loop(size, self.plan, part, stored)
            vectors = await self.embed(items, plans)
            send, refused_here, counted = await off_the_loop(size, self.apply, items, plans, vectors)
            await off_the_loop(size, _put, outbox, send)
            refused.update({position + number: answer for number, answer in refused_here.items()})
            guarded.update(position + n for n, plan in enumerate(plans) if isinstance(plan, UpdatePlan) and plan.guard)
            counts.update({position + number: count for number, count in counted.items()})
            position += len(items)
            is_apart = len(places) > 1 and any(item.is_malformed for item in send)
            changes = changes or hides or bool(refused) or is_apart or any(plan.changes for plan in plans)
            changes_updates = changes_updates or hides
        return Prepared(
            outbox.sub_bulks(), refused, frozenset(guarded), counts, changes=changes, changes_updates=changes_updates
        )

    def plan(
        self, part: Sequence[Place], stored: Mapping[DocumentKey, Stored]
    ) -> tuple[tuple[BulkItem, ...], tuple[DocumentPlan | UpdatePlan, ...], bool]:
        """Load and plan operations. Our fields are left out of the `_source` that updates ask for.

        The third value says whether such an update has changed.
        """
        items = load(part, self._text.read)
        plans = plan_items(items, self._targets, stored, self._effect)
        if self._shows_source or all(item.action is not Action.UPDATE for item in items):
            return items, plans, False
        shown = tuple(map(self._hide, items))
        return shown, plans, shown != items

    async def embed(self, items: Sequence[BulkItem], plans: Sequence[Plan]) -> Vectors:
        """See `Passages.embed`. Texts of operations that the cluster is going to refuse stay without vectors."""
        allowed = [plan for item, plan in zip(items, plans, strict=True) if refusal_of(item, self._refusals) is None]
        return await self._passages.embed(allowed, self._deadline)

    def apply(
        self, items: Sequence[BulkItem], plans: Sequence[DocumentPlan | UpdatePlan], vectors: Vectors
    ) -> tuple[tuple[BulkItem, ...], dict[int, bytes], dict[int, Counts]]:
        """See `apply_plans`. Operations that must wait for their vectors are refused, as by a full queue."""
        waiting = put_off(items, plans, vectors, self._targets, self._put_off)
        return apply_plans(items, plans, vectors, self._parameters.get("pipeline"), waiting)

    def _hide(self, item: BulkItem) -> BulkItem:
        binding = self._targets[item.index].binding
        return item if binding is None else hide_in_item(item, self._parameters, added_fields(binding))


def _put(outbox: Outbox, items: Sequence[BulkItem]) -> None:
    for item in items:
        outbox.add(item)
