"""The companion of a template: an empty index of one shard, searched beside an index of one shard. Pure.

A search of exactly one shard is answered in one phase, and then `hybrid` loads the stored fields of all its candidates.
With a second shard, even an empty one, it loads only those of the page: the same hits in a fifth of the time.
"""

from collections.abc import Mapping
from typing import Final

from sidecar.jsontext import Json, value_digest
from sidecar.templates.base import FINAL_PIPELINE, NUMBER_OF_SHARDS, BaseMapping

META: Final = "sidecar_companion"

# Settings that decide how a query is read. Others (aliases of a life cycle, sorting, routing) could only make it fail.
_KEPT_SETTINGS: Final = (
    "index.analysis.",
    "index.knn",
    "index.mapping.",
    "index.max_",
    "index.query.",
    "index.similarity.",
)
_OWN_SETTINGS: Final[Mapping[str, Json]] = {
    NUMBER_OF_SHARDS: 1,
    "index.auto_expand_replicas": "0-1",  # a copy where there is a second node, so that losing one fails no search
    "index.hidden": True,
    # The template's patterns would add a pipeline, which would keep the template from being deleted.
    FINAL_PIPELINE: "_none",
    "index.routing_partition_size": 1,
}


def compile_companion(template: str, base: BaseMapping, vector_component: Json) -> Json:
    """The index to create: the template's own mapping and analysis, so that every query reads as on its indices.

    The digest in `_meta` identifies the companion, because the cluster spells a mapping in its own way.
    """
    ours = _member(_member(vector_component, "template"), "mappings")
    settings = {name: value for name, value in base.settings.items() if name.startswith(_KEPT_SETTINGS)}
    settings = {"index.knn": True, **settings, **_OWN_SETTINGS}
    meta = {**_member(base.mappings, "_meta"), **_member(ours, "_meta")}
    properties = {**_member(base.mappings, "properties"), **_member(ours, "properties")}
    mappings: dict[str, Json] = {**base.mappings, "_meta": meta, "properties": properties}
    digest = value_digest([settings, mappings])
    return {
        "settings": settings,
        "mappings": {**mappings, "_meta": {**meta, META: {"template": template, "digest": digest}}},
    }


def identity(document: Json) -> Json:
    """The mark of a companion, with its digest; None for an index that is not a companion."""
    return _member(_member(_member(document, "mappings"), "_meta"), META) or None


def _member(node: Json | Mapping[str, Json], key: str) -> dict[str, Json]:
    found = node.get(key) if isinstance(node, Mapping) else None
    return found if isinstance(found, dict) else {}
