"""Which indices are bound, and which of them can be repaired. Pure. The answer to GET /{index} in, targets out."""

from dataclasses import dataclass

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, at
from sidecar.mapping import mapped_fields
from sidecar.model import IndexBinding


@dataclass(frozen=True, slots=True)
class Target:
    """A concrete index that is bound."""

    index: str
    shards: int
    bound: IndexBinding


@dataclass(frozen=True, slots=True)
class Refused:
    """A bound index that nothing is written to, and why."""

    index: str
    reason: str


def read_targets(body: Json) -> tuple[Target | Refused, ...]:
    """The bound indices among those that the cluster describes, by name."""
    described = body.items() if isinstance(body, dict) else ()
    return tuple(target for name, one in sorted(described) if (target := _read(name, one)) is not None)


def _read(index: str, described: Json) -> Target | Refused | None:
    mappings = at(described, "mappings")
    try:
        bound = IndexBinding.from_meta(at(mappings, "_meta"))
    except InvalidInput as error:
        return Refused(index, str(error))
    if bound is None or _is_companion(index, bound):
        return None
    problem = _problem(mappings, bound)
    shards = at(described, "settings", "index", "number_of_shards")
    return Target(index, int(str(shards)), bound) if problem is None else Refused(index, problem)


def _is_companion(index: str, bound: IndexBinding) -> bool:
    """Whether it is its template's own companion, which holds no documents."""
    return bound.search is not None and bound.search.companion == index


def _problem(mappings: Json, bound: IndexBinding) -> str | None:
    """Why documents of this index cannot be judged or mended.

    A text that `_source` does not hold, or that our credentials may not see, would pass for a text that was removed;
    and an update would lose what `_source` leaves out.
    """
    if at(mappings, "_source"):
        return "its mapping changes what is kept in _source, so texts cannot be read and documents not updated"
    visible = dict(mapped_fields(at(mappings, "properties")))
    for binding in bound.fields.values():
        for name in (*binding.source, binding.field, binding.meta_field):
            if name not in visible:
                return f"field [{name}] is not in the mapping that these credentials see"
        dimension = visible[binding.field].get("dimension")
        if dimension != binding.dimension:
            return f"field [{binding.field}] has dimension {dimension}, but model [{binding.model}] {binding.dimension}"
    return None
