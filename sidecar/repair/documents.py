"""The faults of a stored document: the bound fields whose vector is not that of their text. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sidecar.jsontext import Json, at
from sidecar.model import Binding, IndexBinding, Provenance, State
from sidecar.provenance import provenance_hash, source_text


class Kind(StrEnum):
    """The state of a bound field of a document, as it is found."""

    RIGHT = "right"
    PENDING = "pending"
    NO_PROVENANCE = "no_provenance"  # a text without a provenance that can be read
    OTHER_MODEL = "other_model"  # of a model version that the index is not, or no longer, bound to
    HASH_DIFFERS = "hash_differs"  # the vector of another text, or of the same text in another space
    VECTOR_MISSING = "vector_missing"  # a provenance that is right, and no vector
    NO_TEXT = "no_text"  # a vector or a provenance, and no text


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The parts of a document that are judged. The vectors themselves stay in the cluster."""

    index: str  # concrete
    id: str
    routing: str | None
    seq_no: int
    primary_term: int
    source: Mapping[str, Json]  # the sources of the bound fields, and the provenances
    vectors: frozenset[str]  # the bound fields that have a vector

    @classmethod
    def read(cls, found: Mapping[str, Json], vectors: frozenset[str]) -> Self:
        """Read a search hit, or a document that `_mget` has found."""
        source, routing = found["_source"], found.get("_routing")
        return cls(
            index=str(found["_index"]),
            id=str(found["_id"]),
            routing=routing if isinstance(routing, str) else None,
            seq_no=_integer(found["_seq_no"]),
            primary_term=_integer(found["_primary_term"]),
            source=source if isinstance(source, dict) else {},
            vectors=vectors,
        )


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A bound field of a document that is not right."""

    document: StoredDocument
    binding: Binding
    kind: Kind
    text: str

    @property
    def hash(self) -> str:
        return provenance_hash(self.text, self.binding)

    @property
    def is_marked(self) -> bool:
        """Whether the document says itself that this very text has no vector yet."""
        meta = self.document.source.get(self.binding.meta_field)
        return (
            self.kind is Kind.PENDING
            and isinstance(meta, dict)
            and meta.get("hash") == self.hash
            and self.binding.field not in self.document.vectors
        )


def faults(document: StoredDocument, bound: IndexBinding) -> tuple[FieldFault, ...]:
    """Every bound field of the document that is not right."""
    return tuple(
        FieldFault(document, binding, kind, text)
        for binding in bound.fields.values()
        for text in (source_text(dict(document.source), binding),)
        if (kind := judge(document, binding, text)) is not Kind.RIGHT
    )


def judge(document: StoredDocument, binding: Binding, text: str) -> Kind:
    """Judge one bound field.

    The rules are the guard's, and one more: the vector must be of the bound model version.
    """
    meta, has_vector = document.source.get(binding.meta_field), binding.field in document.vectors
    # A literal key `F_meta.pending` is indexed as a second provenance, which nothing else checks.
    is_dotted = any(key.startswith(f"{binding.meta_field}.") for key in document.source)
    if not text:
        return Kind.NO_TEXT if has_vector or meta is not None or is_dotted else Kind.RIGHT
    if is_dotted or not isinstance(meta, dict):
        return Kind.NO_PROVENANCE
    match Provenance.state_in(meta):
        case State.PENDING:
            return Kind.PENDING
        case State.OK if at(meta, "about", "model") != binding.model:
            return Kind.OTHER_MODEL
        case State.OK | State.CLIENT:
            if meta.get("hash") != provenance_hash(text, binding):
                return Kind.HASH_DIFFERS
            return Kind.RIGHT if has_vector else Kind.VECTOR_MISSING
        case _:
            return Kind.NO_PROVENANCE


def _integer(value: Json) -> int:
    if not isinstance(value, int):
        raise TypeError(f"the cluster gives [{value!r}] where an integer belongs")
    return value
