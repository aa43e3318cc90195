"""The indices that are bound, and whether they can be repaired. Pure."""

from dataclasses import dataclass

from sidecar.index_description import IndexDescription, read_indices
from sidecar.jsontext import Json
from sidecar.model import IndexBinding


@dataclass(frozen=True, slots=True)
class Target:
    """A concrete index that is bound."""

    index: str
    shards: int
    bound: IndexBinding


@dataclass(frozen=True, slots=True)
class UnfitTarget:
    """A bound index that cannot be repaired, so that nothing is written to it."""

    index: str
    reason: str


def read_targets(body: Json) -> tuple[Target | UnfitTarget, ...]:
    """The bound indices among those that the cluster describes, by name."""
    described = sorted(read_indices(body), key=lambda index: index.name)
    return tuple(target for index in described if (target := _read(index)) is not None)


def _read(index: IndexDescription) -> Target | UnfitTarget | None:
    if index.invalid is not None:
        return UnfitTarget(index.name, str(index.invalid))
    bound = index.binding
    if bound is None or _is_companion(index.name, bound):
        return None
    problem = _problem(index, bound)
    return Target(index.name, index.shards, bound) if problem is None else UnfitTarget(index.name, problem)


def _is_companion(index: str, bound: IndexBinding) -> bool:
    """Whether it is its template's own companion, which holds no documents."""
    return bound.search is not None and bound.search.companion == index


def _problem(index: IndexDescription, bound: IndexBinding) -> str | None:
    """Why documents of this index cannot be judged or repaired.

    A text that `_source` does not hold, or that our credentials may not see, would look like a text that was removed.
    An update would lose everything that `_source` leaves out.
    """
    if index.changes_source:
        return "its mapping changes what is kept in _source, so texts cannot be read and documents not updated"
    for binding in bound.fields.values():
        for name in (*binding.source, binding.field, binding.meta_field):
            if name not in index.fields:
                return f"field [{name}] is not in the mapping that these credentials see"
        if not index.takes_vectors(binding):
            return f"field [{binding.field}] is mapped so that it holds no vectors of model [{binding.model}]"
        if not index.takes_provenance(binding):
            return f"field [{binding.meta_field}] is mapped so that it holds no provenance"
    if not index.shards:
        return "these credentials do not see how many shards it has"
    return None
