"""What an index expression stands for: concrete indices, their bindings, and which text fields feed a vector.

Pure. It reads the cluster's answers to `GET /{expression}` and `_simulate_index`. They are asked with the client's own
credentials: a source field that field-level security hides is missing there, and then there is no semantic leg.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sidecar.jsontext import Json, at
from sidecar.mapping import mapped_fields
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
    if not isinstance(body, dict):
        return ()
    return tuple(_read_index(name, described) for name, described in body.items() if isinstance(described, dict))


def read_simulated(name: str, body: Json) -> BoundIndex | None:
    """The answer to `_simulate_index`: the index as a template would create it; None if no template matches."""
    template = at(body, "template")
    return _read_index(name, template) if isinstance(template, dict) and template.get("mappings") else None


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


def hidden_fields(indices: tuple[BoundIndex, ...]) -> tuple[str, ...]:
    """The fields that the bridge has added to documents, which no client asked for."""
    bindings = (index.binding for index in indices if index.binding is not None)
    return tuple(dict.fromkeys(name for binding in bindings for name in added_fields(binding)))


def added_fields(binding: IndexBinding) -> tuple[str, ...]:
    """The vectors and their provenances."""
    return tuple(name for bound in binding.fields.values() for name in (bound.field, bound.meta_field))


def bindings_of_field(indices: tuple[BoundIndex, ...], field: str) -> tuple[Binding, ...]:
    """The distinct bindings of a vector field across indices."""
    found = (index.binding.fields.get(field) for index in indices if index.binding is not None)
    return tuple({(b.model, b.space): b for b in found if b is not None}.values())


def _read_index(name: str, described: dict[str, Json]) -> BoundIndex:
    mappings = described.get("mappings")
    binding = IndexBinding.from_meta(at(mappings, "_meta"))
    visible = dict(mapped_fields(at(mappings, "properties"), with_subfields=True))
    fields = binding.fields if binding else {}
    text_fields = {name: frozenset(_fed_by(visible, bound)) for name, bound in fields.items()}
    unseen = frozenset(
        name for name, bound in fields.items() if not all(path in visible for path in (name, *bound.source))
    )
    search = binding.search if binding else None
    pipeline = at(described, "settings", "index", "search", "default_pipeline")
    stream = described.get("data_stream")
    shards = at(described, "settings", "index", "number_of_shards")
    return BoundIndex(
        name,
        binding,
        text_fields,
        sees_all_sources=search is None or search.field not in unseen,
        search_pipeline=pipeline if isinstance(pipeline, str) else None,
        data_stream=stream if isinstance(stream, str) else None,
        is_write_index_of=frozenset(
            alias
            for alias, options in _items(described.get("aliases"))
            if isinstance(options, dict) and options.get("is_write_index") is True
        ),
        routings=frozenset(
            (alias, routing)
            for alias, options in _items(described.get("aliases"))
            if isinstance(routing := at(options, "index_routing"), str)
        ),
        unseen=unseen,
        shards=int(shards) if isinstance(shards, str) and shards.isdigit() else 0,
        mapped=frozenset((path, str(field.get("type", "object"))) for path, field in visible.items()),
    )


def _fed_by(visible: Mapping[str, Mapping[str, Json]], bound: Binding) -> Iterator[str]:
    """The sources, their `copy_to` targets and their analysed multi-fields."""
    for path in bound.source:
        field = visible.get(path, {})
        yield path
        targets = field.get("copy_to")
        yield from (str(target) for target in (targets if isinstance(targets, list) else [targets] if targets else []))
        for name, sub in _items(field.get("fields")):
            if at(sub, "type") in ("text", "match_only_text", "search_as_you_type"):
                yield f"{path}.{name}"


def _items(value: Json) -> Iterator[tuple[str, Json]]:
    return iter(value.items()) if isinstance(value, dict) else iter(())
