"""Reads which parts of a document the `_source` of a mapping keeps. Pure.

An update makes the new document of the `_source` of the old one. So it loses everything that `_source` leaves out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Self

from sidecar.jsontext import Json, at, clauses
from sidecar.model import Binding

_LITERAL: Final = re.compile(r"([?[])")  # special to `fnmatch`, and not to the cluster
_PROVENANCE: Final = ("hash", "pending", "client", "about.model", "about.backend", "about.truncated")


@dataclass(frozen=True, slots=True)
class SourceFilter:
    """The `_source` of a mapping."""

    enabled: bool = True
    includes: tuple[str, ...] = ()  # none: everything
    excludes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, source: Json) -> Self:
        """Read the `_source` of a mapping. Anything that the cluster would refuse keeps everything."""
        return cls(
            enabled=str(at(source, "enabled")).lower() != "false",
            includes=_patterns(at(source, "includes")),
            excludes=_patterns(at(source, "excludes")),
        )

    def keeps(self, path: str) -> bool:
        """Whether `_source` has the value at the path of a field. A pattern covers everything below it."""
        return self.enabled and (not self.includes or _covers(self.includes, path)) and not _covers(self.excludes, path)

    def lost(self, binding: Binding) -> tuple[str, ...]:
        """The fields of a binding that `_source` leaves out, or a part of them: vector, provenance, sources."""
        members = {binding.meta_field: tuple(f"{binding.meta_field}.{name}" for name in _PROVENANCE)}
        names = (binding.field, binding.meta_field, *binding.source)
        return tuple(name for name in names if not all(map(self.keeps, members.get(name, (name,)))))


def _patterns(value: Json) -> tuple[str, ...]:
    return tuple(pattern for pattern in clauses(value) if isinstance(pattern, str))


def _covers(patterns: tuple[str, ...], path: str) -> bool:
    return any(fnmatchcase(part, _LITERAL.sub(r"[\1]", pattern)) for part in _above(path) for pattern in patterns)


def _above(path: str) -> Iterator[str]:
    """The path, and the paths of the objects that it lies in."""
    yield path
    while "." in path:
        path = path.rpartition(".")[0]
        yield path
