"""Decides what clients do not see of documents: the fields that the bridge has added, unless a client names them. Pure.

The bridge hides them in the request, so the cluster's answers stay as they are. Every route that loads `_source` or
fields asks this module: `hidden_source.py` and `hidden_hits.py` have the forms of the requests. A search of several
indices has one `_source`. So a name is hidden only if it is no client's own field in any of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sidecar.bridge.bindings.indices import BoundIndex
from sidecar.jsontext import Json
from sidecar.model import IndexBinding

_ANY: Final = "*"
_MAX_PATTERNS: Final = 64  # each one is written again for every field of the mapping
_MAX_PATTERN: Final = 256  # characters. No field has so long a name
_METADATA: Final = "_routing"  # a pattern that matches it is the cluster's to refuse


@dataclass(frozen=True, slots=True)
class Hidden:
    """The names that the answers about some indices leave out."""

    fields: tuple[str, ...] = ()
    paths: frozenset[str] = frozenset()  # every mapped field under these names
    others: tuple[str, ...] = ()  # the names at the top level of the mappings that clients see
    in_source: bool = True  # False: an index keeps no `_source`, and the cluster refuses to filter it

    def without_named(self, includes: Iterable[Json]) -> tuple[str, ...]:
        """The hidden fields that a client does not include by name."""
        named = [name for name in includes if isinstance(name, str)]
        return tuple(
            field for field in self.fields if not any(one == field or one.startswith(f"{field}.") for one in named)
        )

    def without_patterns(self, entries: Json, *, is_strict: bool = False) -> Json:
        """The entries of `fields`, with patterns that match no hidden field.

        `is_strict` tells that the cluster refuses fields of some kinds, as in `docvalue_fields`.
        """
        if not isinstance(entries, list) or sum(_ANY in _name(entry) for entry in entries) > _MAX_PATTERNS:
            return entries  # the cluster refuses what is no list
        return [one for entry in entries for one in self._entries(entry, is_strict=is_strict)]

    def _entries(self, entry: Json, *, is_strict: bool) -> Iterator[Json]:
        name = _name(entry)
        if (
            _ANY not in name
            or len(name) > _MAX_PATTERN
            or not any(matches(name, path) for path in self.paths)
            or (is_strict and matches(name, _METADATA))
        ):
            yield entry
            return
        for narrower in self._narrowed(name):
            yield {**entry, "field": narrower} if isinstance(entry, dict) else narrower

    def _narrowed(self, pattern: str) -> Iterator[str]:
        """Patterns that match the same fields, except for the hidden ones."""
        for top in self.others:
            if matches(pattern, top):
                yield top
            prefix = f"{top}."
            for rest in rests(pattern, prefix):
                yield prefix + rest


NOTHING: Final = Hidden()


def hidden_in(indices: tuple[BoundIndex, ...]) -> Hidden:
    """The names that the answers about these indices leave out."""
    added = tuple(dict.fromkeys(name for index in indices for name in _hidden_of(index)))
    if not added:
        return NOTHING
    own = {path.partition(".")[0] for index in indices for path, _ in index.mapped if not _is_under(path, index)}
    fields = tuple(name for name in added if name not in own)
    paths = frozenset(
        path
        for index in indices
        for path, kind in index.mapped
        if path.partition(".")[0] in fields and kind != "object"
    )
    return Hidden(fields, paths, tuple(sorted(own)), all(index.keeps_source for index in indices))


def added_fields(binding: IndexBinding) -> tuple[str, ...]:
    """The names of the vector fields of a binding, and of their provenances."""
    return tuple(name for bound in binding.fields.values() for name in (bound.field, bound.meta_field))


def _hidden_of(index: BoundIndex) -> tuple[str, ...]:
    names = () if index.binding is None else added_fields(index.binding)
    return tuple(name for name in names if name not in index.own_vectors)


def _is_under(path: str, index: BoundIndex) -> bool:
    return path.partition(".")[0] in _hidden_of(index)


def _name(entry: Json) -> str:
    name = entry.get("field") if isinstance(entry, dict) else entry
    return name if isinstance(name, str) else ""


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern with `*` matches a whole name."""
    return any(not rest.strip(_ANY) for rest in rests(pattern, name))


def rests(pattern: str, start: str) -> tuple[str, ...]:
    """The patterns for the rest of a text that begins with `start`.

    A text `start + rest` matches the pattern if, and only if, `rest` matches one of them.
    """
    places = {0}
    for character in start:
        further = set[int]()
        for place in places:
            after = place
            while pattern[after : after + 1] == _ANY:
                further.add(after)
                after += 1
            if pattern[after : after + 1] == character:
                further.add(after + 1)
        places = further
    return tuple(pattern[place:] for place in sorted(places))
