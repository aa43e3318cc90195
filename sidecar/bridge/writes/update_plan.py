"""Plans an update: the texts that its document will have, and the guard of the write.

Pure. The cluster runs no ingest pipeline on a bulk update, so it does not notice a new text beside an old vector.
Therefore the bridge merges `doc` into the stored document, as the cluster does. `if_seq_no` limits the update to the
document that was read. If the bridge cannot know the text, it removes the vector, and the provenance says `pending`.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar.bridge.splice import members, replace_member, splice, splice_member
from sidecar.bridge.writes.document_plan import (
    UNTOUCHED,
    Counts,
    DocumentPlan,
    Vectors,
    Wanted,
    apply_plan,
    is_proven,
    keeps_own_vector,
    own_vector_refusal,
    pending_provenance,
    plan_fields,
)
from sidecar.bridge.writes.update_body import Position, UpdateBody
from sidecar.jsontext import Object, dumps
from sidecar.model import Binding, IndexBinding, Provenance, State
from sidecar.provenance import provenance_hash, source_text

DocumentKey: TypeAlias = tuple[str, str | None]  # concrete index, id

OUR_RETRIES: Final = 5  # after conflicts that only our guard has caused, in addition to those that the client asks for
_UPSERTS: Final = frozenset({"doc_as_upsert", "upsert"})

_UNKNOWN: Final = dumps(Provenance(hash=None, state=State.PENDING).to_update())


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it was read: the fields of its source that matter here. None: the document does not exist."""

    source: Object | None
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class PartialPlan:
    """The plan of the `doc` of an update."""

    wanted: tuple[Wanted, ...] = ()
    own: tuple[Wanted, ...] = ()  # the client's own vectors, which are kept with the state `client`
    unfit: tuple[Wanted, ...] = ()  # the field cannot hold a vector of the model: the text is pending
    cleared: tuple[Binding, ...] = ()  # no text remains: vector and provenance are removed
    stale: tuple[Binding, ...] = ()  # the text is unknown: the vector is removed, and the state is `pending`
    refused: str | None = None

    @property
    def changes(self) -> bool:
        return bool(self.wanted or self.own or self.unfit or self.cleared or self.stale or self.refused)


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """The plan of one update."""

    doc: PartialPlan = PartialPlan()
    created: DocumentPlan = UNTOUCHED
    copies_doc: bool = False  # `doc_as_upsert` is replaced by an `upsert`, because the `doc` is marked
    takes_out: frozenset[str] = frozenset()  # members to remove: the cluster refuses them beside a guard
    guard: Position | None = None  # ours: the plan was made for the document at this position
    is_absent: bool = False  # there is no document, so changes of `doc` are only a precaution

    @property
    def wanted(self) -> tuple[Wanted, ...]:
        return self.doc.wanted + self.created.wanted

    @property
    def refused(self) -> str | None:
        return self.doc.refused or self.created.refused

    @property
    def changes(self) -> bool:
        return self.doc.changes or self.created.changes or self.guard is not None


def needs_read(update: UpdateBody, bound: IndexBinding, forgotten: frozenset[str] = frozenset()) -> bool:
    """Whether the update depends on the stored document.

    `forgotten` has the vector fields of which every update loses something, because `_source` leaves it out.
    """
    try:
        return bool(_touched(update, bound, forgotten)) or (
            update.created is not None and plan_fields(update.created, bound).changes
        )
    except RecursionError:
        return True


def fields_to_read(bound: IndexBinding) -> tuple[str, ...]:
    """The top-level fields that hold the texts, the vectors and their provenance."""
    names = {
        name: None
        for binding in bound.fields.values()
        for name in (*(path.partition(".")[0] for path in binding.source), binding.field, binding.meta_field)
    }
    return tuple(names)


