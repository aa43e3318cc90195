"""Which indices are bound and can be repaired, from what the cluster describes."""

import pytest

from sidecar.model import SearchBinding
from sidecar.repair.targets import Target, UnfitTarget, read_targets
from tests.support.bindings import bound

META = {"sidecar": bound().to_meta()}
PROPERTIES = {
    "title": {"type": "text"},
    "abstract": {"type": "text"},
    "embedding": {"type": "knn_vector", "dimension": 2},
    "embedding_meta": {"properties": {"pending": {"type": "rank_feature"}}},
}


def described(meta: object = META, properties: object = PROPERTIES, **mapping: object) -> dict:
    mappings = {"_meta": meta, "properties": properties, **mapping}
    return {"mappings": mappings, "settings": {"index": {"number_of_shards": "3"}}}


def without(*names: str) -> dict:
    return {name: field for name, field in PROPERTIES.items() if name not in names}


def test_bound_indices_by_name() -> None:
    answer = {"b": described(), "unbound": {"settings": {"index": {"number_of_shards": "1"}}}, "a": described()}

    assert read_targets(answer) == (Target("a", 3, bound()), Target("b", 3, bound()))
    assert read_targets({}) == ()


def test_a_templates_companion_is_not_listed() -> None:
    own = bound(search=SearchBinding(field="embedding", companion="papers--companion"))
    index = described(meta={"sidecar": own.to_meta()})

    assert read_targets({"papers--companion": index, "papers": index}) == (Target("papers", 3, own),)


def test_a_binding_of_a_schema_that_we_do_not_know_is_left_alone() -> None:
    assert read_targets({"a": described(meta={"sidecar": META["sidecar"] | {"schema": 3}})}) == ()


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        pytest.param(described(meta={"sidecar": {"schema": 2, "fields": 5}}),
                     "_meta.sidecar.fields: must be an object, not [5]", id="binding not valid"),
        pytest.param(described(_source={"enabled": False}),
                     "its mapping changes what is kept in _source, so texts cannot be read and documents not updated",
                     id="no _source"),
        pytest.param(described(properties=without("abstract")),
                     "field [abstract] is not in the mapping that these credentials see", id="source not visible"),
        pytest.param(described(properties=without("embedding_meta")),
                     "field [embedding_meta] is not in the mapping that these credentials see", id="provenance not visible"),
        pytest.param(described() | {"settings": {}}, "these credentials do not see how many shards it has",
                     id="shards not visible"),
        pytest.param(described(properties=PROPERTIES | {"embedding": {"type": "knn_vector", "dimension": 3}}),
                     "field [embedding] is mapped so that it holds no vectors of model [m@1]", id="another dimension"),
        pytest.param(described(properties=PROPERTIES | {"embedding_meta": {"type": "keyword"}}),
                     "field [embedding_meta] is mapped so that it holds no provenance", id="another provenance"),
    ],
)  # fmt: skip
def test_indices_that_nothing_is_written_to(index: dict, reason: str) -> None:
    assert read_targets({"papers": index}) == (UnfitTarget("papers", reason),)
