"""The indices behind an index expression: their bindings, and which text fields feed a vector. Pure.

The descriptions are asked for with the client's own credentials. A source field that field-level security hides is
missing there, and then there is no semantic leg.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar import index_description
from sidecar.index_description import IndexDescription, read_index
from sidecar.jsontext import Json, at
from sidecar.model import Binding, IndexBinding


@dataclass(frozen=True, slots=True)
class BoundIndex:
    """A concrete index, as far as the bridge cares."""

    name: str
    binding: IndexBinding | None
    text_fields: Mapping[str, frozenset[str]]  # vector field -> every field that is fed by one of its sources
    sees_all_sources: bool  # the client's mapping has the search field and every source of it
    search_pipeline: str | None  # the index's own default, maybe "_none"
    data_stream: str | None = None
    is_write_index_of: frozenset[str] = frozenset()  # aliases
    routings: frozenset[tuple[str, str]] = frozenset()  # alias and the routing of what is written through it
    unseen: frozenset[str] = frozenset()  # vector fields that the client's mapping lacks, or a source of which it lacks
    shards: int = 0  # 0: not known
    mapped: frozenset[tuple[str, str]] = frozenset()  # path and type of every field that the client sees


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """Where a write to a name goes."""

    index: str  # the concrete index, or the name that it will have
    binding: IndexBinding | None = None
    routing: str | None = None  # of the alias that was named: writes and reads of single documents go by it
    unseen: frozenset[str] = frozenset()  # vector fields that the client does not see, or not all sources of


def read_indices(body: Json) -> tuple[BoundIndex, ...]:
    """The answer to `GET /{expression}`. Raises InvalidInput for a binding that is not valid."""
    return tuple(map(_bound_index, index_description.read_indices(body)))


def read_simulated(name: str, body: Json) -> BoundIndex | None:
    """The answer to `_simulate_index`: the index as a template would create it; None if no template matches."""
    template = at(body, "template")
    return _bound_index(read_index(name, template)) if at(template, "mappings") else None


def write_index(name: str, indices: tuple[BoundIndex, ...]) -> BoundIndex | None:
    """The one index that a write to `name` goes to: itself, an alias's write index, a data stream's newest."""
    marked = [index for index in indices if name in index.is_write_index_of]
    if marked:
        return marked[0]
    if all(index.data_stream is not None for index in indices):
        return max(indices, key=lambda index: index.name, default=None)  # generations are zero-padded
    return indices[0] if len(indices) == 1 else None


def write_target(name: str, index: BoundIndex | None) -> WriteTarget:
    """Where a write to `name` goes, given the one index behind it, if there is or will be one."""
    if index is None:
        return WriteTarget(name)
    return WriteTarget(index.name, index.binding, dict(index.routings).get(name), index.unseen)


def bindings_of_field(indices: tuple[BoundIndex, ...], field: str) -> tuple[Binding, ...]:
    """The distinct bindings of a vector field across indices."""
    found = (index.binding.fields.get(field) for index in indices if index.binding is not None)
    return tuple({(b.model, b.space): b for b in found if b is not None}.values())


def _bound_index(index: IndexDescription) -> BoundIndex:
    if index.invalid is not None:
        raise index.invalid
    bindings = index.binding.fields if index.binding else {}
    unseen = frozenset(name for name, bound in bindings.items() if not all(map(index.has, (name, *bound.source))))
    search = index.binding.search if index.binding else None
    definitions = (*index.fields.items(), *index.sub_fields.items())
    return BoundIndex(
        index.name,
        index.binding,
        {name: index.fields_fed_by(bound) for name, bound in bindings.items()},
        sees_all_sources=search is None or search.field not in unseen,
        search_pipeline=index.search_pipeline,
        data_stream=index.data_stream,
        is_write_index_of=frozenset(
            alias for alias, options in index.aliases.items() if at(options, "is_write_index") is True
        ),
        routings=frozenset(
            (alias, routing)
            for alias, options in index.aliases.items()
            if isinstance(routing := at(options, "index_routing"), str)
        ),
        unseen=unseen,
        shards=index.shards,
        mapped=frozenset((path, str(definition.get("type", "object"))) for path, definition in definitions),
    )