def plan_update(
    update: UpdateBody,
    stored: Stored | None,
    bound: IndexBinding,
    unseen: frozenset[str] = frozenset(),
    *,
    unfit: frozenset[str] = frozenset(),
    forgotten: frozenset[str] = frozenset(),
) -> UpdatePlan:
    """Plan an update of a stored document.

    `stored` is None if the document could not be read, or if other writers always change it first. `unseen` has the
    vector fields that the client does not see, or not all sources of. For these the document that was read may lack a
    part of the text. For `unfit` see `plan_document`, for `forgotten` see `needs_read`.
    """
    touched = _touched(update, bound, forgotten)
    try:
        return _plan(update, touched, stored, bound, unseen=unseen, unfit=unfit)
    except RecursionError:  # nested deeper than we can read. The cluster may be able to
        return UpdatePlan(PartialPlan(stale=touched))


def _plan(
    update: UpdateBody,
    touched: tuple[Binding, ...],
    stored: Stored | None,
    bound: IndexBinding,
    *,
    unseen: frozenset[str],
    unfit: frozenset[str],
) -> UpdatePlan:
    if stored is None or stored.source is None:
        return _plan_absent(update, touched, bound, unfit, is_absent=stored is not None)
    if update.doc is None or not touched:
        return UpdatePlan()
    if update.guard is not None and update.guard != stored.position:
        return UpdatePlan(PartialPlan(stale=touched))  # it gets a conflict, unless the document changes once more
    plan = _plan_merged(update.doc, stored.source, touched, unseen, unfit)
    if update.guard is not None:
        return UpdatePlan(plan)
    return UpdatePlan(plan, takes_out=_UPSERTS, guard=stored.position)


def _plan_absent(
    update: UpdateBody,
    touched: tuple[Binding, ...],
    bound: IndexBinding,
    unfit: frozenset[str],
    *,
    is_absent: bool,
) -> UpdatePlan:
    # `doc` is marked although there is no document: somebody may create it before the update arrives.
    plan = PartialPlan(stale=touched)
    if update.created is None:
        return UpdatePlan(plan, is_absent=is_absent)
    created = plan_fields(update.created, bound, unfit)
    copies = update.is_doc_as_upsert and bool(touched)
    return UpdatePlan(plan, created, copies, _UPSERTS if copies else frozenset(), is_absent=is_absent)


def _plan_merged(
    doc: Object, source: Object, touched: tuple[Binding, ...], unseen: frozenset[str], unfit: frozenset[str]
) -> PartialPlan:
    wanted: list[Wanted] = []
    own: list[Wanted] = []
    pending: list[Wanted] = []
    cleared: list[Binding] = []
    stale: list[Binding] = []
    merged = merge(source, doc)
    for binding in touched:
        field, text = binding.field, source_text(merged, binding)
        brings_own = doc.get(field) is not None and doc[field] != source.get(field) and binding.meta_field not in doc
        if field in unseen or _is_doubtful(source, binding):
            stale.append(binding)
        elif not text:
            if merged.get(field) is not None or merged.get(binding.meta_field) is not None:
                cleared.append(binding)
        elif brings_own and binding.write.client_vector == "reject":
            return PartialPlan(refused=own_vector_refusal(binding))
        elif brings_own and keeps_own_vector(binding, unfit):
            own.append(Wanted(binding, text))
        elif brings_own or _has_dotted_meta(doc, binding) or not is_proven(merged, binding, text):
            planned = pending if field in unfit else wanted
            planned.append(Wanted(binding, text, replaces=True))
    return PartialPlan(tuple(wanted), tuple(own), tuple(pending), tuple(cleared), tuple(stale))


def merge(source: Object, changes: Object) -> Object:
    """Merge a partial update into a stored document, as the cluster does: objects are merged, other values replaced."""
    merged = dict(source)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def apply_update(source: bytes, plan: UpdatePlan, vectors: Vectors) -> tuple[bytes, Counts]:
    """Splice the changes of a plan into the client's own bytes of an update."""
    spans = {member.key: source[member.value_start : member.value_end] for member in members(source)}
    counts = Counts()
    created = spans["doc" if plan.copies_doc else "upsert"] if plan.created.changes or plan.copies_doc else None
    if created is not None:
        created, counts = apply_plan(created, plan.created, vectors)
    if plan.doc.changes:
        added, done = _doc_members(plan.doc, vectors)
        source = splice_member(source, "doc", added, _replaced(spans["doc"], plan.doc))
        counts += Counts() if plan.is_absent else done
    if created is not None and not plan.copies_doc:
        return replace_member(source, "upsert", created), counts
    gone = plan.takes_out & spans.keys()
    upsert = {} if created is None else {"upsert": created}
    return (splice(source, upsert, gone) if gone or upsert else source), counts


