"""One index as the cluster describes it."""

import pytest

from sidecar.index_description import read_index, read_indices
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
