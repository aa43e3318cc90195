"""Reads how the cluster describes an index, in `GET /{index}` or `_simulate_index`. Pure.

The bridge, `repair` and `doctor` ask for it in their own ways and decide different things, but read it in this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, at, clauses
from sidecar.model import Binding, IndexBinding

Definition: TypeAlias = dict[str, Json]  # of one field, in a mapping

_ANALYSED: frozenset[Json] = frozenset({"text", "match_only_text", "search_as_you_type"})
_RESULT_WINDOW = 10_000  # the default of index.max_result_window


@dataclass(frozen=True, slots=True)
class IndexDescription:
    """An index, as the cluster shows it to the credentials of the request."""

    name: str
    binding: IndexBinding | None
    invalid: InvalidInput | None  # why there is no binding, although `_meta` holds one
    schema: Json  # version of the binding in `_meta`, known to us or not
    fields: Mapping[str, Definition]  # by path: all fields of a document, objects included
    sub_fields: Mapping[str, Definition]  # by path: the multi-fields, which only searches use
    changes_source: bool  # the mapping leaves parts of a document out of `_source`
    keeps_source: bool  # documents have a `_source`
    shards: int  # 0: unknown
    default_fields: tuple[str, ...]  # names and patterns that a query without fields looks at
    result_window: int
    has_graphs: bool  # `index.knn` is true: vectors are indexed for searches
    default_pipeline: str | None  # may be "_none", like the next two
    final_pipeline: str | None
    search_pipeline: str | None
    data_stream: str | None
    aliases: Mapping[str, Json]  # name -> options

    def definition(self, path: str) -> Definition:
        """The definition of a field; nothing if it is not mapped."""
        return self.fields.get(path) or self.sub_fields.get(path) or {}

    def has(self, path: str) -> bool:
        """Whether a field or multi-field has this path."""
        return path in self.fields or path in self.sub_fields

    def texts_fed_by(self, binding: Binding) -> frozenset[str]:
        """Every analysed field with the text of a vector: its sources, their `copy_to` targets, multi-fields, aliases.

        A query on any other field, such as a keyword, compares whole values. It is a constraint, whatever its kind.
        """
        fed = set(binding.source)
        for path in binding.source:
            definition = self.definition(path)
            targets = definition.get("copy_to") or []
            fed.update(str(target) for target in (targets if isinstance(targets, list) else [targets]))
            fed.update(f"{path}.{name}" for name in _members(definition.get("fields")))
        texts = {path for path in fed if _is_analysed(self.definition(path))}
        aliases = {
            path for path, field in self.fields.items() if field.get("type") == "alias" and field.get("path") in texts
        }
        return frozenset(texts | aliases)


def read_index(name: str, described: Json) -> IndexDescription:
    """Read the description of one index: a member of the answer to `GET /{index}`, or a simulated template."""
    mappings, settings = at(described, "mappings"), at(described, "settings", "index")
    binding, invalid = _binding(at(mappings, "_meta"))
    fields: dict[str, Definition] = {}
    sub_fields: dict[str, Definition] = {}
    _collect(at(mappings, "properties"), "", fields, sub_fields)
    return IndexDescription(
        name,
        binding,
        invalid,
        schema=at(mappings, "_meta", "sidecar", "schema"),
        fields=fields,
        sub_fields=sub_fields,
        changes_source=bool(at(mappings, "_source")),
        keeps_source=at(mappings, "_source", "enabled") is not False,
        shards=_count(at(settings, "number_of_shards"), 0),
        default_fields=_default_fields(at(settings, "query", "default_field")),
        result_window=_count(at(settings, "max_result_window"), _RESULT_WINDOW),
        has_graphs=at(settings, "knn") == "true",
        default_pipeline=_text(at(settings, "default_pipeline")),
        final_pipeline=_text(at(settings, "final_pipeline")),
        search_pipeline=_text(at(settings, "search", "default_pipeline")),
        data_stream=_text(at(described, "data_stream")),
        aliases=_members(at(described, "aliases")),
    )


def read_indices(body: Json) -> tuple[IndexDescription, ...]:
    """Read the answer to `GET /{index}`, in the cluster's order."""
    return tuple(
        read_index(name, described) for name, described in _members(body).items() if isinstance(described, dict)
    )


def _is_analysed(definition: Definition) -> bool:
    """Whether searches of a field look at words. The built-in analyzer `keyword` makes one word of the whole value."""
    return (
        definition.get("type") in _ANALYSED
        and definition.get("search_analyzer", definition.get("analyzer")) != "keyword"
        and definition.get("index") is not False
    )


def _binding(meta: Json) -> tuple[IndexBinding | None, InvalidInput | None]:
    try:
        return IndexBinding.from_meta(meta), None
    except InvalidInput as error:
        return None, error


def _collect(properties: Json, prefix: str, fields: dict[str, Definition], sub_fields: dict[str, Definition]) -> None:
    """Collect the fields and the multi-fields of a mapping by their paths, in one walk."""
    for name, definition in _members(properties).items():
        if isinstance(definition, dict):
            path = prefix + name
            fields[path] = definition
            if "properties" in definition:
                _collect(definition["properties"], f"{path}.", fields, sub_fields)
            if "fields" in definition:
                _collect(definition["fields"], f"{path}.", sub_fields, sub_fields)


def _members(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _count(value: Json, default: int) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() else default


def _default_fields(value: Json) -> tuple[str, ...]:
    """The setting is one text or a list. If it names no field, the cluster looks at all."""
    return tuple(map(str, clauses(value))) or ("*",)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
