"""One index as the cluster describes it."""

import pytest

from sidecar.index_description import lacks_native_knn, read_index, read_indices
from tests.support.bindings import a_binding, bound

TITLE = {"type": "text", "copy_to": "all", "fields": {"english": {"type": "text"}, "raw": {"type": "keyword"}}}
PROPERTIES = {
    "title": TITLE,
    "authors": {"properties": {"name": {"type": "keyword", "fields": {"words": {"type": "text"}}}}},
    "embedding": {"type": "knn_vector", "dimension": 2},
}
META = {"sidecar": bound().to_meta()}


def test_fields_and_multi_fields_are_told_apart() -> None:
    index = read_index("papers", {"mappings": {"properties": PROPERTIES}})

    assert set(index.fields) == {"title", "authors", "authors.name", "embedding"}
    assert set(index.sub_fields) == {"title.english", "title.raw", "authors.name.words"}
    assert index.definition("embedding") == {"type": "knn_vector", "dimension": 2}
    assert index.definition("title.raw") == {"type": "keyword"}
    assert index.definition("abstract") == {}
    assert [index.has(path) for path in ("authors.name", "title.raw", "abstract")] == [True, True, False]


def test_a_text_feeds_its_vector_through_copies_and_analysed_multi_fields() -> None:
    abstract = {"type": "text", "copy_to": ["all", "more", "label"]}
    copies = {"all": {"type": "text"}, "more": {"type": "match_only_text"}, "label": {"type": "keyword"}}
    index = read_index("papers", {"mappings": {"properties": {**PROPERTIES, **copies, "abstract": abstract}}})

    assert index.texts_fed_by(a_binding()) == {"title", "title.english", "abstract", "all", "more"}
    assert index.texts_fed_by(a_binding(source=("gone",))) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        pytest.param({"type": "keyword"}, set(), id="keyword"),
        pytest.param({"type": "keyword", "fields": {"words": {"type": "text"}}}, {"title.words"},
                     id="keyword with an analysed multi-field"),
        pytest.param({"type": "text"}, {"title", "headline"}, id="text, with its alias"),
        pytest.param({"type": "text", "analyzer": "keyword"}, set(), id="text that is one word"),
        pytest.param({"type": "text", "analyzer": "keyword", "search_analyzer": "standard"}, {"title", "headline"},
                     id="the analyzer of searches counts"),
        pytest.param({"type": "text", "index": False}, set(), id="text that cannot be searched"),
        pytest.param({"type": "wildcard"}, set(), id="wildcard"),
        pytest.param({"type": "integer"}, set(), id="number"),
    ],
)  # fmt: skip
def test_only_analysed_fields_are_searched_by_meaning(source: dict[str, object], found: set[str]) -> None:
    properties = {"title": source, "headline": {"type": "alias", "path": "title"}}
    index = read_index("papers", {"mappings": {"properties": properties}})

    assert index.texts_fed_by(a_binding(source=("title",))) == found


@pytest.mark.parametrize(
    ("settings", "fields", "window"),
    [
        pytest.param({}, ("*",), 10_000, id="not set"),
        pytest.param({"query": {"default_field": ["title^2", "sku"]}, "max_result_window": "50"}, ("title^2", "sku"), 50,
                     id="a list"),
        pytest.param({"query": {"default_field": "sku"}}, ("sku",), 10_000, id="one"),
        pytest.param({"query": {"default_field": []}}, ("*",), 10_000, id="an empty list"),
    ],
)  # fmt: skip
def test_settings_that_decide_what_a_search_looks_at(
    settings: dict[str, object], fields: tuple[str, ...], window: int
) -> None:
    index = read_index("papers", {"settings": {"index": settings}})

    assert (index.default_fields, index.result_window) == (fields, window)


def test_settings_aliases_and_the_data_stream() -> None:
    described = {
        "aliases": {"p": {"is_write_index": True}},
        "mappings": {"_source": {"excludes": ["content"]}},
        "settings": {
            "index": {
                "knn": "true",
                "number_of_shards": "3",
                "default_pipeline": "d",
                "final_pipeline": "f",
                "search": {"default_pipeline": "_none"},
            }
        },
        "data_stream": "logs",
    }
    index = read_index("papers", described)

    assert (index.has_graphs, index.shards, index.changes_source) == (True, 3, True)
    assert (index.default_pipeline, index.final_pipeline, index.search_pipeline) == ("d", "f", "_none")
    assert (index.data_stream, index.aliases) == ("logs", {"p": {"is_write_index": True}})


@pytest.mark.parametrize(
    ("meta", "schema", "is_bound", "problem"),
    [
        pytest.param(META, 2, True, None, id="bound"),
        pytest.param({}, None, False, None, id="not bound"),
        pytest.param({"sidecar": {"schema": 3}}, 3, False, None, id="a schema of tomorrow"),
        pytest.param({"sidecar": {"schema": 2, "fields": 5}}, 2, False,
                     "_meta.sidecar.fields: must be an object, not [5]", id="not valid"),
    ],
)  # fmt: skip
def test_the_binding_or_why_there_is_none(meta: dict, schema: object, is_bound: bool, problem: str | None) -> None:
    index = read_index("papers", {"mappings": {"_meta": meta}})

    assert (index.schema, index.binding is not None) == (schema, is_bound)
    assert (None if index.invalid is None else str(index.invalid)) == problem


