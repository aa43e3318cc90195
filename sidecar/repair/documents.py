"""What is wrong with the vectors of a stored document. Pure. Documents of the cluster in, findings out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sidecar.jsontext import Json
from sidecar.model import Binding, IndexBinding, State
from sidecar.provenance import provenance_hash, source_text


class Kind(StrEnum):
    """What a bound field of a document is found to be."""

    RIGHT = "right"
    PENDING = "pending"
    NO_PROVENANCE = "no_provenance"  # a text, and nothing that can be read about its vector
    OTHER_MODEL = "other_model"  # of a model version that the index is not bound to (any more)
    HASH_DIFFERS = "hash_differs"  # the vector stands for another text, or for the same text in another space
    VECTOR_MISSING = "vector_missing"  # proven, but not there
    NO_TEXT = "no_text"  # a vector or a provenance, and no text


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as far as it matters here; the vectors themselves stay in the cluster."""

    index: str  # concrete
    id: str
    routing: str | None
    seq_no: int
    primary_term: int
    source: Mapping[str, Json]  # the sources of the bound fields, and the provenances
    vectors: frozenset[str]  # the bound fields that have a vector

    @classmethod
    def read(cls, found: Mapping[str, Json], vectors: frozenset[str]) -> Self:
        """From a search hit, or from a document that `_mget` has found."""
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
class Finding:
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
        """Whether the document itself says that there is no vector of just this text yet."""
        meta = self.document.source.get(self.binding.meta_field)
        return (
            self.kind is Kind.PENDING
            and isinstance(meta, dict)
            and meta.get("hash") == self.hash
            and self.binding.field not in self.document.vectors
        )


def findings(document: StoredDocument, bound: IndexBinding) -> tuple[Finding, ...]:
    """Every bound field of the document that is not right."""
    return tuple(
        Finding(document, binding, kind, text)
        for binding in bound.fields.values()
        for text in (source_text(dict(document.source), binding),)
        if (kind := judge(document, binding, text)) is not Kind.RIGHT
    )


def judge(document: StoredDocument, binding: Binding, text: str) -> Kind:
    """What one bound field is; stricter than the guard only in that a vector must be of the bound model version."""
    meta, has_vector = document.source.get(binding.meta_field), binding.field in document.vectors
    # `F_meta.state` as a literal key is indexed as a second provenance, which nothing else checks.
    is_dotted = any(key.startswith(f"{binding.meta_field}.") for key in document.source)
    if not text:
        return Kind.NO_TEXT if has_vector or meta is not None or is_dotted else Kind.RIGHT
    if is_dotted or not isinstance(meta, dict):
        return Kind.NO_PROVENANCE
    match meta.get("state"):
        case State.PENDING:
            return Kind.PENDING
        case State.OK if meta.get("model") != binding.model:
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
