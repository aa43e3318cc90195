"""Plans the write of a whole document, and writes vectors and provenances into it.

Pure. A plan is made of a document and a binding. It lists the texts to embed for each vector field. The bytes to send
are made of the document, the plan and the vectors.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from sidecar import embedded_texts
from sidecar.bridge.splice import splice
from sidecar.bridge.writes.document_faults import Fault, fault_of
from sidecar.bridge.writes.pipeline_effects import Effect
from sidecar.embedded_texts import EmbeddedTexts, space_of
from sidecar.jsontext import Json, dumps, loads
from sidecar.model import Binding, IndexBinding, Provenance, State
from sidecar.ports import Embeddings, Space
from sidecar.provenance import provenance_hash, source_text, well_formed

RETRY_AFTER_S: Final = 1.0  # for a client whose write must wait for its vectors


@dataclass(frozen=True, slots=True)
class Wanted:
    """The text to embed for one vector field of one document."""

    binding: Binding
    text: str
    replaces: bool = False  # the document has a vector or provenance that is removed

    @property
    def space(self) -> Space:
        return space_of(self.binding)


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """The plan of one whole document."""

    wanted: tuple[Wanted, ...] = ()
    own: tuple[Wanted, ...] = ()  # the client's own vectors, which are kept with the state `client`
    unfit: tuple[Wanted, ...] = ()  # the field cannot hold a vector of the model: the text is pending
    refused: str | None = None  # why the binding refuses the document
    is_malformed: bool = False  # it is not a JSON object: the cluster's own error is the answer
    fault: Fault | None = None  # but for this, for which an index with a pipeline has no such error
    is_certain: bool = True  # no ingest pipeline may change afterwards what is planned here

    @property
    def changes(self) -> bool:
        return bool(self.wanted or self.own or self.unfit or self.refused)


UNTOUCHED: Final = DocumentPlan()


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of vector fields for `X-Sidecar-Ingest`."""

    embedded: int = 0
    cached: int = 0
    pending: int = 0
    is_certain: bool = True  # no ingest pipeline may have changed a text after the bridge

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.embedded + other.embedded,
            self.cached + other.cached,
            self.pending + other.pending,
            self.is_certain and other.is_certain,
        )

    def __str__(self) -> str:
        # Not `cached`: a client could find out with it which texts others have stored or searched for.
        return f"embedded={self.embedded}; pending={self.pending if self.is_certain else '?'}"


def plan_document(source: bytes, bound: IndexBinding | None, unfit: frozenset[str] = frozenset()) -> DocumentPlan:
    """Plan a whole document.

    If it does not parse, it has a fault, or it is sent unchanged, and the cluster's own error is the answer. `unfit`
    has the vector fields that cannot hold a vector of their model.
    """
    if bound is None:
        return UNTOUCHED
    document = _parse(source)
    if document is None:
        return DocumentPlan(is_malformed=True, fault=fault_of(source))
    try:
        return plan_fields(document, bound, unfit)
    except RecursionError:  # nested deeper than any cluster accepts
        return DocumentPlan(is_malformed=True)


def plan_piped(source: bytes, bound: IndexBinding, unfit: frozenset[str], effect: Effect) -> DocumentPlan:
    """Plan a whole document that goes through an ingest pipeline after the bridge.

    If the pipeline may move it to another index, nothing is added. The guard of the index where it ends marks it.
    """
    if effect is Effect.MOVES:
        return DocumentPlan(is_certain=False)
    plan = plan_document(source, bound, unfit)
    return plan if effect is Effect.NONE or plan.is_malformed else replace(plan, is_certain=False)


def plan_fields(document: dict[str, Json], bound: IndexBinding, unfit: frozenset[str] = frozenset()) -> DocumentPlan:
    """Plan a whole document that has been parsed. Raises RecursionError if it is nested very deeply."""
    wanted: list[Wanted] = []
    own: list[Wanted] = []
    pending: list[Wanted] = []
    for binding in bound.fields.values():
        text = source_text(document, binding)
        if not text or is_proven(document, binding, text):
            continue
        brings_vector, brings_meta = binding.field in document, binding.meta_field in document
        if document.get(binding.field) is not None and not brings_meta:
            if binding.write.client_vector == "reject":
                return DocumentPlan(refused=own_vector_refusal(binding))
            if keeps_own_vector(binding, unfit):
                own.append(Wanted(binding, text))
                continue
        planned = pending if binding.field in unfit else wanted
        planned.append(Wanted(binding, text, replaces=brings_vector or brings_meta))
    return DocumentPlan(tuple(wanted), tuple(own), tuple(pending))


def keeps_own_vector(binding: Binding, unfit: frozenset[str]) -> bool:
    """Whether a vector of the client's own stays. Where ours has no place, there is nothing to replace it with."""
    return binding.write.client_vector == "keep" or binding.field in unfit


