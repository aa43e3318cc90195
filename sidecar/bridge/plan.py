"""What a write needs: which texts to embed for which vector field, and what is then written beside them.

Pure: documents and bindings in, a plan out; the plan and the vectors in, bytes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import orjson

from sidecar.bridge.bulk import Action, Item, failed_item
from sidecar.bridge.splice import splice, splice_member
from sidecar.jsontext import Json, dumps, loads
from sidecar.model import Binding, IndexBinding, Provenance, State
from sidecar.ports import Embeddings
from sidecar.provenance import provenance_hash, source_text, well_formed

Bindings: TypeAlias = Mapping[str, IndexBinding | None]  # by the name that the client writes to


@dataclass(frozen=True, slots=True)
class Space:
    """Texts of one space are embedded together."""

    model: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One vector field of one document: the text to embed."""

    binding: Binding
    text: str
    replaces: bool = False  # the document brings a vector or provenance that must go

    @property
    def space(self) -> Space:
        return Space(self.binding.model, self.binding.space)


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """What happens to one document, or to the `doc` of an update."""

    wanted: tuple[Wanted, ...] = ()
    own: tuple[Wanted, ...] = ()  # the client's own vectors, kept and marked as such
    stale: tuple[Binding, ...] = ()  # a bulk update names the text: vector out, marked pending
    refused: str | None = None  # the binding does not allow what the document brings
    is_malformed: bool = False  # not a JSON object: the cluster's own error is the answer

    @property
    def changes(self) -> bool:
        return bool(self.wanted or self.own or self.stale or self.refused)


UNTOUCHED: Final = DocumentPlan()


@dataclass(frozen=True, slots=True)
class Counts:
    """For `X-Sidecar-Ingest`."""

    embedded: int = 0
    cached: int = 0
    pending: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.embedded + other.embedded, self.cached + other.cached, self.pending + other.pending)

    def __str__(self) -> str:
        return f"embedded={self.embedded}; cached={self.cached}; pending={self.pending}"


def plan_document(source: bytes, bound: IndexBinding | None) -> DocumentPlan:
    """The plan of a whole document. One that does not parse is left to the cluster's own error."""
    if bound is None:
        return UNTOUCHED
    document = _parse(source)
    if document is None:
        return DocumentPlan(is_malformed=True)
    try:
        return _plan_fields(document, bound)
    except RecursionError:  # nested deeper than any cluster takes
        return DocumentPlan(is_malformed=True)


def _plan_fields(document: dict[str, Json], bound: IndexBinding) -> DocumentPlan:
    wanted: list[Wanted] = []
    own: list[Wanted] = []
    for binding in bound.fields.values():
        text = source_text(document, binding)
        if not text or _is_proven(document, binding, text):
            continue
        brings_vector, brings_meta = binding.field in document, binding.meta_field in document
        if document.get(binding.field) is not None and not brings_meta:
            if binding.write.client_vector == "reject":
                return DocumentPlan(refused=f"[{binding.field}] is written by the bridge, a document must not bring it")
            if binding.write.client_vector == "keep":
                own.append(Wanted(binding, text))
                continue
        wanted.append(Wanted(binding, text, replaces=brings_vector or brings_meta))
    return DocumentPlan(tuple(wanted), tuple(own))


def plan_update(source: bytes, bound: IndexBinding | None) -> DocumentPlan:
    """The plan of a bulk update: no pipeline runs there, so a `doc` that names a source text loses its vector."""
    body = _parse(source)
    document = body.get("doc") if body is not None else None
    if bound is None or not isinstance(document, dict):
        return UNTOUCHED
    return DocumentPlan(stale=tuple(b for b in bound.fields.values() if _names_source(document, b)))


def plan_items(items: Sequence[Item], bindings: Bindings) -> tuple[DocumentPlan, ...]:
    """The plans of bulk items, in order."""

    def plan(item: Item) -> DocumentPlan:
        bound = bindings[item.index]
        if item.source_line is None or bound is None:
            return UNTOUCHED
        return (plan_update if item.action is Action.UPDATE else plan_document)(item.source_line, bound)

    return tuple(plan(item) for item in items)


def texts_by_space(plans: Sequence[DocumentPlan]) -> dict[Space, tuple[str, ...]]:
    """The distinct texts to embed, by space, each well-formed Unicode."""
    texts: dict[Space, dict[str, None]] = {}
    for plan in plans:
        for wanted in plan.wanted:
            texts.setdefault(wanted.space, {})[well_formed(wanted.text)] = None
    return {space: tuple(distinct) for space, distinct in texts.items()}


