"""The base of a template: the mapping and settings that an index would have without us. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import Binding
from sidecar.source_filter import SourceFilter

FINAL_PIPELINE: Final = "index.final_pipeline"
KNN: Final = "index.knn"
NUMBER_OF_SHARDS: Final = "index.number_of_shards"

_TEXT_TYPES: Final = frozenset({"text", "match_only_text", "keyword", "search_as_you_type", "wildcard"})
_PARTS: Final = frozenset({"mappings", "settings"})


@dataclass(frozen=True, slots=True)
class BaseMapping:
    """A base, parsed."""

    mappings: Mapping[str, Json]
    settings: Mapping[str, Json]  # flat, each key with its "index.", without the final pipeline
    final_pipeline: str | None  # the base's own, which our guard calls

    @classmethod
    def parse(cls, raw: Json) -> Self:
        """Read `{"mappings": …, "settings": …}` or a bare mapping. Raises InvalidInput."""
        if not isinstance(raw, dict):
            raise InvalidInput("mapping", f"must be a JSON object, not {type(raw).__name__}")
        parts = raw if raw.keys() & _PARTS else {"mappings": raw}
        if unknown := parts.keys() - _PARTS:
            raise InvalidInput("mapping", f"[{min(unknown)}] beside mappings and settings is not supported")
        mappings = _object(parts.get("mappings", {}), "mapping.mappings")
        settings = flatten_settings(_object(parts.get("settings", {}), "mapping.settings"))
        if "sidecar" in _object(mappings.get("_meta", {}), "mapping._meta"):
            raise InvalidInput("mapping._meta.sidecar", "the base must not be bound already")
        if str(settings.get(KNN, True)).lower() == "false":
            raise InvalidInput(f"mapping.settings.{KNN}", f"must be true for a vector field; got [{settings[KNN]}]")
        return cls(mappings, settings, _pipeline_name(settings.pop(FINAL_PIPELINE, None)))

    def check_source(self, path: str) -> None:
        """Raise InvalidInput unless the path is a field of the base whose value in a document is text."""
        mapped = _find(self.mappings, path)
        if mapped is None:
            parent, _, name = path.rpartition(".")
            sub_fields = (_find(self.mappings, parent) or {}).get("fields")
            if isinstance(sub_fields, dict) and name in sub_fields:
                raise InvalidInput("source", f"[{path}] is a sub-field of [{parent}]: documents hold only [{parent}]")
            raise InvalidInput("source", f"[{path}] is not a field of the base mapping")
        kind = mapped.get("type", "object")
        if kind not in _TEXT_TYPES:
            raise InvalidInput(
                "source", f"[{path}] is of type [{kind}]; only {', '.join(sorted(_TEXT_TYPES))} hold text"
            )

    def check_kept(self, binding: Binding) -> None:
        """Raise InvalidInput if `_source` would leave out something that the binding lives on."""
        lost = SourceFilter.parse(self.mappings.get("_source")).lost(binding)
        if lost:
            raise InvalidInput(
                "mapping._source",
                f"leaves out [{', '.join(lost)}]: every update would take the vector out of the index, "
                "and repair could not read the texts",
            )

    def check_free(self, field: str) -> None:
        """Raise InvalidInput if the base has a top-level field of this name."""
        properties = _object(self.mappings.get("properties", {}), "mapping.properties")
        if any(name.partition(".")[0] == field for name in properties):
            raise InvalidInput("field", f"[{field}] is already a field of the base mapping")


def flatten_settings(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Index settings under their full names, in whichever of the accepted ways they are nested."""
    flat: dict[str, Json] = {}
    for key, value in _flatten(settings, ""):
        flat[key if key.startswith("index.") else f"index.{key}"] = value
    return flat


def _flatten(node: Mapping[str, Json], prefix: str) -> list[tuple[str, Json]]:
    leaves: list[tuple[str, Json]] = []
    for key, value in node.items():
        leaves += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return leaves


def _find(mapping: Mapping[str, Json], path: str) -> Mapping[str, Json] | None:
    """The mapping of a field. The name of an object may be written with dots, as OpenSearch allows."""
    properties = mapping.get("properties")
    if not isinstance(properties, dict):
        return None
    segments = path.split(".")
    for count in range(len(segments), 0, -1):
        found = properties.get(".".join(segments[:count]))
        if isinstance(found, dict):
            rest = ".".join(segments[count:])
            inner = _find(found, rest) if rest else found
            if inner is not None:
                return inner
    return None


def _pipeline_name(value: Json) -> str | None:
    if value is None or value == "_none":
        return None
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"mapping.settings.{FINAL_PIPELINE}", f"must be the name of a pipeline; got [{value!r}]")
    return value


def _object(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise InvalidInput(where, f"must be a JSON object, not {type(value).__name__}")
    return value
