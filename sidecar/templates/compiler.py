"""The compiler: a model version and a base mapping in, the documents to install in the cluster out. Pure.

The documents are the files of `ingest_pipelines/`, filled. They do not depend on the cluster: see `installed.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from sidecar.errors import InvalidInput
from sidecar.jsontext import Json
from sidecar.model import Binding, Engine, Fusion, IndexBinding, ModelVersion, SearchBinding, SpaceType
from sidecar.provenance import hash_prefix, well_formed
from sidecar.templates import naming
from sidecar.templates.base import FINAL_PIPELINE, KNN, NUMBER_OF_SHARDS, BaseMapping
from sidecar.templates.companion import compile_companion
from sidecar.templates.shipped import document

DEFAULT_PRIORITY: Final = 100
# A hybrid search of a single shard loads the stored fields of every candidate. With two shards it does not.
_DEFAULT_SHARDS: Final = 2

_DATA_TYPES: Final = {"float32": "float", "byte": "byte", "binary": "binary"}
# k-NN compares binary vectors by Hamming distance alone. For cosine, faiss normalises the vectors, and bytes do not
# survive that.
_SPACE_TYPES: Final = {
    (Engine.LUCENE, "float32"): frozenset(SpaceType),
    (Engine.LUCENE, "byte"): frozenset(SpaceType),
    (Engine.LUCENE, "binary"): frozenset[SpaceType](),
    (Engine.FAISS, "float32"): frozenset(SpaceType),
    (Engine.FAISS, "byte"): frozenset({SpaceType.L2, SpaceType.INNERPRODUCT}),
    (Engine.FAISS, "binary"): frozenset[SpaceType](),
}


@dataclass(frozen=True, slots=True)
class CompiledTemplate:
    """The parts of one template."""

    names: naming.TemplateNames
    index_patterns: tuple[str, ...]
    priority: int
    binding: IndexBinding
    final_pipeline: str | None  # the base's own, which the guard calls. It must exist in the cluster.
    documents: Mapping[str, Json]  # by cluster path, in the order in which it is safe to install them


def default_base() -> Json:
    """The base mapping of papers: title, abstract and content, as English text."""
    return document("component/base.json", {})


def compile_template(
    name: str,
    version: ModelVersion,
    base: Json,
    *,
    index_patterns: Sequence[str],
    source: Sequence[str],
    field: str = "embedding",
    space_type: SpaceType | None = None,
    engine: Engine = Engine.LUCENE,
    join: str = "\n",
    priority: int = DEFAULT_PRIORITY,
) -> CompiledTemplate:
    """Compile the template `name`, which binds `field` to the texts of `source` under a model version.

    `space_type` is the version's own if none is given. Raises InvalidInput naming the field and the value.
    """
    parsed = BaseMapping.parse(base)
    naming.check_patterns(index_patterns)
    _check_texts(parsed, source, join)
    binding = Binding(
        field=field,
        model=version.id,
        space=version.space,
        dimension=version.dimension,
        space_type=space_type or version.space_type,
        source=tuple(source),
        join=join,
    )
    _check_field(parsed, binding)
    if parsed.final_pipeline is not None and naming.owns(name, naming.INGEST_PIPELINE + parsed.final_pipeline):
        raise InvalidInput(
            f"mapping.settings.{FINAL_PIPELINE}", f"[{parsed.final_pipeline}] is a guard of this template"
        )
    _check_engine(engine, version.element_type, binding.space_type)
    if priority < 0:
        raise InvalidInput("priority", f"must not be negative; got [{priority}]")
    search = SearchBinding(field=field, companion=naming.companion_of(name))
    bound = IndexBinding(fields={field: binding}, search=search)
    names = naming.names_of(name, version.id, bound)
    vector = _vector_component(
        binding, bound, _settings(parsed, names.guard), engine=engine, data_type=_DATA_TYPES[version.element_type]
    )
    return CompiledTemplate(
        names=names,
        index_patterns=tuple(index_patterns),
        priority=priority,
        binding=bound,
        final_pipeline=parsed.final_pipeline,
        documents={
            naming.INGEST_PIPELINE + names.guard: compile_guard(name, [binding], parsed.final_pipeline),
            naming.SEARCH_PIPELINE + names.search: _search_pipeline(name, search.fusion),
            naming.COMPONENT_TEMPLATE + names.base: _base_component(parsed),
            naming.COMPONENT_TEMPLATE + names.vector: vector,
            naming.INDEX_TEMPLATE + names.index_template: _index_template(names, index_patterns, priority),
            f"/{names.companion}": compile_companion(name, parsed, vector),
        },
    )


def compile_guard(template: str, bindings: Sequence[Binding], final_pipeline: str | None = None) -> Json:
    """The guard over the bound fields of a template: an ingest pipeline, to be set as the index's final one.

    A final pipeline of the base's own goes first, so that the guard sees the text that is really indexed. If the script
    fails on a document, the document is indexed without a vector, as pending with an empty hash. So no unchecked vector
    is kept, and no document is refused because of us. (The script processor of 2.19 fails on an integer beyond 64 bits
    in any field, an `unsigned_long` for example. Painless fails on a list of more than a million elements.)
    """
    guards = [_guard_of_field(template, binding) for binding in bindings]
    own: list[Json] = [] if final_pipeline is None else [{"pipeline": {"name": final_pipeline}}]
    return {
        **guards[0],
        "processors": own + [one for guard in guards for one in cast("list[Json]", guard["processors"])],
    }


def _guard_of_field(template: str, binding: Binding) -> dict[str, Json]:
    return document(
        "ingest/guard.json",
        {
            "template": template,
            "field": binding.field,
            "meta_field": binding.meta_field,
            "source": list(binding.source),
            "join": binding.join,
            "prefix": hash_prefix(binding),
        },
    )


def _check_texts(base: BaseMapping, source: Sequence[str], join: str) -> None:
    if not source:
        raise InvalidInput("source", "at least one field is needed")
    for position, path in enumerate(source):
        if path in source[:position]:
            raise InvalidInput("source", f"[{path}] is named twice")
        base.check_source(path)
    # Half a surrogate pair could meet its other half at the end of a text; Java would join them, Python would not.
    if not join or well_formed(join) != join:
        raise InvalidInput("join", f"must be well-formed text and not empty; got [{join!r}]")


def _check_field(base: BaseMapping, binding: Binding) -> None:
    naming.check_field_name(binding.field)
    base.check_free(binding.field)
    base.check_free(binding.meta_field)
    base.check_kept(binding)


def _check_engine(engine: Engine, element_type: str, space_type: SpaceType) -> None:
    allowed = _SPACE_TYPES[engine, element_type]
    if space_type not in allowed:
        rest = f"; possible: {', '.join(sorted(allowed))}" if allowed else ""
        raise InvalidInput(
            "space_type", f"engine [{engine}] does not offer [{space_type}] for vectors of [{element_type}]{rest}"
        )


def _search_pipeline(template: str, fusion: Fusion) -> Json:
    return document(
        "search/hybrid.json",
        {
            "template": template,
            "technique": fusion.technique,
            "combination": fusion.combination,
            "weights": list(fusion.weights),
        },
    )


def _base_component(base: BaseMapping) -> Json:
    parts: dict[str, Json] = {"mappings": dict(base.mappings), "settings": dict(base.settings)}
    return {"template": {name: part for name, part in parts.items() if part}}


def _settings(base: BaseMapping, guard: str) -> dict[str, Json]:
    settings: dict[str, Json] = {KNN: True, FINAL_PIPELINE: guard}
    if NUMBER_OF_SHARDS not in base.settings:
        settings[NUMBER_OF_SHARDS] = _DEFAULT_SHARDS
    return settings


def _vector_component(
    binding: Binding, bound: IndexBinding, settings: dict[str, Json], *, engine: Engine, data_type: str
) -> Json:
    return document(
        "component/vector.json",
        {
            "settings": settings,
            "binding": bound.to_meta(),
            "field": binding.field,
            "meta_field": binding.meta_field,
            "dimension": binding.dimension,
            "data_type": data_type,
            "engine": engine.value,
            "space_type": binding.space_type.value,
        },
    )


def _index_template(names: naming.TemplateNames, index_patterns: Sequence[str], priority: int) -> Json:
    return document(
        "index/template.json",
        {
            "template": names.template,
            "index_patterns": list(index_patterns),
            "priority": priority,
            "base": names.base,
            "vector": names.vector,
        },
    )