def guard_action(action_line: bytes, guard: Position) -> bytes:
    """The action line of a bulk update that changes only the document that was read."""
    added = {"if_seq_no": b"%d" % guard.seq_no, "if_primary_term": b"%d" % guard.primary_term}
    return splice_member(action_line, "update", added, {"retry_on_conflict"})


def guarded_query(guard: Position) -> dict[str, int]:
    """The parameters of a single update that changes only the document that was read."""
    return {"if_seq_no": guard.seq_no, "if_primary_term": guard.primary_term}


def is_lost_race(status: int) -> bool:
    """Whether a guarded update failed because its document has changed, or was deleted, since it was read."""
    return status in (404, 409)


def _doc_members(plan: PartialPlan, vectors: Vectors) -> tuple[dict[str, bytes], Counts]:
    added: dict[str, bytes] = {}
    counts = Counts(pending=len(plan.stale) + len(plan.unfit))
    for binding in plan.cleared:
        added |= {binding.field: b"null", binding.meta_field: b"null"}
    for binding in plan.stale:
        added |= {binding.field: b"null", binding.meta_field: _UNKNOWN}
    for one in plan.unfit:
        added |= {one.binding.field: b"null", one.binding.meta_field: dumps(pending_provenance(one).to_update())}
    for one in plan.own:
        kept = Provenance(hash=provenance_hash(one.text, one.binding), state=State.CLIENT)
        added[one.binding.meta_field] = dumps(kept.to_update())
    for one in plan.wanted:
        vector, found, count = vectors.find(one)
        added |= {one.binding.field: vector or b"null", one.binding.meta_field: dumps(found.to_update())}
        counts += count
    return added, counts


def _replaced(doc: bytes, plan: PartialPlan) -> frozenset[str]:
    """The members of `doc` that are removed before ours are added. A client's own vector stays."""
    names = {one.binding.meta_field for one in plan.own}
    for binding in (*(one.binding for one in (*plan.wanted, *plan.unfit)), *plan.cleared, *plan.stale):
        names |= {binding.field, binding.meta_field}
    dotted = tuple(f"{name}." for name in names)
    return frozenset(names | {member.key for member in members(doc) if member.key.startswith(dotted)})


def _touched(update: UpdateBody, bound: IndexBinding, forgotten: frozenset[str]) -> tuple[Binding, ...]:
    """The vector fields whose text, vector or provenance `doc` may change."""
    doc = update.doc
    return () if doc is None else tuple(b for b in bound.fields.values() if b.field in forgotten or _touches(doc, b))


def _touches(doc: Object, binding: Binding) -> bool:
    """Whether a key of a partial document leads to a source, the vector or its provenance, or into one of them."""
    paths = (*binding.source, binding.field, binding.meta_field)
    return any(key == path or path.startswith(f"{key}.") or key.startswith(f"{path}.") for key in doc for path in paths)


def _has_dotted_meta(doc: Object, binding: Binding) -> bool:
    """Whether `doc` has a dotted key of the provenance. It would be indexed as a second, unchecked provenance."""
    return any(key.startswith(f"{binding.meta_field}.") for key in doc)


def _is_doubtful(source: Object, binding: Binding) -> bool:
    """Whether the text that was read does not match its provenance. The cluster may have masked it for this client."""
    meta = source.get(binding.meta_field)
    told = meta.get("hash") if isinstance(meta, dict) else None
    return bool(told) and told != provenance_hash(source_text(source, binding), binding)
