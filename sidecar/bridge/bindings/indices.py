"""Reads the indices of an index expression: their bindings, and the text fields that feed a vector. Pure.

The bridge asks for the descriptions of indices with the client's own credentials. If field-level security hides a
source field, the description lacks that field. The client's searches then have no semantic leg.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sidecar import index_description
from sidecar.index_description import IndexDescription, read_index
from sidecar.jsontext import Json, Object, at
from sidecar.model import Binding, IndexBinding

# The parts of a vector field's definition that a template writes. A client that maps the field itself says more.
_DEFINED: Final = frozenset({"type", "dimension", "data_type", "method"})
_METHOD: Final = frozenset({"name", "engine", "space_type"})
MAX_RESULT_WINDOW: Final = 10_000  # the default of index.max_result_window, and the greatest k
_MAX_INDICES: Final = 1_000  # of one answer about vectors of clients


@dataclass(frozen=True, slots=True)
class BoundIndex:
    """The properties of a concrete index that the bridge needs."""

    name: str
    binding: IndexBinding | None
    text_fields: Mapping[str, frozenset[str]]  # vector field -> every field with the text of its sources
    sees_all_sources: bool  # the client sees the search field and all its sources
    search_pipeline: str | None  # the default of the index, may be "_none"
    data_stream: str | None = None
    is_write_index_of: frozenset[str] = frozenset()  # aliases
    routings: frozenset[tuple[str, str]] = frozenset()  # alias, and the routing of writes through it
    unseen: frozenset[str] = frozenset()  # vector fields that are hidden, or have a hidden source
    shards: int = 0  # 0: unknown
    mapped: frozenset[tuple[str, str]] = frozenset()  # path and type of every field that the client sees
    keeps_source: bool = True
    default_fields: tuple[str, ...] = ("*",)  # names and patterns that a clause without fields looks at
    result_window: int = MAX_RESULT_WINDOW  # the cluster refuses pages beyond it
    own_vectors: frozenset[str] = frozenset()  # vector fields of the clients: mapped or filled by one. They are shown
    unfit: frozenset[str] = frozenset()  # vector fields that cannot hold a vector of their model
    unmarkable: frozenset[str] = frozenset()  # vector fields without a place for their provenance
    forgotten: frozenset[str] = frozenset()  # vector fields of which an update loses something that `_source` lacks
    ingest_pipeline: str | None = None  # the default of the index, may be "_none"


@dataclass(frozen=True, slots=True)
class WriteTarget:
    """The index that a write to a name goes to."""

    index: str  # the concrete index, or the name that it will have
    binding: IndexBinding | None = None
    routing: str | None = None  # of the named alias, for writes and reads of single documents
    unseen: frozenset[str] = frozenset()  # as in `BoundIndex`, like the next three
    unfit: frozenset[str] = frozenset()
    forgotten: frozenset[str] = frozenset()
    ingest_pipeline: str | None = None
    # The name by which the cluster can be asked whether a client may write there. None: there is no such index yet.
    asked_as: str | None = None


def read_indices(body: Json) -> tuple[BoundIndex, ...]:
    """Read the answer to `GET /{expression}`. Raises InvalidInput for a binding that is not valid."""
    return tuple(map(_bound_index, index_description.read_indices(body)))


def read_simulated(name: str, body: Json) -> BoundIndex | None:
    """Read the answer to `_simulate_index`: the index that a template would create. None if no template matches.

    Raises InvalidInput for a binding that is not valid.
    """
    template = at(body, "template")
    return _bound_index(read_index(name, template)) if at(template, "mappings") else None


def write_index(name: str, indices: tuple[BoundIndex, ...]) -> BoundIndex | None:
    """The index that a write to `name` goes to. None if there is no such index.

    It is the index of this name, the write index of an alias, or the newest index of a data stream.
    """
    marked = [index for index in indices if name in index.is_write_index_of]
    if marked:
        return marked[0]
    if all(index.data_stream is not None for index in indices):
        return max(indices, key=lambda index: index.name, default=None)  # their names end in a zero-padded generation
    return indices[0] if len(indices) == 1 else None


def write_target(name: str, index: BoundIndex | None, *, exists: bool = True) -> WriteTarget:
    """The target of a write to `name`. `index` is the one that the write goes to. None: no index is known.

    Nothing is added to documents for a field whose provenance they cannot have.
    Rights are asked for by the name that the client uses. A data stream refuses every conditional write before it looks
    at rights, but its index has the same rights.
    """
    if index is None:
        return WriteTarget(name)
    asked_as = (name if index.data_stream is None else index.name) if exists else None
    return WriteTarget(
        index.name,
        None if index.binding is None else _without(index.binding, index.unmarkable),
        dict(index.routings).get(name),
        unseen=index.unseen,
        unfit=index.unfit,
        forgotten=index.forgotten,
        ingest_pipeline=index.ingest_pipeline,
        asked_as=asked_as,
    )


def _without(binding: IndexBinding, fields: frozenset[str]) -> IndexBinding | None:
    if not fields:
        return binding
    left = {name: bound for name, bound in binding.fields.items() if name not in fields}
    return IndexBinding(fields=left) if left else None


def bindings_of_field(indices: tuple[BoundIndex, ...], field: str) -> tuple[Binding, ...]:
    """The distinct bindings of a vector field across indices."""
    found = (index.binding.fields.get(field) for index in indices if index.binding is not None)
    return tuple({(b.model, b.space): b for b in found if b is not None}.values())


def searches_for_own_vectors(indices: tuple[BoundIndex, ...]) -> dict[str, Object]:
    """By vector field, the search for the indices in which a client has stored vectors of its own."""
    fields = {
        bound.field: bound.client_field
        for index in indices
        if index.binding is not None
        for bound in index.binding.fields.values()
        if bound.field not in index.own_vectors
    }
    return {
        field: {
            "size": 0,
            "terminate_after": 1,
            "track_total_hits": False,
            "query": {"exists": {"field": mark}},
            "aggs": {"indices": {"terms": {"field": "_index", "size": _MAX_INDICES}}},
        }
        for field, mark in fields.items()
    }


def with_own_vectors(indices: tuple[BoundIndex, ...], found: Mapping[str, Json]) -> tuple[BoundIndex, ...]:
    """Read the answers to these searches, by vector field."""
    own: dict[str, set[str]] = {}
    for field, answer in found.items():
        buckets = at(answer, "aggregations", "indices", "buckets")
        for bucket in buckets if isinstance(buckets, list) else []:
            own.setdefault(str(at(bucket, "key")), set()).add(field)
    return tuple(
        replace(index, own_vectors=index.own_vectors | own[index.name]) if index.name in own else index
        for index in indices
    )


def _is_mapped_by_client(definition: Json) -> bool:
    if not isinstance(definition, dict):
        return False
    method = definition.get("method")
    stated = {name for name, value in method.items() if value != {}} if isinstance(method, dict) else set()
    return not (definition.keys() <= _DEFINED and stated <= _METHOD)


def _bound_index(index: IndexDescription) -> BoundIndex:
    if index.invalid is not None:
        raise index.invalid
    bindings = index.binding.fields if index.binding else {}
    unseen = frozenset(name for name, bound in bindings.items() if not all(map(index.has, (name, *bound.source))))
    search = index.binding.search if index.binding else None
    definitions = (*index.fields.items(), *index.sub_fields.items())
    unfit = frozenset(name for name, bound in bindings.items() if not index.takes_vectors(bound))
    mapped_by_client = frozenset(name for name in bindings if _is_mapped_by_client(index.definition(name)))
    return BoundIndex(
        index.name,
        index.binding,
        {name: index.texts_fed_by(bound) for name, bound in bindings.items()},
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
        keeps_source=index.source.enabled,
        default_fields=index.default_fields,
        result_window=min(index.result_window, MAX_RESULT_WINDOW),
        own_vectors=mapped_by_client | unfit,
        unfit=unfit,
        unmarkable=frozenset(name for name, bound in bindings.items() if not index.takes_provenance(bound)),
        forgotten=frozenset(name for name, bound in bindings.items() if index.source.lost(bound)),
        ingest_pipeline=index.default_pipeline,
    )
