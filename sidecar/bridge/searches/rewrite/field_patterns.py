"""Matches the names of fields with the names and patterns of a clause. Pure.

Only `*` is special, as in the cluster. A boost (`title^2`) does not matter.
"""

from collections.abc import Iterable


class FieldPatterns:
    """A set of names and patterns, which is made once for a clause. A pattern costs no regular expression."""

    def __init__(self, patterns: Iterable[str]) -> None:
        distinct = frozenset(pattern.partition("^")[0] for pattern in patterns)
        self._globs = [pattern.split("*") for pattern in distinct if "*" in pattern]
        self._names = distinct

    def match_any(self, names: frozenset[str]) -> bool:
        """Whether one of these names is in the set."""
        return not self._names.isdisjoint(names) or any(_fits(glob, name) for glob in self._globs for name in names)


def _fits(glob: list[str], name: str) -> bool:
    """Whether the parts between the `*` of a pattern follow each other in a name. Takes linear time."""
    first, *middle, last = glob
    if len(first) + len(last) > len(name) or not (name.startswith(first) and name.endswith(last)):
        return False
    position, end = len(first), len(name) - len(last)
    for part in middle:
        found = name.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True
