"""The templates and pipelines that are installed in a cluster, and the indices made from them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from sidecar.index_description import lacks_native_knn
from sidecar.jsontext import Json, at
from sidecar.model import IndexBinding
from sidecar.templates import naming

PIPELINE_SETTINGS: Final = {
    "index.final_pipeline": naming.INGEST_PIPELINE,
    "index.default_pipeline": naming.INGEST_PIPELINE,
    "index.search.default_pipeline": naming.SEARCH_PIPELINE,
}

_FUSION_PLUGIN: Final = "opensearch-neural-search"


@dataclass(frozen=True, slots=True)
class Installed:
    """The templates and pipelines of a cluster, ours and those of others."""

    documents: Mapping[str, Json]  # by cluster path
    fuses: bool  # the cluster has the normalization-processor. Without it no search pipeline can be installed.
    lacks_native_knn: bool = False  # a node ends at the first vectors of faiss

    @classmethod
    def parse(
        cls,
        *,
        index_templates: Json,
        component_templates: Json,
        ingest_pipelines: Json,
        search_pipelines: Json,
        plugins: Json,
        companions: Json,
    ) -> Self:
        """Read the cluster's answers to the GETs of `apply.read_installed`."""
        documents: dict[str, Json] = {}
        for path, listed, key in (
            (naming.INDEX_TEMPLATE, at(index_templates, "index_templates"), "index_template"),
            (naming.COMPONENT_TEMPLATE, at(component_templates, "component_templates"), "component_template"),
        ):
            for entry in listed if isinstance(listed, list) else []:
                documents[f"{path}{at(entry, 'name')}"] = at(entry, key)
        for path, named in ((naming.INGEST_PIPELINE, ingest_pipelines), (naming.SEARCH_PIPELINE, search_pipelines)):
            documents.update({f"{path}{name}": body for name, body in _members(named).items()})
        documents.update({f"/{name}": body for name, body in _members(companions).items()})
        return cls(documents, _every_node_has(_FUSION_PLUGIN, plugins), lacks_native_knn(plugins))

    def binding(self, component: str) -> IndexBinding | None:
        """The binding in a component template. Raises InvalidInput for a binding that is not valid."""
        return bound_by(self.documents.get(naming.COMPONENT_TEMPLATE + component))

    def index_templates(self) -> Iterable[tuple[str, tuple[str, ...], int]]:
        """Name, index patterns and priority of every index template."""
        for path, document in self.documents.items():
            if path.startswith(naming.INDEX_TEMPLATE):
                priority = at(document, "priority")
                yield (
                    path.removeprefix(naming.INDEX_TEMPLATE),
                    _texts(at(document, "index_patterns")),
                    priority if isinstance(priority, int) else 0,
                )

    def winner(self, index: str) -> str | None:
        """The index template that a new index of this name would be made from."""
        matching = (
            (priority, name)
            for name, patterns, priority in self.index_templates()
            if any(naming.overlap(pattern, index) for pattern in patterns)
        )
        return max(matching, default=(0, None))[1]


@dataclass(frozen=True, slots=True)
class Summary:
    """One installed template, in brief."""

    template: str
    model: str
    field: str
    source: tuple[str, ...]
    index_patterns: tuple[str, ...]
    priority: int
    indices: tuple[str, ...]  # made from it, under its present or an earlier binding
    companion: str | None = None


def bound_by(document: Json) -> IndexBinding | None:
    """The binding in a component template or a simulated index. Raises InvalidInput for one that is not valid."""
    return IndexBinding.from_meta(at(document, "template", "mappings", "_meta"))


def template_of(index_template: Json) -> str | None:
    """The template that an index template of ours belongs to; None for one of others."""
    name = at(index_template, "_meta", "sidecar", "template")
    return name if isinstance(name, str) else None


def summaries(installed: Installed, pipelines: Mapping[str, frozenset[str]]) -> tuple[Summary, ...]:
    """Every template of ours, by name, with the indices among `pipelines` (see `pipelines_of_indices`)."""
    found = []
    for name, patterns, priority in installed.index_templates():
        document = installed.documents[naming.INDEX_TEMPLATE + name]
        template = template_of(document)
        if template is None:
            continue
        indices = indices_of(template, pipelines)
        named = naming.companion_of(template)
        companion = named if f"/{named}" in installed.documents else None
        bindings = [installed.binding(component) for component in _texts(at(document, "composed_of"))]
        found += [
            Summary(template, bound.model, bound.field, bound.source, patterns, priority, indices, companion)
            for binding in bindings
            if binding is not None
            for bound in binding.fields.values()
        ]
    return tuple(sorted(found, key=lambda summary: (summary.template, summary.field)))


def pipelines_of_indices(settings: Json) -> dict[str, frozenset[str]]:
    """The cluster paths of the pipelines that each index names, from the answer to GET _settings (flat)."""
    return {
        index: frozenset(
            f"{path}{name}" for key, path in PIPELINE_SETTINGS.items() if (name := at(body, "settings", key))
        )
        for index, body in _members(settings).items()
    }


def aliases_of_indices(answer: Json) -> dict[str, frozenset[str]]:
    """The aliases of each index, from the answer to GET _alias."""
    return {index: frozenset(_members(at(body, "aliases"))) for index, body in _members(answer).items()}


def indices_of(template: str, pipelines: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The indices that name a pipeline of the template, of its present binding or an earlier one."""
    return tuple(sorted(i for i, paths in pipelines.items() if any(naming.owns(template, path) for path in paths)))


def _every_node_has(plugin: str, nodes_info: Json) -> bool:
    nodes = _members(at(nodes_info, "nodes")).values()
    return bool(nodes) and all(
        plugin in (at(listed, "name") for listed in plugins)
        if isinstance(plugins := at(node, "plugins"), list)
        else False
        for node in nodes
    )


def _members(node: Json) -> Mapping[str, Json]:
    return node if isinstance(node, dict) else {}


def _texts(node: Json) -> tuple[str, ...]:
    return tuple(text for text in node if isinstance(text, str)) if isinstance(node, list) else ()
