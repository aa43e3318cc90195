"""The examination of a bound index: its mapping, settings and documents against its binding. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.doctor.findings import Finding, Subject, error, warning
from sidecar.doctor.guards import calls_guard, fitting_guard
from sidecar.doctor.mappings import examine_mapping, fatal_fields
from sidecar.doctor.parts import examine_model
from sidecar.index_description import IndexDescription
from sidecar.jsontext import Json, strings
from sidecar.model import SCHEMA, IndexBinding, ModelVersion


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """A bound index as the cluster describes it, and the counts of its documents."""

    described: IndexDescription
    documents: int | None = None  # None: it could not be searched
    pending: Mapping[str, int] = field(default_factory=dict)  # vector field -> documents that wait for a vector
    unmarked: Mapping[str, int] = field(default_factory=dict)  # vector field -> documents with a text and no provenance

    @property
    def name(self) -> str:
        return self.described.name


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts of the system that an index is compared with."""

    served: Mapping[str, ModelVersion] | None  # by id; None: not known
    ingest_pipelines: Mapping[str, Json]
    uncomposable: Mapping[str, bool]  # search pipeline -> whether the bridge cannot put it together with its own
    companions: Mapping[str, IndexBinding | None]


def examine_index(index: IndexFacts, around: Surroundings, fatal: Sequence[str] = ()) -> Subject:
    """Examine a bound index. `fatal` are the vector fields whose first vectors would end a node."""
    schema = index.described.schema
    if schema != SCHEMA:
        finding = error(
            "schema",
            f"its binding has schema [{schema}], and this version knows {SCHEMA}: the bridge leaves it alone",
            "use the version of sidecar that the binding was made with",
        )
        return Subject("index", index.name, findings=(finding,))
    if index.described.invalid is not None:
        finding = error(
            "binding",
            f"its binding is not valid, so the bridge leaves it alone: {index.described.invalid}",
            "bind a new index: sidecar template apply …, then _reindex into it",
        )
        return Subject("index", index.name, findings=(finding,))
    bound = index.described.binding
    if bound is None:  # a binding of our schema is parsed or refused
        return Subject("index", index.name)
    about = "; ".join(f"{one.field} of {', '.join(one.source)}, {one.model}" for one in bound.fields.values())
    if index.documents is not None:
        about += f"; {index.documents:,} document{'' if index.documents == 1 else 's'}"
    return Subject("index", index.name, about, (*_index(index, bound, around), *fatal_fields(index.name, fatal)))


def examine_unbound(name: str, template: str | None, fatal: Sequence[str] = ()) -> Subject:
    """Examine an index without a binding. `template` is the one of ours that would bind a new index of its name."""
    return Subject("index", name, findings=(*_unbound(template), *fatal_fields(name, fatal)))


def _unbound(template: str | None) -> Iterator[Finding]:
    if template is None:
        return
    yield warning(
        "unbound",
        f"it is not bound, as template [{template}] would bind a new index of this name: it was made before the "
        "template. Its texts get no vectors, and searches are lexical (unbound, or mixed_indices beside bound ones)",
        "a mapping cannot be changed: _reindex into a new index that the template makes",
    )


def _index(index: IndexFacts, bound: IndexBinding, around: Surroundings) -> Iterator[Finding]:
    for binding in bound.fields.values():
        yield from examine_model(binding.model, binding.space, around.served)
        yield from examine_mapping(index.described, binding)
    if not index.described.has_graphs:
        yield error(
            "knn",
            "index.knn is not true: the vectors are stored, but there is no graph to search",
            "it is set when an index is made: sidecar template apply …, then _reindex into a new index",
        )
    yield from _final_pipeline(index, bound, around.ingest_pipelines)
    yield from _default_pipeline(index, bound, around.ingest_pipelines)
    yield from _search_pipeline(index, around)
    yield from _companion(index, bound, around.companions)
    yield from _documents(index)


