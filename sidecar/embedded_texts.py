"""The texts of vector fields, the embedder's answers, and what a document then stores of them. Pure.

Writes through the bridge and `repair` store the same bytes for the same text, because both make them here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from sidecar.model import Binding, Provenance, State
from sidecar.ports import Embeddings, Space
from sidecar.provenance import provenance_hash, well_formed


class FieldText(Protocol):
    """The text that a bound field of a document embeds."""

    @property
    def binding(self) -> Binding: ...

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class StoredVector:
    """The two members that a document gets for one vector field."""

    vector: bytes | None  # as JSON; None: there is none, and the provenance says `pending`
    provenance: Provenance
    is_cached: bool = False  # the embedder had computed it before


def space_of(binding: Binding) -> Space:
    """The space in which a field is bound."""
    return Space(binding.model, binding.space)


def texts_by_space(wanted: Iterable[FieldText]) -> dict[Space, tuple[str, ...]]:
    """The distinct texts to embed, by space, each well-formed Unicode."""
    texts: dict[Space, dict[str, None]] = {}
    for one in wanted:
        texts.setdefault(space_of(one.binding), {})[well_formed(one.text)] = None
    return {space: tuple(distinct) for space, distinct in texts.items()}


class EmbeddedTexts:
    """The embedder's answers, by text. A text without an answer is pending."""

    def __init__(self) -> None:
        self._answers: dict[tuple[Space, str], tuple[Embeddings, int]] = {}
        self._refused: dict[tuple[Space, str], str] = {}

    def add(self, space: Space, texts: Sequence[str], answer: Embeddings) -> None:
        """Take the answer to some texts of a space."""
        self._answers |= {(space, text): (answer, position) for position, text in enumerate(texts)}

    def refuse(self, space: Space, text: str, reason: str) -> None:
        """Note why there is no answer to a text."""
        self._refused[space, text] = reason

    def refusal(self, wanted: FieldText) -> str | None:
        """Why the embedder refuses just this text; None if it does not."""
        key = _key(wanted)
        answer, position = self._answers.get(key, (None, 0))
        return self._refused.get(key) if answer is None else answer.items[position].error

    def find(self, wanted: FieldText) -> StoredVector:
        """The vector and provenance to store for a text, or the provenance that says that the vector is pending."""
        proof = provenance_hash(wanted.text, wanted.binding)
        answer, position = self._answers.get(_key(wanted), (None, 0))
        vector = None if answer is None else answer.vector(position)
        if answer is None or vector is None or len(vector) != wanted.binding.dimension:
            return StoredVector(None, Provenance(hash=proof, state=State.PENDING))
        item = answer.items[position]
        provenance = Provenance(
            hash=proof, state=State.OK, model=answer.model, backend=answer.backend, truncated=item.truncated
        )
        # Shortest decimals that give the same float32: every cluster reads them, and they never change.
        numbers = orjson.dumps(vector, option=orjson.OPT_SERIALIZE_NUMPY)
        return StoredVector(numbers, provenance, item.cached)


def _key(wanted: FieldText) -> tuple[Space, str]:
    return space_of(wanted.binding), well_formed(wanted.text)
