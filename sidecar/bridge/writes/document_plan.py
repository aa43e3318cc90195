"""What a write needs: which texts to embed for which vector field, and what is then written beside them.

Pure. Documents and bindings in, a plan out; the plan and the vectors in, bytes out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar import embedded_texts
from sidecar.bridge.splice import splice
from sidecar.embedded_texts import EmbeddedTexts, space_of
from sidecar.jsontext import Json, loads
from sidecar.model import Binding, IndexBinding, Provenance, State
from sidecar.ports import Embeddings, Space
from sidecar.provenance import provenance_hash, source_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """One vector field of one document: the text to embed."""

    binding: Binding
    text: str
    replaces: bool = False  # the document brings a vector or provenance that must go

    @property
    def space(self) -> Space:
        return space_of(self.binding)


@dataclass(frozen=True, slots=True)
class DocumentPlan:
    """What happens to one whole document."""

    wanted: tuple[Wanted, ...] = ()
    own: tuple[Wanted, ...] = ()  # the client's own vectors, kept and marked as such
    refused: str | None = None  # the binding does not allow what the document brings
    is_malformed: bool = False  # not a JSON object: the cluster's own error is the answer

    @property
    def changes(self) -> bool:
        return bool(self.wanted or self.own or self.refused)


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
        return plan_fields(document, bound)
    except RecursionError:  # nested deeper than any cluster takes
        return DocumentPlan(is_malformed=True)


def plan_fields(document: dict[str, Json], bound: IndexBinding) -> DocumentPlan:
    """The plan of a whole document that has been parsed. Raises RecursionError if it is nested very deeply."""
    wanted: list[Wanted] = []
    own: list[Wanted] = []
    for binding in bound.fields.values():
        text = source_text(document, binding)
        if not text or is_proven(document, binding, text):
            continue
        brings_vector, brings_meta = binding.field in document, binding.meta_field in document
        if document.get(binding.field) is not None and not brings_meta:
            if binding.write.client_vector == "reject":
                return DocumentPlan(refused=own_vector_refusal(binding))
            if binding.write.client_vector == "keep":
                own.append(Wanted(binding, text))
                continue
        wanted.append(Wanted(binding, text, replaces=brings_vector or brings_meta))
    return DocumentPlan(tuple(wanted), tuple(own))


def own_vector_refusal(binding: Binding) -> str:
    """Why a document that brings its own vector is refused."""
    return f"[{binding.field}] is written by the bridge, a document must not bring it"


class Plan(Protocol):
    """What a request needs before it is sent."""

    @property
    def wanted(self) -> tuple[Wanted, ...]: ...

    @property
    def refused(self) -> str | None: ...


def texts_by_space(plans: Sequence[Plan]) -> dict[Space, tuple[str, ...]]:
    """The distinct texts that some plans want embedded, by space."""
    return embedded_texts.texts_by_space(wanted for plan in plans for wanted in plan.wanted)


class Vectors:
    """The embedded texts of a write, and how they are counted."""

    def __init__(self) -> None:
        self._embedded = EmbeddedTexts()

    def add(self, space: Space, texts: Sequence[str], answer: Embeddings) -> None:
        """Take the embedder's answer to some texts of a space."""
        self._embedded.add(space, texts, answer)

    def error(self, wanted: Wanted) -> str | None:
        """Why the embedder refuses just this text."""
        error = self._embedded.refusal(wanted)
        return None if error is None else f"the embedder refuses the text of [{wanted.binding.field}]: {error}"

    def find(self, wanted: Wanted) -> tuple[bytes | None, Provenance, Counts]:
        """The vector as JSON and its provenance; without a vector, a provenance that says `pending`."""
        found = self._embedded.find(wanted)
        counts = Counts(pending=1) if found.vector is None else Counts(embedded=1, cached=int(found.is_cached))
        return found.vector, found.provenance, counts


def refusal(plan: Plan, vectors: Vectors) -> str | None:
    """Why a write must not be sent; None: it may be.

    What would be stored without a vector for ever is refused where the binding wants no document without one.
    """
    strict = (wanted for wanted in plan.wanted if wanted.binding.write.on_failure == "reject")
    return plan.refused or next((reason for wanted in strict if (reason := vectors.error(wanted)) is not None), None)


def apply_plan(source: bytes, plan: DocumentPlan, vectors: Vectors) -> tuple[bytes, Counts]:
    """The source line with what the plan adds to it, spliced into the client's own bytes."""
    additions: dict[str, bytes] = {}
    counts = Counts()
    for wanted in plan.own:
        provenance = Provenance(hash=provenance_hash(wanted.text, wanted.binding), state=State.CLIENT)
        additions[wanted.binding.meta_field] = _rendered(provenance)
    for wanted in plan.wanted:
        vector, found, count = vectors.find(wanted)
        if vector is not None:
            additions[wanted.binding.field] = vector
        additions[wanted.binding.meta_field] = _rendered(found)
        counts += count
    return splice(source, additions, _names(w.binding for w in plan.wanted if w.replaces)), counts


def _rendered(provenance: Provenance) -> bytes:
    return provenance.model_dump_json(exclude_none=True).encode()


def _parse(source: bytes) -> dict[str, Json] | None:
    try:
        parsed = loads(source)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def is_proven(document: Mapping[str, Json], binding: Binding, text: str) -> bool:
    """Whether the document brings the right vector, as the guard would judge it (a copy of what we have written)."""
    meta = document.get(binding.meta_field)
    return (
        document.get(binding.field) is not None
        and isinstance(meta, dict)
        and meta.get("state") in (State.OK, State.CLIENT)
        and meta.get("hash") == provenance_hash(text, binding)
    )


def _names(bindings: Iterator[Binding] | Sequence[Binding]) -> frozenset[str]:
    return frozenset(name for binding in bindings for name in (binding.field, binding.meta_field))
