"""Reads how the cluster describes an index, in `GET /{index}` or `_simulate_index`. Pure.

The bridge, `repair` and `doctor` ask for it in their own ways and decide different things, but read it in this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json, at, clauses
from sidecar.model import Binding, IndexBinding
from sidecar.source_filter import SourceFilter

Definition: TypeAlias = dict[str, Json]  # of one field, in a mapping

# An attribute of a node that lacks the native library of k-NN. The first vectors of faiss or nmslib end such a node.
NO_NATIVE_KNN: Final = "sidecar_no_native_knn"

_PROVENANCE: Final = {"hash": "binary", "pending": "rank_feature", "client": "rank_feature", "about": "object"}
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
    is_strict: bool  # a document with a field that is not mapped is refused
    changes_source: bool  # the mapping leaves parts of a document out of `_source`
    source: SourceFilter
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

    @property
    def native_fields(self) -> tuple[str, ...]:
        """The vector fields that need the native library of k-NN. The cluster's default engine does, too."""
        vectors = {path: one for path, one in self.fields.items() if one.get("type") == "knn_vector"}
        is_native = {path: at(one, "method", "engine") != "lucene" for path, one in vectors.items()}
        return tuple(path for path in vectors if self.has_graphs and is_native[path])

    def takes_vectors(self, binding: Binding) -> bool:
        """Whether the vector field can hold vectors of its model.

        A client that makes an index may map the field anew: for another model, or as something else. A field that
        these credentials do not see counts as ours.
        """
        mapped = self.fields.get(binding.field)
        return mapped is None or (
            mapped.get("type") == "knn_vector"
            and mapped.get("dimension") == binding.dimension
            and str(mapped.get("data_type", "float")).lower() == "float"
        )

    def takes_provenance(self, binding: Binding) -> bool:
        """Whether a document may have the provenance of a vector field. A strict mapping without it refuses it."""
        mapped = self.fields.get(binding.meta_field)
        if mapped is None:
            return not self.is_strict or binding.field not in self.fields  # both are hidden from these credentials
        if mapped.get("type", "object") != "object" or mapped.get("enabled") is False:
            return False
        is_strict = _is_strict(mapped["dynamic"]) if "dynamic" in mapped else self.is_strict
        members = {name: self.fields.get(f"{binding.meta_field}.{name}") for name in _PROVENANCE}
        return all(
            not is_strict if member is None else member.get("type", "object") == _PROVENANCE[name]
            for name, member in members.items()
        )

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
        is_strict=_is_strict(at(mappings, "dynamic")),
        changes_source=bool(at(mappings, "_source")),
        source=SourceFilter.parse(at(mappings, "_source")),
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


def lacks_native_knn(nodes_info: Json) -> bool:
    """Whether a node says that it lacks the native library of k-NN, in the answer to `GET /_nodes`."""
    return any(at(node, "attributes", NO_NATIVE_KNN) == "true" for node in _members(at(nodes_info, "nodes")).values())


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


def _is_strict(dynamic: Json) -> bool:
    return isinstance(dynamic, str) and dynamic.startswith("strict")  # also `strict_allow_templates`


def _members(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _count(value: Json, default: int) -> int:
    return int(value) if isinstance(value, str) and value.isdigit() else default


def _default_fields(value: Json) -> tuple[str, ...]:
    """The setting is one text or a list. If it names no field, the cluster looks at all."""
    return tuple(map(str, clauses(value))) or ("*",)


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) else None