@pytest.mark.parametrize("described", [None, {}, {"mappings": 1, "settings": [], "aliases": "x"}])
def test_nothing_is_known_of_an_index_that_is_not_described(described: object) -> None:
    index = read_index("papers", described)

    assert (index.binding, index.fields, index.shards, index.aliases) == (None, {}, 0, {})


def test_an_answer_describes_several_indices_in_order() -> None:
    assert [index.name for index in read_indices({"b": {}, "a": {}, "error": "x"})] == ["b", "a"]
    assert read_indices(None) == ()


VECTOR = {"type": "knn_vector", "dimension": 2}
META_FIELD = {
    "dynamic": "false",
    "properties": {
        "hash": {"type": "binary", "doc_values": True},
        "pending": {"type": "rank_feature"},
        "client": {"type": "rank_feature"},
        "about": {"type": "object", "enabled": False},
    },
}


@pytest.mark.parametrize(
    ("vector", "takes"),
    [
        pytest.param(VECTOR, True, id="as ours"),
        pytest.param(None, True, id="hidden"),
        pytest.param({**VECTOR, "data_type": "float", "mode": "on_disk"}, True, id="floats"),
        pytest.param({**VECTOR, "index": False}, True, id="not indexed: it holds vectors"),
        pytest.param({**VECTOR, "space_type": "l2"}, True, id="another space type"),
        pytest.param({**VECTOR, "dimension": 3}, False, id="another dimension"),
        pytest.param({**VECTOR, "data_type": "BYTE"}, False, id="bytes, as the cluster spells them"),
        pytest.param({**VECTOR, "data_type": "binary"}, False, id="bits"),
        pytest.param({"type": "knn_vector", "model_id": "x"}, False, id="a trained model"),
        pytest.param({"type": "float"}, False, id="floats without a vector"),
        pytest.param({"properties": {}}, False, id="an object"),
    ],
)
def test_a_field_of_another_mapping_takes_no_vectors(vector: object, takes: bool) -> None:
    index = read_index("papers", {"mappings": {"properties": {"embedding": vector}}})

    assert index.takes_vectors(a_binding()) is takes


@pytest.mark.parametrize(
    ("dynamic", "meta", "takes"),
    [
        pytest.param(None, META_FIELD, True, id="as ours"),
        pytest.param("strict", META_FIELD, True, id="as ours in a strict mapping"),
        pytest.param(True, None, True, id="not mapped"),
        pytest.param("strict", None, False, id="not mapped in a strict mapping"),
        pytest.param("strict_allow_templates", None, False, id="not mapped in a mapping with templates only"),
        pytest.param(None, {"type": "keyword"}, False, id="a keyword"),
        pytest.param(None, {"type": "nested"}, False, id="nested"),
        pytest.param(None, {**META_FIELD, "enabled": False}, False, id="an object that nobody finds"),
        pytest.param(None, {"properties": {"pending": {"type": "integer"}}}, False, id="pending is a number"),
        pytest.param(None, {"properties": {"hash": {"type": "keyword"}}}, False, id="a hash of another type"),
        pytest.param(None, {"dynamic": "strict", "properties": {}}, False, id="strict without members"),
        pytest.param("strict", {"properties": {}}, False, id="strict without members, as the whole mapping"),
        pytest.param("strict", {"dynamic": "false", "properties": {}}, True, id="members are ignored"),
    ],
)
def test_a_provenance_needs_its_own_mapping(dynamic: object, meta: object, takes: bool) -> None:
    properties = {"embedding": VECTOR, "embedding_meta": meta}
    index = read_index("papers", {"mappings": {"dynamic": dynamic, "properties": properties}})

    assert index.takes_provenance(a_binding()) is takes


def test_a_vector_and_a_provenance_that_are_both_hidden_are_taken_for_ours() -> None:
    index = read_index("papers", {"mappings": {"dynamic": "strict", "properties": {"title": {"type": "text"}}}})

    assert index.takes_vectors(a_binding())
    assert index.takes_provenance(a_binding())


@pytest.mark.parametrize(
    ("definition", "has_graphs", "native"),
    [
        pytest.param({"method": {"name": "hnsw", "engine": "lucene"}}, "true", (), id="lucene"),
        pytest.param({"method": {"name": "hnsw", "engine": "faiss"}}, "true", ("a.v",), id="faiss"),
        pytest.param({"method": {"name": "hnsw", "engine": "nmslib"}}, "true", ("a.v",), id="nmslib"),
        pytest.param({"method": {"name": "hnsw"}}, "true", ("a.v",), id="a method without an engine"),
        pytest.param({}, "true", ("a.v",), id="no engine"),
        pytest.param({"mode": "on_disk"}, "true", ("a.v",), id="a mode"),
        pytest.param({}, "false", (), id="no graphs"),
        pytest.param({}, None, (), id="no setting"),
    ],
)
def test_vector_fields_of_faiss_need_its_library(definition: dict, has_graphs: object, native: tuple) -> None:
    properties = {
        "a": {"properties": {"v": {"type": "knn_vector", "dimension": 2, **definition}}},
        "b": {"type": "text"},
    }
    described = {"mappings": {"properties": properties}, "settings": {"index": {"knn": has_graphs}}}

    assert read_index("papers", described).native_fields == native


def test_a_node_says_that_it_lacks_the_library() -> None:
    ours, theirs = {"attributes": {"sidecar_no_native_knn": "true"}}, {"attributes": {"zone": "a"}}

    assert lacks_native_knn({"nodes": {"1": theirs, "2": ours}})
    assert not any(map(lacks_native_knn, ({"nodes": {"1": theirs, "2": {}}}, {}, None)))