def _final_pipeline(index: IndexFacts, bound: IndexBinding, pipelines: Mapping[str, Json]) -> Iterator[Finding]:
    named = index.described.final_pipeline
    guard = fitting_guard(bound, pipelines)
    set_guard = (
        "sidecar template apply … installs the guard"
        if guard is None
        else f'PUT /{index.name}/_settings {{"index.final_pipeline":"{guard}"}}; then sidecar repair {index.name}'
    )
    if named in (None, "_none"):
        yield error(
            "guard",
            "it has no final_pipeline: what is written around the bridge may keep the vector of another text",
            set_guard,
        )
    elif named not in pipelines:
        yield error("guard", f"its final_pipeline [{named}] is not in the cluster: every write is refused", set_guard)
    elif not calls_guard(named, bound, pipelines):
        yield error(
            "guard",
            f"its final_pipeline [{named}] is not the guard of its binding: false vectors may stay, or "
            "right ones be taken out",
            set_guard,
        )


def _default_pipeline(index: IndexFacts, bound: IndexBinding, pipelines: Mapping[str, Json]) -> Iterator[Finding]:
    named = index.described.default_pipeline
    if named in (None, "_none"):
        return
    take_off = f'PUT /{index.name}/_settings {{"index.default_pipeline":"_none"}}'
    if named not in pipelines:
        yield error(
            "default_pipeline",
            f"its default_pipeline [{named}] is not in the cluster: every write is refused",
            take_off,
        )
        return
    written = {name for one in bound.fields.values() for name in (one.field, one.meta_field)}
    if touched := sorted(written & set(strings(pipelines[named]))):
        yield warning(
            "default_pipeline",
            f"its default_pipeline [{named}] names [{', '.join(touched)}], which the bridge "
            "writes: the guard treats its value as a false vector, and the document is pending",
            take_off,
        )


def _search_pipeline(index: IndexFacts, around: Surroundings) -> Iterator[Finding]:
    named = index.described.search_pipeline
    if named in (None, "_none"):
        return
    take_off = f'PUT /{index.name}/_settings {{"index.search.default_pipeline":"_none"}}'
    if named not in around.uncomposable:
        yield error(
            "search_pipeline", f"its search pipeline [{named}] is not in the cluster: searches are refused", take_off
        )
    elif around.uncomposable[named]:
        yield warning(
            "search_pipeline",
            f"its search pipeline [{named}] has processors that do not work with `hybrid`: "
            "searches are lexical (search_pipeline)",
            take_off,
        )


def _companion(
    index: IndexFacts, bound: IndexBinding, companions: Mapping[str, IndexBinding | None]
) -> Iterator[Finding]:
    named = bound.search.companion if bound.search is not None else None
    if named is None or index.described.shards != 1:
        return
    if named not in companions:
        what = "is missing"
    elif companions[named] != bound:
        what = "is bound to something else"
    else:
        return
    yield warning(
        "companion",
        f"its companion [{named}] {what}: hybrid searches of its one shard take several times as long",
        "sidecar template apply … makes it anew; an index of an earlier binding has none",
    )


def _documents(index: IndexFacts) -> Iterator[Finding]:
    repair = f"sidecar repair {index.name}"
    if index.documents is None:
        yield warning("documents", "its documents could not be counted", f"GET /_cluster/health/{index.name}")
    for name, count in index.pending.items():
        if count:
            yield warning(
                "pending",
                f"{count:,} of its documents wait for a vector in [{name}]: searches by meaning miss them",
                f"{repair}. If more come, a client goes around the bridge: docs/clients.md, Node discovery",
            )
    for name, count in index.unmarked.items():
        if count:
            yield error(
                "unmarked",
                f"{count:,} of its documents have a value for [{name}], and neither a vector of it nor a mark. "
                "A number with a fraction and a blank are no text, and repair leaves them as they are",
                repair,
            )
