"""What is said of a bound index: one row for each thing that can be wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sidecar.doctor.findings import Level
from sidecar.doctor.indices import IndexFacts, Surroundings, examine_index, examine_unbound
from sidecar.index_description import read_index
from sidecar.jsontext import Json, at
from sidecar.model import ModelVersion
from sidecar.templates.compiler import compile_template, default_base

MINILM = ModelVersion(
    id="all-minilm-l6-v2@1", weights={"model.safetensors": "1" * 64}, tokenizer="2" * 64, pooling="mean",
    max_tokens=256, normalized=True, dimension=384,
)  # fmt: skip
COMPILED = compile_template(
    "papers", MINILM, default_base(), index_patterns=("papers*",), source=("title", "abstract")
)  # fmt: skip
GUARD = COMPILED.names.guard


@dataclass(frozen=True)
class Index:
    """An index as the cluster describes it, before that is read."""

    name: str
    mappings: Json
    settings: Json
    documents: int | None
    pending: dict[str, int] = field(default_factory=dict)
    unmarked: dict[str, int] = field(default_factory=dict)

    @property
    def facts(self) -> IndexFacts:
        described = read_index(self.name, {"mappings": self.mappings, "settings": self.settings})
        return IndexFacts(described, self.documents, self.pending, self.unmarked)


def healthy() -> tuple[Index, Surroundings]:
    base, vector = (at(COMPILED.documents[f"/_component_template/{name}"], "template", "mappings")
                    for name in (COMPILED.names.base, COMPILED.names.vector))  # fmt: skip
    assert isinstance(base, dict)
    assert isinstance(vector, dict)
    properties: Any = {**base["properties"], **vector["properties"]}
    index = Index(
        "papers",
        {**vector, "properties": properties},
        {"index": {"knn": "true", "final_pipeline": GUARD, "number_of_shards": "1"}},
        documents=3,
        pending={"embedding": 0},
        unmarked={"embedding": 0},
    )
    pipelines = {
        GUARD: COMPILED.documents[f"/_ingest/pipeline/{GUARD}"],
        "own": {"processors": [{"set": {"field": "year", "value": 1}}]},
        "calling": {"processors": [{"pipeline": {"name": GUARD}}]},
        "embeds": {"processors": [{"text_embedding": {"model_id": "x", "field_map": {"title": "embedding"}}}]},
    }
    around = Surroundings({MINILM.id: MINILM}, pipelines, {"own": False, "odd": True},
                          {"papers--companion": COMPILED.binding})  # fmt: skip
    return index, around


def mapped(index: Index, **changes: Json) -> Index:
    properties = at(index.mappings, "properties")
    assert isinstance(index.mappings, dict)
    assert isinstance(properties, dict)
    kept = {name: value for name, value in {**properties, **changes}.items() if value is not None}
    return replace(index, mappings={**index.mappings, "properties": kept})


def vector(**changes: Json) -> dict[str, Json]:
    found = at(healthy()[0].mappings, "properties", "embedding")
    assert isinstance(found, dict)
    return {**found, **changes}


def set_to(index: Index, **changes: Json) -> Index:
    settings = at(index.settings, "index")
    assert isinstance(settings, dict)
    return replace(index, settings={"index": {**settings, **changes}})


def bound(index: Index, **changes: Json) -> Index:
    block = {**COMPILED.binding.to_meta(), **changes}
    assert isinstance(index.mappings, dict)
    return replace(index, mappings={**index.mappings, "_meta": {"sidecar": block}})


def test_nothing_is_said_of_an_index_that_is_well() -> None:
    index, around = healthy()
    subject = examine_index(index.facts, around)

    assert (subject.level, subject.findings) == (Level.OK, ())
    assert subject.about == "embedding of title, abstract, all-minilm-l6-v2@1; 3 documents"


Change = Callable[[Index], Index]


@pytest.mark.parametrize(
    ("change", "level", "check"),
    [
        pytest.param(lambda f: bound(f, schema=3), "error", "schema", id="a schema of tomorrow"),
        pytest.param(lambda f: bound(f, fields={"embedding": {}}), "error", "binding", id="not a binding"),
        pytest.param(lambda f: mapped(f, embedding=None), "error", "vector_field", id="no vector field"),
        pytest.param(lambda f: mapped(f, embedding={"type": "float"}), "error", "vector_field", id="another type"),
        pytest.param(lambda f: mapped(f, embedding=vector(dimension=768)), "error", "dimension", id="dimension"),
        pytest.param(lambda f: mapped(f, embedding=vector(method={"space_type": "l2"})), "error", "space_type",
                     id="space type"),
        pytest.param(lambda f: mapped(f, embedding=vector(method=None, space_type="l2")), "error", "space_type",
                     id="space type of the field itself"),
        pytest.param(lambda f: mapped(f, embedding=vector(data_type="BYTE")), "error", "data_type", id="bytes"),
        pytest.param(lambda f: mapped(f, embedding_meta={"type": "keyword"}), "error", "provenance",
                     id="another provenance"),
        pytest.param(lambda f: mapped(f, embedding_meta=None), "error", "provenance", id="no provenance"),
        pytest.param(lambda f: mapped(f, abstract=None), "warning", "source_field", id="no source"),
        pytest.param(lambda f: replace(f, mappings={**f.mappings, "_source": {"enabled": False}}),
                     "error", "source", id="no _source"),
        pytest.param(lambda f: replace(f, mappings={**f.mappings, "_source": {"excludes": ["embedding_meta.*"]}}),
                     "error", "source", id="no provenance in _source"),
        pytest.param(lambda f: replace(f, mappings={**f.mappings, "_source": {"excludes": ["content"]}}),
                     "warning", "source", id="less in _source"),
        pytest.param(lambda f: set_to(f, knn="false"), "error", "knn", id="no graph"),
        pytest.param(lambda f: set_to(f, final_pipeline=None), "error", "guard", id="no guard"),
        pytest.param(lambda f: set_to(f, final_pipeline="_none"), "error", "guard", id="guard switched off"),
        pytest.param(lambda f: set_to(f, final_pipeline="gone"), "error", "guard", id="guard not in the cluster"),
        pytest.param(lambda f: set_to(f, final_pipeline="own"), "error", "guard", id="another pipeline"),
        pytest.param(lambda f: set_to(f, default_pipeline="gone"), "error", "default_pipeline", id="default not there"),
        pytest.param(lambda f: set_to(f, default_pipeline="embeds"), "warning", "default_pipeline", id="default embeds"),
        pytest.param(lambda f: set_to(f, search={"default_pipeline": "gone"}), "error", "search_pipeline",
                     id="search pipeline not there"),
        pytest.param(lambda f: set_to(f, search={"default_pipeline": "odd"}), "warning", "search_pipeline",
                     id="search pipeline that does not go with ours"),
        pytest.param(lambda f: replace(f, documents=None), "warning", "documents", id="not searchable"),
        pytest.param(lambda f: replace(f, pending={"embedding": 2}), "warning", "pending", id="pending"),
        pytest.param(lambda f: replace(f, unmarked={"embedding": 2}), "error", "unmarked", id="unmarked"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_index_is_named(change: Change, level: str, check: str) -> None:
    index, around = healthy()

    (finding,) = examine_index(change(index).facts, around).findings

    assert (finding.level, finding.check) == (level, check)
    assert finding.message
    assert finding.remedy


@pytest.mark.parametrize(
    ("change", "level", "check"),
    [
        pytest.param({"served": {}}, "error", "model", id="the model is not served"),
        pytest.param({"served": {MINILM.id: MINILM.model_copy(update={"tokenizer": "3" * 64})}}, "error", "space",
                     id="it is served in another space"),
        pytest.param({"companions": {}}, "warning", "companion", id="no companion"),
        pytest.param({"companions": {"papers--companion": None}}, "warning", "companion", id="a stale companion"),
    ],
)  # fmt: skip
def test_what_does_not_fit_around_it_is_named(change: dict[str, Any], level: str, check: str) -> None:
    index, around = healthy()

    (finding,) = examine_index(index.facts, replace(around, **change)).findings

    assert (finding.level, finding.check) == (level, check)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda f: set_to(f, final_pipeline="calling"), id="a pipeline that calls the guard"),
        pytest.param(lambda f: set_to(f, default_pipeline="own", search={"default_pipeline": "own"}), id="harmless pipelines"),
        pytest.param(lambda f: set_to(f, default_pipeline="_none", search={"default_pipeline": "_none"}), id="none"),
    ],
)  # fmt: skip
def test_what_is_harmless_is_not_named(change: Change) -> None:
    index, around = healthy()

    assert examine_index(change(index).facts, replace(around, served=None)).findings == ()


def test_an_index_that_is_older_than_its_template_is_named() -> None:
    (finding,) = examine_unbound("papers-old", "papers").findings

    assert (finding.level, finding.check) == (Level.WARNING, "unbound")
    assert "template [papers] would bind" in finding.message


def test_the_remedy_names_the_guard_that_fits() -> None:
    index, around = healthy()

    with_guard = examine_index(set_to(index, final_pipeline=None).facts, around).findings[0].remedy
    without = (
        examine_index(set_to(index, final_pipeline=None).facts, replace(around, ingest_pipelines={})).findings[0].remedy
    )

    assert with_guard == (f'PUT /papers/_settings {{"index.final_pipeline":"{GUARD}"}}; then sidecar repair papers')
    assert without == "sidecar template apply … installs the guard"


def test_an_index_without_a_binding_may_have_vectors_that_end_a_node() -> None:
    checks = [
        [finding.check for finding in examine_unbound("store", template, fatal).findings]
        for template, fatal in (("papers", ()), ("papers", ("v",)), (None, ("v",)))
    ]
    assert checks == [["unbound"], ["unbound", "native_knn"], ["native_knn"]]
    index, around = healthy()
    assert [finding.check for finding in examine_index(index.facts, around, ("v",)).findings] == ["native_knn"]
