"""The fields that a search must name to be one by meaning: analysed fields that feed the vector. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.bridge.searches.rewrite.field_patterns import FieldPatterns


@dataclass(frozen=True, slots=True)
class TextFields:
    """The fields with the text of a vector, and whether a clause that names no field looks at one of them."""

    names: frozenset[str]
    by_default: bool = True

    @classmethod
    def of(cls, indices: Iterable[BoundIndex], vector_field: str) -> "TextFields":
        """The fields that have the text in each of these indices. `index.query.default_field` may leave them out."""
        listed = tuple(indices)
        names = frozenset.intersection(*(index.text_fields[vector_field] for index in listed))
        return cls(names, all(FieldPatterns(index.default_fields).match_any(names) for index in listed))