def own_vector_refusal(binding: Binding) -> str:
    """The reason for refusing a document with a vector of its own."""
    return f"[{binding.field}] is written by the bridge, a document must not bring it"


class Plan(Protocol):
    """The common part of all plans: the texts to embed, and a refusal."""

    @property
    def wanted(self) -> tuple[Wanted, ...]: ...

    @property
    def refused(self) -> str | None: ...


def texts_by_space(plans: Sequence[Plan]) -> dict[Space, tuple[str, ...]]:
    """The distinct texts to embed, by space."""
    return embedded_texts.texts_by_space(wanted for plan in plans for wanted in plan.wanted)


class Vectors:
    """The vectors of the embedded texts of a write, and the counts of its report."""

    def __init__(self) -> None:
        self._embedded = EmbeddedTexts()
        self._missing: set[tuple[Space, str]] = set()

    def add(self, space: Space, texts: Sequence[str], answer: Embeddings) -> None:
        """Add the embedder's answer for some texts of a space."""
        self._embedded.add(space, texts, answer)

    def miss(self, space: Space, texts: Sequence[str]) -> None:
        """Note that the embedder has given no answer to these texts."""
        self._missing.update((space, text) for text in texts)

    def lacks(self, wanted: Wanted) -> bool:
        """Whether the embedder was asked for this text and has given no answer. A later try may bring one."""
        return (wanted.space, well_formed(wanted.text)) in self._missing

    def error(self, wanted: Wanted) -> str | None:
        """The reason why the embedder refuses this text. None if it does not."""
        error = self._embedded.refusal(wanted)
        return None if error is None else f"the embedder refuses the text of [{wanted.binding.field}]: {error}"

    def find(self, wanted: Wanted) -> tuple[bytes | None, Provenance, Counts]:
        """The vector of a text as JSON, and its provenance. If there is no vector, the provenance says `pending`."""
        found = self._embedded.find(wanted)
        counts = Counts(pending=1) if found.vector is None else Counts(embedded=1, cached=int(found.is_cached))
        return found.vector, found.provenance, counts


def refusal(plan: Plan, vectors: Vectors) -> str | None:
    """The reason why a write must not be sent. None if it may be sent.

    If the embedder refuses a text, its document would never get a vector. Such a document is refused if the binding
    wants no document without a vector.
    """
    strict = (wanted for wanted in plan.wanted if wanted.binding.write.on_failure == "reject")
    return plan.refused or next((reason for wanted in strict if (reason := vectors.error(wanted)) is not None), None)


def must_wait(plan: Plan, vectors: Vectors) -> bool:
    """Whether a write cannot be sent yet, because its binding wants no document without a vector."""
    return any(wanted.binding.write.on_failure == "reject" and vectors.lacks(wanted) for wanted in plan.wanted)


def apply_plan(source: bytes, plan: DocumentPlan, vectors: Vectors) -> tuple[bytes, Counts]:
    """Splice the vectors and provenances of a plan into the client's own bytes."""
    additions: dict[str, bytes] = {}
    counts = Counts(is_certain=plan.is_certain)
    for wanted in plan.own:
        provenance = Provenance(hash=provenance_hash(wanted.text, wanted.binding), state=State.CLIENT)
        additions[wanted.binding.meta_field] = _rendered(provenance)
    for wanted in plan.unfit:
        additions[wanted.binding.meta_field] = _rendered(pending_provenance(wanted))
        counts += Counts(pending=1)
    for wanted in plan.wanted:
        vector, found, count = vectors.find(wanted)
        if vector is not None:
            additions[wanted.binding.field] = vector
        additions[wanted.binding.meta_field] = _rendered(found)
        counts += count
    replaced = _names(w.binding for w in (*plan.wanted, *plan.unfit) if w.replaces)
    return splice(source, additions, replaced), counts


def pending_provenance(wanted: Wanted) -> Provenance:
    """The provenance of a text that gets no vector."""
    return Provenance(hash=provenance_hash(wanted.text, wanted.binding), state=State.PENDING)


def _rendered(provenance: Provenance) -> bytes:
    return dumps(provenance.to_source())


def _parse(source: bytes) -> dict[str, Json] | None:
    try:
        parsed = loads(source)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def is_proven(document: Mapping[str, Json], binding: Binding, text: str) -> bool:
    """Whether the guard would accept the vector that the document has already.

    A client sends such a document if it has read it from the index.
    """
    meta = document.get(binding.meta_field)
    return (
        document.get(binding.field) is not None
        and isinstance(meta, dict)
        and Provenance.state_in(meta) in (State.OK, State.CLIENT)
        and meta.get("hash") == provenance_hash(text, binding)
    )


def _names(bindings: Iterator[Binding] | Sequence[Binding]) -> frozenset[str]:
    return frozenset(name for binding in bindings for name in (binding.field, binding.meta_field))