class Vectors:
    """The embedded texts, ready to be written; texts that are not here could not be embedded."""

    def __init__(self) -> None:
        self._answers: dict[Space, tuple[Embeddings, dict[str, int]]] = {}

    def add(self, space: Space, texts: Sequence[str], answer: Embeddings) -> None:
        self._answers[space] = (answer, {text: position for position, text in enumerate(texts)})

    def members(self, wanted: Wanted) -> tuple[dict[str, bytes], Counts]:
        """The vector and its provenance as JSON members, or a provenance that says `pending`."""
        binding, proof = wanted.binding, provenance_hash(wanted.text, wanted.binding)
        answer, positions = self._answers.get(wanted.space, (None, {}))
        position = positions.get(well_formed(wanted.text))
        vector = None if answer is None or position is None else answer.vector(position)
        if answer is None or position is None or vector is None:
            provenance = Provenance(hash=proof, state=State.PENDING)
            return {binding.meta_field: dumps(provenance.to_source())}, Counts(pending=1)
        item = answer.items[position]
        provenance = Provenance(
            hash=proof, state=State.OK, model=answer.model, backend=answer.backend, truncated=item.truncated
        )
        return {
            # Shortest decimals that give the same float32: every cluster reads them, and they never change.
            binding.field: orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY),
            binding.meta_field: dumps(provenance.to_source()),
        }, Counts(embedded=1, cached=int(item.cached))


def apply_plan(source: bytes, plan: DocumentPlan, vectors: Vectors) -> tuple[bytes, Counts]:
    """The source line with what the plan adds to it, spliced into the client's own bytes."""
    if plan.stale:
        return splice_member(source, "doc", _stale_members(plan.stale), _names(plan.stale)), Counts(
            pending=len(plan.stale)
        )
    additions: dict[str, bytes] = {}
    counts = Counts()
    for wanted in plan.own:
        provenance = Provenance(hash=provenance_hash(wanted.text, wanted.binding), state=State.CLIENT)
        additions[wanted.binding.meta_field] = dumps(provenance.to_source())
    for wanted in plan.wanted:
        added, count = vectors.members(wanted)
        additions |= added
        counts += count
    return splice(source, additions, _names(w.binding for w in plan.wanted if w.replaces)), counts


def apply_plans(
    items: Sequence[Item], plans: Sequence[DocumentPlan], vectors: Vectors
) -> tuple[tuple[Item, ...], dict[int, bytes], Counts]:
    """The items to send, the answers to those that are refused here (by position), and what was done."""
    send: list[Item] = []
    refused: dict[int, bytes] = {}
    counts = Counts()
    for position, (item, plan) in enumerate(zip(items, plans, strict=True)):
        if plan.refused is not None:
            refused[position] = failed_item(item, 400, "illegal_argument_exception", plan.refused)
        elif plan.is_malformed:
            send.append(replace(item, is_malformed=True))
        elif item.source_line is not None and plan.changes:
            line, count = apply_plan(item.source_line, plan, vectors)
            send.append(replace(item, source_line=line))
            counts += count
        else:
            send.append(item)
    return tuple(send), refused, counts


def _parse(source: bytes) -> dict[str, Json] | None:
    try:
        parsed = loads(source)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _is_proven(document: Mapping[str, Json], binding: Binding, text: str) -> bool:
    """Whether the document brings the right vector, as the guard would judge it (a copy of what we have written)."""
    meta = document.get(binding.meta_field)
    return (
        document.get(binding.field) is not None
        and isinstance(meta, dict)
        and meta.get("state") in (State.OK, State.CLIENT)
        and meta.get("hash") == provenance_hash(text, binding)
    )


def _names_source(document: Mapping[str, Json], binding: Binding) -> bool:
    """Whether a partial document can change a source text: it has a key on the way to one."""
    return any(
        key == path or path.startswith(f"{key}.") or key.startswith(f"{path}.")
        for key in document
        for path in binding.source
    )


def _stale_members(stale: Sequence[Binding]) -> dict[str, bytes]:
    gone: dict[str, bytes] = {}
    for binding in stale:
        # An update merges objects: the hash of the old text must be overwritten, not left out.
        gone |= {binding.field: b"null", binding.meta_field: dumps({"hash": None, "state": State.PENDING})}
    return gone


def _names(bindings: Iterator[Binding] | Sequence[Binding]) -> frozenset[str]:
    return frozenset(name for binding in bindings for name in (binding.field, binding.meta_field))
